"""SQL as it was emitted → operations: what the comparison with PostgreSQL's grammar does not tell."""

from __future__ import annotations

import logging
import random
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reviewer.sql.names import Name
from reviewer.sql.operations import (
    AddCheck,
    AddColumn,
    AddForeignKey,
    AlterColumnType,
    AlterConstraint,
    AlterDomain,
    ColumnDefinition,
    Copy,
    CreateIndex,
    CreateObject,
    CreateTable,
    CreateView,
    Delete,
    DetachPartition,
    DoBlock,
    DropTable,
    ForeignKey,
    Insert,
    Operation,
    RenameColumn,
    Repack,
    Select,
    SessionCommand,
    SetDefault,
    SetStorageParameters,
    SetVariable,
    TransactionControl,
    Unrecognized,
    Update,
)
from reviewer.sql.parse import excludes_null, parse, split

STATEMENTS = split((Path(__file__).parent / "data" / "statements.sql").read_text(encoding="utf-8"))
T = Name("t")


def one(sql: str) -> Operation:
    """The only operation of a text."""
    (operation,) = parse(sql)
    return operation


def added(definition: str) -> ColumnDefinition:
    """The column that `ADD COLUMN definition` adds."""
    operation = one(f"ALTER TABLE t ADD COLUMN {definition}")
    assert isinstance(operation, AddColumn)
    return operation.column


# -- as written -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("definition", "default"),
    [
        ("a int DEFAULT 0 NOT NULL", "0"),
        ("a int NOT NULL DEFAULT -1", "-1"),
        ("a text DEFAULT 'NOT NULL' CHECK (a <> 'x')", "'NOT NULL'"),
        ("a text DEFAULT NULL UNIQUE", "NULL"),
        ("a text DEFAULT Now( ) NOT NULL", "Now( )"),
        ("a text DEFAULT 'a'::character varying COLLATE \"C\"", "'a'::character varying"),
        ("a timestamptz DEFAULT '2020-01-01'::timestamp with time zone NOT NULL", "'2020-01-01'::timestamp with time zone"),
        ("a int DEFAULT CASE WHEN x() IS NOT NULL THEN 1 END REFERENCES u", "CASE WHEN x() IS NOT NULL THEN 1 END"),
        ("a text[] DEFAULT ARRAY['a', NULL]::text[] NOT NULL", "ARRAY['a', NULL]::text[]"),
        ("a text DEFAULT /* why */ lower(  'X' ) -- so\n NOT NULL", "lower(  'X' )"),
        ("a int DEFAULT nextval('q'::regclass) CONSTRAINT pk PRIMARY KEY", "nextval('q'::regclass)"),
        ("a text DEFAULT E'it\\'s' || $$;$$ NULL", "E'it\\'s' || $$;$$"),
    ],
)  # fmt: skip
def test_a_default_ends_where_the_next_constraint_begins(definition: str, default: str) -> None:
    assert added(definition).default == default


@pytest.mark.parametrize(
    "kind",
    [
        "VARCHAR(50)", "TIMESTAMP WITH TIME ZONE", "timestamp(3) without time zone", "double precision",
        "character varying(20)[]", "numeric(10, 2)", 'public."Kind"[]', "interval year to month", "bit varying(3)",
        "int ARRAY[4]", "text[3][]", "national character varying(5)", "s.t.kind", "interval second(3)",
    ],
)  # fmt: skip
def test_a_type_is_kept_as_it_is_spelled(kind: str) -> None:
    assert added(f"a {kind} NOT NULL DEFAULT 1") == ColumnDefinition("a", kind, nullable=False, default="1")


def test_white_space_and_comments_in_a_type_are_folded() -> None:
    assert added("a timestamp\n  with /* or without */  time\tzone").type == "timestamp with time zone"


def test_expressions_are_slices_of_the_text() -> None:
    operations = parse("""
        ALTER TABLE t ADD CHECK (  a   >  0 AND b LIKE '%)'  ) NOT VALID,
            ALTER a TYPE INT4 USING  (a)::INT4 ,
            ALTER b SET DEFAULT  NOW()
    """)

    assert operations == (
        AddCheck(T, None, "a   >  0 AND b LIKE '%)'", not_valid=True),
        AlterColumnType(T, "a", "INT4", using="(a)::INT4"),
        SetDefault(T, "b", "NOW()"),
    )


