"""What our dialect rests on in sqlglot: a failure here says what another version of it has changed."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.machinery import ExtensionFileLoader, ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from sqlglot import exp
from sqlglot._version import __version__
from sqlglot.dialects.postgres import Postgres
from sqlglot.errors import SqlglotError
from sqlglot.parsers.postgres import PostgresParser
from sqlglot.tokenizer_core import TokenType

from reviewer.sql import uncompiled
from reviewer.sql.dialect import Parser, PostgreSQL
from reviewer.sql.operations import Unrecognized
from reviewer.sql.parse import parse
from reviewer.sql.tokenizer import NO_WORDS, Tokenizer

OPAQUE = [
    "ALTER TABLE t VALIDATE CONSTRAINT c",
    "ALTER TABLE t ADD CONSTRAINT c NOT NULL a NOT VALID",
    "ALTER TABLE t ADD CONSTRAINT c FOREIGN KEY (a, PERIOD b) REFERENCES u (a, PERIOD b)",
    "ALTER TABLE t ADD COLUMN a int GENERATED ALWAYS AS (b) VIRTUAL",
    "ALTER TABLE t ALTER CONSTRAINT c DEFERRABLE",
    "ALTER TABLE t ALTER COLUMN a ADD GENERATED ALWAYS AS IDENTITY",
    "ALTER TABLE t ALTER COLUMN a DROP IDENTITY",
    "ALTER TABLE t ALTER COLUMN a SET EXPRESSION AS (b)",
    "ALTER TABLE t ALTER COLUMN a SET STATISTICS 5",
    "ALTER TABLE t ALTER COLUMN a SET STORAGE external",
    "ALTER TABLE t RENAME CONSTRAINT a TO b",
    "ALTER TABLE t SET SCHEMA s",
    "ALTER TABLE t RESET (fillfactor)",
    "ALTER TABLE t OWNER TO a",
    "ALTER TABLE t ENABLE ROW LEVEL SECURITY",
    "ALTER TABLE t FORCE ROW LEVEL SECURITY",
    "ALTER TABLE t DISABLE TRIGGER a",
    "ALTER TABLE t ATTACH PARTITION u DEFAULT",
    "ALTER TABLE t DETACH PARTITION u CONCURRENTLY",
    "ALTER TABLE t INHERIT u",
    "ALTER TABLE t NO INHERIT u",
    "ALTER TABLE t CLUSTER ON i",
    "ALTER TABLE t REPLICA IDENTITY FULL",
    "ALTER TABLE t NOT OF",
    "ALTER INDEX i ATTACH PARTITION j",
    "ALTER TYPE e ADD VALUE 'a'",
    "ALTER DOMAIN d SET NOT NULL",
    "ALTER SEQUENCE s RESTART",
    "ALTER FUNCTION f() STRICT",
    "ALTER POLICY p ON t USING (true)",
    "CREATE POLICY p ON t",
    "CREATE RULE r AS ON DELETE TO t DO NOTHING",
    "CREATE STATISTICS s ON a, b FROM t",
    "CREATE EXTENSION e",
    "CREATE DOMAIN d AS int CHECK (VALUE > 0)",
    "CREATE PUBLICATION p FOR TABLE t",
    "DROP POLICY p ON t",
    "DROP EXTENSION e",
    "REINDEX TABLE t",
    "REFRESH MATERIALIZED VIEW v",
    "VACUUM FULL t",
    "LOCK TABLE t IN SHARE MODE",
    "DO $$ BEGIN END $$",
    "CALL p()",
    "EXPLAIN ANALYZE DELETE FROM t",
    "SECURITY LABEL ON TABLE t IS 'x'",
]
"""Statements that sqlglot's own dialect has no tree for: a `Command`, or an error. Ours reads each."""


def plain(sql: str) -> list[exp.Expr | None]:
    """What sqlglot's own dialect makes of a statement; nothing where it refuses it."""
    try:
        return Postgres().parse(sql)
    except SqlglotError:
        return []


@pytest.mark.parametrize("sql", OPAQUE)
def test_a_reader_of_ours_is_still_needed(sql: str) -> None:
    trees = plain(sql)

    assert not trees or isinstance(trees[0], exp.Command), f"sqlglot reads it now: {trees}"
    assert not any(isinstance(operation, Unrecognized) for operation in parse(sql))


def misread(sql: str, wrong: str) -> bool:
    """Whether sqlglot's rendering of a statement shows that it took it for another one."""
    return any(re.search(wrong, tree.sql(dialect="postgres")) for tree in plain(sql) if tree is not None)


@pytest.mark.parametrize(
    ("sql", "wrong"),
    [
        ("ALTER TABLE t RENAME a TO b", r"RENAME TO"),
        ("CREATE TABLE t (a serial)", r"IDENTITY"),
        ("ALTER TABLE t ALTER a SET DEFAULT now()", r"CURRENT_TIMESTAMP"),
        ('SELECT U&"d\\0061t" FROM t', r'U & "d'),
        ("SELECT @ a", r"\$a"),
    ],
)  # fmt: skip
def test_what_sqlglot_takes_for_something_else_it_still_does(sql: str, wrong: str) -> None:
    assert misread(sql, wrong)


