"""Every option, declared once: the command line and the reader of the configuration file are built from this list."""

from __future__ import annotations

from enum import Enum, auto

from msgspec import Struct

from reviewer.report import FORMATS, RELEASE_FORMATS

POSTGRES = ("auto", "local", "embedded", "container")
"""Keywords for `--postgres`; anything else is a URL."""
SEVERITIES = ("error", "warning", "notice")


class Kind(Enum):
    """The type of an option's value, which decides how it is read."""

    TEXT = auto()
    TEXTS = auto()
    """Repeatable on the command line, a list in the file."""
    RULES = auto()
    """As TEXTS; each may also be a comma-separated list."""
    ASSIGNMENTS = auto()
    """NAME=VALUE, repeatable; in the file a list of them or a table."""
    CONFIGS = auto()
    """[NAME=]FILE, repeatable; in the file a list of them or a table."""
    SWITCH = auto()
    NUMBER = auto()
    SECONDS = auto()
    FILE = auto()
    CHOICE = auto()
    FAIL_ON = auto()
    """A severity, or `never`."""
    POSTGRES = auto()
    """One of the keywords in `POSTGRES`, or a URL."""
    OUTPUTS = auto()
    """Pairs of a format and a file, from --format and --output."""
    SEVERITY_OF_RULES = auto()
    PATHS = auto()
    """A table of settings for each pattern of paths."""
    PHASES = auto()
    """A table with the words for `before` and `after` the code."""


class Where(Enum):
    """Which commands accept an option."""

    PROJECT = auto()
    """Every command that works on a project."""
    REHEARSAL = auto()
    """Every command that rehearses the revisions."""
    NEW = auto()
    """Those that find out which revisions are new: all but `release`, which is told."""
    RUN = auto()
    """`review` and `release`."""
    REVIEW = auto()
    """`review` alone."""
    RELEASE = auto()
    """`release` alone."""
    NOWHERE = auto()
    """No command: allowed in the configuration file only."""


class Option(Struct, frozen=True):
    """One setting."""

    name: str
    """The field of `Config` that it sets, and the name of the click parameter."""
    kind: Kind
    help: str = ""
    metavar: str | None = None
    spelled: str = ""
    """Its spelling on the command line and, without dashes, in the file, if not the name with dashes."""
    choices: tuple[str, ...] = ()
    least: int = 0
    short: str = ""
    """A second flag of one letter."""
    where: Where = Where.REVIEW
    in_file: bool = True
    """Whether the configuration file can set it too."""

    @property
    def key(self) -> str:
        """Its key in the configuration file."""
        return (self.spelled or self.name.replace("_", "-")).lstrip("-")

    @property
    def flag(self) -> str:
        """Its name on the command line."""
        return self.spelled if self.spelled.startswith("-") else f"--{self.key}"


_PROJECT, _REHEARSAL, _NOWHERE = Where.PROJECT, Where.REHEARSAL, Where.NOWHERE