def test_an_index_keeps_its_expressions_and_its_condition() -> None:
    index = one('CREATE INDEX ON t USING GIN ("A" x.ops, Lower( B ) DESC, (c || d)) WHERE E  IS NULL')

    assert index == CreateIndex(T, None, ("A", "Lower( B )", "(c || d)"), method="gin", where="E  IS NULL")


def test_a_view_keeps_its_query() -> None:
    view = one("CREATE OR REPLACE VIEW v (a) AS\n  SELECT 1 -- one\n  AS a;")

    assert view == CreateView(Name("v"), replace=True, query="SELECT 1 -- one\n  AS a", columns=("a",))


@pytest.mark.parametrize(
    ("query", "columns"),
    [
        ('SELECT id, u.name, count(*) AS n, upper(x) "Shout" FROM users u', ("id", "name", "n", "Shout")),
        ("SELECT DISTINCT ON (a) a, app.t.b FROM t ORDER BY a", ("a", "b")),
        ("SELECT CASE WHEN a THEN b END AS c, (SELECT max(x) FROM y) AS d", ("c", "d")),
    ],
)
def test_a_view_tells_its_columns(query: str, columns: tuple[str, ...]) -> None:
    view = one(f"CREATE VIEW v AS {query}")

    assert isinstance(view, CreateView)
    assert view.columns == columns


@pytest.mark.parametrize(
    "query", ["SELECT *", "SELECT t.*", "SELECT a + b", "SELECT a::text", "SELECT count(*)", "SELECT x IS NULL",
              "SELECT CASE WHEN a THEN b END", "WITH x AS (SELECT 1 AS a) SELECT a FROM x", "VALUES (1)", "SELECT 1"],
)  # fmt: skip
def test_a_view_whose_columns_take_a_rule_to_name_tells_none(query: str) -> None:
    view = one(f"CREATE VIEW v AS {query} FROM t")

    assert isinstance(view, CreateView)
    assert view.columns == ()


def test_names_are_folded_as_postgresql_folds_them() -> None:
    operation = one('ALTER TABLE Foo."Bar ""x""" RENAME ÄÖ TO "Ä"')

    assert operation == RenameColumn(Name('Bar "x"', "foo"), "ÄÖ", "Ä")


def test_what_a_schema_is_created_with_is_in_that_schema() -> None:
    made = parse(
        "CREATE SCHEMA aux CREATE TABLE a (id int PRIMARY KEY) CREATE UNLOGGED TABLE b (x int CHECK (x > 0))"
        " CREATE UNIQUE INDEX ix ON b (x) CREATE VIEW v AS SELECT x FROM b CREATE SEQUENCE s"
    )

    assert [
        (type(each).__name__, str(getattr(each, "table", None) or getattr(each, "view", each)))
        for each in made[1:5]
    ] == [
        ("CreateTable", "aux.a"),
        ("CreateTable", "aux.b"),
        ("CreateIndex", "aux.b"),
        ("CreateView", "aux.v"),
    ]
    assert made[5] == CreateObject("sequence", Name("s", "aux"))
    assert isinstance(parse("CREATE SCHEMA aux CREATE TABLE a (id int) GRANT SELECT ON a TO x")[-1], Unrecognized)


def test_a_long_name_is_not_cut() -> None:
    assert one(f"DROP TABLE {'x' * 200}") == DropTable(Name("x" * 200))


# -- actions --------------------------------------------------------------------------------------


def test_not_valid_belongs_to_its_own_action() -> None:
    first, second = parse(
        "ALTER TABLE t ADD CONSTRAINT a FOREIGN KEY (x) REFERENCES u (id),"
        " ADD CONSTRAINT b FOREIGN KEY (y) REFERENCES u (id) NOT VALID"
    )

    assert first == AddForeignKey(T, "a", ForeignKey(Name("u"), ("x",), ("id",)))
    assert second == AddForeignKey(T, "b", ForeignKey(Name("u"), ("y",), ("id",)), not_valid=True)


