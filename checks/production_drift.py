"""
Production is not what the history makes, in a place that this revision changes: it may fail there and nowhere else.

## Why it hurts

A review starts from the state that the revisions before make. Production has its own history: an index that somebody
created by hand in an incident, a column that a script added, a constraint that was dropped and never came back. A
revision that creates what is there already, or changes what is missing, runs in every test and stops in the deploy.

## Do this instead

Bring production and the history together first: a revision for what was done by hand (`IF NOT EXISTS` makes it
harmless there), or what is missing created by hand. Then write the file of `alembic-reviewer stats --schema` again.

## Not flagged

- Reviews without `--stats`, and with a file that was made without `--schema`.
- A file of another revision than the one that the review starts from: that is listed as skipped.
- Partitions, which production makes for itself, and names of constraints and indexes that differ in nothing else.

## References

- <https://alembic.sqlalchemy.org/en/latest/autogenerate.html#what-does-autogenerate-detect-and-what-does-it-not-detect>
"""

from __future__ import annotations

from collections.abc import Iterator

from reviewer.check import (
    AddColumn,
    Basis,
    Change,
    Concern,
    Context,
    CreateIndex,
    CreateTable,
    Difference,
    Example,
    Group,
    Location,
    Name,
    Recording,
    Rule,
    Severity,
    Story,
    Subject,
    about,
    concern,
    listed,
)

RULE = Rule(
    id="production-drift",
    summary="production differs from what the history makes, where this revision changes it",
    severity=Severity.WARNING,
    group=Group.HISTORY,
    needs="the schema of production, from `alembic-reviewer stats --schema`",
)

_MOST = 5


def check(subject: Subject, context: Context) -> Iterator[Concern]:
    match subject:
        case Story() if context.drift:
            yield from _of_story(subject, context)
        case Recording() if context.drift:
            touched = {table for story in context.stories for table in _touched(story)}
            others = [each for each in context.drift if (each.table or each.name) not in touched]
            if others:
                yield concern(
                    f"""
                    Production differs from what the history makes in what no new revision changes: {
                        listed([_told(each, of=True) for each in others], _MOST)
                    }.
                    """,
                    about=about.other("production"),
                    severity=Severity.NOTICE,
                    basis=Basis.COMPARED,
                )


def _of_story(story: Story, context: Context) -> Iterator[Concern]:
    earlier = context.stories[: context.stories.index(story)]
    told = {table for each in earlier for table in _touched(each)}
    made = _made(story)
    for table, location in _touched(story).items():
        found = [each for each in context.drift if (each.table or each.name) == table]
        clashing = [each for each in found if _clashes(each, made)]
        if clashing:
            things = listed([_named(each, of=True) for each in clashing], _MOST)
            are = "is" if len(clashing) == 1 else "are"
            yield concern(
                f"Production has {things} already, which {are} created here: the upgrade fails there.",
                about=about.other("production", table),
                severity=Severity.ERROR,
                basis=Basis.COMPARED,
                location=location,
            )
        others = [each for each in found if each not in clashing]
        if not others or table in told:
            continue
        if any(each.table is None and each.change is Change.MISSING for each in others):
            yield concern(
                f"`{table}`, which this revision changes, is missing in production: the upgrade fails there.",
                about=about.other("production", table),
                severity=Severity.ERROR,
                basis=Basis.COMPARED,
                location=location,
            )
            continue
        yield concern(
            f"""
            In production `{table}`, which this revision changes, is not what the history makes: {
                listed([_told(each) for each in others], _MOST)
            }.
            """,
            about=about.other("production", table),
            basis=Basis.COMPARED,
            location=location,
        )


def _touched(story: Story) -> dict[str, Location | None]:
    """The tables that the upgrade names, by the name that they had before the deploy, and the first line that does."""
    found: dict[str, Location | None] = {}
    for step in story.steps():
        table = getattr(step.operation, "table", None)
        if isinstance(table, Name):
            found.setdefault(str(step.now.origin(table) or table), step.statement.location)
    return found


def _made(story: Story) -> frozenset[tuple[str, str]]:
    """What the upgrade creates without asking whether it is there: kind and name."""
    made = set()
    for step in story.steps():
        match step.operation:
            case CreateTable(table=table, if_not_exists=False):
                made.add(("table", str(table)))
            case AddColumn(table=table, column=column, if_not_exists=False):
                made.add(("column", f"{step.now.origin(table) or table} {column.name}"))
            case CreateIndex(table=table, name=str(name), if_not_exists=False):
                made.add(("index", f"{step.now.origin(table) or table} {name}"))
    return frozenset(made)


def _clashes(each: Difference, made: frozenset[tuple[str, str]]) -> bool:
    if each.change is not Change.LEFT_BEHIND:
        return False
    if each.table is None:
        return ("table", each.name) in made
    return (each.kind, f"{each.table} {each.name}") in made


def _named(each: Difference, of: bool = False) -> str:
    return f"{each.kind} `{each.name}`" + (f" of `{each.table}`" if of and each.table else "")


def _told(each: Difference, of: bool = False) -> str:
    name = _named(each, of)
    match each.change:
        case Change.MISSING:
            return f"{name} is missing there"
        case Change.LEFT_BEHIND:
            return f"{name} is there besides"
        case _:
            return f"the {each.aspect} of {name} is {_value(each.after)} there instead of {_value(each.before)}"


def _value(value: str | None) -> str:
    return "none" if value is None else f"`{value}`"


EXAMPLES = [
    Example(
        "a review that knows nothing of production",
        given="""
        op.create_table("users", sa.Column("id", sa.Integer(), primary_key=True))
        """,
        upgrade="""
        op.add_column("users", sa.Column("plan", sa.Text()))
        """,
    ),
]
