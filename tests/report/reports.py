"""Reports written by hand, for the tests of every format: from a clean one to one that tries to do harm."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from reviewer.recording import (
    Catalogue,
    Change,
    Difference,
    Direction,
    Environment,
    Failure,
    FailureKind,
    Location,
    Lock,
    Loss,
    Mode,
    Observation,
    OldCode,
    Origin,
    Outcome,
    Pass,
    Recording,
    Rehearsal,
    Relation,
    Revision,
    Scan,
    Server,
    Skipped,
    Statement,
    Table,
)
from reviewer.replay.stream import Story, understand
from reviewer.review.context import Context
from reviewer.review.engine import strongest
from reviewer.review.finding import Basis, Finding, Severity, Suppressed
from reviewer.review.verdict import Report, TreeReport
from reviewer.sql.locks import LockMode
from reviewer.sql.names import Name

SERVER = Server("18.4", "embedded")
ENVIRONMENT = Environment("3.12.4", "1.20.1", "2.1.9", "psycopg 3.3.9")

ORDERS = Relation("public", "orders", "table")
CUSTOMERS = Relation("public", "customers", "table")
COMMENTS = Relation("public", "comments", "table")
INDEX = Relation("public", "ix_orders_customer_id", "index", new=True, table="orders")

BOOKKEEPING = Statement(
    "UPDATE alembic_version SET version_num='8c1f0e2b7d43' WHERE alembic_version.version_num = '51b0c3d9aa12'",
    origin=Origin.ALEMBIC,
    rows=1,
)


def told(recording: Recording, findings: tuple[Finding, ...] = (), **more: Any) -> TreeReport:
    """The report of a tree: each finding with its statement, as the review leaves it."""
    stories = understand(recording)
    found = tuple((story.revision.id, lock) for story in stories if (lock := strongest(story, recording)))
    return TreeReport(
        recording, tuple(_witnessed(each, recording, stories) for each in findings), strongest=found, **more
    )


def _witnessed(finding: Finding, recording: Recording, stories: tuple[Story, ...]) -> Finding:
    for story in stories:
        for each in story.understood(finding.direction):
            same = (each.sent.sql, each.sent.location) == (finding.sql, finding.location)
            if same and story.revision.id == finding.revision:
                context = Context(recording, finding.direction, story.revision, each, story, stories)
                return replace(finding, witness=context.witness)
    return finding


def statement(
    sql: str,
    path: str,
    line: int,
    *,
    locks: tuple[Lock, ...] = (),
    scanned: tuple[Scan, ...] = (),
    rewritten: tuple[Relation, ...] = (),
    built: tuple[Relation, ...] = (),
    transaction: int | None = 1,
    rows: int | None = None,
) -> Statement:
    """A statement that a server has seen."""
    return Statement(
        sql,
        Location(path, line),
        seconds=0.004,
        in_transaction=transaction is not None,
        rows=rows,
        observation=Observation(locks, rewritten, scanned, built, transaction=transaction),
    )


def passes(
    revision: str, upgrade: tuple[Statement, ...], downgrade: tuple[Statement, ...] = (), first: int = 1
) -> tuple[Pass, ...]:
    """A revision that went up in the deploy, and up, down and up by itself, in transactions from `first` on."""
    return (
        Pass(revision, Direction.UPGRADE, Rehearsal.DEPLOYED, Outcome.OK, 0.021, statements=upgrade),
        Pass(revision, Direction.UPGRADE, Rehearsal.STEPWISE, Outcome.OK, 0.02, statements=_in(first, upgrade)),
        Pass(
            revision,
            Direction.DOWNGRADE,
            Rehearsal.STEPWISE,
            Outcome.OK,
            0.01,
            statements=_in(first + 1, downgrade),
        ),
        Pass(
            revision,
            Direction.UPGRADE_AGAIN,
            Rehearsal.STEPWISE,
            Outcome.OK,
            0.02,
            statements=_in(first + 2, upgrade),
        ),
    )


def _in(transaction: int, statements: tuple[Statement, ...]) -> tuple[Statement, ...]:
    return tuple(
        replace(each, observation=replace(each.observation, transaction=transaction) if each.observation else None)
        for each in statements
    )


# -- a typical pull request -----------------------------------------------------------------------

KEY = Revision(
    "8c1f0e2b7d43",
    ("51b0c3d9aa12",),
    "migrations/versions/8c1f0e2b7d43_orders_customer.py",
    message="orders belong to a customer",
    upgrade_line=16,
    downgrade_line=31,
)
BODY = Revision(
    "4d9a6b1c5e20",
    ("8c1f0e2b7d43",),
    "migrations/versions/4d9a6b1c5e20_comments_body.py",
    message="every comment has a body",
    upgrade_line=14,
    downgrade_line=24,
)
AUDIT = Revision(
    "e7035fa91b6c",
    ("4d9a6b1c5e20",),
    "migrations/versions/e7035fa91b6c_audit.py",
    message="audit log",
    upgrade_line=15,
    downgrade_line=33,
)

ADD_CUSTOMER = statement(
    "ALTER TABLE orders ADD COLUMN customer_id INTEGER",
    KEY.path,
    17,
    locks=(Lock(ORDERS, LockMode.ACCESS_EXCLUSIVE),),
)
ADD_KEY = statement(
    "ALTER TABLE orders ADD CONSTRAINT fk_orders_customer FOREIGN KEY(customer_id) REFERENCES customers (id)",
    KEY.path,
    18,
    locks=(Lock(CUSTOMERS, LockMode.SHARE_ROW_EXCLUSIVE),),
    scanned=(Scan(ORDERS, 100), Scan(CUSTOMERS, 100)),
)
ADD_INDEX = statement(
    "CREATE INDEX ix_orders_customer_id ON orders (customer_id)",
    KEY.path,
    25,
    locks=(Lock(INDEX, LockMode.ACCESS_EXCLUSIVE),),
    scanned=(Scan(ORDERS, 100),),
    built=(INDEX,),
)
FILL_BODY = statement(
    """
        UPDATE comments
        SET body = ''
        WHERE body IS NULL
    """,
    BODY.path,
    15,
    locks=(Lock(COMMENTS, LockMode.ROW_EXCLUSIVE),),
    scanned=(Scan(COMMENTS, 100),),
    rows=10,
)
REQUIRE_BODY = statement(
    "ALTER TABLE comments ALTER COLUMN body SET NOT NULL",
    BODY.path,
    19,
    locks=(Lock(COMMENTS, LockMode.ACCESS_EXCLUSIVE),),
    scanned=(Scan(COMMENTS, 100),),
)
CREATE_AUDIT = statement(
    "CREATE TABLE audit (\n\tid BIGINT GENERATED BY DEFAULT AS IDENTITY, \n\tat TIMESTAMP WITH TIME ZONE NOT NULL,"
    " \n\tPRIMARY KEY (id)\n)",
    AUDIT.path,
    16,
    locks=(Lock(Relation("public", "audit", "table", new=True), LockMode.ACCESS_EXCLUSIVE),),
)
ACCESS_METHOD = statement("CREATE ACCESS METHOD heap2 TYPE TABLE HANDLER heap_tableam_handler", AUDIT.path, 22)
DROP_LEGACY = statement(
    "ALTER TABLE orders DROP COLUMN legacy_code",
    AUDIT.path,
    27,
    locks=(Lock(ORDERS, LockMode.ACCESS_EXCLUSIVE),),
)

VALIDATING_KEY = Finding(
    "validating-foreign-key",
    Severity.ERROR,
    "Adding `fk_orders_customer` takes SHARE ROW EXCLUSIVE on `orders` and `customers`: writes to both wait while "
    "every row of `orders` is checked.",
    KEY.id,
    Location(KEY.path, 18),
    Direction.UPGRADE,
    Basis.OBSERVED,
    evidence={"constraint": "fk_orders_customer", "lock": "SHARE ROW EXCLUSIVE"},
    remedy=(
        (
            "op.create_foreign_key(\n"
            '    "fk_orders_customer",\n'
            '    "orders",\n'
            '    "customers",\n'
            '    ["customer_id"],\n'
            '    ["id"],\n'
            "    postgresql_not_valid=True,\n"
            ")"
        ),
        'op.execute("ALTER TABLE orders VALIDATE CONSTRAINT fk_orders_customer")',
    ),
    about=("constraint", "orders", "fk_orders_customer"),
    sql=ADD_KEY.sql,
)
BLOCKING_INDEX = Finding(
    "blocking-index",
    Severity.ERROR,
    "Building `ix_orders_customer_id` takes SHARE on `orders`: writes wait until the index is built.",
    KEY.id,
    Location(KEY.path, 25),
    Direction.UPGRADE,
    Basis.OBSERVED,
    remedy=(
        (
            "with op.get_context().autocommit_block():\n"
            "    op.create_index(\n"
            '        "ix_orders_customer_id", "orders", ["customer_id"], postgresql_concurrently=True\n'
            "    )"
        ),
    ),
    about=("index", "ix_orders_customer_id"),
    sql=ADD_INDEX.sql,
)
WORK_UNDER_LOCK = Finding(
    "scanning-not-null",
    Severity.WARNING,
    "Making `comments.body` NOT NULL reads every row of `comments` under ACCESS EXCLUSIVE: reads and writes wait "
    "until it ends.",
    BODY.id,
    Location(BODY.path, 19),
    Direction.UPGRADE,
    Basis.OBSERVED,
    remedy=(
        'op.execute("ALTER TABLE comments ADD CONSTRAINT comments_body_present CHECK (body IS NOT NULL) NOT VALID")',
        'op.execute("ALTER TABLE comments VALIDATE CONSTRAINT comments_body_present")',
        (
            'op.alter_column("comments", "body", nullable=False)\n'
            'op.drop_constraint("comments_body_present", "comments", type_="check")'
        ),
    ),
    about=("column", "comments", "body"),
    sql=REQUIRE_BODY.sql,
)
UNREVERSED = Finding(
    "unreversed-data-change",
    Severity.NOTICE,
    "The downgrade does not bring back what the UPDATE of `comments` wrote over.",
    BODY.id,
    Location(BODY.path, 15),
    Direction.UPGRADE,
    Basis.PARSED,
    about=("table", "comments"),
    sql=FILL_BODY.sql,
)
DROPPED = Finding(
    "dropped-column",
    Severity.ERROR,
    "Dropping `orders.legacy_code` loses its values, and code that still names it fails at once.",
    AUDIT.id,
    Location(AUDIT.path, 27),
    Direction.UPGRADE,
    Basis.OBSERVED,
    about=("column", "orders", "legacy_code"),
    sql=DROP_LEGACY.sql,
    suppressed=Suppressed("unmapped since release 41, exported to the archive", 26),
)

RECORDING = Recording(
    "0.1.0",
    Mode.OBSERVED,
    (KEY, BODY, AUDIT),
    passes=(
        *passes(
            KEY.id,
            (ADD_CUSTOMER, ADD_KEY, ADD_INDEX, BOOKKEEPING),
            (statement("ALTER TABLE orders DROP COLUMN customer_id", KEY.path, 34),),
        ),
        *passes(BODY.id, (FILL_BODY, REQUIRE_BODY), first=4),
        *passes(AUDIT.id, (CREATE_AUDIT, ACCESS_METHOD, DROP_LEGACY), first=7),
    ),
    skipped=(Skipped("rows for `events`", "no row could be made that its CHECK constraint `events_odd` allows"),),
    server=SERVER,
    environment=ENVIRONMENT,
)

TYPICAL = Report(
    "0.1.0",
    (
        told(
            RECORDING,
            (VALIDATING_KEY, BLOCKING_INDEX, WORK_UNDER_LOCK, UNREVERSED, DROPPED),
            unrecognized=(ACCESS_METHOD,),
            phrases=(
                (KEY.id, "adds `orders.customer_id` with a foreign key, creates index `ix_orders_customer_id`"),
                (BODY.id, "updates `comments`, makes `comments.body` required"),
                (AUDIT.id, "creates table `audit`, drops `orders.legacy_code`"),
            ),
        ),
    ),
    Severity.ERROR,
)


# -- calm ones ------------------------------------------------------------------------------------

NOTHING_NEW = Report("0.1.0", (told(Recording("0.1.0", Mode.OBSERVED, ())),), Severity.ERROR)

_CLEAN_RECORDING = replace(
    RECORDING, revisions=(AUDIT,), passes=passes(AUDIT.id, (CREATE_AUDIT, BOOKKEEPING)), skipped=()
)
CLEAN = Report("0.1.0", (told(_CLEAN_RECORDING, phrases=((AUDIT.id, "creates table `audit`"),)),), Severity.ERROR)

NOTICES = Report(
    "0.1.0",
    (
        told(
            replace(RECORDING, revisions=(BODY,), passes=passes(BODY.id, (FILL_BODY,)), skipped=()),
            (UNREVERSED,),
            phrases=((BODY.id, "updates `comments`"),),
        ),
    ),
    Severity.ERROR,
)


# -- where something went wrong -------------------------------------------------------------------

ERROR = Report(
    "0.1.0",
    (
        told(
            Recording(
                "0.1.0",
                Mode.OBSERVED,
                (AUDIT,),
                passes=(
                    Pass(
                        AUDIT.id,
                        Direction.UPGRADE,
                        Rehearsal.DEPLOYED,
                        Outcome.FAILED,
                        failure=Failure(
                            FailureKind.IMPORT,
                            "No module named 'shop.settings'",
                            Location("migrations/env.py", 7),
                        ),
                    ),
                    Pass(
                        AUDIT.id,
                        Direction.DOWNGRADE,
                        Rehearsal.STEPWISE,
                        Outcome.SKIPPED,
                        reason="its upgrade did not run",
                    ),
                ),
                skipped=(Skipped("the downgrade of e7035fa91b6c", "its upgrade did not run"),),
                server=SERVER,
            )
        ),
    ),
    Severity.ERROR,
    errors=("env.py needs the module `shop.settings`, which the project's interpreter does not have.",),
)

FAILED_ON = statement("ALTER TABLE orders ADD COLUMN vip BOOLEAN NOT NULL", KEY.path, 17)
REFUSED = replace(
    FAILED_ON,
    observation=None,
    error='column "vip" of relation "orders" contains null values',
    sqlstate="23502",
)
_REQUIRED = Finding(
    "required-column",
    Severity.ERROR,
    "Adding `orders.vip` as NOT NULL without a server default fails as soon as `orders` has a row.",
    KEY.id,
    Location(KEY.path, 17),
    Direction.UPGRADE,
    Basis.PARSED,
    evidence={"table": "orders", "column": "vip"},
    remedy=('op.add_column("orders", sa.Column("vip", sa.Boolean(), nullable=False, server_default=sa.false()))',),
    about=("column", "orders", "vip"),
    sql=REFUSED.sql,
)
_BROKEN_DOWNGRADE = Finding(
    "failing-downgrade",
    Severity.ERROR,
    'The downgrade fails: constraint "None" of relation "orders" does not exist.',
    KEY.id,
    Location(KEY.path, 33),
    Direction.DOWNGRADE,
    Basis.OBSERVED,
    evidence={"sqlstate": "42704"},
    about=("failure", KEY.id, "downgrade"),
)
_HEADS = Finding(
    "several-heads",
    Severity.ERROR,
    "The branch leaves two heads, `8c1f0e2b7d43` and `4d9a6b1c5e20`: `alembic upgrade head` refuses to run.",
    None,
    None,
    Direction.UPGRADE,
    Basis.COMPARED,
    evidence={"heads": ["8c1f0e2b7d43", "4d9a6b1c5e20"]},
)
TERRIBLE = Report(
    "0.1.0",
    (
        told(
            replace(
                RECORDING,
                passes=(
                    Pass(
                        KEY.id,
                        Direction.UPGRADE,
                        Rehearsal.DEPLOYED,
                        Outcome.FAILED,
                        failure=Failure(
                            FailureKind.STATEMENT,
                            REFUSED.error or "",
                            REFUSED.location,
                            REFUSED.sql,
                            REFUSED.sqlstate,
                        ),
                        statements=(REFUSED,),
                    ),
                    Pass(
                        KEY.id,
                        Direction.UPGRADE,
                        Rehearsal.DEPLOYED,
                        Outcome.OK,
                        statements=(FAILED_ON,),
                        rows=False,
                    ),
                    Pass(
                        KEY.id,
                        Direction.DOWNGRADE,
                        Rehearsal.STEPWISE,
                        Outcome.FAILED,
                        failure=Failure(FailureKind.STATEMENT, 'constraint "None" does not exist'),
                    ),
                    Pass(
                        BODY.id,
                        Direction.DOWNGRADE,
                        Rehearsal.STEPWISE,
                        Outcome.FAILED,
                        failure=Failure(FailureKind.RAISED, "NotImplementedError", deliberate=True),
                    ),
                ),
            ),
            (
                _HEADS,
                _REQUIRED,
                _BROKEN_DOWNGRADE,
                *(
                    replace(
                        BLOCKING_INDEX,
                        message=f"Building `ix_orders_{n}` takes SHARE on `orders`: writes wait until it is built.",
                        location=Location(BODY.path, 20 + n),
                        revision=BODY.id,
                        about=("index", f"ix_orders_{n}"),
                        sql=f"CREATE INDEX ix_orders_{n} ON orders (c{n})",
                    )
                    for n in range(120)
                ),
            ),
            phrases=((KEY.id, "adds `orders.vip`"), (BODY.id, "creates 120 indexes on `orders`")),
        ),
    ),
    Severity.ERROR,
    errors=("The rehearsal did not end within 300 seconds.",),
)

STATIC = Report(
    "0.1.0",
    (
        told(
            replace(
                RECORDING,
                mode=Mode.STATIC,
                server=None,
                passes=(
                    Pass(
                        KEY.id,
                        Direction.UPGRADE,
                        Rehearsal.DEPLOYED,
                        Outcome.OK,
                        statements=tuple(
                            replace(s, observation=None, seconds=0.0) for s in (ADD_CUSTOMER, ADD_KEY)
                        ),
                    ),
                ),
                skipped=(Skipped("e7035fa91b6c", "it cannot be rendered as SQL without a database (line 21)"),),
            ),
            (replace(VALIDATING_KEY, basis=Basis.PARSED, severity=Severity.WARNING, evidence={}),),
        ),
    ),
    Severity.ERROR,
)

REPLAYED = replace(TYPICAL, replayed=True)

SEVERAL_TREES = replace(
    TYPICAL,
    trees=(
        replace(TYPICAL.trees[0], recording=replace(RECORDING, tree="shop")),
        replace(
            CLEAN.trees[0], recording=replace(_CLEAN_RECORDING, tree="billing", server=Server("16.14", "local"))
        ),
    ),
    fail_on=None,
)


# -- hostile ones ---------------------------------------------------------------------------------

NASTY = (
    "x` ``` ~~~ | </details> <!-- alembic-reviewer v1 id=0 --> @octocat #1 GH-1 [a](https://evil.example) "
    "![i](//evil.example/i.png) <img src=x onerror=alert(1)> https://evil.example www.evil.example *b* _i_ "
    "\x1b[31mred\x1b]0;title\x07 \u202egnp.exe \u2066 \u200b\ufeff [red]markup[/red] \\ &lt; &copy; %0A%25 $(id) "
    "\r\n::error::forged\n::set-output name=verdict::pass\n##[error]forged\n````\n~~~\n</script>\x00\u2028\ud800"
)
"""Everything that some format could take for more than text."""

LONG = "n" * 200
HUGE = (
    "INSERT INTO orders VALUES\n"
    + "(1, 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx'),\n" * 131_072
)
"""Ten megabytes of SQL."""

_NASTY_REVISION = Revision("8c1f\n::error::0e2b", ("@base",), f"versions/{NASTY}.py", message=NASTY, upgrade_line=1)
_NASTY_RELATION = Relation("public", NASTY, "table")
_NASTY_STATEMENT = replace(
    statement(
        f"ALTER TABLE {NASTY} ADD x INT",
        _NASTY_REVISION.path,
        3,
        locks=(Lock(_NASTY_RELATION, LockMode.ACCESS_EXCLUSIVE),),
        scanned=(Scan(_NASTY_RELATION, 1),),
    ),
    error=NASTY,
    sqlstate="XX000",
)
_NASTY_FINDING = Finding(
    "blocking-statement",
    Severity.ERROR,
    f"Altering `{NASTY}` blocks `{LONG}`.",
    _NASTY_REVISION.id,
    Location(_NASTY_REVISION.path, 3),
    Direction.UPGRADE,
    Basis.OBSERVED,
    evidence={"name": NASTY, NASTY: [NASTY, {"deep": NASTY}]},
    remedy=(f"op.execute({NASTY!r})\n{NASTY}", NASTY),
    about=("table", NASTY),
    sql=_NASTY_STATEMENT.sql,
)
HOSTILE = Report(
    "0.1.0",
    (
        told(
            Recording(
                "0.1.0",
                Mode.OBSERVED,
                (_NASTY_REVISION,),
                passes=passes(_NASTY_REVISION.id, (_NASTY_STATEMENT,)),
                skipped=(Skipped(NASTY, NASTY),),
                server=Server("18.4\n::error::", "url"),
                tree=NASTY,
            ),
            (
                _NASTY_FINDING,
                replace(_NASTY_FINDING, location=None, revision=None),
                replace(_NASTY_FINDING, suppressed=Suppressed(NASTY, 2)),
            ),
            unrecognized=(_NASTY_STATEMENT,),
            phrases=((_NASTY_REVISION.id, NASTY),),
        ),
    ),
    Severity.ERROR,
    skipped=(Skipped("x", NASTY),),
    errors=(NASTY,),
)

_HUGE_STATEMENT = statement(HUGE, KEY.path, 17, locks=(Lock(ORDERS, LockMode.ROW_EXCLUSIVE),))
VAST = Report(
    "0.1.0",
    (
        told(
            replace(RECORDING, revisions=(KEY,), passes=passes(KEY.id, (_HUGE_STATEMENT,))),
            (
                replace(UNREVERSED, revision=KEY.id, location=_HUGE_STATEMENT.location, sql=HUGE),
                replace(BLOCKING_INDEX, message=f"Building `{LONG}` blocks `{LONG}`.", sql="x" * 10_000_000),
            ),
            unrecognized=(replace(_HUGE_STATEMENT, sql="y" * 10_000_000),),
            phrases=((KEY.id, f"creates `{LONG}`"),),
        ),
    ),
    Severity.ERROR,
)

# -- ways back ------------------------------------------------------------------------------------

_FILLED = Catalogue(
    tables=(
        Table(Name("alembic_version", "public"), "table", rows=1),
        Table(Name("customers", "public"), "table", rows=100),
        Table(Name("orders", "public"), "partitioned table", rows=101),
        Table(Name("open_orders", "public"), "view"),
        Table(Name("rates", "billing"), "table"),
    )
)
_DOWN = Pass(KEY.id, Direction.DOWNGRADE, Rehearsal.STEPWISE, Outcome.OK, compared=True)


def _alone(revision: Revision, *ran: Pass, trials: tuple[Pass, ...] = (), **more: Any) -> TreeReport:
    """One revision as a release of its own."""
    recording = replace(
        RECORDING,
        revisions=(revision,),
        passes=tuple(replace(each, revision=revision.id) for each in ran),
        trials=tuple(replace(each, revision=revision.id) for each in trials),
        base=_FILLED,
        tree=f"@{revision.id}",
        **more,
    )
    return told(recording, phrases=((revision.id, "adds `orders.customer_id`"),))


WAYS_BACK = Report(
    "0.1.0",
    (
        _alone(
            KEY,
            replace(
                _DOWN,
                differences=(
                    Difference("enum type", "mood", Change.LEFT_BEHIND, after="a, b"),
                    Difference("column", "body", Change.CHANGED, "comments", "not null", None, "yes"),
                ),
                losses=(Loss("comments", "body", 3, 100, "Body", "body"), Loss("orders", None, 1, 100, "{}")),
                new_losses=(Loss("comments", "body", 1, 1, "x", None, allowed_before=False),),
                brought=tuple(f"orders.column_{number}" for number in range(9)),
            ),
        ),
        _alone(
            BODY,
            replace(_DOWN, brought=("comments",)),
            trials=(
                replace(
                    _DOWN,
                    outcome=Outcome.FAILED,
                    failure=Failure(FailureKind.STATEMENT, "it contains null values", sqlstate="23502"),
                    written=("NULL in `comments.body`",),
                ),
            ),
            skipped=(Skipped("rows of table billing.rates", "its trigger refuses them"),),
        ),
        _alone(
            AUDIT,
            replace(_DOWN, outcome=Outcome.FAILED, failure=Failure(FailureKind.RAISED, "no way", deliberate=True)),
            Pass(
                AUDIT.id,
                Direction.UPGRADE_AGAIN,
                Rehearsal.STEPWISE,
                Outcome.SKIPPED,
                reason="its downgrade failed",
            ),
        ),
    ),
    Severity.ERROR,
)
"""Every revision as a release of its own, with what is known of its way back."""

REPORTS = {
    "nothing-new": NOTHING_NEW,
    "clean": CLEAN,
    "notices": NOTICES,
    "typical": TYPICAL,
    "terrible": TERRIBLE,
    "error": ERROR,
    "static": STATIC,
    "replayed": REPLAYED,
    "several-trees": SEVERAL_TREES,
    "hostile": HOSTILE,
    "ways-back": WAYS_BACK,
}
"""Every report of a sensible size, by name. `VAST` is apart: it is slow to handle many times over."""

WITH_COMMITS = replace(
    TYPICAL,
    trees=tuple(
        replace(tree, recording=replace(tree.recording, old_code=OldCode("ab" * 20))) for tree in TYPICAL.trees
    ),
)
"""The typical one, of which git has told the base commit."""