def test_an_action_that_is_not_understood_leaves_the_others() -> None:
    operations = parse("ALTER TABLE t DROP CONSTRAINT a, FROBNICATE the (b, c), ADD d int")

    assert operations[1] == Unrecognized("FROBNICATE the (b, c)")
    assert len(operations) == 3


def test_a_column_that_is_not_understood_leaves_the_others() -> None:
    table, rest = parse("CREATE TABLE t (a int, b int FROBNICATED (1, 2), c int)")

    assert isinstance(table, CreateTable)
    assert [column.name for column in table.columns] == ["a", "c"]
    assert rest == Unrecognized("b int FROBNICATED (1, 2)")


def test_constraints_written_on_columns_are_the_table_s_too() -> None:
    table = one(
        "CREATE TABLE t (id int PRIMARY KEY, a int REFERENCES u (id) ON DELETE CASCADE,"
        " b int CONSTRAINT uq UNIQUE, c int CHECK (c > 0), FOREIGN KEY (b, c) REFERENCES v)"
    )

    assert isinstance(table, CreateTable)
    assert table.primary_key == ("id",)
    assert table.foreign_keys == (
        ForeignKey(Name("u"), ("a",), ("id",), on_delete="CASCADE"),
        ForeignKey(Name("v"), ("b", "c")),
    )
    assert table.unique == (("b",),)
    assert table.checks == ("c > 0",)
    assert table.constraint_names == ("uq",)
    assert table.unnamed_constraints == 4


def test_two_checks_on_one_column_are_one_condition() -> None:
    assert added("a int CHECK (a > 0) CONSTRAINT small CHECK (a < 9)").check == "a > 0 AND a < 9"


def test_storage_parameters_are_kept_as_written() -> None:
    operation = one("ALTER TABLE t SET (fillfactor = 70, autovacuum_enabled)")

    assert operation == SetStorageParameters(T, ("fillfactor = 70", "autovacuum_enabled"))


def test_finalize_waits_for_nobody_as_concurrently_does() -> None:
    assert one("ALTER TABLE t DETACH PARTITION p FINALIZE") == DetachPartition(T, Name("p"), concurrently=True)


def test_a_domain_s_constraint_tells_whether_rows_are_checked() -> None:
    operation = one("ALTER DOMAIN d ADD CONSTRAINT c CHECK (VALUE > 0) NOT VALID")

    assert operation == AlterDomain(Name("d"), "add constraint", "c", not_valid=True)


# -- rows -----------------------------------------------------------------------------------------


def test_an_update_tells_what_it_reads() -> None:
    operation = one(
        "UPDATE t SET a = lower(b), c = (SELECT max(u.d) FROM u WHERE u.id = t.e), f = $1::int, g = 'h', i[1] = 2"
    )

    assert operation == Update(
        T, ("a", "c", "f", "g", "i"), filtered=False, sources=(Name("u"),), reads=("b", "d", "id", "e")
    )


@pytest.mark.parametrize(
    ("where", "filtered"),
    [
        ("", False), ("WHERE true", False), ("WHERE 1=1", False), ("WHERE 'a' = 'a'", False), ("WHERE (TRUE)", False),
        ("WHERE not false", False), ("WHERE a = 1 OR true", False), ("WHERE true AND 1 = 1", False),
        ("WHERE a = 1", True), ("WHERE 1 = 2", True), ("WHERE false", True), ("WHERE true AND a", True),
        ("WHERE 0x10 = 0X1_0", False), ("WHERE 1e5 = 1_0", True), ("WHERE a = a", True), ("WHERE a = %(b)s", True), ("WHERE CURRENT OF c", True), ("WHERE $1 = $1", True),
    ],
)  # fmt: skip
def test_a_tautology_is_no_filter(where: str, filtered: bool) -> None:
    assert one(f"DELETE FROM t {where}") == Delete(T, filtered)
    assert one(f"UPDATE t SET a = 1 {where}") == Update(T, ("a",), filtered)


def test_long_strings_are_compared_whole() -> None:
    same, other = "x" * 500, "x" * 499 + "y"

    assert one(f"DELETE FROM t WHERE '{same}' = '{same}'") == Delete(T, filtered=False)
    assert one(f"DELETE FROM t WHERE '{same}' = '{other}'") == Delete(T)


