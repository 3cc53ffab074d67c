"""Every option, declared once: the command line and the reader of the configuration file are built from this list."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

from reviewer.report import FORMATS

POSTGRES = ("auto", "local", "embedded", "container")
"""Words for `--postgres`; anything else there is a URL."""
SEVERITIES = ("error", "warning", "notice")


class Kind(Enum):
    """What the value of an option is, and so how it is read."""

    TEXT = auto()
    TEXTS = auto()
    """Repeatable on the command line, a list in the file."""
    RULES = auto()
    """As TEXTS; each may also be several with commas between them."""
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
    """One of the words of `POSTGRES`, or a URL."""
    OUTPUTS = auto()
    """Pairs of a format and a file, from --format and --output."""
    SEVERITY_OF_RULES = auto()
    PATHS = auto()
    """A table of settings for each pattern of paths."""


class Where(Enum):
    """Which commands take an option."""

    PROJECT = auto()
    """Every command that looks at a project."""
    REVIEW = auto()
    """`review` alone."""
    NOWHERE = auto()
    """No command: it stands in the configuration file only."""


@dataclass(frozen=True)
class Option:
    """One thing that can be set."""

    name: str
    """The field of `Config` that it sets, and the name of click's parameter."""
    kind: Kind
    help: str = ""
    metavar: str | None = None
    spelled: str = ""
    """What it is called on the command line and, without dashes, in the file, where that is not the name with dashes."""
    choices: tuple[str, ...] = ()
    least: int = 0
    where: Where = Where.REVIEW
    in_file: bool = True
    """Whether the configuration file may set it too."""

    @property
    def key(self) -> str:
        """What the configuration file calls it."""
        return (self.spelled or self.name.replace("_", "-")).lstrip("-")

    @property
    def flag(self) -> str:
        """What the command line calls it."""
        return self.spelled if self.spelled.startswith("-") else f"--{self.key}"


_PROJECT, _NOWHERE = Where.PROJECT, Where.NOWHERE

OPTIONS: tuple[Option, ...] = (
    Option("base", Kind.TEXT, "Review what HEAD adds over the merge base with REF.", "REF", where=_PROJECT),
    Option(
        "revisions",
        Kind.TEXT,
        'Review the revisions after A up to B; "base" and "head" work.',
        "A:B",
        where=_PROJECT,
    ),
    Option(
        "configs",
        Kind.CONFIGS,
        "alembic.ini or pyproject.toml; again for several trees.",
        "[NAME=]FILE",
        spelled="config",
        where=_PROJECT,
    ),
    Option("x", Kind.ASSIGNMENTS, "As `alembic -x`.", "NAME=VALUE", spelled="-x", where=_PROJECT),
    Option(
        "section",
        Kind.TEXT,
        "As `alembic --name`: section of the ini file.",
        "SECTION",
        spelled="name",
        where=_PROJECT,
    ),
    Option(
        "launcher",
        Kind.TEXT,
        "Function of the project that is given Alembic's Config before env.py runs.",
        "MODULE:FUNCTION",
        where=_PROJECT,
    ),
    Option("python", Kind.TEXT, "Command that starts the Python in which env.py imports.", "CMD", where=_PROJECT),
    Option(
        "env",
        Kind.ASSIGNMENTS,
        "Environment for env.py; {url} becomes the throw-away database's URL.",
        "NAME=VALUE",
        where=_PROJECT,
    ),
    Option("pass_env", Kind.TEXTS, "Pass a variable of this environment to env.py.", "NAME", where=_PROJECT),
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
        "Major version of PostgreSQL, 14 to 18.",
        "N",
        least=1,
        where=_PROJECT,
    ),
    Option("postgres_image", Kind.TEXT, "Container image instead of postgres:N.", "IMAGE", where=_PROJECT),
    Option(
        "each",
        Kind.SWITCH,
        "Rehearse every revision as a release of its own: from the state before it, its tables filled with rows.",
        in_file=False,
    ),
    Option("static", Kind.SWITCH, "Start no server: read what `alembic upgrade --sql` renders."),
    Option(
        "base_schema",
        Kind.FILE,
        "SQL that the history starts from, applied to the empty database first.",
        "FILE",
    ),
    Option("rows", Kind.NUMBER, "Rows to put into each table before the revisions run.", "N"),
    Option(
        "seed",
        Kind.FILE,
        "SQL with rows of your own, put in before ours; tables that it fills are left as they are.",
        "FILE",
    ),
    Option(
        "seed_command",
        Kind.TEXT,
        "Command of the project that writes such rows, into the database at DATABASE_URL.",
        "CMD",
    ),
    Option("no_rows", Kind.SWITCH, "The same as --rows 0."),
    Option(
        "base_from",
        Kind.CHOICE,
        "Make the state before the new revisions from the history, or from the models of the base commit.",
        choices=("history", "models"),
    ),
    Option("no_old_code", Kind.SWITCH, "Do not try the code of the base commit on the new schema."),
    Option(
        "formats",
        Kind.OUTPUTS,
        "Form of the report; again for several, each takes the --output after it.",
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
    ),
    Option("save_recording", Kind.FILE, "Keep what happened.", "FILE", in_file=False),
    Option("recording", Kind.FILE, "Judge a kept recording; no server needed.", "FILE", in_file=False),
    Option(
        "fail_on", Kind.FAIL_ON, "Lowest severity that makes the exit status 1.", choices=(*SEVERITIES, "never")
    ),
    Option("select", Kind.RULES, "Only these rules.", "RULE"),
    Option("ignore", Kind.RULES, "Not these rules.", "RULE"),
    Option("timeout", Kind.SECONDS, "For the whole run.", "SECONDS"),
    Option("severity", Kind.SEVERITY_OF_RULES, where=_NOWHERE),
    Option("paths", Kind.PATHS, where=_NOWHERE),
    Option("hot_tables", Kind.TEXTS, where=_NOWHERE),
    Option("floor_revision", Kind.TEXT, where=_NOWHERE),
    Option("one_way_revisions", Kind.TEXTS, where=_NOWHERE),
    Option("extensions", Kind.TEXTS, where=_NOWHERE),
)
