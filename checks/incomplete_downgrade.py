"""
The downgrade does not restore the schema from before the upgrade.

## Why it hurts

A downgrade that ends without an error looks like a working rollback. What it forgets stays in the production
database, where no revision describes it: an enum type that makes the next upgrade fail, a column that is still NOT
NULL and breaks the old code, an index that was not recreated and makes it slow. Nobody notices until the release is
attempted a second time.

## Do this instead

Undo everything, in reverse order, and let `alembic check` or this review compare. Easily forgotten: enum types,
which Alembic creates with a table and never drops (`sa.Enum(name="mood").drop(op.get_bind())`), indexes and server
defaults of a column that is added again, and everything that `op.execute()` created.

## Not flagged

- The order of columns, names that PostgreSQL generated, and server defaults that are a point in time.
- Passwords of roles, which cannot be compared.
- Parts of a table or a column that is itself left behind or missing: one cause, one finding.
- A downgrade that is empty, or raises deliberately: see `missing-downgrade`.
- Without a server: everything except enum types that the downgrade does not drop, which are a warning.
- As a notice only: labels of an enum type, which PostgreSQL cannot drop, extensions, comments, and a constraint
  that is recreated as NOT VALID.

## References

- <https://alembic.sqlalchemy.org/en/latest/autogenerate.html#what-does-autogenerate-detect-and-what-does-it-not-detect>
- <https://www.postgresql.org/docs/current/sql-altertype.html>
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from reviewer.check import (
    AddCheck,
    AddColumn,
    AddForeignKey,
    AddIdentity,
    AddNotNull,
    AddPrimaryKey,
    AddUnique,
    AlterColumnType,
    AlterIdentity,
    Basis,
    Call,
    Change,
    Concern,
    ConditionalDrop,
    Context,
    CreateEnum,
    CreateIndex,
    CreateTable,
    CreateView,
    Difference,
    Direction,
    DoBlock,
    DropDefault,
    DropExpression,
    DropIdentity,
    DropNotNull,
    DropObject,
    DropTable,
    Example,
    Group,
    Location,
    Name,
    Operation,
    Outcome,
    Pass,
    RenameColumn,
    RenameObject,
    RenameTable,
    Rule,
    Select,
    SetDefault,
    SetExpression,
    SetNotNull,
    Severity,
    Step,
    Story,
    Subject,
    Unrecognized,
    about,
    concern,
    failures,
    guilty,
    place_of,
    undoing,
)

RULE = Rule(
    id="incomplete-downgrade",
    summary="a rollback leaves something behind, or does not restore something",
    severity=Severity.ERROR,
    group=Group.NOT_WORKING,
    replaces=frozenset({"failing-second-upgrade"}),
)

_MOST = 8
"""Most differences that are reported individually."""


def check(subject: Subject, context: Context) -> Iterator[Concern]:
    match subject:
        case Story(revision=revision) as story if not revision.downgrade_is_empty:
            down = _compared(story, Direction.DOWNGRADE)
            again = _compared(story, Direction.UPGRADE_AGAIN)
            if down is not None and down.differences:
                yield from _told(story, down.differences)
            elif again is not None and (others := [each for each in again.differences if not _made_once(each)]):
                yield _another(story, others)
            elif context.static:
                yield from _types_left(story)


def _types_left(story: Story) -> Iterator[Concern]:
    """The enum types that the text of the upgrade creates and that of the downgrade does not drop."""
    down = [operation for operation, _ in story.operations(Direction.DOWNGRADE)]
    if not down or any(isinstance(each, DoBlock | Call | Select | Unrecognized) for each in down):
        return
    up = [operation for operation, _ in story.operations()]
    for operation in up:
        match operation:
            case CreateEnum(type=name) if not any(_ends(each, name) for each in (*down, *up)):
                yield concern(
                    f"""
                    After the downgrade of `{story.revision.id}`, enum type `{name}` is left behind:
                    {_fix(Difference("enum type", str(name), Change.LEFT_BEHIND))}; the next upgrade then fails.
                    """,
                    about=about.type_(name),
                    severity=RULE.severity.lower,
                    location=Location(story.revision.path, story.revision.downgrade_line or 1),
                    direction=Direction.DOWNGRADE,
                )


def _ends(operation: Operation, name: Name) -> bool:
    match operation:
        case DropObject(kind="type" | "domain", object=gone) | RenameObject(kind="type", object=gone):
            return gone.matches(name)
        case DropObject(kind="schema", object=schema):
            return schema.name == (name.schema or "public")
        case DropObject(kind="owned"):
            return True
    return False


def _compared(story: Story, direction: Direction) -> Pass | None:
    passes = (p for p in story.passes if p.direction is direction and p.outcome is Outcome.OK and p.compared)
    return next(passes, None)


def _told(story: Story, differences: Sequence[Difference]) -> Iterator[Concern]:
    revision = story.revision
    failed = story.failed(Direction.UPGRADE_AGAIN)
    above = {_of(each, each.table) for each in differences if each.table is not None}
    differences = [
        each
        for each in differences
        if not (_follows(each, differences) or _cannot_be_undone(each) or _of(each, _parent(each, story)) in above)
    ]
    if not differences:
        return
    cause = _cause(differences, failed) if failed is not None else None
    # the gravest are told where there is no room for all; sorted() keeps the order of those that weigh the same
    shown = sorted(differences, key=lambda each: (each is not cause, _weight(each)))[:_MOST]
    more = len(differences) - len(shown)
    for position, difference in enumerate(shown):
        then = ""
        if difference is cause and failed is not None:
            then = f"; the next upgrade then fails: {failures.words(failed)}"
        if more and position == len(shown) - 1:
            then += f"; {more} more differences are in the recording"
        made = _made(difference, story)
        skipped = _skipped(difference, story)
        fix = _fix(difference) + _in_it(difference, story) if made is None and skipped is None else ""
        if skipped is not None:
            fix = f"line {skipped.line} drops it only if `{_short(skipped.condition)}`, which did not hold"
        told = (
            _sentence(difference) + _with_it(difference, story)
            if made is None
            else f"{_object(difference)} is there, which was not before: the downgrade makes it"
        )
        yield concern(
            f"After the downgrade of `{revision.id}`, {told}{fix and ': ' + fix}{then}.",
            about=about.failure(revision.id, Direction.UPGRADE_AGAIN)
            if difference is cause
            else _about(difference),
            severity=None if difference is cause else _severity(difference, made),
            basis=Basis.COMPARED,
            location=place_of(made)
            or _guilty(difference, story)
            or (Location(revision.path, skipped.line) if skipped is not None else None)
            or Location(revision.path, revision.downgrade_line or 1),
            direction=Direction.DOWNGRADE,
            evidence=_evidence(difference),
        )


def _severity(difference: Difference, made: Step | None) -> Severity | None:
    if made is not None or _harmless(difference):
        return Severity.NOTICE
    named = difference.kind in {"constraint", "index"} and difference.aspect == "name"
    return RULE.severity.lower if named else None  # it does the same, and only what names it fails


def _with_it(difference: Difference, story: Story) -> str:
    """What a missing schema held."""
    if difference.kind != "schema" or difference.change is not Change.MISSING:
        return ""
    tables = list(map(str, story.before.tables_in(difference.name)))
    return f", and with it {_listed(tables[:_MOST])}" if tables else ""


def _in_it(difference: Difference, story: Story) -> str:
    """What keeps a schema that is left behind from being dropped."""
    if difference.kind != "schema" or difference.change is not Change.LEFT_BEHIND:
        return ""
    gone = [each.table for each, _ in story.operations(Direction.DOWNGRADE) if isinstance(each, DropTable)]
    left = [each for each in story.after.tables_in(difference.name) if not any(each.matches(name) for name in gone)]
    return f", after {_listed([*map(str, left[:_MOST])])} in it" if left else ""


def _cannot_be_undone(difference: Difference) -> bool:
    """Whether PostgreSQL has no way back: a constraint that is validated stays so."""
    return difference.aspect == "not valid" and difference.after is None


def _made(difference: Difference, story: Story) -> Step | None:
    """The step of the downgrade that makes what was not there before the upgrade."""
    if difference.change is not Change.LEFT_BEHIND or difference.kind not in {
        "constraint",
        "index",
        "table",
        "view",
    }:
        return None
    before = story.before.table(Name.told(difference.table or difference.name))
    known = before is not None and difference.table is None
    for step in reversed(story.steps(Direction.DOWNGRADE)):
        operation = step.operation
        makes = isinstance(operation, AddCheck | AddForeignKey | AddUnique | AddPrimaryKey | CreateIndex)
        if (
            makes
            and not known
            and getattr(operation, "name", None) == difference.name
            and difference.table is not None
        ):
            return step
        if isinstance(operation, CreateTable | CreateView) and difference.table is None:
            name = operation.table if isinstance(operation, CreateTable) else operation.view
            if name.matches(Name.told(difference.name)):
                return step
    return None


def _guilty(difference: Difference, story: Story) -> Location | None:
    """The line of the downgrade that leaves it so, where one says something of that very thing."""
    if difference.change is Change.LEFT_BEHIND:
        return None
    if difference.aspect == "comment":
        return guilty.of_comment(story, ".".join(dict.fromkeys(filter(None, (difference.table, difference.name)))))
    if difference.table is None:
        return guilty.of_missing(story, Name.told(difference.name))
    table = Name.told(difference.table)
    if difference.kind == "index" and difference.change is Change.MISSING:
        return guilty.of_missing(story, Name(difference.name, table.schema))
    if difference.kind == "column":
        return _guilty_of_column(table, difference, story)
    for step in reversed(story.steps(Direction.DOWNGRADE)):
        on = getattr(step.operation, "table", None)
        named = getattr(step.operation, "name", None) == difference.name
        if isinstance(on, Name) and on.matches(table) and named:
            return step.statement.location
    return None


_SAYS: Mapping[str, tuple[type[Operation], ...]] = {
    "type": (AlterColumnType,),
    "collation": (AlterColumnType,),
    "not null": (SetNotNull, DropNotNull, AddNotNull),
    "default": (SetDefault, DropDefault),
    "identity": (AddIdentity, AlterIdentity, DropIdentity),
    "generated": (SetExpression, DropExpression),
}
"""What says something of one aspect of a column, besides what adds the column."""


def _guilty_of_column(table: Name, difference: Difference, story: Story) -> Location | None:
    """The last line that decides this aspect of the column, or says anything of it."""
    name, last = difference.name, None
    for step in reversed(story.steps(Direction.DOWNGRADE)):
        match step.operation:
            case RenameTable(table=old, new_name=new) if Name(new, old.schema).matches(table):
                table = old
            case RenameColumn(table=on, column=old_name, new_name=new) if on.matches(table) and new == name:
                name = old_name
            case AddColumn(table=on, column=column) if on.matches(table) and column.name == name:
                return step.statement.location
            case operation:
                where, said = getattr(operation, "table", None), getattr(operation, "column", None)
                if not (isinstance(where, Name) and where.matches(table) and said == name):
                    continue
                if isinstance(operation, _SAYS.get(difference.aspect, ())):
                    return step.statement.location
                last = last or step.statement.location
    return last


def _follows(difference: Difference, others: Sequence[Difference]) -> bool:
    """Whether it is covered by another one: a missing type is covered by the column that has another type instead."""
    return difference.change is Change.MISSING and any(
        other.kind == "column" and other.aspect == "type" and other.before == difference.name for other in others
    )


def _parent(difference: Difference, story: Story) -> str | None:
    """The partitioned table of which the table is a partition."""
    known = story.before.table(Name.told(difference.table)) if difference.table is not None else None
    return str(known.partition_of) if known is not None and known.partition_of is not None else None


def _of(difference: Difference, table: str | None) -> tuple[object, ...]:
    """What has the same name in a table and in its partitions: a column, a trigger."""
    return (table, difference.kind, difference.name, difference.change, difference.aspect)


def _another(story: Story, differences: Sequence[Difference]) -> Concern:
    revision = story.revision
    told = "; ".join(_sentence(difference) for difference in differences[:3])
    return concern(
        f"The second upgrade of `{revision.id}` produces a different schema than the first: {told}.",
        about=_about(differences[0]),
        severity=Severity.NOTICE if all(map(_harmless, differences)) else Severity.WARNING,
        basis=Basis.COMPARED,
        location=Location(revision.path, revision.upgrade_line or 1),
        direction=Direction.UPGRADE_AGAIN,
        evidence=_evidence(differences[0]),
    )


def _made_once(difference: Difference) -> bool:
    """Whether a default is another constant: Python makes it each time, which frozen-default tells."""
    values = (difference.before, difference.after)
    return difference.aspect == "default" and all(re.match(r"'|-?\d", str(each or "")) for each in values)


def _cause(differences: Sequence[Difference], failed: Pass) -> Difference | None:
    """The difference that makes the second upgrade fail."""
    failure = failed.failure
    if failure is None or failure.cause is not None or not failures.is_the_revisions(failed):
        return None
    words = f"{failure.message} {failure.sql or ''}"
    named = [
        each for each in differences if _is_named(each.name if each.table else Name.told(each.name).name, words)
    ]
    return named[0] if named else differences[0]


def _is_named(name: str, words: str) -> bool:
    """Whether the words have the name as a whole: `user` is not a part of `user_id`."""
    return re.search(rf"(?<![\w$]){re.escape(name)}(?![\w$])", words) is not None


def _weight(difference: Difference) -> int:
    """How little it hurts: data that is not guarded, then objects, then what makes queries slow, then the rest."""
    match difference:
        case _ if _harmless(difference):
            return 4
        case Difference(kind="table" | "column", change=Change.MISSING):
            return 0
        case Difference(kind="constraint" | "policy" | "trigger", change=Change.MISSING):
            return 0
        case Difference(kind="column", aspect="not null" | "type" | "generated"):
            return 1
        case Difference(kind="index"):
            return 3
        case _:
            return 2


def _sentence(difference: Difference) -> str:
    what = _object(difference)
    match difference:
        case Difference(change=Change.LEFT_BEHIND):
            return f"{what} is left behind"
        case Difference(change=Change.MISSING):
            return f"{what} is missing"
        case Difference(kind="column", aspect="not null", after=None):
            return f"{what} is nullable, which it was not before"
        case Difference(kind="column", aspect="not null"):
            return f"{what} is still NOT NULL, which it was not before"
        case Difference(kind="enum type", aspect="labels", before=before, after=after):
            old, new = (before or "").split(", "), (after or "").split(", ")
            extra, lost = [x for x in new if x not in old], [x for x in old if x not in new]
            told = [f"still has {_listed(extra)}"] if extra else []
            told += [f"no longer has {_listed(lost)}"] if lost else []
            return f"{what} {' and '.join(told) or 'has its labels in another order'}"
        case Difference(aspect="persistence", before=None):
            return f"{what} is still UNLOGGED, which it was not before"
        case Difference(aspect="persistence", before="u"):
            return f"{what} is no longer UNLOGGED"
        case Difference(aspect="name", before=before, after=after):
            return f"{what} is now called `{after}`"
        case Difference(aspect="not valid", before=None):
            return f"{what} is no longer validated"
        case Difference(aspect="not valid"):
            return f"{what} is validated, which it was not before"
        case Difference(aspect="invalid", before=None):
            return f"{what} is invalid, which it was not before"
        case Difference(aspect=aspect, before=None, after="yes"):
            return f"{what} still has {aspect}, which it did not have before"
        case Difference(aspect=aspect, before="yes", after=None):
            return f"{what} no longer has {aspect}"
        case Difference(aspect=aspect, before=None, after=after):
            return f"{what} still has {_aspect(aspect)} `{_short(after)}`, which it did not have before"
        case Difference(aspect=aspect, before=before, after=None):
            return f"{what} no longer has its {_aspect(aspect)} `{_short(before)}`"
        case Difference(aspect=aspect, before=before, after=after):
            was, now = _apart(before, after)
            is_, had = ("are", "were") if aspect in {"grants", "options"} else ("is", "was")
            return f"the {_aspect(aspect)} of {what} {is_} `{now}` and {had} `{was}`"


def _object(difference: Difference) -> str:
    if difference.kind == "column":
        return f"column `{difference.table}.{difference.name}`"
    on = f" on `{difference.table}`" if difference.table else ""
    return f"{difference.kind} `{difference.name}`{on}"


def _aspect(aspect: str) -> str:
    return {"default": "server default", "generated": "generation expression", "sequence": "range"}.get(
        aspect, aspect
    )


def _listed(labels: Sequence[str]) -> str:
    return ", ".join(f"`{label}`" for label in labels)


def _apart(before: str | None, after: str | None) -> tuple[str, str]:
    """Both texts from a little before the place where they differ, where they are too long to be shown."""
    old, new = (" ".join((text or "").split()) for text in (before, after))
    same = next((n for n, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), min(len(old), len(new)))
    start = max(same - 30, 0) if max(len(old), len(new)) > 80 and same > 40 else 0
    mark = "…" if start else ""
    return mark + _short(old[start:]), mark + _short(new[start:])


def _short(text: str | None) -> str:
    flat = " ".join((text or "").split())
    return flat if len(flat) <= 80 else flat[:79] + "…"


def _fix(difference: Difference) -> str:
    """What to write in the downgrade, if that follows from the difference alone."""
    match difference:
        case Difference(kind="enum type", aspect="labels", before=str(before), after=str(after)):
            grown = set(before.split(", ")) < set(after.split(", "))
            return "PostgreSQL cannot drop a label, only the whole type" if grown else ""
    code = undoing.plain(difference)
    return f"add `{code}`" if code else ""


def _skipped(difference: Difference, story: Story) -> ConditionalDrop | None:
    """The line of the downgrade that drops what is left behind, under a condition that did not hold."""
    if difference.change is not Change.LEFT_BEHIND:
        return None
    wanted = {Name.told(each).name for each in (difference.name, difference.table) if each}
    if difference.kind in {"index", "constraint", "trigger", "policy", "rule"}:
        wanted = {difference.name}
    return next(
        (
            each
            for each in story.revision.conditional_drops
            if all(any(_is_named(name, text) for text in each.texts) for name in wanted)
        ),
        None,
    )


def _harmless(difference: Difference) -> bool:
    """What a rollback can hardly undo, or what affects nobody."""
    match difference:
        case Difference(kind="extension", change=Change.LEFT_BEHIND):
            return True
        case Difference(aspect="comment") | Difference(kind="sequence", aspect="sequence"):
            return True
        case Difference(kind="constraint", aspect="not valid", before=None):  # new rows are checked all the same
            return True
        case Difference(kind="enum type", aspect="labels", before=str(before), after=str(after)):
            return set(before.split(", ")) <= set(after.split(", "))
    return False


def _about(difference: Difference) -> tuple[str, ...]:
    match difference.kind:
        case "column" | "constraint":
            return (difference.kind, difference.table or "", difference.name)
        case "enum type" | "domain" | "composite type" | "range type":
            return about.type_(difference.name)
        case kind:
            return (kind, difference.name)


def _evidence(difference: Difference) -> dict[str, object]:
    found = {"before": difference.before, "after": difference.after}
    return {key: value for key, value in found.items() if value and difference.change is Change.CHANGED}


USERS = """op.create_table(
    "users", sa.Column("id", sa.BigInteger(), primary_key=True), sa.Column("name", sa.String(50), server_default="x")
)"""

EXAMPLES = [
    Example(
        "a column that was an enum and comes back as text, reported once",
        given="""
        op.execute("CREATE TYPE mood AS ENUM ('good', 'bad')")
        op.execute("CREATE TABLE pets (id bigint PRIMARY KEY, mood mood)")
        """,
        upgrade="""
        op.execute("ALTER TABLE pets ALTER mood TYPE varchar(4)")
        op.execute("DROP TYPE mood")
        """,
        downgrade="""
        op.execute("ALTER TABLE pets ALTER mood TYPE varchar(5)")  # flagged
        """,
    ),
    Example(
        "an enum type that stays when its table goes",
        given=USERS,
        upgrade="""
        op.create_table(
            "moods", sa.Column("id", sa.BigInteger(), primary_key=True), sa.Column("mood", sa.Enum("good", name="mood"))
        )
        """,
        downgrade="""
        # flagged
        op.drop_table("moods")
        """,
    ),
    Example(
        "a column that comes back without its default",
        given=USERS,
        upgrade="""
        op.drop_column("users", "name")
        """,
        downgrade="""
        op.add_column("users", sa.Column("name", sa.String(50)))  # flagged
        """,
    ),
    Example(
        "a constraint that is validated: PostgreSQL has no way back",
        given="""
        op.execute("CREATE TABLE pets (id bigint PRIMARY KEY, name text)")
        op.execute("ALTER TABLE pets ADD CONSTRAINT named CHECK (name IS NOT NULL) NOT VALID")
        """,
        upgrade="""
        with op.get_context().autocommit_block():
            op.execute("ALTER TABLE pets VALIDATE CONSTRAINT named")
            op.alter_column("pets", "name", nullable=False)
        """,
        downgrade="""
        op.alter_column("pets", "name", nullable=True)
        """,
    ),
    Example(
        "a constraint that the downgrade makes, though it was not there",
        given='op.execute("CREATE TABLE pets (id bigint PRIMARY KEY, name text)")',
        upgrade="""
        op.execute("ALTER TABLE pets DROP CONSTRAINT IF EXISTS uq_name")
        """,
        downgrade="""
        op.create_unique_constraint("uq_name", "pets", ["name"])  # flagged
        """,
    ),
    Example(
        "the enum type dropped as well",
        given=USERS,
        upgrade="""
        op.create_table(
            "moods", sa.Column("id", sa.BigInteger(), primary_key=True), sa.Column("mood", sa.Enum("good", name="mood"))
        )
        """,
        downgrade="""
        op.drop_table("moods")
        sa.Enum(name="mood").drop(op.get_bind())
        """,
    ),
    Example(
        "an index under another name that PostgreSQL made up, and another order of columns",
        given="op.execute('CREATE TABLE users (id bigint PRIMARY KEY, name text, age int); CREATE INDEX ON users (name)')",
        upgrade="""
        op.drop_column("users", "name")
        """,
        downgrade="""
        op.add_column("users", sa.Column("name", sa.Text()))
        op.create_index("ix_users_name", "users", ["name"])
        """,
    ),
]