def test_changes_inside_with_are_operations_of_their_own() -> None:
    operations = parse(
        "WITH gone AS (DELETE FROM a RETURNING *) INSERT INTO b SELECT * FROM gone JOIN c USING (id)"
    )

    assert operations == (Delete(Name("a"), filtered=False), Insert(Name("b"), sources=(Name("c"),)))


def test_functions_keep_the_names_they_were_called_by() -> None:
    operation = one("SELECT now(), pg_catalog.lower(a), s.Make(b), \"Odd\"(c), count(*), to_char(d, 'x') FROM t")

    assert isinstance(operation, Select)
    assert set(operation.calls) == {"now", "lower", "s.make", "Odd", "count", "to_char"}


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT set_config('lock_timeout', '5s', false)",
        "select pg_catalog.set_config('lock_timeout', '5s', false) AS x",
        "SET lock_timeout = '5s'",
        "SET SESSION lock_timeout TO '5s'",
    ],
)
def test_a_setting_is_set_in_many_ways(sql: str) -> None:
    assert one(sql) == SetVariable("lock_timeout", "5s")


def test_values_of_settings() -> None:
    operations = parse("""
        SET LOCAL a.b = 5000; SET search_path TO "A", b; SET x TO DEFAULT; RESET y; SET TIME ZONE 'UTC';
        SELECT set_config('z', %(z)s, true), set_config('w', '', 'f')
    """)

    assert operations == (
        SetVariable("a.b", "5000", local=True),
        SetVariable("search_path", '"A", b'),
        SetVariable("x", None),
        SetVariable("y", None),
        SetVariable("timezone", "UTC"),
        SetVariable("z", "%(z)s", local=True),
        SetVariable("w", ""),
    )


def test_explain_analyze_runs_what_it_explains() -> None:
    operations = parse("EXPLAIN (ANALYZE, BUFFERS) DELETE FROM t; EXPLAIN (ANALYZE off) DELETE FROM t")

    assert operations == (SessionCommand("explain"), Delete(T, filtered=False), SessionCommand("explain"))


def test_what_execute_runs_is_not_known() -> None:
    assert one("EXECUTE prepared(1)") == Unrecognized("EXECUTE prepared(1)")


# What sqlglot does not read is read as far as its head tells.
@pytest.mark.parametrize(
    ("sql", "operation"),
    [
        ("DELETE FROM ONLY t * AS x USING u, s.v WHERE CURRENT OF c", Delete(T, sources=(Name("u"), Name("v", "s")))),
        ("UPDATE t x SET a = b, (c, d) = (1, 2) FROM u WHERE CURRENT OF c", Update(T, ("a", "c", "d"), sources=(Name("u"),))),
        ("UPDATE t SET a = b OPERATOR(s.+) c", Update(T, ("a",), filtered=False)),
        ("SELECT f(a OPERATOR(s.+) b) FROM t JOIN u ON a OPERATOR(s.=) b", Select((T, Name("u")), ("f", "operator"))),
    ],
)  # fmt: skip
def test_a_query_beyond_sqlglot_still_names_its_tables(sql: str, operation: Operation) -> None:
    found = one(sql)

    assert type(found) is type(operation)
    assert getattr(found, "table", None) == getattr(operation, "table", None)
    assert getattr(found, "columns", None) == getattr(operation, "columns", None)
    assert getattr(found, "filtered", None) == getattr(operation, "filtered", None)


# -- texts ----------------------------------------------------------------------------------------


def test_statements_are_split_where_postgresql_would_split_them() -> None:
    text = """
    -- a comment; with a semicolon
    SELECT 'a;b', "c;d", $$e;f$$, $x$g;$$;h$x$, E'i\\';j' /* k; /* l; */ m; */;
    CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT CASE WHEN true THEN 1 END; SELECT 2; END;;
    CREATE RULE r AS ON INSERT TO t DO (DELETE FROM a; DELETE FROM b);
    COMMIT"""

    assert split(text) == (
        "SELECT 'a;b', \"c;d\", $$e;f$$, $x$g;$$;h$x$, E'i\\';j'",
        "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT CASE WHEN true THEN 1 END; SELECT 2; END",
        "CREATE RULE r AS ON INSERT TO t DO (DELETE FROM a; DELETE FROM b)",
        "COMMIT",
    )


