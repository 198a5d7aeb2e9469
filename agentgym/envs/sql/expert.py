"""The scripted solver: looks at what the gold query needs and has not been seen, then submits it."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence

from agentgym.actions import Action
from agentgym.envs.slips import ExpertSlips
from agentgym.envs.sql.database import Schema, Table, by_name
from agentgym.envs.sql.grading import Gold, Item

#: Kinds of mistake, in the order in which chance decides on them.
MISTAKES = ("table", "early", "column", "judge")

_TEXT = re.compile(r"('(?:[^']|'')*')")


class Slips(ExpertSlips):
    """Which of `MISTAKES` are made this turn."""

    kinds = MISTAKES


def next_action(
    schema: Schema,
    gold: Gold,
    query: str,
    probes: Sequence[str],
    seen: Collection[Item],
    slips: Slips,
    hurry: bool,
) -> Action:
    """What to do now: list the tables, look at one, run a probe, submit.

    Args:
        schema: All tables.
        gold: What the gold query needs.
        query: The gold query.
        probes: Queries that are still to be run before it.
        seen: What of `gold.needs` has been seen.
        slips: The mistakes.
        hurry: Submit at once.
    """
    tables = by_name(schema)
    missing = gold.needs - set(seen)
    unseen = [t for t in gold.tables if t in tables and any(_of(item, t) for item in missing)]
    if missing and "early" in slips:
        return Action("submit", {"sql": wrong_query(query, gold, tables, slips)})
    if not hurry and any(kind == "table" for kind, _ in missing):
        return Action("schema", {"table": ""})
    if not hurry and unseen:
        others = sorted(tables.keys() - set(gold.tables))
        name = slips.choose(others) if "table" in slips and others else unseen[0]
        return Action("schema", {"table": tables[name].name})
    if not hurry and probes:
        return Action("query", {"sql": probes[0]})
    return Action("submit", {"sql": wrong_query(query, gold, tables, slips) if "column" in slips else query})


def _of(item: Item, table: str) -> bool:
    """Whether an item is a table's column."""
    return item[0] == "column" and item[1].startswith(f"{table}.")


def wrong_query(query: str, gold: Gold, tables: Mapping[str, Table], slips: Slips) -> str:
    """The query with one column replaced by another of its table; another query where there is none."""
    used = sorted(
        (table, column)
        for kind, name in gold.needs
        if kind == "column"
        for table, _, column in [name.partition(".")]
        if table in tables and tables[table].names - {column}
    )
    if used:
        table, column = slips.choose(used)
        others = [c.name for c in tables[table].columns if c.name.lower() != column]
        # Odd pieces are text in quotes.
        pieces = _TEXT.split(query)
        other = slips.choose(others)
        pieces[::2] = [
            re.sub(rf"\b{re.escape(column)}\b", lambda _: other, p, flags=re.IGNORECASE) for p in pieces[::2]
        ]
        if (wrong := "".join(pieces)) != query:
            return wrong
    return f"SELECT * FROM {next(iter(tables.values())).name}"  # noqa: S608 - for an agent, who may read all of it
