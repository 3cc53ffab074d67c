"""
A revision that fails goes unnoticed: env.py catches the error, `alembic upgrade` reports success, and the database
stays behind.

## Why it hurts

Deployment tools check the exit status of `alembic upgrade`. If env.py catches the error of a revision, logs it and
continues to its end, that status is 0: the pipeline is green, the new code starts, and the schema that it needs is
missing. Nobody notices, and every later release stops at the same revision.

## Do this instead

Let the error propagate. If env.py has to do something first, such as logging or closing a connection, do it in
`finally`, or end the handler with a bare `raise`:

```python
try:
    with context.begin_transaction():
        context.run_migrations()
except Exception:
    logger.exception("the migration failed")
    raise
```

## Not flagged

- An env.py that catches errors to retry, or to reword them, and raises the last one.
- An env.py that ends with `sys.exit` and a status other than 0.

The reviewer does not guess this from the text. It runs a test: a step of its own that must fail goes through env.py
in a throw-away database: once with an exception, once with a statement that PostgreSQL rejects, and once with a
duplicate, which an env.py that ignores `already exists` takes for success. The test runs once, not in every review: its result is cached until a file that the error passes through changes. `--ignore
swallowed-failure` skips it.

## References

- <https://alembic.sqlalchemy.org/en/latest/tutorial.html#the-migration-environment>
"""

from __future__ import annotations

from collections.abc import Iterator

from reviewer.check import (
    Basis,
    Concern,
    Context,
    Example,
    Group,
    Recording,
    Rule,
    Severity,
    Subject,
    about,
    concern,
)

RULE = Rule(
    id="swallowed-failure",
    summary="production can stay behind with a green pipeline: env.py hides that a revision fails",
    severity=Severity.ERROR,
    group=Group.NOT_WORKING,
    needs="an env.py that catches errors",
)

_WAYS = {
    "exception": "raises",
    "statement": "sends a statement that PostgreSQL rejects",
    "duplicate": "is told by PostgreSQL that something already exists",
}


def check(subject: Subject, context: Context) -> Iterator[Concern]:
    match subject:
        case Recording(control=control) if control.swallowed:
            ways = " or ".join(_WAYS.get(way, way) for way in control.swallowed)
            yield concern(
                f"""
                env.py ends without an error when a revision fails: when one {ways}, it {control.ended}, so
                `alembic upgrade` reports success and production can stay behind with a green pipeline.
                """,
                about=about.other("control"),
                basis=Basis.OBSERVED,
                location=control.location,
                evidence={"swallowed": list(control.swallowed)},
            )


USERS = 'op.create_table("users", sa.Column("id", sa.BigInteger(), primary_key=True))'

EXAMPLES = [
    Example(
        "an env.py that lets errors out",
        given=USERS,
        upgrade="""
        op.add_column("users", sa.Column("age", sa.Integer()))
        """,
    ),
]