def test_data_of_copy_belongs_to_its_statement() -> None:
    text = "COPY t (a) FROM STDIN;\n1\tit's; DROP TABLE x;\n\\.\n\nDROP TABLE y;"

    assert parse(text) == (Copy(T), DropTable(Name("y")))
    assert split(text)[0] == "COPY t (a) FROM STDIN;\n1\tit's; DROP TABLE x;\n\\."


def test_copy_without_data_ends_at_its_semicolon() -> None:
    assert parse("COPY t FROM STDIN; DROP TABLE y") == (Copy(T), DropTable(Name("y")))


@pytest.mark.parametrize("sql", ["", " \n", ";;;", "-- nothing", "/* nothing /* at all */ */", ";\n-- x\n;"])
def test_a_text_without_statements_has_no_operations(sql: str) -> None:
    assert parse(sql) == ()


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 'never closed", 'DROP TABLE "x', "SELECT $$ a $b$", "DROP TABLE t /* and", "DROP TABLE \0t",
        "DROP TABLE 'x\0y'", "wat", "ALTER", "ALTER TABLE", "ALTER TABLE t", "CREATE TABLE t (", "DROP TABLE t extra",
        ")",  "EXPLAIN ANALYZE wat", "CREATE WAT x", "\\", "5", "'x'", "SET", "INSERT INTO t", "UPDATE t",
    ],
)  # fmt: skip
def test_what_is_not_understood_is_shown_as_it_is(sql: str) -> None:
    assert parse(sql) == (Unrecognized(sql),)


def test_a_command_of_psql_takes_its_line() -> None:
    operations = parse("\\connect 'x\nDROP TABLE t;\n\\i other.sql\nCOMMIT")

    assert operations == (
        Unrecognized("\\connect 'x"),
        DropTable(T),
        Unrecognized("\\i other.sql"),
        TransactionControl("commit"),
    )


def test_a_do_block_is_one_operation() -> None:
    body = " BEGIN EXECUTE 'ALTER TABLE t ADD a int;'; END "

    assert one(f"DO $do${body}$do$ LANGUAGE plpgsql;") == DoBlock("plpgsql", body)


# -- any input ------------------------------------------------------------------------------------

MEGABYTES = {
    "rows": "INSERT INTO t (a, b) VALUES " + ",".join("(1, 'a;b')" for _ in range(700_000)),
    "a string": "UPDATE t SET a = '" + "x''y;" * 1_500_000 + "'",
    "a dollar string": "DO $$" + "x;'\n" * 2_000_000 + "$$",
    "an unclosed string": "SELECT 'x" + "''" * 3_000_000,
    "an unclosed comment": "SELECT 1 /*" + "/*" * 3_000_000,
    "a list": "DELETE FROM t WHERE id IN (" + ",".join(map(str, range(1_000_000))) + ")",
    "parentheses": "SELECT " + "(" * 2_000_000,
    "operators": "SELECT 1 " + "+" * 3_000_000 + "1",
    "a chain": "SELECT 1" + " + 1" * 1_000_000,
    "dollars": "SELECT " + "$a" * 2_000_000,
    "columns": "CREATE TABLE t (" + ",".join(f"c{n} int" for n in range(300_000)) + ")",
}


@pytest.mark.parametrize("sql", MEGABYTES.values(), ids=MEGABYTES.keys())
def test_megabytes_in_one_statement_end_as_operations(sql: str) -> None:
    assert len(parse(sql)) == 1


def test_the_heads_of_long_statements_are_read() -> None:
    assert parse(MEGABYTES["rows"]) == (Insert(T, ("a", "b")),)
    assert parse(MEGABYTES["a string"]) == (Update(T, ("a",), filtered=False),)
    assert parse(MEGABYTES["a list"]) == (Delete(T),)


def test_what_follows_a_long_statement_is_read() -> None:
    operations = parse(MEGABYTES["rows"] + "; DROP TABLE t")

    assert operations == (Insert(T, ("a", "b")), DropTable(T))


@pytest.mark.parametrize("depth", [10, 100, 1_000])
def test_deep_nesting_ends(depth: int) -> None:
    assert len(parse("SELECT " + "(" * depth + "1" + ")" * depth)) == 1
    assert len(parse("SELECT " + "f(" * depth + "1" + ")" * depth)) == 1
    assert len(parse("SELECT * FROM " + "(SELECT * FROM " * depth + "t" + ") x" * depth)) == 1
    assert len(parse("SELECT " + "ARRAY[" * depth + "1" + "]" * depth)) == 1
    assert len(parse("SELECT " + "date (" * depth + "1" + ")" * depth)) == 1
    assert len(parse("SELECT " + "CASE WHEN a THEN " * depth + "1" + " END" * depth)) == 1


@given(st.text() | st.text("aE'\"$;-/*\\()[],.:%\0\n "))
def test_no_text_raises(sql: str) -> None:
    parse(sql)


@given(st.sampled_from(STATEMENTS), st.randoms(use_true_random=False))
def test_no_broken_statement_raises_or_vanishes(sql: str, chance: random.Random) -> None:
    words = sql.split()
    for _ in range(chance.randint(1, 3)):
        words.insert(chance.randrange(len(words)), chance.choice(chance.choice(STATEMENTS).split()))
        del words[chance.randrange(len(words))]
    broken = " ".join(words)

    pieces = split(broken)

    assert all(parse(piece) for piece in pieces)


@given(st.lists(st.sampled_from(STATEMENTS), max_size=4))
def test_a_script_is_the_sum_of_its_statements(statements: list[str]) -> None:
    script = ";\n".join(statements)

    assert parse(script) == tuple(operation for sql in statements for operation in parse(sql))


# -- borders --------------------------------------------------------------------------------------


def test_sqlglot_says_nothing(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        for sql in STATEMENTS:
            parse(sql)

    assert not caplog.records


@pytest.mark.processes
def test_sqlglot_waits_for_the_first_text() -> None:
    program = """
import sys
from reviewer.sql.parse import parse
assert "sqlglot" not in sys.modules
parse("SELECT 1")
assert "sqlglot" in sys.modules
"""

    subprocess.run([sys.executable, "-c", program], check=True)


HEAVY = {
    "quotes": "'" * 1_000_001,
    "names": "SELECT " + '"a",' * 250_000,
    "parentheses": "(" * 1_000_000,
    "definitions": "CREATE TABLE t (" + "1," * 100_000 + ")",
    "semicolons": ";" * 300_000 + "a;" * 10_000,
    "operators": "SELECT " + "+-@%" * 250_000,
    "parameters": "SELECT " + "$1,%s,:a," * 100_000,
    "comments": "/*" * 250_000 + "*/" * 250_000 + "SELECT 1",
    "a body": "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC " + "SELECT 1;" * 20_000 + " END",
    "actions": "ALTER TABLE t " + ",".join(["ADD a int"] * 20_000),
    "arrays": "SELECT " + "ARRAY[" * 60 + "1" + "]" * 60,
}


