"""
An ordinary statement that ran before the upgrade is rejected after it.

## Why it hurts

The running code keeps sending its statements while the new version starts, and often the new version sends the same
ones. Here a plain INSERT, UPDATE, DELETE or SELECT on a table or view that the revision touches was tried right
before the revision and right after it, with values that the schema allows: it ran, and then PostgreSQL rejected it.
It does not matter how the revision caused that: in a DO block, in a function, through a publication, or by a
constraint on a column that the running code does not know and does not fill.

A new table that a publication of all tables covers is like that from the start, until it has a key.

A statement that succeeds and writes nothing any more is worse, because nobody is told: a BEFORE trigger that returns
NULL, or a rule with DO INSTEAD NOTHING.

## Do this instead

First deploy what makes the statement valid, and tighten the schema one release later: a default, or a trigger that
fills the new column, before the CHECK or NOT NULL; a replica identity before the table is published; a policy that
the running code satisfies before row security.

## Not flagged

- Anything that another rule explains at the same line, such as `renamed-column` or `required-column`.
- Errors that can be due to the generated values: duplicates, missing references, or a CHECK, in columns that the statement
  writes.
- As a warning only: REFRESH MATERIALIZED VIEW CONCURRENTLY without a unique index, and an INSERT through a view that its
  new check option rejects: not all code does that.
- As a warning only: an INSERT that leaves out a column whose default a CHECK or a foreign key rejects: code that always
  writes the column still works.
- As a warning only: a CHECK that calls a function which the revision replaces, and then rejects what it accepted.
- As a warning only: an INSERT that gives an identity column a value, which most code leaves to PostgreSQL.
- As a warning only: the DELETE of a row whose references were deleted or cleared with it until now, through ON DELETE
  CASCADE or SET NULL, and the UPDATE of a key that they followed through ON UPDATE CASCADE. Code that deletes them first
  still works.
- An INSERT or UPDATE that writes into another table instead, or a DELETE that marks its row. A DELETE that leaves its
  row and writes elsewhere is a warning only.
- What is there again when the transaction commits, such as a column that is renamed and renamed back.
- Tables on which the statement already failed before, and columns that an earlier revision of the same deploy has added.

## References

- <https://www.postgresql.org/docs/current/errcodes-appendix.html>
- <https://www.postgresql.org/docs/current/logical-replication-publication.html>
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from reviewer.check import (
    Afterwards,
    Basis,
    Change,
    Column,
    Concern,
    Context,
    CreateObject,
    DropIndex,
    DropTable,
    DropView,
    Example,
    Group,
    Name,
    Refused,
    Rule,
    Schema,
    Severity,
    Step,
    Story,
    Subject,
    Vanished,
    about,
    cause_of,
    concern,
    place_of,
    verbs,
)

RULE = Rule(
    id="refused-after-upgrade",
    summary="a statement that ran before the upgrade fails after it",
    severity=Severity.ERROR,
    group=Group.BREAKING_CODE,
    replaces=frozenset({"stricter-for-old-code"}),
    yields=True,
)


def check(subject: Subject, context: Context) -> Iterator[Concern]:
    match subject:
        case Story(revision=revision):
            after = context.recording.after(revision.id)
            alike: dict[tuple[object, ...], list[Refused]] = {}
            refused = after.refused if after is not None else ()
            labels = {each.error for each in refused if each.action == "label"}
            for each in refused:
                of_others = each.action in _OF_OTHERS or each.error in labels
                of_others = of_others or _unused(each, context) or _restored(each, subject, context)
                if (each.function is None or each.sqlstate == "P0001") and not each.fresh and not of_others:
                    alike.setdefault((each.subject, each.sqlstate, each.column, each.constraint), []).append(each)
            for each, *more in alike.values():
                drops = _drops_what_refreshes if each.action == "refresh" else _drops
                gone = cause_of(subject, each.subject, wanted=drops, named_only=True)
                step = gone or cause_of(subject, each.subject, column=each.column, named=each.constraint)
                if _judges_otherwise(each, context.now):
                    step = _function_of(subject) or step
                yield _said(
                    each,
                    [each, *more],
                    step,
                    context.now,
                    numbered=after is not None and _is_numbered(each, after),
                    view=gone is not None and isinstance(gone.operation, DropView),
                    lost=gone is None and after is not None and _is_lost(each, after),
                )
            new = [each for each in refused if each.fresh and each.function is None]
            for table in dict.fromkeys(each.subject for each in new):
                yield _published(
                    table,
                    [each for each in new if each.subject == table],
                    cause_of(subject, table, named_only=True),
                )
            for vanished in after.vanished if after is not None else ():
                yield _written_nowhere(vanished, cause_of(subject, vanished.table))


_REFERRED_TO = frozenset({"23503", "23001"})


def _drops(operation: object) -> bool:
    return isinstance(operation, DropTable | DropView)


def _drops_what_refreshes(operation: object) -> bool:
    return isinstance(operation, DropIndex | DropView)


def _unused(refused: Refused, context: Context) -> bool:
    """Whether it names a table or a column that the running code cannot know: its models do not have it, or an earlier
    revision of the same deploy has added it.
    """
    gone = refused.sqlstate in {"42703", "42P01"} and (refused.sqlstate == "42P01" or refused.column is not None)
    if not gone:
        return False
    table, column = refused.subject, refused.column
    added = context.is_new_column(table, column) if column is not None else context.is_new(table)
    return added or context.old_code_uses(table, column) is False


def _restored(refused: Refused, story: Story, context: Context) -> bool:
    """Whether what it lacks after the revision is there again when the transaction commits, which a later one shares."""
    after, then, table, column = story.after, context.committed, refused.subject, refused.column
    match refused.sqlstate:
        case "42P01":
            return after.table(table) is None and context.is_back(table)
        case "42703" if column is not None:
            return after.column(table, column) is None and context.is_back(table, column)
        case "23502" if column is not None:
            left, known = after.column(table, column), then.column(table, column)
            return _required(left) and known is not None and not _required(known)
    return False


def _required(column: Column | None) -> bool:
    return column is not None and not column.nullable and column.default is None


_OF_OTHERS = frozenset({"on conflict", "on constraint", "label", "as role"})
"""Those have their own rules: `lost-arbiter`, `removed-enum-value`, `lost-privileges`."""


def _is_numbered(refused: Refused, after: Afterwards) -> bool:
    """Whether it is about an identity column that the revision has changed: most code leaves it out."""
    return any(
        (each.kind, each.name, each.table, each.aspect)
        == ("column", refused.column, str(refused.subject), "identity")
        for each in after.changes
    )


def _is_lost(refused: Refused, after: Afterwards) -> bool:
    """Whether code has dropped the table, as in a DO block, and made none that may have its rows."""
    tables = [each for each in after.changes if each.kind == "table" and not each.aspect]
    missing = {each.name for each in tables if each.change is Change.MISSING}
    made = any(each.change is Change.LEFT_BEHIND for each in tables)
    return refused.sqlstate == "42P01" and refused.kind == "table" and str(refused.subject) in missing and not made


def _said(
    first: Refused,
    alike: list[Refused],
    cause: Step | None,
    before: Schema,
    numbered: bool,
    view: bool,
    lost: bool,
) -> Concern:
    if first.kind == "function":
        return concern(
            f"""
            `{first.subject}` cannot be called as before: `{first.sql}` fails now, with `{first.error}`.
            """,
            about=about.object_("function", first.subject),
            severity=Severity.WARNING,
            basis=Basis.OBSERVED,
            location=place_of(cause),
            evidence=_evidence(first, alike),
        )
    if first.action == "refresh":
        return _not_refreshed(first, cause)
    actions = {each.action for each in alike}
    known = {"owner", "application"} - {each.role for each in alike}
    # with row security both were tried: an error for only one of them need not affect the code
    who = " by a role that does not own it" if first.sqlstate == "42501" and known == {"owner"} else ""
    keys = numbered and first.sqlstate == "428C9"
    some = (
        first.sqlstate in {"P0001", "44000", *_REFERRED_TO}
        or bool(who)
        or _left_out(first, before, numbered)
        or keys
        or _judges_otherwise(first, before)
    )
    some = some or _of_other_parts(first, before)
    some = some or (view and first.sqlstate == "42P01")  # dropped in the open, and not all code reads it
    some = some or _left_to_default(first, before)
    which = (
        f"that gives `{first.column}` a value "
        if keys
        else _which(first, actions, _judges_otherwise(first, before))
    )
    return concern(
        f"""
        {verbs(actions)} {which}on `{first.subject}`{who} ran before this revision and {
            "fails" if len(actions) == 1 else "fail"
        } after it: PostgreSQL says `{first.error}`{_why(first, before, numbered)}.{
            " Its rows are lost." if lost else ""
        }
        """,
        about=_about(first),
        severity=Severity.WARNING if some else Severity.ERROR,
        basis=Basis.OBSERVED,
        location=place_of(cause),
        evidence=_evidence(first, alike),
    )


def _published(table: Name, refused: list[Refused], cause: Step | None) -> Concern:
    actions = {each.action for each in refused}
    return concern(
        f"""
        {verbs(actions)} on the new table `{table}` {"fails" if len(actions) == 1 else "fail"}: a publication covers it,
        and it has no primary key or other replica identity.
        """,
        about=about.table(table),
        severity=Severity.WARNING,
        basis=Basis.OBSERVED,
        location=place_of(cause),
        evidence=_evidence(refused[0], refused),
    )


def _not_refreshed(refused: Refused, cause: Step | None) -> Concern:
    return concern(
        f"""
        REFRESH MATERIALIZED VIEW CONCURRENTLY of `{refused.subject}` ran before this revision and fails after it: no
        unique index on its columns without WHERE is left, and PostgreSQL needs one.
        """,
        about=about.table(refused.subject),
        severity=Severity.WARNING,
        basis=Basis.OBSERVED,
        location=place_of(cause),
        evidence=_evidence(refused, [refused]),
    )


def _written_nowhere(vanished: Vanished, cause: Step | None) -> Concern:
    if vanished.logged:
        return concern(
            f"""
            DELETE on `{vanished.table}` succeeds and deletes no row after this revision, although a trigger writes
            elsewhere that it does. A BEFORE DELETE trigger has to return OLD: NEW is NULL there, and stops it.
            """,
            about=about.rows(vanished.table),
            severity=Severity.WARNING,
            basis=Basis.OBSERVED,
            location=place_of(cause),
            evidence={"sql": vanished.sql, "statements": [vanished.action]},
        )
    done = {"insert": "writes no row", "update": "changes nothing"}.get(vanished.action, "deletes no row")
    return concern(
        f"""
        {verbs({vanished.action})} on `{vanished.table}` succeeds and {done} after this revision{
            "" if vanished.always else ", for some values"
        }: a trigger or rule drops it without an error.
        """,
        about=about.rows(vanished.table),
        severity=Severity.ERROR if vanished.always else Severity.WARNING,
        basis=Basis.OBSERVED,
        location=place_of(cause),
        evidence={"sql": vanished.sql, "statements": [vanished.action]},
    )


def _judges_otherwise(first: Refused, before: Schema) -> bool:
    """Whether a CHECK rejects it that was there before: a function that it calls has changed."""
    if _left_to_default(first, before):
        return False
    table = before.table(first.subject) if first.sqlstate == "23514" else None
    return table is not None and any(each.name == first.constraint for each in table.constraints)


def _left_to_default(first: Refused, before: Schema) -> bool:
    """Whether an INSERT is rejected for columns that it leaves out, by a constraint that was there or a foreign key."""
    if first.action != "insert" or first.sqlstate not in {"23503", "23514"}:
        return False
    table = before.table(first.subject)
    known = [each for each in table.constraints if each.name == first.constraint] if table is not None else []
    return first.sqlstate == "23503" or any(
        each.columns and not set(each.columns) & set(first.columns) for each in known
    )


def _of_other_parts(first: Refused, before: Schema) -> bool:
    """Whether only rows are rejected for which none of several partitions was made."""
    return "no partition of relation" in first.error and len(before.partitions(first.subject)) > 1


def _function_of(story: Story) -> Step | None:
    """The last statement that creates or replaces a function."""
    made = (
        s
        for s in reversed(story.steps())
        if isinstance(s.operation, CreateObject) and s.operation.kind == "function"
    )
    return next(made, None)


def _which(first: Refused, actions: set[str], otherwise: bool) -> str:
    if actions == {"update"} and first.sqlstate in {"23514", "23502"} and not otherwise:
        return "of a row not yet filled "
    if "no partition of relation" in first.error:
        return "of a row that had its place in the DEFAULT partition "
    if first.sqlstate == "44000":
        return "of a row like those shown "
    if first.sqlstate in {"23505", "23P01"}:
        return "of a second row "
    referred_to = first.sqlstate in _REFERRED_TO and first.action != "insert"
    which = "of a key that others refer to " if actions == {"update"} else "of a row that others refer to "
    return which if referred_to else ""


def _left_out(first: Refused, before: Schema, numbered: bool) -> bool:
    """Whether it fails only if the code relies on a default, or on a trigger, that existed before. Numbers everybody
    leaves out.
    """
    if first.sqlstate != "23502" or first.column is None or numbered:
        return False
    known = before.column(first.subject, first.column)
    had = known.default if known is not None else None
    if known is not None and had is None and not known.nullable:
        return True  # something else has filled it
    return first.column in first.columns or (had is not None and not re.match(r"nextval\(|identity", had))


def _why(first: Refused, before: Schema, numbered: bool) -> str:
    if first.sqlstate == "23502" and first.column and _left_out(first, before, numbered):
        return f", where the running code leaves `{first.column}` out"
    if _left_to_default(first, before):
        return ", because the default of a column that it leaves out does not satisfy that constraint"
    if _judges_otherwise(first, before):
        return ", because a function that it calls has changed; rows that are there may violate it too"
    if first.sqlstate in {"23502", "23514"} and (first.column or first.constraint):
        return ", and the running code does not write what it requires"
    if first.sqlstate in {"23505", "23P01"}:
        return ", because all rows that the running code writes have the same value there"
    if first.sqlstate in _REFERRED_TO:
        does = "changes them with it" if first.action == "update" else "deletes or clears them"
        return f", because the foreign key no longer {does}"
    return ""


def _about(first: Refused) -> tuple[str, ...]:
    if first.constraint is not None and first.sqlstate == "23514":
        return about.constraint(first.subject, first.constraint)
    if first.column is not None:
        return about.column(first.subject, first.column)
    return about.table(first.subject)


def _evidence(first: Refused, alike: list[Refused]) -> dict[str, object]:
    return {"sql": first.sql, "sqlstate": first.sqlstate, "statements": sorted({each.action for each in alike})}


ITEMS = 'op.execute("CREATE TABLE items (id int PRIMARY KEY, name text, price int)")'

EXAMPLES = [
    Example(
        "a CHECK on a column that the running code does not write",
        given=ITEMS,
        upgrade="""
        op.add_column("items", sa.Column("state", sa.Text()))
        op.create_check_constraint("has_state", "items", "coalesce(state, '') <> ''", postgresql_not_valid=True)  # flagged
        """,
    ),
    Example(
        "a CHECK that old rows and rows without the column satisfy",
        given=ITEMS,
        upgrade="""
        op.add_column("items", sa.Column("state", sa.Text()))
        op.create_check_constraint("has_state", "items", "state IS NULL OR state <> ''", postgresql_not_valid=True)
        """,
    ),
    Example(
        "a unique column that the running code does not write, with one default for all",
        given=ITEMS,
        upgrade="""
        op.add_column("items", sa.Column("code", sa.Text()))
        op.alter_column("items", "code", server_default="none")
        op.create_unique_constraint("one_code", "items", ["code"])  # flagged
        """,
    ),
    Example(
        "a unique column that the running code does not write, without a default",
        given=ITEMS,
        upgrade="""
        op.add_column("items", sa.Column("code", sa.Text()))
        op.create_unique_constraint("one_code", "items", ["code"])
        """,
    ),
    Example(
        "a default that a CHECK rejects",
        given="op.execute(\"CREATE TABLE jobs (id int PRIMARY KEY, state text DEFAULT 'on' CHECK (state IN ('on', 'off')))\")",
        upgrade="""
        op.alter_column("jobs", "state", server_default="active")  # flagged
        """,
    ),
    Example(
        "a default that a CHECK accepts",
        given="op.execute(\"CREATE TABLE jobs (id int PRIMARY KEY, state text DEFAULT 'on' CHECK (state IN ('on', 'off')))\")",
        upgrade="""
        op.alter_column("jobs", "state", server_default="off")
        """,
    ),
    Example(
        "a default that refers to no row",
        given=ITEMS + '\nop.execute("CREATE TABLE shops (id int PRIMARY KEY)")',
        upgrade="""
        op.add_column("items", sa.Column("shop_id", sa.Integer(), server_default="7701"))
        op.create_foreign_key("of_shop", "items", "shops", ["shop_id"], ["id"], postgresql_not_valid=True)  # flagged
        """,
    ),
    Example(
        "a default that refers to a row",
        given=ITEMS + '\nop.execute("CREATE TABLE shops (id int PRIMARY KEY)")',
        upgrade="""
        op.execute("INSERT INTO shops VALUES (7701)")
        op.add_column("items", sa.Column("shop_id", sa.Integer(), server_default="7701"))
        op.create_foreign_key("of_shop", "items", "shops", ["shop_id"], ["id"], postgresql_not_valid=True)
        """,
    ),
    Example(
        "a published table without replica identity",
        given='op.execute("CREATE TABLE events (name text)")',
        upgrade="""
        op.execute("CREATE PUBLICATION news FOR TABLE events")  # flagged
        """,
    ),
    Example(
        "a published table with a primary key",
        given=ITEMS,
        upgrade="""
        op.execute("CREATE PUBLICATION news FOR TABLE items")
        """,
    ),
    Example(
        "an identity column that takes no value any more",
        given='op.execute("CREATE TABLE items (id int GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, name text)")',
        upgrade="""
        op.execute("ALTER TABLE items ALTER id SET GENERATED ALWAYS")  # flagged
        """,
    ),
    Example(
        "an identity column that takes values from now on",
        given='op.execute("CREATE TABLE items (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text)")',
        upgrade="""
        op.execute("ALTER TABLE items ALTER id SET GENERATED BY DEFAULT")
        """,
    ),
    Example(
        "a new table without replica identity that is published",
        upgrade="""
        op.execute("CREATE TABLE events (name text)")  # flagged
        op.execute("CREATE PUBLICATION news FOR TABLE events")
        """,
    ),
    Example(
        "a new table without replica identity, of which only INSERT is published",
        upgrade="""
        op.execute("CREATE TABLE events (name text)")
        op.execute("CREATE PUBLICATION news FOR TABLE events WITH (publish = 'insert')")
        """,
    ),
    Example(
        "a column that goes in a DO block",
        given=ITEMS,
        upgrade="""
        op.execute("DO $$ BEGIN EXECUTE 'ALTER TABLE items DROP COLUMN price'; END $$")  # flagged
        """,
    ),
    Example(
        "the unique index of a materialized view",
        given=f"""
        {ITEMS}
        op.execute("CREATE MATERIALIZED VIEW cheap AS SELECT id, name FROM items")
        op.execute("CREATE UNIQUE INDEX cheap_id ON cheap (id)")
        """,
        upgrade="""
        op.execute("DROP INDEX cheap_id")  # flagged
        """,
    ),
    Example(
        "another index of a materialized view",
        given=f"""
        {ITEMS}
        op.execute("CREATE MATERIALIZED VIEW cheap AS SELECT id, name FROM items")
        op.execute("CREATE UNIQUE INDEX cheap_id ON cheap (id); CREATE INDEX cheap_name ON cheap (name)")
        """,
        upgrade="""
        op.execute("DROP INDEX cheap_name")
        """,
    ),
    Example(
        "a view that refuses rows like those that it showed",
        given=f"""
        {ITEMS}
        op.execute("CREATE VIEW named AS SELECT id, name FROM items WHERE name IS NOT NULL")
        """,
        upgrade="""
        op.execute("CREATE OR REPLACE VIEW named AS SELECT id, name FROM items WHERE name = 'x' WITH CHECK OPTION")  # flagged
        """,
    ),
    Example(
        "a view that refuses only rows that it did not show",
        given=f"""
        {ITEMS}
        op.execute("CREATE VIEW named AS SELECT id, name FROM items WHERE name IS NOT NULL")
        """,
        upgrade="""
        op.execute("CREATE OR REPLACE VIEW named AS SELECT id, name FROM items WHERE name IS NOT NULL WITH CHECK OPTION")
        """,
    ),
    Example(
        "a view that loses a column in a DO block",
        given=f"""
        {ITEMS}
        op.execute("CREATE VIEW cheap AS SELECT id, name FROM items WHERE price < 10")
        """,
        upgrade="""
        op.execute("DO $$ BEGIN DROP VIEW cheap; CREATE VIEW cheap AS SELECT id FROM items WHERE price < 10; END $$")  # flagged
        """,
    ),
    Example(
        "a foreign key that no longer cascades",
        given=f"""
        {ITEMS}
        op.execute("CREATE TABLE parts (id int PRIMARY KEY, item int CONSTRAINT of_item REFERENCES items ON DELETE CASCADE)")
        op.execute("INSERT INTO items VALUES (101); INSERT INTO parts VALUES (101, 101)")
        """,
        upgrade="""
        op.execute("ALTER TABLE parts DROP CONSTRAINT of_item, ADD CONSTRAINT of_item FOREIGN KEY (item) REFERENCES items NOT VALID")  # flagged
        """,
    ),
    Example(
        "a foreign key that now sets NULL instead of deleting",
        given=f"""
        {ITEMS}
        op.execute("CREATE TABLE parts (id int PRIMARY KEY, item int CONSTRAINT of_item REFERENCES items ON DELETE CASCADE)")
        op.execute("INSERT INTO items VALUES (101); INSERT INTO parts VALUES (101, 101)")
        """,
        upgrade="""
        op.execute("ALTER TABLE parts DROP CONSTRAINT of_item, ADD CONSTRAINT of_item FOREIGN KEY (item) REFERENCES items ON DELETE SET NULL NOT VALID")
        """,
    ),
    Example(
        "a trigger that refuses what was allowed",
        given=ITEMS,
        upgrade='''
        op.execute("""CREATE FUNCTION only_cheap() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN RAISE EXCEPTION 'items are frozen'; END $$""")
        op.execute("CREATE TRIGGER frozen BEFORE INSERT ON items FOR EACH ROW EXECUTE FUNCTION only_cheap()")  # flagged
        ''',
    ),
    Example(
        "a trigger that drops each row without an error",
        given=ITEMS,
        upgrade="""
        op.execute("CREATE FUNCTION seen() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$")
        op.execute("CREATE TRIGGER seen BEFORE INSERT ON items FOR EACH ROW EXECUTE FUNCTION seen()")  # flagged
        """,
    ),
    Example(
        "a trigger that returns NULL after the row is written",
        given=ITEMS,
        upgrade="""
        op.execute("CREATE FUNCTION seen() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$")
        op.execute("CREATE TRIGGER seen AFTER INSERT ON items FOR EACH ROW EXECUTE FUNCTION seen()")
        """,
    ),
    Example(
        "a function with another argument",
        given="""
        op.execute("CREATE FUNCTION price_of(item int) RETURNS int LANGUAGE sql AS 'SELECT 1'")
        """,
        upgrade="""
        op.execute("DROP FUNCTION price_of(int)")
        op.execute("CREATE FUNCTION price_of(item int, currency text) RETURNS int LANGUAGE sql AS 'SELECT 1'")  # flagged
        """,
    ),
    Example(
        "a function with another argument that has a default",
        given="""
        op.execute("CREATE FUNCTION price_of(item int) RETURNS int LANGUAGE sql AS 'SELECT 1'")
        """,
        upgrade="""
        op.execute("DROP FUNCTION price_of(int)")
        op.execute("CREATE FUNCTION price_of(item int, currency text DEFAULT 'EUR') RETURNS int LANGUAGE sql AS 'SELECT 1'")
        """,
    ),
    Example(
        "a trigger that logs what is deleted, and stops it",
        given=ITEMS + '\nop.execute("CREATE TABLE log (item int)")',
        upgrade="""
        op.execute(
            "CREATE FUNCTION logged() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN INSERT INTO log VALUES (OLD.id); RETURN NEW; END $$"
        )
        op.execute("CREATE TRIGGER logged BEFORE DELETE ON items FOR EACH ROW EXECUTE FUNCTION logged()")  # flagged
        """,
    ),
    Example(
        "a trigger that logs what is deleted",
        given=ITEMS + '\nop.execute("CREATE TABLE log (item int)")',
        upgrade="""
        op.execute(
            "CREATE FUNCTION logged() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN INSERT INTO log VALUES (OLD.id); RETURN OLD; END $$"
        )
        op.execute("CREATE TRIGGER logged BEFORE DELETE ON items FOR EACH ROW EXECUTE FUNCTION logged()")
        """,
    ),
]
