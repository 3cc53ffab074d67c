"""
A role loses privileges that it had before: its statements fail with `permission denied`.

## Why it hurts

A view, table or function that is dropped and recreated starts without privileges: the GRANTs, the comment and
options such as `security_barrier` or `security_invoker` of the old one are lost, and no statement says so. A report
that reads the view under a separate role fails once the migration commits; without `security_barrier` a query can
see rows that it should not.

A new owner takes the rights of the one before. `CREATE OR REPLACE FUNCTION` without SECURITY DEFINER takes it away, and
`security_invoker` asks for rights on the tables below a view. A new trigger writes its audit table with the rights of
whoever inserts, and a new serial column needs USAGE of its sequence. Whoever may read, insert or call was tried before
and after.

## Do this instead

`CREATE OR REPLACE VIEW` keeps privileges if columns are only added at the end. Otherwise repeat the GRANTs and the
options after the new definition, in `downgrade()` too. For application roles, `ALTER DEFAULT PRIVILEGES` grants
them on objects that are created later.

## Not flagged

- Objects that get their privileges back in the same revision.
- Objects of the same deploy, unless a role that was given INSERT on a new table lacks another right that it takes.
- Roles that the history does not create.
- As a notice only: a function that is no longer SECURITY DEFINER, where no role is known that needs it.

## References

- <https://www.postgresql.org/docs/current/sql-createview.html>
- <https://www.postgresql.org/docs/current/ddl-priv.html>
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping

from reviewer.check import (
    Afterwards,
    Basis,
    Change,
    Concern,
    Context,
    CreateObject,
    CreateTable,
    CreateView,
    Difference,
    DropObject,
    DropTable,
    DropView,
    Example,
    Group,
    Name,
    Privileges,
    Refused,
    Rule,
    Severity,
    Step,
    Story,
    Subject,
    about,
    cause_of,
    concern,
    listed,
    names,
    place_of,
)

RULE = Rule(
    id="lost-privileges",
    summary="a role is no longer allowed to do what it did",
    severity=Severity.WARNING,
    group=Group.BREAKING_CODE,
)

_ENTRY = re.compile(r"(?P<role>(?:\"(?:[^\"]|\"\")*\"|[^=,\s\"]*))=(?P<given>[a-zA-Z*]*)/")
_WORDS = {
    "r": "SELECT",
    "a": "INSERT",
    "w": "UPDATE",
    "d": "DELETE",
    "D": "TRUNCATE",
    "x": "REFERENCES",
    "t": "TRIGGER",
    "X": "EXECUTE",
    "U": "USAGE",
    "C": "CREATE",
    "m": "MAINTAIN",
}


def check(subject: Subject, context: Context) -> Iterator[Concern]:
    match subject:
        case Privileges(action="grant"):
            yield from _too_early(context)
        case Privileges(action="revoke") if context.static:
            yield from _revoked_by_text(context)
        case Story(revision=revision):
            after = context.recording.after(revision.id)
            if after is not None:
                told: set[Name] = set()
                for key in dict.fromkeys((each.kind, each.name, each.table) for each in after.changes):
                    for lost in _told(key, after, subject):
                        told.add(_of(key))
                        yield lost
                denied = [each for each in after.refused if each.action == "as role" and not _known(each, told)]
                denied = [each for each in denied if not (each.fresh and _granted_later(each, subject))]
                for name in dict.fromkeys(each.subject for each in denied):
                    yield _denied([each for each in denied if each.subject == name], after, subject)
                for name in _of_the_caller(after):
                    if not any(each.subject.matches(name) for each in denied):
                        yield _weaker(name, subject)


def _too_early(context: Context) -> Iterator[Concern]:
    """The tables that the revision creates after a GRANT on all tables of their schema, and names in no other."""
    found = _ON_ALL.match(context.statement.sql)
    if found is None:
        return
    schema, later = found["schema"].strip('"'), context.later()
    granted = " ".join(statement.sql for operation, statement in later if isinstance(operation, Privileges))
    missed = [
        operation.table
        for operation, _ in later
        if isinstance(operation, CreateTable)
        and not operation.temporary
        and operation.partition_of is None
        and (operation.table.schema or "public") == schema
        and not re.search(
            rf"\b{re.escape(operation.table.name)}\b|\bALL\s+TABLES\b|\bDEFAULT\b", granted, re.IGNORECASE
        )
    ]
    if missed:
        yield concern(
            f"""
            This GRANT is for the tables that are there by now: {listed([f"`{each}`" for each in missed])}, created after
            it, gets nothing from it.
            """,
            about=about.other("granted too early", schema),
            severity=Severity.NOTICE,
        )


_ON_ALL = re.compile(
    r"\s*GRANT\s.+?\sON\s+ALL\s+TABLES\s+IN\s+SCHEMA\s+(?P<schema>[\w\"]+)\s+TO\s", re.IGNORECASE | re.DOTALL
)


def _revoked_by_text(context: Context) -> Iterator[Concern]:
    """What a REVOKE on a table takes away, if the role had it."""
    found = _REVOKE.match(context.statement.sql)
    written = names.read(found["table"]) if found is not None else None
    if found is None or written is None:
        return
    table = context.now.resolve(written)
    if context.now.table(table) is None or not context.exists(table):
        return
    yield concern(
        f"""
        From now on {found["role"]} may not {found["what"].upper()} on `{table}`: code that runs as that role and needs it
        fails with `permission denied`.
        """,
        about=about.other("privileges", "table", str(table)),
    )


_REVOKE = re.compile(
    r"\s*REVOKE\s+(?P<what>[\w,\s]+?)\s+ON\s+(?:TABLE\s+)?(?P<table>[\w.\"]+)\s+FROM\s+(?P<role>[\w\",\s]+?)\s*;?\s*$",
    re.IGNORECASE,
)


def _told(key: tuple[str, str, str | None], after: Afterwards, story: Story) -> Iterator[Concern]:
    kind, name, table = key
    changes = [c for c in after.changes if (c.kind, c.name, c.table) == key and c.change is Change.CHANGED]
    by_column = _on_every_column(name, after, story) if kind == "table" else {}
    lost = [text for each in changes if each.aspect == "grants" for text in _lost(each, by_column)]
    options = [
        option
        for each in changes
        if each.aspect == "options"
        for option in (each.before or "").split(", ")
        if option.startswith("security_")
        and option.endswith(("=true", "=on", "=1"))
        and option not in (each.after or "").split(", ")
    ]
    if not lost and not options:
        return
    comment = any(each.aspect == "comment" and each.after is None for each in changes)
    more = [*(f"the option `{option}`" for option in options), *(["its comment"] if comment else [])]
    told = f"{table}.{name}" if table else name
    of = _of(key)
    parts = listed([*lost, *more])
    anew = _made_anew(of, story)
    yield concern(
        f"""
        {f"`{told}` is recreated, and" if anew else f"On `{told}`"} {parts} {"are" if len(lost) + len(more) > 1 else "is"}
        lost{": roles that need it fail with `permission denied`" if lost else ": it protected rows from those who query it"}.
        """,
        about=about.other("privileges", kind, told),
        basis=Basis.COMPARED,
        location=place_of(anew or _revoked(story, of)),
        evidence={"lost": [*lost, *more]},
    )


def _of(key: tuple[str, str, str | None]) -> Name:
    _, name, table = key
    return Name.told(table or name.partition("(")[0])


def _known(refused: Refused, told: Collection[Name]) -> bool:
    """Whether it fails because of privileges that are told as lost."""
    return any(each.matches(refused.subject) or refused.error.endswith(f" {each.name}") for each in told)


def _granted_later(refused: Refused, story: Story) -> bool:
    """Whether a later revision of the same deploy gives what the new table's INSERT lacks."""
    *_, kind, lacking = refused.error.split()
    wanted = re.compile(rf"\b{re.escape(lacking)}\b|\bALL\s+{re.escape(kind)}S\b", re.IGNORECASE)
    return any(
        isinstance(operation, Privileges) and operation.action == "grant" and wanted.search(statement.sql)
        for operation, statement in (story.upgrade[-1].log if story.upgrade else ())
    )


