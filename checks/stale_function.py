"""
A function still uses an object that the upgrade has renamed, changed or dropped.

## Why it hurts

PostgreSQL stores the body of a PL/pgSQL function as text and interprets it when it runs, and the names that a trigger
passes to `tsvector_update_trigger()` as text too: a rename or a drop does not check them. If a trigger calls such a
function, every write to the table fails once the migration commits, even from the new code. A migration that only runs
its own statements succeeds.

## Do this instead

Redefine the function in the same revision, with the new names, and again in `downgrade()`. Before a rename, search
`pg_proc.prosrc` for the old name.

A function must also take every row that its table does: `pg_notify()` rejects a message of 8,000 bytes, and a log with
`varchar(50)` a longer text. Send a key instead of the row, and log into `text`.

## Not flagged

- Functions that already failed before the revision.
- Functions that are replaced in the same revision by ones that run.

## References

- <https://www.postgresql.org/docs/current/plpgsql-implementation.html#PLPGSQL-PLAN-CACHING>
- <https://www.postgresql.org/docs/current/plpgsql-trigger.html>
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from reviewer.check import (
    AlterObject,
    Basis,
    Concern,
    Context,
    CreateObject,
    Example,
    Group,
    Name,
    Refused,
    Rule,
    Severity,
    Step,
    Story,
    Subject,
    about,
    cause_of,
    column_of,
    concern,
    place_of,
    verbs,
)

RULE = Rule(
    id="stale-function",
    summary="a function uses an object that no longer exists, and its callers fail",
    severity=Severity.ERROR,
    group=Group.NOT_WORKING,
)


def check(subject: Subject, context: Context) -> Iterator[Concern]:
    match subject:
        case Story(revision=revision):
            after = context.recording.after(revision.id)
            alike: dict[tuple[str, str], list[Refused]] = {}
            for each in after.refused if after is not None else ():
                if each.function is not None and each.sqlstate not in _ON_PURPOSE and each.action != "as role":
                    alike.setdefault((each.function, each.error), []).append(each)
            for found in alike.values():
                first = next((each for each in found if each.kind != "function"), found[0])
                yield _said(first, found, _cause(subject, first, context))


_OF_LONG_TEXTS = "insert of long texts"
_ON_PURPOSE = frozenset({"P0001"})
_TAKE_COLUMNS = frozenset({"tsvector_update_trigger", "tsvector_update_trigger_column"})
_NOT_ALLOWED = "42501"
_SEVERAL = "42725"
"""A call fits several functions."""


def _cause(story: Story, first: Refused, context: Context) -> Step | None:
    """The operation that removed what the function uses: on its table, or on another one."""
    if first.sqlstate == _SEVERAL:
        return next((step for step in story.steps() if _creates(step, first.error)), None)
    of_column = [s for s in story.steps() if first.column is not None and column_of(s.operation) == first.column]
    if first.kind != "function":
        step = cause_of(story, first.subject, column=first.column, named_only=bool(of_column))
        if step is not None and (not of_column or column_of(step.operation) == first.column):
            return step
    if of_column:
        return of_column[-1]
    tables = [t.name for t in context.recording.base.tables if f'"{t.name.name}"' in first.error]
    steps = [cause_of(story, name) for name in tables]
    return next((step for step in steps if step is not None), _changes(story, first.function))


def _changes(story: Story, function: str | None) -> Step | None:
    """The last statement that replaces or alters the function itself."""
    return next((s for s in reversed(story.steps()) if _is_about(s.operation, function)), None)


def _is_about(operation: object, function: str | None) -> bool:
    match operation:
        case CreateObject(kind="function", object=name) | AlterObject(kind="function", object=name):
            return name.name == (function or "").rpartition(".")[2]
    return False


def _creates(step: Step, error: str) -> bool:
    match step.operation:
        case CreateObject(object=Name(name=name)):
            return re.search(rf"\b{re.escape(name)}\(", error) is not None
    return False


def _said(first: Refused, alike: list[Refused], cause: Step | None) -> Concern:
    line = f" (line {first.function_line} of its body)" if first.function_line else ""
    if first.action == _OF_LONG_TEXTS:
        return concern(
            f"""
            The function `{first.function}` does not take every row that `{first.subject}` does{line}: once the migration
            commits, an INSERT of long texts, which ran before, fails with `{first.error}`.
            """,
            about=about.object_("function", str(first.function)),
            severity=Severity.WARNING,
            basis=Basis.OBSERVED,
            location=place_of(cause),
            evidence={"sqlstate": first.sqlstate, "statements": ["insert"], "function": first.function},
        )
    if first.kind == "function":
        what, severity = f"what calls `{first.subject}` fails", Severity.WARNING
    else:
        actions = {each.action for each in alike} - {"call"}
        fails = "fails" if len(actions) == 1 else "fail"
        what, severity = f"every {verbs(actions)} on `{first.subject}` {fails}", Severity.ERROR
    way_out = "Redefine it in the same revision."
    if first.sqlstate == _NOT_ALLOWED and all(each.role == "application" for each in alike):
        # only such a role was tried, and the application may well be the owner
        what, severity = f"{what} for a role that does not own what it uses", Severity.WARNING
        way_out = "With SECURITY DEFINER it runs as its owner."
    if first.function in _TAKE_COLUMNS:
        way_out = "Create its trigger again, with the names that the columns have now."
    if first.sqlstate == _SEVERAL:
        way_out = "Drop the function that was there before in the same revision."
    return concern(
        f"""
        The function `{first.function}` does not fit the new schema{line}: once the migration commits, {what}, even
        for new code, with `{first.error}`. {way_out}
        """,
        about=about.object_("function", first.function),
        severity=severity,
        basis=Basis.OBSERVED,
        location=place_of(cause),
        evidence={
            "sqlstate": first.sqlstate,
            "statements": sorted({each.action for each in alike}),
            "function": first.function,
        },
    )


LINKS = '''
op.execute("CREATE TABLE links (id int PRIMARY KEY, owner int, touched int)")
op.execute("""CREATE FUNCTION touch_link() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN NEW.touched := NEW.owner; RETURN NEW; END $$""")
op.execute("CREATE TRIGGER touch BEFORE INSERT OR UPDATE ON links FOR EACH ROW EXECUTE FUNCTION touch_link()")
'''

POSTS = """
op.execute("CREATE TABLE posts (id int PRIMARY KEY, title text, words tsvector)")
op.execute(
    "CREATE TRIGGER words BEFORE INSERT OR UPDATE ON posts FOR EACH ROW"
    " EXECUTE FUNCTION tsvector_update_trigger(words, 'pg_catalog.english', title)"
)
"""

PRICES = '''
op.execute("CREATE FUNCTION price(item int) RETURNS int LANGUAGE sql AS 'SELECT item'")
op.execute("CREATE TABLE sales (id int PRIMARY KEY, price int)")
op.execute("""CREATE FUNCTION set_price() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN NEW.price := price(NEW.id); RETURN NEW; END $$""")
op.execute("CREATE TRIGGER price BEFORE INSERT ON sales FOR EACH ROW EXECUTE FUNCTION set_price()")
'''

EXAMPLES = [
    Example(
        "a second function that a call of the first also fits",
        given=PRICES,
        upgrade="""
        op.execute("CREATE OR REPLACE FUNCTION price(item int, rebate int DEFAULT 0) RETURNS int LANGUAGE sql AS 'SELECT item'")  # flagged
        """,
    ),
    Example(
        "a function that takes the place of another",
        given=PRICES,
        upgrade="""
        op.execute("DROP FUNCTION price(int)")
        op.execute("CREATE FUNCTION price(item int, rebate int DEFAULT 0) RETURNS int LANGUAGE sql AS 'SELECT item'")
        """,
    ),
    Example(
        "a trigger's function that reads a renamed column",
        given=LINKS,
        upgrade="""
        op.alter_column("links", "owner", new_column_name="company")  # flagged
        """,
    ),
    Example(
        "a trigger to which the name of a renamed column is passed",
        given=POSTS,
        upgrade="""
        op.alter_column("posts", "title", new_column_name="topic")  # flagged
        """,
    ),
    Example(
        "a trigger that is created again with the name of a renamed column",
        given=POSTS,
        upgrade="""
        op.alter_column("posts", "title", new_column_name="topic")
        op.execute("DROP TRIGGER words ON posts")
        op.execute(
            "CREATE TRIGGER words BEFORE INSERT OR UPDATE ON posts FOR EACH ROW"
            " EXECUTE FUNCTION tsvector_update_trigger(words, 'pg_catalog.english', topic)"
        )
        """,
    ),
    Example(
        "a function that is redefined in the same revision",
        given=LINKS,
        upgrade='''
        op.alter_column("links", "owner", new_column_name="company")
        op.execute("""CREATE OR REPLACE FUNCTION touch_link() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN NEW.touched := NEW.company; RETURN NEW; END $$""")
        ''',
    ),
    Example(
        "a trigger of another table that writes to the one that is renamed",
        given="""
        op.execute("CREATE TABLE audit (id int PRIMARY KEY GENERATED ALWAYS AS IDENTITY, what text)")
        op.execute("CREATE TABLE items (id int PRIMARY KEY)")
        op.execute("CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO audit (what) VALUES (TG_OP); RETURN NEW; END $$")
        op.execute("CREATE TRIGGER note AFTER INSERT ON items FOR EACH ROW EXECUTE FUNCTION note()")
        """,
        upgrade="""
        op.rename_table("audit", "journal")  # flagged
        """,
    ),
    Example(
        "a variable of a trigger's function that has the name of a new column of another table",
        given='''
        op.execute("CREATE TABLE prices (id int PRIMARY KEY, item int)")
        op.execute("CREATE TABLE items (id int PRIMARY KEY, name text)")
        op.execute("""CREATE FUNCTION probe() RETURNS trigger LANGUAGE plpgsql AS $$ DECLARE kind text := 'x';
            BEGIN PERFORM FROM prices WHERE item = NEW.id AND kind = 'x'; RETURN NEW; END $$""")
        op.execute("CREATE TRIGGER probe BEFORE INSERT ON items FOR EACH ROW EXECUTE FUNCTION probe()")
        ''',
        upgrade="""
        op.add_column("items", sa.Column("code", sa.Text()))
        op.add_column("prices", sa.Column("kind", sa.Text()))  # flagged
        """,
    ),
    Example(
        "a function that the application calls",
        given='''
        op.execute("CREATE TABLE items (id int PRIMARY KEY, price int)")
        op.execute("""CREATE FUNCTION total() RETURNS bigint LANGUAGE plpgsql AS $$
            BEGIN RETURN (SELECT sum(price) FROM items); END $$""")
        ''',
        upgrade="""
        op.alter_column("items", "price", new_column_name="cents")  # flagged
        """,
    ),
    Example(
        "a message that is too long for some rows",
        given='op.execute("CREATE TABLE notes (id int PRIMARY KEY, body text)")',
        upgrade="""
        op.execute(
            "CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN PERFORM pg_notify('notes', row_to_json(NEW)::text); RETURN NEW; END $$"
        )
        op.execute("CREATE TRIGGER tell AFTER INSERT ON notes FOR EACH ROW EXECUTE FUNCTION tell()")  # flagged
        """,
    ),
    Example(
        "a message that fits for every row",
        given='op.execute("CREATE TABLE notes (id int PRIMARY KEY, body text)")',
        upgrade="""
        op.execute(
            "CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN PERFORM pg_notify('notes', NEW.id::text); RETURN NEW; END $$"
        )
        op.execute("CREATE TRIGGER tell AFTER INSERT ON notes FOR EACH ROW EXECUTE FUNCTION tell()")
        """,
    ),
]