def test_sqlglot_still_says_not_valid_of_the_whole_statement() -> None:
    (tree,) = plain("ALTER TABLE t ADD CONSTRAINT c CHECK (a > 0), ADD CONSTRAINT d CHECK (b > 0) NOT VALID")

    assert isinstance(tree, exp.Alter)
    assert tree.args["not_valid"] is True


@pytest.mark.parametrize(
    "sql",
    [
        "CREATE INDEX i ON ONLY t (a)",
        "SELECT * FROM t GROUP /* why */ BY a",
        "INSERT INTO t VALUES ($1,$2)",
        "INSERT INTO t OVERRIDING SYSTEM VALUE SELECT 1",
        "SELECT a FROM t WHERE b @#@ c",
        "SELECT * FROM t ORDER BY a USING >",
    ],
)
def test_what_sqlglot_refuses_it_still_does(sql: str) -> None:
    assert not plain(sql)
    assert not any(isinstance(operation, Unrecognized) for operation in parse(sql))


@pytest.mark.parametrize(
    "name",
    [
        "_advance", "_find_sql", "_match", "_match_set", "_match_text_seq", "_match_texts", "_parse", "_parse_csv",
        "_parse_disjunction", "_parse_statement", "_parse_unary", "_retreat", "_warn_unsupported", "raise_error",
        "validate_expression",
    ],
)  # fmt: skip
def test_the_parser_has_what_ours_is_made_of(name: str) -> None:
    assert callable(getattr(PostgresParser, name))


def test_the_tables_that_we_extend_are_there() -> None:
    assert {"CAST", "EXTRACT"} <= Parser.FUNCTION_PARSERS.keys() <= PostgresParser.FUNCTION_PARSERS.keys()
    assert {
        "GROUP BY",
        "ORDER BY",
        "PARTITION BY",
        "GROUPING SETS",
        "SIMILAR TO",
    } <= Postgres.Tokenizer.KEYWORDS.keys()
    assert TokenType.DPIPE not in PostgresParser.UNARY_PARSERS
    assert TokenType.IDENTIFIER in PostgresParser.TEXT_MATCH_EXCLUDED_TOKENS


def test_no_keyword_has_the_type_of_what_is_no_word() -> None:
    assert [word for word, kind in Tokenizer.KEYWORDS.items() if kind in NO_WORDS] == ["::", ":="]


def test_tokens_say_where_they_are() -> None:
    sql = "ALTER TABLE \"a\"\"b\" ADD c text DEFAULT $x$ 'y' $x$ || E'\\'' || U&'d\\0061' >= .5"

    tokens = PostgreSQL().tokenize(sql)

    assert [sql[token.start : token.end + 1] for token in tokens] == [
        "ALTER", "TABLE", '"a""b"', "ADD", "c", "text", "DEFAULT", "$x$ 'y' $x$", "||", "E'\\''", "||", "U&'d\\0061'",
        ">=", ".5",
    ]  # fmt: skip
    assert [token.text for token in tokens[2:3] + tokens[7:8] + tokens[9:10]] == ['a"b', " 'y' ", "'"]


def test_the_version_is_the_one_that_was_read() -> None:
    assert __version__.split(".")[0] == "30"


# -- the compiled extra ---------------------------------------------------------------------------


def test_sqlglot_is_imported_from_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = tmp_path / "parser.cpython-311-x86_64-linux-gnu.so"
    (tmp_path / "parser.py").touch()
    loader = ExtensionFileLoader("sqlglot.parser", str(compiled))

    def found(name: str, *_: Any) -> ModuleSpec:
        return ModuleSpec(name, loader, origin=str(compiled))

    monkeypatch.setattr(PathFinder, "find_spec", found)

    spec = uncompiled.Source.find_spec("sqlglot.parser")
    alone = uncompiled.Source.find_spec("sqlglot.other")

    assert spec is not None
    assert isinstance(spec.loader, SourceFileLoader)
    assert spec.origin == str(tmp_path / "parser.py")
    assert alone is not None
    assert alone.loader is loader
    assert uncompiled.Source.find_spec("sqlglots.parser") is None


def test_a_compiled_sqlglot_that_is_there_already_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    core = ModuleType("sqlglot.tokenizer_core")
    core.__file__ = "/site-packages/sqlglot/tokenizer_core.cpython-311-x86_64-linux-gnu.so"
    monkeypatch.setitem(sys.modules, "sqlglot.tokenizer_core", core)

    with pytest.raises(ImportError, match=r"compiled form \(sqlglot\[c\]\)"):
        uncompiled.install()


@pytest.mark.processes
def test_whoever_imports_the_parser_first_gets_sqlglot_from_source() -> None:
    program = """
import sys
import reviewer.sql.parse
from reviewer.sql import uncompiled
assert uncompiled.Source in sys.meta_path
import sqlglot.parser
assert sqlglot.parser.__file__.endswith(".py")
"""

    subprocess.run([sys.executable, "-c", program], check=True)