def _denied(refused: list[Refused], after: Afterwards, story: Story) -> Concern:
    first = refused[0]
    roles = listed([f"`{each.role}`" for each in refused])
    inserts = first.sql.startswith("INSERT ")
    does = "call" if first.kind == "function" else "insert rows into" if inserts else "read"
    definer = any(each.matches(first.subject) for each in _of_the_caller(after))
    why = ", because it is no longer SECURITY DEFINER" if definer else ""
    if first.fresh:
        return concern(
            f"""
            {roles} may insert rows into the new table `{first.subject}`, and cannot: PostgreSQL says `{first.error}`.
            """,
            about=about.other("privileges", first.kind, str(first.subject)),
            basis=Basis.OBSERVED,
            location=place_of(cause_of(story, first.subject)),
            evidence={"sql": first.sql, "sqlstate": first.sqlstate, "roles": [each.role for each in refused]},
        )
    return concern(
        f"""
        {roles} could {does} `{first.subject}` before this revision and cannot any more{why}: PostgreSQL says `{first.error}`.
        """,
        about=about.other("privileges", first.kind, str(first.subject)),
        basis=Basis.OBSERVED,
        location=place_of(cause_of(story, first.subject)),
        evidence={"sql": first.sql, "sqlstate": first.sqlstate, "roles": [each.role for each in refused]},
    )


