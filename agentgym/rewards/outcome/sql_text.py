"""SQL read as text: its tokens, the tables and columns that it names, whether it is well-formed as far as tokens tell.

A small tokenizer, not a parser: SQL that a policy wrote is compared, never run, and every scan is linear in its length.
What it takes for a table or a column rests on the words around it (FROM, JOIN, AS, parentheses), which is enough for
comparing two queries on one database.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, cast

Kind = Literal["word", "name", "number", "string", "symbol", "broken"]

# Possessive, so that nothing is scanned twice; what is never closed is one broken token that runs to the end.
_TOKEN = re.compile(
    r"""(?P<space>\s++|--[^\n]*+|/\*.*?\*/)
    |(?P<string>'(?:[^']|'')*+')
    |(?P<name>"(?:[^"]|"")*+"|`[^`]*+`|\[[^\]]*+\])
    |(?P<number>\d[\w.]*+)
    |(?P<word>[^\W\d][\w$]*+)
    |(?P<broken>/\*.*+|['"`[].*+)
    |(?P<symbol><>|<=|>=|!=|==|\|\||::|.)""",
    re.VERBOSE | re.DOTALL,
)


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


#: No query that means something is longer, in characters; what comes after is one broken token.
MAX_CHARS = 100_000
#: Words that are never names here. Those that data bases also use as column names (first, row, range...) are left out.
KEYWORDS = _words(
    """all alter and any as asc between by case cast collate create cross current_date current_time current_timestamp
    default delete desc distinct drop else end escape except exists explain false fetch for from full glob group having
    if ilike in inner insert intersect interval into is isnull join lateral left like limit natural not notnull null
    nulls offset on or order outer over partition recursive regexp returning right select set similar some table then
    to true union unique update using values when where window with"""
)
#: Words that begin a statement.
OPENERS = frozenset({"select", "with", "insert", "update", "delete", "values", "create", "alter", "drop", "explain"})
#: Keywords that may end one.
ENDERS = _words("asc current_date current_time current_timestamp default desc end false isnull notnull null true")
#: Keywords after which a table is named, and those that end the list of tables.
_BEFORE_TABLE = frozenset({"from", "join", "into", "update", "table"})
_AFTER_TABLES = KEYWORDS - {"as", "lateral", "if", "not", "exists"}


class Token(NamedTuple):
    """A piece of SQL.

    Attributes:
        kind: ``word`` (keyword or plain name), ``name`` (quoted), ``number``, ``string``, ``symbol``, or ``broken`` for
            a quotation or comment that is never closed.
        text: As compared: words and names in lower case without quotation marks, everything else as written.
    """

    kind: Kind
    text: str

    @property
    def is_keyword(self) -> bool:
        return self.kind == "word" and self.text in KEYWORDS

    @property
    def is_name(self) -> bool:
        """Whether it can name a table, a column, a function or an alias."""
        return self.kind == "name" or (self.kind == "word" and self.text not in KEYWORDS)


@dataclass(frozen=True, slots=True)
class Schema:
    """What a query reads.

    Attributes:
        tables: Names of tables, in lower case.
        columns: Names of columns, in lower case, without their tables.
    """

    tables: frozenset[str]
    columns: frozenset[str]

    @property
    def items(self) -> frozenset[tuple[str, str]]:
        """Tables and columns together, told apart."""
        return frozenset({("table", t) for t in self.tables} | {("column", c) for c in self.columns})


def tokenize(sql: str) -> list[Token]:
    """The tokens of a text, comments and white space left out. Never raises."""
    tokens = []
    for match in _TOKEN.finditer(sql[:MAX_CHARS]):
        kind = cast(Kind | Literal["space"], match.lastgroup)
        if kind == "name":
            tokens.append(Token(kind, match[0][1:-1].lower()))
        elif kind != "space":
            tokens.append(Token(kind, match[0].lower() if kind == "word" else match[0]))
    if len(sql) > MAX_CHARS:
        tokens.append(Token("broken", sql[MAX_CHARS:]))
    return tokens


def well_formed(tokens: Sequence[Token]) -> bool:
    """Whether tokens look like one statement; a query that passes may still be refused by a database.

    It begins with a statement's word and ends with something that can end one, quotations and comments are closed,
    parentheses balance, and nothing follows a semicolon.
    """
    body = list(tokens)
    while body and body[-1].text == ";":
        body.pop()
    if len(body) < 2 or body[0].kind != "word" or body[0].text not in OPENERS:
        return False
    if any(t.kind == "broken" or (t.kind == "symbol" and t.text == ";") for t in body):
        return False
    depth = 0
    for token in body:
        depth += (token.kind == "symbol") * ((token.text == "(") - (token.text == ")"))
        if depth < 0:
            return False
    last = body[-1]
    ends = last.text in (")", "*") if last.kind == "symbol" else not last.is_keyword or last.text in ENDERS
    return depth == 0 and ends


def schema(tokens: Sequence[Token]) -> Schema:
    """The tables and columns that tokens name.

    Names after FROM, JOIN, INTO, UPDATE, TABLE, and after commas in such a list, are tables; a name before a dot is a
    table, an alias or a database; a name before a parenthesis is a function, one after AS an alias; the others are
    columns. Aliases and common table expressions are left out.
    """
    tables: set[str] = set()
    columns: set[str] = set()
    aliases: set[str] = set()
    expect = in_tables = False
    # One entry a parenthesis: whether the list outside it was one of tables.
    outside: list[bool] = []
    for index, token in enumerate(tokens):
        before, after = _text(tokens, index - 1), _text(tokens, index + 1)
        if token.kind == "symbol":
            if token.text == "(":
                outside.append(in_tables)
                in_tables = in_tables and expect
            elif token.text == ")":
                in_tables, expect = outside.pop() if outside else False, False
            elif token.text == ",":
                expect = in_tables
        elif token.is_keyword:
            if token.text in _BEFORE_TABLE:
                expect = in_tables = True
            elif token.text in _AFTER_TABLES:
                expect = in_tables = False
        elif not token.is_name or after == ".":
            continue
        elif expect:
            tables.add(token.text)
            expect = False
        elif before == "as" or in_tables or (after == "as" and _text(tokens, index + 2) == "("):
            aliases.add(token.text)
        elif after != "(":
            columns.add(token.text)
    return Schema(frozenset(tables - aliases), frozenset(columns - aliases))


def _text(tokens: Sequence[Token], index: int) -> str:
    """A keyword's or symbol's text; nothing for names, values and beyond the ends."""
    token = tokens[index] if 0 <= index < len(tokens) else None
    return token.text if token is not None and (token.is_keyword or token.kind == "symbol") else ""
