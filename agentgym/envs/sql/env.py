"""`SqlEnv`: look at a schema, run queries, judge what they show, submit the query that answers the question.

Partial rewards after Reasoning-SQL (arXiv 2503.23157: execution, schema linking, n-gram similarity, syntax), of which
only the abstract is known; the reward for exploring is this package's own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Any, ClassVar, Literal

import numpy as np

from agentgym.actions import JUDGE, Action, ActionSpec, ParsedTurn
from agentgym.config import validate
from agentgym.env import FORMAT, AgentEnv, Instructions, Opening, Outcome
from agentgym.envs.sourcing import make_source, shared_taskset
from agentgym.envs.sql import grading, show
from agentgym.envs.sql.actions import ACTIONS, REFUSALS
from agentgym.envs.sql.database import (
    QueryError,
    QueryLimits,
    ReadOnlyDatabase,
    Result,
    by_name,
    quoted,
    with_keys,
)
from agentgym.envs.sql.dialects import check_dialect, from_sqlite, to_sqlite
from agentgym.envs.sql.expert import Slips, next_action
from agentgym.envs.sql.grading import Gold, Item
from agentgym.envs.sql.progress import Progress, looked, names, ran, values
from agentgym.envs.sql.sources import SOURCES
from agentgym.envs.sql.task import SqlTask, SqlTaskSet
from agentgym.envs.verdicts import refusal
from agentgym.faults import ConfigError
from agentgym.rewards.outcome.embedding import Encoder, encode, load_encoder
from agentgym.rewards.outcome.re_seek import verdict_sign
from agentgym.rewards.outcome.sql import contrastive_sql, ngram_similarity
from agentgym.signal import RewardSignal
from agentgym.task import Split

_NOTED, _RIGHT, _WRONG, _HINT, _TABLES = "Noted.", "Right.", "Wrong.", "Hint:", "tables :"
#: What errors say, for tokenizers.
_ERRORS = (
    "Error: there is no table ; there is",
    "no such column: table: function: ambiguous column name: near syntax error incomplete input",
    "the query takes too long",
    "only SELECT over the tables is allowed, with the usual functions",
)


class SqlEnv(AgentEnv[SqlTask]):
    """Answer a question about a database by querying it.

    **Actions** (one a turn, a verdict before it or alone): ``schema(table)`` looks at a table, or lists all of them;
    ``query(sql)`` runs a query; ``judge(verdict)`` on the last result (once); ``submit(sql)``, which ends the episode.

    **Observations**: schemas and results, one line a row, values written as a query would write them.

    **Outcome**: 1 where the submitted query gives the gold query's rows on two databases of the same schema with
    different content, else 0; `grading` has the rules.

    **State key**: the task and what of the gold query's tables, columns and values has been shown
    (``state="evidence"``), or all that has been shown (``state="history"``).

    **Expert**: lists the tables, looks at each of which the gold query needs a column that has not been seen, runs the
    task's probes (and, with `expert_queries`, the gold query), submits it; works from any state. Mistakes, each with
    probability p a turn, in the order of `expert.MISTAKES`: ``table`` looks at a table that is not needed; ``early``
    submits before all that is needed was seen, with a wrong column; ``column`` submits with a wrong column; ``judge``
    turns a verdict round (with `expert_judges`).

    Args:
        source: Where tasks come from: a name of `sources.SOURCES`. Its options are given beside it, e.g.
            ``source="spider", path="spider"``.
        dialect: What the agent writes in, by sqlglot's names; translated to SQLite's.
        state: What the state key holds.
        schema_in_prompt: ``none``, ``tables`` (their names) or ``full`` (with the columns).
        second_content: Try a submitted query on a second content, too.
        limits: What a query may cost: see `database.QueryLimits`.
        shown_rows: Rows of a result that are shown.
        sample_rows: Rows of a table that ``schema(table)`` shows.
        encoder: Import path ``package.module:callable`` of what turns a list of texts into vectors, for the part
            ``contrastive``; None: the part is left out.
        extra_turns: Turns beyond those that the expert takes, where `max_turns` does not say.
        expert_queries: The expert runs the gold query before it submits it.
        expert_judges: The expert judges every result.
        split, action_format, instructions, max_turns, max_action_chars, max_observation_chars, render_mode: See
            `AgentEnv`.
        **source_options: Options of the source.

    Raises:
        ConfigError: An option that cannot be used.
        DataError: A damaged file.
        MissingExtra: `dialect` needs sqlglot.
    """

    actions: ClassVar[Sequence[ActionSpec]] = ACTIONS
    signals: ClassVar[Mapping[str, str]] = {
        "format": "-1 for a turn that is not well-formed",
        "exploration": "share of the gold query's tables, columns and values that this turn showed for the first time",
        "repeat": "1 for a look or a query that was made before (a cost)",
        "error": "1 for a look at no table, or a query that could not be run (a cost)",
        "judge": "+1 for a right verdict on the last result, -1 for a wrong one; useful = it showed something needed",
        "execution": "of the submitted query: 1 where it gives the gold query's rows (the outcome)",
        "syntax": "of the submitted query: 1 where it could be run",
        "schema_linking": "of the submitted query: Jaccard similarity of the tables and columns read with the gold's",
        "similarity": "of the submitted query: Jaccard similarity of token bigrams with the gold query's",
        "contrastive": "of the submitted query: nearness to the question against the gold query's (only with encoder)",
    }
    # Similarity and verdicts earn nothing by default: the first pays for copying words, the second for looking in vain.
    weights: ClassVar[Mapping[str, float]] = {
        "format": 0.1,
        "exploration": 0.2,
        "schema_linking": 0.1,
        "repeat": -0.05,
        "error": -0.05,
    }
    blocking: bool = True
    forkable: bool = True
    taskset: SqlTaskSet

    def __init__(
        self,
        source: str = "generated",
        *,
        dialect: str = "sqlite",
        state: Literal["evidence", "history"] = "evidence",
        schema_in_prompt: Literal["none", "tables", "full"] = "none",
        second_content: bool = True,
        limits: Mapping[str, Any] | None = None,
        shown_rows: int = 10,
        sample_rows: int = 2,
        encoder: str | None = None,
        extra_turns: int = 3,
        expert_queries: bool = False,
        expert_judges: bool = False,
        split: Split = "train",
        action_format: str = "tags",
        instructions: Instructions = "full",
        max_turns: int | None = None,
        max_action_chars: int = 16_384,
        max_observation_chars: int = 65_536,
        render_mode: str | None = None,
        **source_options: Any,
    ) -> None:
        if state not in ("evidence", "history"):
            raise ConfigError(f"state must be 'evidence' or 'history', got {state!r}")
        if schema_in_prompt not in ("none", "tables", "full"):
            raise ConfigError(f"schema_in_prompt must be 'none', 'tables' or 'full', got {schema_in_prompt!r}")
        for name, value, least in (("shown_rows", shown_rows, 1), ("sample_rows", sample_rows, 0)):
            if value < least:
                raise ConfigError(f"{name} must be at least {least}, got {value}")
        if extra_turns < 0:
            raise ConfigError(f"extra_turns must be at least 0, got {extra_turns}")
        check_dialect(dialect)
        own = [name for name in SqlEnv.__init__.__annotations__ if name not in ("return", "source_options")]
        made = make_source(SOURCES, source, source_options, own)
        super().__init__(
            shared_taskset(made),
            split=split,
            action_format=action_format,
            instructions=instructions,
            max_turns=max_turns,
            max_action_chars=max_action_chars,
            max_observation_chars=max_observation_chars,
            render_mode=render_mode,
        )
        self.dialect, self.state, self.schema_in_prompt = dialect, state, schema_in_prompt
        self.second_content, self.limits = second_content, validate(QueryLimits, limits or {}, "limits")
        self.shown_rows, self.sample_rows, self.extra_turns = shown_rows, sample_rows, extra_turns
        self.expert_queries, self.expert_judges = expert_queries, expert_judges
        self._encoder: Encoder | None = None if encoder is None else load_encoder(encoder)
        self._open: tuple[str, ReadOnlyDatabase] | None = None
        self._running: ReadOnlyDatabase | None = None
        self._progress = Progress()

    def vocabulary(self) -> list[str]:
        """Texts that hold every word this environment shows or its expert writes; tokenizers are made from them."""
        own = [_NOTED, _RIGHT, _WRONG, _HINT, _TABLES, *_ERRORS, *REFUSALS.values()]
        own += ["yes no | : , NULL ( ) * = no rows more or primary key references", "SELECT * FROM"]
        return [*own, *map(str, range(self.shown_rows)), *self.taskset.texts()]

    # -- the episode -------------------------------------------------------------------------------------------------

    def turn_budget(self, task: SqlTask) -> int:
        """What the expert takes at most, and `extra_turns`."""
        looks = 1 + len(self._gold(task).tables)
        return looks + len(task.probes) + self.expert_queries + 1 + self.extra_turns

    def begin(self, task: SqlTask) -> Opening:
        database = self._set_up(task)
        lines = [task.question]
        if task.evidence:
            lines.append(f"{_HINT} {task.evidence}")
        shown: set[Item] = set()
        if self.schema_in_prompt != "none":
            full = self.schema_in_prompt == "full"
            lines.append(show.outline(database.schema) if full else show.names(database.schema))
            shown = names(database.schema, columns=full)
        if self.instructions == "full":
            budget = self.max_turns or self.turn_budget(task)
            how = f"Answer the question with one SQL query ({self.dialect}). You have {budget} turns."
            lines[0] = f"{how}\nQuestion: {lines[0]}"
        self._progress = Progress(seen=shown & self._gold(task).needs)
        return Opening("\n".join(lines), self._key(task))

    async def act_async(self, turn: ParsedTurn) -> Outcome:
        try:
            return await super().act_async(turn)
        except asyncio.CancelledError:
            if self._running is not None:  # the thread must not work on for nobody
                self._running.interrupt()
            raise

    def act(self, turn: ParsedTurn) -> Outcome:
        progress = self._progress
        if reason := refusal(turn.actions, progress.useful is not None, REFUSALS):
            return Outcome(f"Error: {reason}", RewardSignal(process={FORMAT: -1.0}), self._key(self.task))
        parts: dict[str, float] = {}
        observation, outcome = "", None
        for action in turn.actions:
            if action.name == JUDGE:
                parts["judge"] = verdict_sign(action.args["verdict"] == "yes", bool(progress.useful))
                progress.useful = None
                observation = _NOTED
            elif action.name == "schema":
                observation = self._look(action.args["table"], parts)
            elif action.name == "query":
                observation = self._query(action.args["sql"], parts)
            else:
                outcome = self._submit(action.args["sql"], parts)
                observation = _RIGHT if outcome >= 1.0 else _WRONG
        if self.state == "history":
            told = f"{progress.history}\0{observation}".encode("utf-8", "surrogatepass")
            progress.history = blake2b(told, digest_size=8).hexdigest()
        return Outcome(observation, RewardSignal(outcome, parts), self._key(self.task), terminated=outcome is not None)

    def _look(self, name: str, parts: dict[str, float]) -> str:
        database = self._database
        key = name.lower()
        if not key:
            self._note(looked(""), names(database.schema, columns=False), parts)
            return show.names(database.schema)
        table = by_name(with_keys(database.schema, self.taskset.foreign_keys(self.task.database))).get(key)
        if table is None:
            return self._failed(looked(key), f"there is no table ; there is {show.names(database.schema)}", parts)
        try:
            sample = self._run(database, f"SELECT * FROM {quoted(table.name)} LIMIT {self.sample_rows}")  # noqa: S608
        except QueryError:  # a row longer than the limits
            sample = Result(tuple(column.name for column in table.columns), ())
        self._note(looked(key), names((table,), columns=True) | values(sample), parts)
        return show.table(table, sample if self.sample_rows else None)

    def _query(self, sql: str, parts: dict[str, float]) -> str:
        what = ran(sql)
        try:
            result = self._run(self._database, to_sqlite(sql, self.dialect))
        except QueryError as error:
            return self._failed(what, str(error), parts)
        shown = Result(result.columns, result.rows[: self.shown_rows])
        self._note(what, set(grading.items(result)) | values(shown, sql), parts)
        return show.rows(result, self.shown_rows)

    def _note(self, what: str, items: set[Item], parts: dict[str, float]) -> None:
        """Pays for what is needed and new."""
        progress, needs = self._progress, self._gold(self.task).needs
        parts["repeat"] = float(what in progress.done)
        progress.done.add(what)
        fresh = (items & needs) - progress.seen
        progress.seen |= fresh
        progress.useful = bool(fresh)
        parts["exploration"] = len(fresh) / len(needs) if needs else 0.0

    def _failed(self, what: str, reason: str, parts: dict[str, float]) -> str:
        progress = self._progress
        parts["error"], parts["repeat"] = 1.0, float(what in progress.done)
        progress.done.add(what)
        progress.useful = None
        return f"Error: {reason}"

    # -- the final query ---------------------------------------------------------------------------------------------

    def _submit(self, sql: str, parts: dict[str, float]) -> float:
        task, gold = self.task, self._gold(self.task)
        self._progress.submitted = True
        parts.update(execution=0.0, syntax=0.0, schema_linking=0.0, similarity=0.0)
        if self._encoder is not None:
            parts["contrastive"] = contrastive_sql(*encode([task.question, sql, task.gold], self._encoder))
        try:
            translated = to_sqlite(sql, self.dialect)
            said = self._run(self._database, translated)
        except QueryError:
            return 0.0
        parts["syntax"] = 1.0
        parts["schema_linking"] = grading.linking(said, gold.result)
        parts["similarity"] = ngram_similarity(translated, task.gold)
        if self._right(task, translated, said, gold):  # and so need not be written as the gold query is
            parts.update(execution=1.0, schema_linking=1.0, similarity=1.0)
        return parts["execution"]

    def _right(self, task: SqlTask, sql: str, said: Result, gold: Gold) -> bool:
        """Whether a query gives the gold query's rows wherever it is tried."""
        if not grading.matches(said, gold.result, ordered=task.ordered):
            return False
        second = grading.second(self.taskset, task, self.limits) if self.second_content else grading.Second()
        path = None if second.result is None else grading.second_database(self.taskset, task, second.deal)
        if path is None or second.result is None:
            return bool(gold.result.rows) or gold.result.reads <= said.reads
        database = ReadOnlyDatabase(path, self.limits)
        try:
            return grading.matches(self._run(database, sql), second.result, ordered=task.ordered)
        except QueryError:
            return False
        finally:
            database.close()

    # -- the database ------------------------------------------------------------------------------------------------

    @property
    def _database(self) -> ReadOnlyDatabase:
        return self._set_up(self.task)

    def _set_up(self, task: SqlTask) -> ReadOnlyDatabase:
        if self._open is not None and self._open[0] == task.database:
            return self._open[1]
        self.close()
        database = ReadOnlyDatabase(grading.first_database(self.taskset, task), self.limits)
        self._open = task.database, database
        return database

    def _run(self, database: ReadOnlyDatabase, sql: str) -> Result:
        self._running = database
        try:
            return database.query(sql)
        finally:
            self._running = None

    def _gold(self, task: SqlTask) -> Gold:
        return grading.gold(self.taskset, task, self.limits)

    def close(self) -> None:
        """Lets go of the database."""
        if self._open is not None:
            self._open[1].close()
            self._open = None

    # -- state, expert -----------------------------------------------------------------------------------------------

    def _key(self, task: SqlTask) -> str:
        progress = self._progress
        seen = progress.history
        if self.state == "evidence":
            seen = ",".join(str(i) for i, item in enumerate(sorted(self._gold(task).needs)) if item in progress.seen)
        return f"{task.id}|{seen}|submitted" if progress.submitted else f"{task.id}|{seen}"

    def fork_state(self) -> Progress:
        return self._progress

    def load_fork(self, task: SqlTask, state: Progress) -> None:
        self._set_up(task)
        self._progress = state

    def expert(self, mistakes: Mapping[str, float] | None = None, rng: np.random.Generator | None = None) -> str:
        """What the scripted solver writes now; see the class's docstring for `mistakes`.

        Raises:
            ConfigError: An unknown kind of mistake, mistakes without `rng`, or a gold query that cannot be said in the
                dialect.
        """
        task, progress, slips = self.task, self._progress, Slips(mistakes, rng)
        actions: list[Action] = []
        if self.expert_judges and progress.useful is not None:
            useful = progress.useful != ("judge" in slips)
            actions.append(Action(JUDGE, {"verdict": "yes" if useful else "no"}))
        query, probes = self._said(task.gold), [*map(self._said, task.probes)]
        probes += [query] if self.expert_queries else []
        left = [p for p in probes if ran(p) not in progress.done]
        hurry = self.turns_left <= 1
        gold = self._gold(task)
        actions.append(next_action(self._database.schema, gold, query, left, progress.seen, slips, hurry))
        return self.parser.render(actions)

    def _said(self, sql: str) -> str:
        try:
            return from_sqlite(sql, self.dialect)
        except QueryError as error:
            raise ConfigError(
                f"the gold query of task {self.task.id!r} cannot be said in {self.dialect}: {error}"
            ) from None