def _of_the_caller(after: Afterwards) -> list[Name]:
    """The functions that ran with the rights of their owner, and run with those of the caller now."""
    return [
        Name.told(each.name.partition("(")[0])
        for each in after.changes
        if (each.kind, each.aspect, each.change) == ("function", "definition", Change.CHANGED)
        and _is_definer(each.before)
        and not _is_definer(each.after)
    ]


def _is_definer(definition: str | None) -> bool:
    return "SECURITY DEFINER" in re.split(r"\n(?:AS|BEGIN)\b", definition or "")[0]


def _weaker(name: Name, story: Story) -> Concern:
    return concern(
        f"""
        The function `{name}` is no longer SECURITY DEFINER: from now on it may only do what the role that calls it may.
        """,
        severity=Severity.NOTICE,
        about=about.other("privileges", "function", str(name)),
        basis=Basis.COMPARED,
        location=place_of(cause_of(story, name)),
    )


def _on_every_column(table: str, after: Afterwards, story: Story) -> dict[str, frozenset[str]]:
    """What roles may do with each column of the table since the revision has granted it by column."""
    known = story.after.table(Name.told(table))
    granted = {
        each.name: _entries(each.after)
        for each in after.changes
        if (each.kind, each.table, each.aspect) == ("column", table, "grants")
    }
    if known is None or not known.columns or not {column.name for column in known.columns} <= granted.keys():
        return {}
    of_columns = [granted[column.name] for column in known.columns]
    return {
        role: frozenset.intersection(*(each.get(role, frozenset()) for each in of_columns))
        for role in of_columns[0]
    }


def _lost(change: Difference, by_column: Mapping[str, frozenset[str]]) -> Iterator[str]:
    owner = _owner(change.before) or _owner(change.after)
    before, after = _entries(change.before), _entries(change.after)
    if change.after is None:
        after = {owner: before.get(owner, frozenset())}
    for role, given in before.items():
        kept = after.get(role, frozenset()) | by_column.get(role, frozenset())
        gone = [_WORDS[letter] for letter in sorted(given - kept) if letter in _WORDS]
        if gone and role != owner:
            who = f"of `{role}`" if role else "of everybody"
            yield f"{listed(gone)} {who}"


def _entries(text: str | None) -> dict[str, frozenset[str]]:
    return {m["role"].strip('"'): frozenset(m["given"]) for m in _ENTRY.finditer(text or "")}


def _owner(text: str | None) -> str:
    found = re.search(r"/([^,]+)", text or "")
    return found.group(1).strip().strip('"') if found else ""


def _made_anew(name: Name, story: Story) -> Step | None:
    made = cause_of(
        story, name, wanted=lambda o: isinstance(o, CreateView | CreateTable | CreateObject), named_only=True
    )
    dropped = cause_of(
        story, name, wanted=lambda o: isinstance(o, DropView | DropTable | DropObject), named_only=True
    )
    return made if made is not None and dropped is not None else None


def _revoked(story: Story, name: Name) -> Step | None:
    """The last REVOKE that names it, else the last one."""
    revokes = [s for s in story.steps() if isinstance(s.operation, Privileges) and s.operation.action == "revoke"]
    named = [s for s in revokes if name.name in s.statement.sql]
    return next(iter(reversed(named or revokes)), None) or cause_of(story, name)


SALES = """
op.execute("DO $$ BEGIN CREATE ROLE example_reader; EXCEPTION WHEN duplicate_object THEN NULL; END $$")
op.execute("CREATE TABLE sales (id int PRIMARY KEY, step int)")
op.execute("CREATE VIEW report AS SELECT id FROM sales")
op.execute("GRANT SELECT ON report, sales TO example_reader")
"""

APART = f"""{SALES}
op.execute("REVOKE SELECT ON sales FROM example_reader")
op.execute("CREATE FUNCTION sold() RETURNS bigint LANGUAGE sql SECURITY DEFINER AS 'SELECT count(*) FROM sales'")
op.execute("GRANT EXECUTE ON FUNCTION sold() TO example_reader")
"""

WRITERS = f"""{SALES}
op.execute("GRANT INSERT ON sales TO example_reader")
"""

AUDIT = 'op.create_table("audit", sa.Column("id", sa.BigInteger(), primary_key=True))'

