"""
The upgrade fails.

## Why it hurts

The deploy stops halfway. In Alembic's default mode everything is rolled back and the new code starts on the old
schema; if a revision has committed in between, the database is in a state that no revision describes. Some upgrades
fail only if tables contain rows, and some only when several revisions are run by one `alembic upgrade`: a test on
an empty database, one step at a time, passes. Others fail only where the tables that they read are empty: the deploy
succeeds, and each fresh install stops.

## Do this instead

PostgreSQL's message names the cause. If it fails on rows, clean them up in an earlier revision or relax the
constraint; if it fails only together with the revisions before it, set `transaction_per_migration=True` in env.py
or commit in between with `op.get_context().autocommit_block()`.

## Not flagged

- If a more specific rule explains why, for example `required-column`, that one is reported instead.
- As an error: failures only on rows that the reviewer has generated. An error from PostgreSQL is then a warning; an
  exception in the revision's own code, or a conflict with the key of a row that it inserts, is a notice. Provide
  realistic rows with `--seed FILE`. Failures on any row remain an error: a NULL where the revision forbids it, a
  trigger that names a missing column.
- As an error: an exception on purpose (`raise`) on empty tables only. It is a warning.
- Failures that the revision does not cause: a missing driver, an env.py that fails before the revision is run. The
  verdict is then `error`. What env.py raises during or after the revision stops its deploy and is flagged.

Without a server only this is told, as a warning: an id that does not fit Alembic's own table, what earlier revisions have created already, a type that none has
created, and a change of type for which PostgreSQL has no cast.

## References

- <https://www.postgresql.org/docs/current/errcodes-appendix.html>
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from reviewer.check import (
    Basis,
    Concern,
    Context,
    CreateIndex,
    Direction,
    Example,
    FailureKind,
    Group,
    Location,
    Pass,
    Revision,
    Rule,
    Severity,
    Story,
    Subject,
    about,
    concern,
    failures,
    refusals,
    remedies,
    ways_out,
)

RULE = Rule(
    id="failing-upgrade",
    summary="the deploy stops: the upgrade fails",
    severity=Severity.ERROR,
    group=Group.NOT_WORKING,
    reports_failed=Direction.UPGRADE,
)


def check(subject: Subject, context: Context) -> Iterator[Concern]:
    match subject:
        case Story(revision=revision) as story:
            if context.static and len(revision.id) > ways_out.VERSION_LENGTH:
                yield _too_long(revision, Basis.PARSED, RULE.severity.lower, {})
            failed = failures.gravest(story, Direction.UPGRADE)
            if failed is None:
                yield from _collided(revision, context)
                yield from _without_rows(revision, context)
                return
            if failures.told_before(context, failed):
                return
            if ways_out.is_of_its_id(failed):
                yield _too_long(revision, Basis.OBSERVED, RULE.severity, failures.evidence(failed))
                return
            yield _told(story, failed, context)
        case _ if context.static and context.revision is not None:
            for words in refusals(subject, context):
                yield concern(
                    f"PostgreSQL rejects this statement: {words}.",
                    about=about.failure(context.revision.id, Direction.UPGRADE),
                    severity=RULE.severity.lower,
                )


def _told(story: Story, failed: Pass, context: Context) -> Concern:
    revision = story.revision
    sure = failures.certain(story, failed)
    doubt = "" if sure else " The rows were generated to fit the schema: check whether yours are similar."
    way_out = ways_out.way_out(failed, context.recording.base.tables)
    return concern(
        f"""
        The upgrade of `{revision.id}` fails{failures.where(story, failed)}: {failures.words(failed)}.{doubt}
        {way_out}
        """,
        remedy=_remedy(story, failed, context),
        severity=_severity(sure, story, failed),
        about=failures.about(failed),
        basis=None if context.static else Basis.OBSERVED,
        location=failures.place(revision, failed),
        direction=Direction.UPGRADE,
        evidence=failures.evidence(failed),
    )


def _collided(revision: Revision, context: Context) -> Iterator[Concern]:
    """What is known of keys: the revision inserts one that a generated row had, and passes on rows with others."""
    for trial in context.recording.trials if not context.static else ():
        if trial.collided and trial.revision == revision.id:
            yield concern(
                f"""
                The upgrade of `{revision.id}` fails where a row that it inserts has the key of an existing one, as one
                of the generated rows had: {failures.words(trial)}. Check that production has no row with such a key.
                """,
                severity=Severity.NOTICE,
                about=failures.about(trial),
                basis=Basis.OBSERVED,
                location=failures.place(revision, trial),
                direction=Direction.UPGRADE,
                evidence=failures.evidence(trial),
            )


def _without_rows(revision: Revision, context: Context) -> Iterator[Concern]:
    """What a fresh install meets."""
    for trial in context.recording.trials if not context.static else ():
        if not trial.rows and not trial.written and trial.revision == revision.id:
            yield concern(
                f"""
                The upgrade of `{revision.id}` fails where the tables that it reads are empty, as in a fresh install:
                {failures.words(trial)}.
                """,
                severity=Severity.WARNING if failures.on_purpose(trial) else Severity.ERROR,
                about=failures.about(trial),
                basis=Basis.OBSERVED,
                location=failures.place(revision, trial),
                direction=Direction.UPGRADE,
                evidence=failures.evidence(trial),
            )


def _remedy(story: Story, failed: Pass, context: Context) -> tuple[str, ...]:
    """For an index that PostgreSQL builds CONCURRENTLY on partitions only."""
    refused = failed.failure is not None and failed.failure.sqlstate == "0A000"
    match failures.operation(story, failed) if refused else None:
        case CreateIndex(concurrently=True, table=table) as index if context.now.is_partitioned(table):
            partitions = context.plain_partitions(index)
            return remedies.index_on_partitions(index, partitions) if partitions is not None else ()
    return ()


def _too_long(revision: Revision, basis: Basis, severity: Severity, evidence: Mapping[str, object]) -> Concern:
    return concern(
        f"""
        The upgrade of `{revision.id}` fails once its own code has ended: the id has {len(revision.id)} characters, and the
        version table takes {ways_out.VERSION_LENGTH}. Give it a shorter one, or make `alembic_version.version_num` wider in an earlier revision.
        """,
        severity=severity,
        about=about.failure(revision.id, Direction.UPGRADE),
        basis=basis,
        location=Location(revision.path, revision.line or revision.upgrade_line or 1),
        direction=Direction.UPGRADE,
        evidence=evidence,
    )


def _severity(sure: bool, story: Story, failed: Pass) -> Severity:
    """An error from PostgreSQL about a row that the schema allows is stronger evidence than one from code that
    interprets the row, or than a generated key that happens to equal one that the revision inserts.
    """
    if sure:
        return Severity.ERROR
    if failures.collides(story, failed):
        return Severity.NOTICE
    refused = failed.failure is not None and failed.failure.kind is FailureKind.STATEMENT
    return Severity.WARNING if refused else Severity.NOTICE


USERS = 'op.execute("CREATE TABLE users (id bigint PRIMARY KEY, name varchar(50) NOT NULL)")'

EXAMPLES = [
    Example(
        "a type that is not there",
        given=USERS,
        upgrade="""
        op.add_column("users", sa.Column("mood", sa.Enum("good", "bad", name="mood")))  # flagged
        """,
    ),
    Example(
        "only where there are rows",
        given=USERS,
        upgrade="""
        op.execute("UPDATE users SET name = NULL")  # flagged
        """,
    ),
    Example(
        "only where there are no rows",
        given='op.execute("CREATE TABLE roles (id serial PRIMARY KEY, name text)")',
        upgrade="""
        op.execute("SELECT setval('roles_id_seq', (SELECT coalesce(max(id), 0) FROM roles))")  # flagged
        """,
        downgrade="pass",
    ),
    Example(
        "on a table that may be empty",
        given='op.execute("CREATE TABLE roles (id serial PRIMARY KEY, name text)")',
        upgrade="""
        op.execute("SELECT setval('roles_id_seq', (SELECT coalesce(max(id), 1) FROM roles))")
        """,
        downgrade="pass",
    ),
    Example(
        "a row with a key that a made-up row has",
        given=USERS,
        upgrade="""
        op.execute("INSERT INTO users (id, name) VALUES (1, 'admin')")  # flagged
        """,
        downgrade="""
        op.execute("DELETE FROM users WHERE id = 1")
        """,
    ),
    Example(
        "Python that raises",
        given=USERS,
        upgrade="""
        users = {}
        op.drop_column("users", users["name"])  # flagged
        """,
    ),
    Example(
        "an index CONCURRENTLY on a partitioned table",
        given="""
        op.execute("CREATE TABLE events (id bigint NOT NULL, day date NOT NULL) PARTITION BY RANGE (day)")
        op.execute("CREATE TABLE events_2024 PARTITION OF events FOR VALUES FROM ('2024-01-01') TO ('2025-01-01')")
        """,
        upgrade="""
        with op.get_context().autocommit_block():
            op.create_index("ix_events_id", "events", ["id"], postgresql_concurrently=True)  # flagged
        """,
    ),
    Example(
        "the type created first",
        given=USERS,
        upgrade="""
        sa.Enum("good", "bad", name="mood").create(op.get_bind())
        op.add_column("users", sa.Column("mood", postgresql.ENUM("good", "bad", name="mood", create_type=False)))
        """,
    ),
]
