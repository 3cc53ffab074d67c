"""
A revision that fails goes unnoticed: env.py catches the error, `alembic upgrade` reports success, and the database stays
behind.

## Why it hurts

Whatever deploys the release looks at the exit status of `alembic upgrade`. Where env.py catches the error of a revision,
logs it and goes on to its end, that status is 0: the pipeline is green, the new code starts, and the schema that it needs
is not there. Nobody is told, and every later release stops at the same revision.

## Do this instead

Let the error out. Where env.py has something to do first, such as logging or closing a connection, do it in `finally`, or
end the handler with a bare `raise`:

```python
try:
    with context.begin_transaction():
        context.run_migrations()
except Exception:
    logger.exception("the migration failed")
    raise
```

## Not flagged

- An env.py that catches errors to try again, or to word them, and lets the last one out.
- An env.py that ends with `sys.exit` and another status than 0.

The reviewer does not guess this from the text. It asks: a step of its own that must fail goes through env.py in a database
that is thrown away, once with an exception and once with a statement that PostgreSQL refuses. It is asked once, not in
every review: what is known of an env.py is kept as long as nothing changes that the error goes through.
`--ignore swallowed-failure` leaves it out.

## References

- <https://alembic.sqlalchemy.org/en/latest/tutorial.html#the-migration-environment>
"""

from __future__ import annotations

from collections.abc import Iterator

from reviewer.check import Basis, Concern, Context, Example, Group, Recording, Rule, Severity, Subject, concern

RULE = Rule(
    id="swallowed-failure",
    summary="production can stay behind with a green pipeline: env.py hides that a revision fails",
    severity=Severity.ERROR,
    group=Group.NOT_WORKING,
    needs="an env.py that catches errors",
)

_WAYS = {"exception": "raises", "statement": "sends a statement that PostgreSQL refuses"}


def check(subject: Subject, context: Context) -> Iterator[Concern]:
    match subject:
        case Recording(control=control) if control.swallowed:
            ways = " or ".join(_WAYS.get(way, way) for way in control.swallowed)
            yield concern(
                f"""
                env.py ends without an error where a revision fails: when one {ways}, it {control.ended}, so
                `alembic upgrade` reports success and production can stay behind with a green pipeline.
                """,
                about=("control",),
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