EXAMPLES = [
    Example(
        "a view that is recreated",
        given=SALES,
        upgrade="""
        op.execute("DROP VIEW report")
        op.execute("CREATE VIEW report AS SELECT id, step FROM sales")  # flagged
        """,
    ),
    Example(
        "a view that is recreated with its privileges",
        given=SALES,
        upgrade="""
        op.execute("DROP VIEW report")
        op.execute("CREATE VIEW report AS SELECT id, step FROM sales")
        op.execute("GRANT SELECT ON report TO example_reader")
        """,
    ),
    Example(
        "a view that is replaced",
        given=SALES,
        upgrade="""
        op.execute("CREATE OR REPLACE VIEW report AS SELECT id, step FROM sales")
        """,
    ),
    Example(
        "a REVOKE",
        given=SALES,
        upgrade="""
        op.execute("REVOKE SELECT ON sales FROM example_reader")  # flagged
        """,
    ),
    Example(
        "a view that asks for rights on its tables",
        given=APART,
        upgrade="""
        op.execute("ALTER VIEW report SET (security_barrier = true)")
        op.execute("ALTER VIEW report SET (security_invoker = true)")  # flagged
        """,
        since=15,
    ),
    Example(
        "a view that asks for rights that the role has",
        given=SALES,
        upgrade="""
        op.execute("ALTER VIEW report SET (security_invoker = true)")
        """,
        since=15,
    ),
    Example(
        "a function that runs with the rights of the caller from now on",
        given=APART,
        upgrade="""
        op.execute("CREATE OR REPLACE FUNCTION sold() RETURNS bigint LANGUAGE sql AS 'SELECT count(id) FROM sales'")  # flagged
        """,
    ),
    Example(
        "a function that keeps the rights of its owner",
        given=APART,
        upgrade="""
        op.execute("CREATE OR REPLACE FUNCTION sold() RETURNS bigint LANGUAGE sql SECURITY DEFINER AS 'SELECT count(id) FROM sales'")
        """,
    ),
    Example(
        "a view that nobody else was let read",
        given='op.execute("CREATE VIEW report AS SELECT 1 AS id")',
        upgrade="""
        op.execute("DROP VIEW report")
        op.execute("CREATE VIEW report AS SELECT 1 AS id, 2 AS step")
        """,
    ),
    Example(
        "a trigger that writes where the role may not",
        given=WRITERS,
        upgrade=f"""
        {AUDIT}
        op.execute("CREATE FUNCTION log() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO audit VALUES (NEW.id); RETURN NEW; END'")
        op.execute("CREATE TRIGGER log AFTER INSERT ON sales FOR EACH ROW EXECUTE FUNCTION log()")  # flagged
        """,
    ),
    Example(
        "a trigger that writes with the rights of its owner",
        given=WRITERS,
        upgrade=f"""
        {AUDIT}
        op.execute("CREATE FUNCTION log() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS 'BEGIN INSERT INTO audit VALUES (NEW.id); RETURN NEW; END'")
        op.execute("CREATE TRIGGER log AFTER INSERT ON sales FOR EACH ROW EXECUTE FUNCTION log()")
        """,
    ),
    Example(
        "a table that is created after the GRANT on all tables",
        given=WRITERS,
        upgrade="""
        op.execute("GRANT SELECT ON ALL TABLES IN SCHEMA public TO PUBLIC")  # flagged
        op.create_table("reports", sa.Column("id", sa.BigInteger(), primary_key=True))
        """,
    ),
    Example(
        "a table that is created before the GRANT on all tables",
        given=WRITERS,
        upgrade="""
        op.create_table("reports", sa.Column("id", sa.BigInteger(), primary_key=True))
        op.execute("GRANT SELECT ON ALL TABLES IN SCHEMA public TO PUBLIC")
        """,
    ),
    Example(
        "granted again for each column",
        given="""
        op.execute("DO $$ BEGIN CREATE ROLE example_reader; EXCEPTION WHEN duplicate_object THEN NULL; END $$")
        op.execute("CREATE TABLE visits (id int PRIMARY KEY, place text)")
        op.execute("GRANT SELECT ON visits TO example_reader")
        """,
        upgrade="""
        op.execute("REVOKE SELECT ON visits FROM example_reader")
        op.execute("GRANT SELECT (id, place) ON visits TO example_reader")
        """,
    ),
    Example(
        "granted again for one column",
        given="""
        op.execute("DO $$ BEGIN CREATE ROLE example_reader; EXCEPTION WHEN duplicate_object THEN NULL; END $$")
        op.execute("CREATE TABLE visits (id int PRIMARY KEY, place text)")
        op.execute("GRANT SELECT ON visits TO example_reader")
        """,
        upgrade="""
        op.execute("REVOKE SELECT ON visits FROM example_reader")  # flagged
        op.execute("GRANT SELECT (id) ON visits TO example_reader")
        """,
    ),
]