OPTIONS: tuple[Option, ...] = (
    Option("base", Kind.TEXT, "Review what HEAD adds over the merge base with REF.", "REF", where=Where.NEW),
    Option(
        "revisions",
        Kind.TEXT,
        'Review the revisions after A up to B; "base" and "head" work.',
        "A:B",
        where=Where.NEW,
    ),
    Option(
        "configs",
        Kind.CONFIGS,
        "alembic.ini or pyproject.toml; repeat for several trees.",
        "[NAME=]FILE",
        spelled="config",
        where=_PROJECT,
    ),
    Option(
        "x",
        Kind.ASSIGNMENTS,
        "Argument for env.py, as in `alembic -x`.",
        "NAME=VALUE",
        spelled="-x",
        where=_PROJECT,
    ),
    Option(
        "section",
        Kind.TEXT,
        "Section of the ini file, as in `alembic --name`.",
        "SECTION",
        spelled="name",
        where=_PROJECT,
    ),
    Option(
        "launcher",
        Kind.TEXT,
        "Function of the project that is called with Alembic's Config before env.py runs.",
        "MODULE:FUNCTION",
        where=_PROJECT,
    ),
    Option(
        "python",
        Kind.TEXT,
        "Command that starts the project's Python, which can import env.py.",
        "CMD",
        where=_PROJECT,
    ),
    Option(
        "env",
        Kind.ASSIGNMENTS,
        "Environment variable for env.py; {url} becomes the throw-away database's URL.",
        "NAME=VALUE",
        where=_PROJECT,
    ),
    Option("pass_env", Kind.TEXTS, "Pass an environment variable through to env.py.", "NAME", where=_PROJECT),
    Option(
        "postgres",
        Kind.POSTGRES,
        "Where the throw-away PostgreSQL comes from.",
        f"{'|'.join(POSTGRES)}|URL",
        where=_PROJECT,
    ),
    Option(
        "postgres_version",
        Kind.NUMBER,
        "Major version of PostgreSQL, 14 to 19.",
        "N",
        least=1,
        where=_PROJECT,
    ),
    Option("postgres_image", Kind.TEXT, "Container image instead of postgres:N.", "IMAGE", where=_PROJECT),
    Option(
        "each",
        Kind.SWITCH,
        "Rehearse every revision as its own release: from the state before it, with rows in its tables.",
        in_file=False,
    ),
    Option(
        "jobs",
        Kind.NUMBER,
        "Revisions, or trees, to rehearse at the same time, on a server for each lane (the number of cores, at most 4).",
        "N",
        least=1,
        where=Where.RUN,
    ),
    Option("static", Kind.SWITCH, "Start no server: read what `alembic upgrade --sql` renders."),
    Option(
        "base_schema",
        Kind.FILE,
        "SQL that creates the state before the first revision; applied to the empty database.",
        "FILE",
        where=_REHEARSAL,
    ),
    Option("rows", Kind.NUMBER, "Rows to insert into each table before the revisions run.", "N", where=_REHEARSAL),
    Option(
        "seed",
        Kind.FILE,
        "SQL that inserts rows of your own first; tables that it fills get no generated rows.",
        "FILE",
        where=_REHEARSAL,
    ),
    Option(
        "seed_command",
        Kind.TEXT,
        "Command that inserts such rows into the database at DATABASE_URL.",
        "CMD",
        where=_REHEARSAL,
    ),
    Option("no_rows", Kind.SWITCH, "The same as --rows 0.", where=_REHEARSAL),
    Option(
        "base_from",
        Kind.CHOICE,
        "Build the state before the new revisions from the history, or from the models of the base commit.",
        choices=("history", "models"),
        where=_REHEARSAL,
    ),
    Option(
        "migrate_as",
        Kind.CHOICE,
        "The role that runs the migrations in production: an ordinary owner of the database, or a superuser.",
        choices=("owner", "superuser"),
        where=_REHEARSAL,
    ),
    Option(
        "no_old_code",
        Kind.SWITCH,
        "Do not run the code of the base commit against the new schema.",
        where=_REHEARSAL,
    ),
    Option(
        "stats",
        Kind.FILE,
        "Sizes of the tables in production, as `alembic-reviewer stats` has written them.",
        "FILE",
        where=_REHEARSAL,
    ),
    Option(
        "scale",
        Kind.SWITCH,
        "Run the revisions at three sizes of the tables that they work on, and tell how long they take.",
        where=Where.RUN,
    ),
    Option(
        "fixes",
        Kind.SWITCH,
        "Try to fix what is found, and report each fix that was rehearsed as a diff; changes no file.",
        in_file=False,
    ),
    Option("scale_seconds", Kind.SECONDS, "How long that may take (60).", "SECONDS", where=Where.RUN),
    Option(
        "scale_rows",
        Kind.NUMBER,
        "The most rows that a table is filled with for it (1000000).",
        "N",
        least=1000,
        where=Where.RUN,
    ),
    Option(
        "calibrate",
        Kind.ASSIGNMENTS,
        "How long a revision took in production, to know by how much that is faster or slower.",
        "REVISION=SECONDS",
        where=Where.RUN,
    ),
    Option(
        "no_snapshot",
        Kind.SWITCH,
        "Replay the whole history, and keep nothing of it for the next review.",
    ),
    Option(
        "formats",
        Kind.OUTPUTS,
        "Format of the report; repeat for several, each takes the --output after it.",
        spelled="format",
        choices=tuple(FORMATS),
        in_file=False,
    ),
    Option(
        "outputs",
        Kind.OUTPUTS,
        "File for the report instead of standard output.",
        "FILE",
        spelled="output",
        in_file=False,
        where=Where.RUN,
    ),
    Option("save_recording", Kind.FILE, "Save a recording of the run.", "FILE", in_file=False, where=Where.RUN),
    Option("recording", Kind.FILE, "Review a saved recording; no server needed.", "FILE", in_file=False),
    Option(
        "fail_on",
        Kind.FAIL_ON,
        "Lowest severity that makes the exit status 1.",
        choices=(*SEVERITIES, "never"),
        where=_REHEARSAL,
    ),
    Option("select", Kind.RULES, "Run only these rules, or those of a group.", "RULE|GROUP", where=Where.RUN),
    Option("ignore", Kind.RULES, "Do not run these rules, or those of a group.", "RULE|GROUP", where=Where.RUN),
    Option(
        "quiet",
        Kind.SWITCH,
        "Print only the first line of the report.",
        short="-q",
        in_file=False,
        where=_REHEARSAL,
    ),
    Option(
        "verbose", Kind.SWITCH, "Report each step on standard error.", short="-v", in_file=False, where=_REHEARSAL
    ),
    Option("timeout", Kind.SECONDS, "Time limit for the whole run.", "SECONDS", where=_REHEARSAL),
    Option(
        "formats",
        Kind.OUTPUTS,
        "Format of the report; repeat for several, each takes the --output after it.",
        spelled="format",
        choices=tuple(RELEASE_FORMATS),
        in_file=False,
        where=Where.RELEASE,
    ),
    Option(
        "sql",
        Kind.FILE,
        "File for the SQL of the release, as it was emitted and in order.",
        "FILE",
        in_file=False,
        where=Where.RELEASE,
    ),
    Option("notes", Kind.FILE, "File for upgrade notes in Markdown.", "FILE", in_file=False, where=Where.RELEASE),
    Option("phases", Kind.PHASES, where=_NOWHERE),
    Option("severity", Kind.SEVERITY_OF_RULES, where=_NOWHERE),
    Option("paths", Kind.PATHS, where=_NOWHERE),
    Option("small_table", Kind.NUMBER, where=_NOWHERE),
    Option("hot_tables", Kind.TEXTS, where=_NOWHERE),
    Option("floor_revision", Kind.TEXT, where=_NOWHERE),
    Option("one_way_revisions", Kind.TEXTS, where=_NOWHERE),
    Option("extensions", Kind.TEXTS, where=_NOWHERE),
    Option("snapshot_key", Kind.TEXTS, where=_NOWHERE),
    Option("cache_size", Kind.NUMBER, least=1, where=_NOWHERE),
)