@pytest.mark.processes
def test_no_text_takes_much_memory() -> None:
    # On Linux ru_maxrss starts with what the process took that starts this one: VmHWM does not.
    program = """
import pathlib, re, resource, sys
from reviewer.sql.parse import parse
for text in sys.stdin.read().split("\\f"):
    assert parse(text)
status = pathlib.Path("/proc/self/status")
if status.exists():
    print(int(re.search(r"VmHWM:\\s+(\\d+) kB", status.read_text())[1]) // 1024)
else:
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // (1024 * 1024))
"""

    done = subprocess.run(
        [sys.executable, "-c", program], input="\f".join(HEAVY.values()), capture_output=True, text=True, check=True
    )

    assert int(done.stdout) < 200


@pytest.mark.parametrize(
    ("condition", "excludes"),
    [
        ("(a IS NOT NULL)", True), ("((a IS NOT NULL) AND (b > 0))", True), ("(b > 0 AND (c OR d)) AND a IS NOT NULL", True),
        ('"a" IS NOT NULL', True), ("a IS NULL", False), ("a IS NOT NULL = true", False), ("(a IS NOT NULL) OR (b > 0)", False), ("NOT (a IS NOT NULL)", False), ("NOT a IS NULL", True), ("NOT a IS NOT NULL", False),
        ("b IS NOT NULL", False), ("CASE WHEN a IS NOT NULL THEN true END", False), ("a IS NOT NULL IS NULL", False),
        ("", False), ("a IS NOT", False), ("(" * 2_000 + "a IS NOT NULL" + ")" * 2_000, False), ("'", False),
    ],
)  # fmt: skip
def test_a_condition_excludes_null_where_it_says_so(condition: str, excludes: bool) -> None:
    assert excludes_null(condition, "a") is excludes


