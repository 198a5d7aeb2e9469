"""SQL as text: tokens, names, and whether it hangs together."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentgym.rewards.outcome.sql_text import Token, schema, tokenize, well_formed


def texts(sql: str) -> list[str]:
    return [token.text for token in tokenize(sql)]


def test_tokens() -> None:
    assert texts("SELECT T.\"Name\", 'It''s' FROM [my table] -- why\nWHERE x>=1.5 /* no */ AND `y`<>2") == [
        *("select", "t", ".", "name", ",", "'It''s'", "from", "my table", "where", "x", ">=", "1.5", "and", "y", "<>"),
        "2",
    ]
    assert tokenize("a 'open") == [Token("word", "a"), Token("broken", "'open")]
    assert tokenize("/* open") == [Token("broken", "/* open")]
    assert tokenize(" -- only a comment") == []


@given(st.text("ab'\"`[]/*- ();,.1\n", max_size=60))
def test_any_text_is_read_whole(sql: str) -> None:
    tokens = tokenize(sql)
    assert all(token.text or token.kind == "name" for token in tokens)
    assert isinstance(well_formed(tokens), bool)
    assert schema(tokens).tables.isdisjoint({""} if '""' not in sql and "``" not in sql and "[]" not in sql else set())


HOSTILE = ["'", "''", '"', "`", "[", "/*", "/*/", "--", "'a", "(", ")", "select ", "a.", "1.", ","]


@pytest.mark.parametrize("piece", HOSTILE)
def test_a_hostile_megabyte_finishes(piece: str) -> None:
    begin = time.process_time()
    sql = piece * (1_000_000 // len(piece))
    assert not well_formed(tokenize(sql))
    schema(tokenize(sql))
    assert time.process_time() - begin < 5


@pytest.mark.parametrize(
    ("sql", "tables", "columns"),
    [
        ("SELECT name FROM singer", "singer", "name"),
        ("SELECT s.Name, count(*) AS n FROM Singer AS s GROUP BY s.name ORDER BY n DESC", "singer", "name"),
        ("SELECT a.x FROM t1 a JOIN t2 b ON a.id = b.id WHERE b.y > 3", "t1 t2", "x id y"),
        ("SELECT x FROM t1, t2 u LEFT JOIN db.t3 USING (k)", "t1 t2 t3", "x k"),
        ("SELECT x FROM (SELECT y AS x FROM t WHERE z IN (SELECT w FROM u)) q LIMIT 1", "t u", "y z w"),
        ("WITH c AS (SELECT a FROM t), d AS (SELECT b FROM u) SELECT * FROM c JOIN d", "t u", "a b"),
        ("SELECT max(price) FROM `order items` WHERE \"unit\" = 'kg'", "order items", "price unit"),
        ("INSERT INTO t (a, b) VALUES (1, 'c')", "t", "a b"),
        ("UPDATE t SET a = b WHERE c LIKE '%d%'", "t", "a b c"),
        ("DELETE FROM t WHERE first < 3", "t", "first"),
        ("SELECT a FROM t UNION ALL SELECT b FROM u", "t u", "a b"),
        ("SELECT CASE WHEN a > 1 THEN b ELSE NULL END FROM t", "t", "a b"),
        ("SELECT 1", "", ""),
    ],
)
def test_tables_and_columns(sql: str, tables: str, columns: str) -> None:
    found = schema(tokenize(sql))
    assert found.tables == ({tables} if tables == "order items" else set(tables.split()))
    assert found.columns == set(columns.split())
    assert len(found.items) == len(found.tables) + len(found.columns)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 1",
        "select name from singer;",
        "WITH a AS (SELECT 1) SELECT * FROM a",
        "SELECT ';' FROM t WHERE x IS NULL",
        "SELECT a FROM t ORDER BY a DESC ;;",
        "SELECT CASE WHEN a THEN 1 END",
    ],
)
def test_one_statement(sql: str) -> None:
    assert well_formed(tokenize(sql))


@pytest.mark.parametrize(
    "sql",
    [
        "",
        ":",
        "Solution",
        "SELECT",
        "Let's solve this step by step.",
        "name FROM singer",
        "SELECT (a FROM t",
        "SELECT a) FROM (t",
        "SELECT a FROM",
        "SELECT a,",
        "SELECT a FROM t WHERE",
        "SELECT 'a FROM t",
        "SELECT a FROM t; DROP TABLE t",
        "SELECT a FROM t /* hm",
        "(SELECT 1)",
    ],
)
def test_no_statement(sql: str) -> None:
    assert not well_formed(tokenize(sql))
