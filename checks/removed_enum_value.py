"""
A value of an enum type was removed, and the running code still sends it.

## Why it hurts

PostgreSQL cannot drop a label, so revisions create a new type and switch the columns to it. Once the migration
commits, each statement of the running code that sends the old label fails with `invalid input value for enum`, even
if no row contains it. And a downgrade cannot tell which rows contained it.

## Do this instead

Deploy code first that neither sends nor expects the value, then map the rows, and only then remove the label, if at
all: an unused label costs nothing.

## Not flagged

- A value that is renamed: see `renamed-enum-value`.
- A type that is dropped together with its columns.

## References

- <https://www.postgresql.org/docs/current/datatype-enum.html#DATATYPE-ENUM-IMPLEMENTATION-DETAILS>
"""

from __future__ import annotations

from collections.abc import Iterator

from reviewer.check import (
    AlterColumnType,
    Basis,
    Concern,
    Context,
    CreateEnum,
    Example,
    Group,
    Name,
    RenameEnumValue,
    Rule,
    Severity,
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
    id="removed-enum-value",
    summary="the running code still sends the value, which is rejected",
    severity=Severity.ERROR,
    group=Group.BREAKING_CODE,
)


def check(subject: Subject, context: Context) -> Iterator[Concern]:
    match subject:
        case Story(revision=revision):
            after = context.recording.after(revision.id)
            if after is not None:
                found: dict[Name, list[str]] = {}
                for each in after.refused:
                    if each.action == "label":
                        found.setdefault(each.subject, []).extend(each.columns)
                basis = Basis.OBSERVED
            else:
                found, basis = _read(subject), Basis.PARSED
            for type_, labels in found.items():
                yield from _said(type_, labels, subject, basis)


def _read(story: Story) -> dict[Name, list[str]]:
    """The same from the text alone, for types that the revision recreates and for columns that get another type."""
    found: dict[Name, list[str]] = {}
    for step in story.steps():
        match step.operation:
            case CreateEnum(type=type_) if step.now.labels(type_) is None:  # else it fails
                old, new = story.before.labels(type_), story.after.labels(type_)
            case AlterColumnType(table=table, column=column, type=text) if (to := names.read(text)) is not None:
                known = story.before.column(table, column)
                was = names.read(known.type) if known is not None else None
                type_ = step.now.resolve(to)
                old = story.before.labels(story.before.resolve(was)) if was is not None else None
                new = step.now.labels(type_)
            case _:
                continue
        if old is not None and new is not None:
            found.setdefault(type_, [label for label in old if label not in new])
    return found


def _said(type_: Name, labels: list[str], story: Story, basis: Basis) -> Iterator[Concern]:
    renamed = {o.value for o, _ in story.operations() if isinstance(o, RenameEnumValue) and o.type.matches(type_)}
    gone = [label for label in labels if label not in renamed]
    if not gone:
        return
    step = cause_of(story, type_, wanted=lambda o: isinstance(o, CreateEnum), named_only=True)
    changed = next(
        (s for s in story.steps() if isinstance(s.operation, AlterColumnType) and _is(s.operation, type_)), None
    )
    values = listed([f"`{label}`" for label in gone])
    yield concern(
        f"""
        `{type_}` no longer has the value {values}, which the running code still sends: each statement with
        {"it" if len(gone) == 1 else "one of them"} fails.
        """,
        about=about.type_(type_, *gone),
        severity=Severity.ERROR if basis is Basis.OBSERVED else Severity.WARNING,
        basis=basis,
        location=place_of(step or changed or cause_of(story, type_)),
        evidence={"values": gone},
    )


def _is(operation: AlterColumnType, type_: Name) -> bool:
    return operation.type.rpartition(".")[2].strip('"') == type_.name


NOTES = """
op.execute("CREATE TYPE kind AS ENUM ('alert', 'holiday')")
op.execute("CREATE TABLE notes (id int PRIMARY KEY, kind kind NOT NULL)")
"""

EXAMPLES = [
    Example(
        "a type without the value in place of the old one",
        given=NOTES,
        upgrade="""
        op.execute("ALTER TYPE kind RENAME TO old_kind")
        op.execute("CREATE TYPE kind AS ENUM ('alert', 'label')")  # flagged
        op.execute("ALTER TABLE notes ALTER kind TYPE kind USING (CASE kind::text WHEN 'holiday' THEN 'label' ELSE kind::text END)::kind")
        op.execute("DROP TYPE old_kind")
        """,
    ),
    Example(
        "a type with more values in place of the old one",
        given=NOTES,
        upgrade="""
        op.execute("ALTER TYPE kind RENAME TO old_kind")
        op.execute("CREATE TYPE kind AS ENUM ('alert', 'holiday', 'label')")
        op.execute("ALTER TABLE notes ALTER kind TYPE kind USING kind::text::kind")
        op.execute("DROP TYPE old_kind")
        """,
    ),
    Example(
        "a value that is renamed",
        given=NOTES,
        upgrade="""
        op.execute("ALTER TYPE kind RENAME VALUE 'holiday' TO 'leave'")
        """,
    ),
]