@pytest.mark.parametrize(
    ("sql", "kinds"),
    [
        ("INSERT INTO t (a, b) VALUES (1, 'aaa", ["Insert"]),
        ("INSERT INTO s.t VALUES (1, 'x'), (2, 'y'), (3", ["Insert"]),
        ("INSERT INTO t SELECT * FROM u WHERE a IN (1, 2,", ["Insert"]),
        ("UPDATE t SET a = 'xxx", ["Update"]),
        ("DELETE FROM t WHERE id IN (1, 2", ["Delete"]),
        ("CREATE TABLE x (id int); INSERT INTO t VALUES (1", ["CreateTable", "Insert"]),
        ("CREATE TABLE x (id int); DROP TAB", ["CreateTable", "Unrecognized"]),
        ("ALTER TABLE t ADD COLUMN a int, ADD COL", ["AddColumn", "Unrecognized"]),
        ("DO $$ BEGIN", ["Unrecognized"]),
        ("'abc", ["Unrecognized"]),
        ("DRO", ["Unrecognized"]),
        ("-- a comment", []),
    ],
)
def test_of_a_text_that_is_cut_the_head_tells_what_the_last_statement_is(sql: str, kinds: list[str]) -> None:
    assert [type(each).__name__ for each in parse(sql, cut=True)] == kinds


@pytest.mark.parametrize("sql", ["UPDATE t SET a = 'x", "DELETE FROM t USING u"])
def test_a_change_that_is_cut_may_have_a_where(sql: str) -> None:
    [operation] = parse(sql, cut=True)

    assert isinstance(operation, Update | Delete)
    assert operation.filtered


@pytest.mark.parametrize(
    ("sql", "operation"),
    [
        ("REPACK", Repack(None)),
        ("REPACK t", Repack(T)),
        ("REPACK (VERBOSE, ANALYZE) t (a, b)", Repack(T)),
        ("REPACK t USING INDEX", Repack(T)),
        ("REPACK t USING INDEX ix", Repack(T)),
        ("REPACK (CONCURRENTLY) t USING INDEX ix", Repack(T, concurrently=True)),
        ("REPACK (CONCURRENTLY off) t", Repack(T)),
        ("ALTER TABLE t ALTER CONSTRAINT c ENFORCED", AlterConstraint(T, "c", enforced=True)),
        ("ALTER TABLE t ALTER CONSTRAINT c NOT ENFORCED", AlterConstraint(T, "c", enforced=False)),
        (
            "ALTER TABLE t ALTER CONSTRAINT c DEFERRABLE INITIALLY DEFERRED",
            AlterConstraint(T, "c", deferrable=True, deferred=True),
        ),
        ("ALTER TABLE t ALTER CONSTRAINT c DEFERRABLE", AlterConstraint(T, "c", deferrable=True, deferred=False)),
        (
            "ALTER TABLE t ALTER CONSTRAINT c NOT DEFERRABLE",
            AlterConstraint(T, "c", deferrable=False, deferred=False),
        ),
        (
            "ALTER TABLE t ALTER CONSTRAINT c INITIALLY IMMEDIATE",
            AlterConstraint(T, "c", deferrable=False, deferred=False),
        ),
    ],
)
def test_what_postgresql_19_brings(sql: str, operation: Operation) -> None:
    """Not in the grammar that the other statements are compared with."""
    assert parse(sql) == (operation,)
