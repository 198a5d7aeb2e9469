"""`SearchEnv`: think, search, judge the result, answer; every turn's facts come as named signals.

The judge action and its signal follow ReSeek (arXiv 2510.00568), gain and redundancy StepSearch (arXiv 2505.15107), the
answer metrics Search-R1 (arXiv 2503.09516).
"""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import blake2b
from typing import Any, ClassVar, Literal, TypeVar

import numpy as np

from agentgym.actions import Action, ActionSpec, ParsedTurn
from agentgym.env import FORMAT, AgentEnv, Instructions, Opening, Outcome
from agentgym.envs.search.actions import ACTIONS, REFUSALS
from agentgym.envs.search.corpus import Corpus, searchable
from agentgym.envs.search.retrievers import Hit, Retriever, retriever_class, shared_retriever
from agentgym.envs.search.sources import SOURCES
from agentgym.envs.search.task import SearchTask, SearchTaskSet
from agentgym.envs.search.worlds import Document
from agentgym.envs.sourcing import make_source, shared_taskset
from agentgym.envs.verdicts import refusal
from agentgym.faults import ConfigError, did_you_mean
from agentgym.rewards.outcome.answer import cover_match, exact_match, f1_score
from agentgym.rewards.outcome.re_seek import verdict_sign
from agentgym.rewards.outcome.step_search import Vector, cosine, redundancy, step_gain
from agentgym.signal import RewardSignal
from agentgym.task import Split

#: Searches of blocking retrievers that one process has in flight.
RETRIEVAL_THREADS = 64
MISTAKES = ("query", "answer", "judge")

R = TypeVar("R")


@dataclass(slots=True)
class Progress:
    """State of an episode, apart from the task.

    Attributes:
        found: Gold documents shown so far.
        shown: All documents shown so far.
        documents: How many were shown, repeats included.
        queries: Queries so far, normalised.
        useful: Whether the last search showed new gold evidence; None when there is no result left to judge.
        best: Per gold document, the highest similarity with a shown document (StepSearch); empty unless asked for.
        answered: An answer ended the episode.
    """

    found: set[str] = field(default_factory=set)
    shown: set[str] = field(default_factory=set)
    documents: int = 0
    queries: set[str] = field(default_factory=set)
    useful: bool | None = None
    best: list[float] = field(default_factory=list)
    answered: bool = False


class SearchEnv(AgentEnv[SearchTask]):
    """Answer a question by searching documents.

    **Actions** (one search or one answer a turn, a verdict before it or alone): ``search(query)``, ``judge(verdict)``
    on the last result (once), ``answer(text)``, which ends the episode. Thinking is free.

    **Observations**: the documents found, one a line, best first: ``[1] Title : text``.

    **Outcome**: 1 for a right answer (`outcome` says how right is measured), 0 for a wrong one or none.

    **State key**: the task and the gold documents shown so far (``state="evidence"``), or all documents shown so far
    (``state="history"``). Gold documents are what separates the states that matter for what to do next, so anchor-state
    methods get groups that are large enough to compare; histories are exact, and nearly always unique.

    **Expert**: searches for the next missing gold document, then answers; works from any state. Mistakes, each with
    probability p a turn (one ``rng.random() < p`` for each kind that is given, in the order of `MISTAKES`): ``query``
    searches for something else that is plausible; ``answer`` stops before the evidence is complete and answers a name
    met on the way; ``judge`` turns a verdict round (with `expert_judges`).

    Args:
        source: Where tasks come from: a name of `sources.SOURCES`. Its options are given beside it, e.g.
            ``source="hotpot", path="dev.json", pool=True`` or ``hops=[1, 2], worlds=100``.
        retriever: A retriever's name, or a mapping with ``name`` and its options.
        top_k: Documents a search shows.
        outcome: Measure of the outcome: exact match, F1 or cover match with the gold answers. A task without answers
            takes the share of gold documents found, whatever is given here.
        state: What equal state keys mean; see above.
        max_documents: Documents shown in an episode, repeats included; None: no limit.
        max_document_chars: A longer text is cut; None: never.
        extra_turns: Turns beyond one a gold document, where `max_turns` does not say.
        gain: Measure StepSearch's information gain (doubles the cost of a search, to about 0.1 ms).
        wrap: Tag put around a result, e.g. ``information`` as Search-R1 does; empty: none.
        expert_judges: The expert gives a verdict on every result.
        split, action_format, instructions, max_turns, max_action_chars, max_observation_chars, render_mode: See
            `AgentEnv`.
        **source_options: Options of the source.

    Raises:
        ConfigError: An option that cannot be used.
        DataError: A damaged file.
    """

    actions: ClassVar[Sequence[ActionSpec]] = ACTIONS
    signals: ClassVar[Mapping[str, str]] = {
        "format": "-1 for a turn that is not well-formed",
        "evidence": "1/number of gold documents for each gold document shown for the first time",
        "answered": "1 on the turn that gives a well-formed answer",
        "gain": "StepSearch: mean rise of the best similarity with each gold document (only with gain=True)",
        "redundancy": "StepSearch: share of the shown documents that an earlier search had shown (0..1, a cost)",
        "relevance": "share of the shown documents that are gold, new or not",
        "judge": "+1 for a right verdict on the last result, -1 for a wrong one; useful = it showed new gold evidence",
        "repeat": "1 for a query that was asked before (a cost)",
        "em": "exact match of the answer",
        "f1": "token F1 of the answer",
        "cover": "1 when a gold answer occurs inside the answer",
    }
    # Verdicts earn nothing by default: a right "no" on a fruitless search would pay for searching in vain.
    weights: ClassVar[Mapping[str, float]] = {"format": 0.1, "evidence": 0.3}
    # `act_async` itself goes to a thread where the retriever blocks.
    blocking: bool = False
    forkable: bool = True
    taskset: SearchTaskSet

    def __init__(
        self,
        source: str = "fictional",
        *,
        retriever: str | Mapping[str, Any] = "bm25",
        top_k: int = 3,
        outcome: Literal["em", "f1", "cover"] = "em",
        state: Literal["evidence", "history"] = "evidence",
        max_documents: int | None = None,
        max_document_chars: int | None = None,
        extra_turns: int = 3,
        gain: bool = False,
        wrap: str = "",
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
        for name, value in {"top_k": top_k, "max_documents": max_documents, "extra_turns": extra_turns}.items():
            if value is not None and value < 1:
                raise ConfigError(f"{name} must be at least 1, got {value}")
        if max_document_chars is not None and max_document_chars < 1:
            raise ConfigError(f"max_document_chars must be at least 1, got {max_document_chars}")
        if outcome not in ("em", "f1", "cover"):
            raise ConfigError(f"outcome must be 'em', 'f1' or 'cover', got {outcome!r}")
        if state not in ("evidence", "history"):
            raise ConfigError(f"state must be 'evidence' or 'history', got {state!r}")
        own = [name for name in SearchEnv.__init__.__annotations__ if name not in ("return", "source_options")]
        kind, _ = retriever_class(retriever)
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
        self.retriever = retriever
        self.top_k, self.outcome, self.state = top_k, outcome, state
        self.max_documents, self.max_document_chars = max_documents, max_document_chars
        self.extra_turns, self.gain, self.expert_judges = extra_turns, gain, expert_judges
        self._before, self._after = (f"<{wrap}>\n", f"\n</{wrap}>") if wrap else ("", "")
        self._slow = bool(getattr(kind, "blocking", True))
        self._corpus = Corpus(())
        self._searcher: Retriever | None = None
        self._gold: tuple[Vector, ...] = ()
        self._progress = Progress()

    def vocabulary(self) -> list[str]:
        """Texts that hold every word this environment shows or its expert writes; tokenizers are made from them."""
        own = ["[ ]", *map(str, range(1, self.top_k + 1)), ":", "yes no", _NOTHING, _SPENT, _NOTED, _RIGHT, _WRONG]
        own += [self._before, self._after, *REFUSALS.values(), "Error:"]
        return [*own, *self.taskset.texts()]

    # -- the episode -------------------------------------------------------------------------------------------------

    def turn_budget(self, task: SearchTask) -> int:
        """One turn a gold document (or hop) and `extra_turns`."""
        return max(task.difficulty, len(task.gold)) + self.extra_turns

    def begin(self, task: SearchTask) -> Opening:
        self._set_up(task)
        self._progress = Progress(best=[0.0] * len(self._gold))
        prompt = task.question
        if self.instructions == "full":
            budget = self.max_turns or self.turn_budget(task)
            prompt = f"Answer the question by searching. You have {budget} turns.\nQuestion: {task.question}"
        return Opening(prompt, self._key(task))

    async def begin_async(self, task: SearchTask) -> Opening:
        return await _in_thread(lambda: self.begin(task)) if self._slow else self.begin(task)

    async def act_async(self, turn: ParsedTurn) -> Outcome:
        return await _in_thread(lambda: self.act(turn)) if self._slow else self.act(turn)

    def act(self, turn: ParsedTurn) -> Outcome:
        if reason := refusal(turn.actions, self._progress.useful is not None, REFUSALS):
            return Outcome(f"Error: {reason}", RewardSignal(process={FORMAT: -1.0}), self._key(self.task))
        parts: dict[str, float] = {}
        observation, outcome = "", None
        for action in turn.actions:
            if action.name == "judge":
                parts["judge"] = verdict_sign(action.args["verdict"] == "yes", bool(self._progress.useful))
                self._progress.useful = None
                observation = _NOTED
            elif action.name == "search":
                observation = self._search(action.args["query"], parts)
            else:
                outcome = self._answer(action.args["text"], parts)
                observation = _RIGHT if outcome >= 1.0 else _WRONG
        signal = RewardSignal(outcome, parts)
        return Outcome(observation, signal, self._key(self.task), terminated=outcome is not None)

    def _search(self, query: str, parts: dict[str, float]) -> str:
        progress, gold = self._progress, self.task.gold
        asked = " ".join(query.lower().split())
        parts["repeat"] = float(asked in progress.queries)
        progress.queries.add(asked)
        hits = self._hits(query)
        shown = [hit.document.id for hit in hits]
        fresh = {i for i in shown if i in gold and i not in progress.found}
        parts["evidence"] = len(fresh) / len(gold) if gold else 0.0
        parts["relevance"] = sum(i in gold for i in shown) / len(shown) if shown else 0.0
        parts["redundancy"] = redundancy(shown, progress.shown)
        if self.gain:
            parts["gain"] = self._measure_gain([hit.document for hit in hits])
        progress.found |= fresh
        progress.shown.update(shown)
        progress.documents += len(shown)
        progress.useful = bool(fresh)
        if not hits:
            return _SPENT if self._documents_left() == 0 else _NOTHING
        lines = (self._line(number, hit.document) for number, hit in enumerate(hits, 1))
        return f"{self._before}{chr(10).join(lines)}{self._after}"

    def _hits(self, query: str) -> list[Hit]:
        left = self._documents_left()
        k = self.top_k if left is None else min(self.top_k, left)
        return self._searcher.search(query, k) if self._searcher is not None and k else []

    def _documents_left(self) -> int | None:
        return None if self.max_documents is None else max(self.max_documents - self._progress.documents, 0)

    def _line(self, number: int, document: Document) -> str:
        text = document.text if self.max_document_chars is None else document.text[: self.max_document_chars]
        return f"[{number}] {document.title} : {text}" if document.title else f"[{number}] {text}"

    def _measure_gain(self, documents: Iterable[Document]) -> float:
        shown = [self._corpus.tfidf.vector(searchable(d)) for d in documents]
        current = [max((cosine(gold, vector) for vector in shown), default=0.0) for gold in self._gold]
        gain, self._progress.best = step_gain(current, self._progress.best)
        return gain

    def _answer(self, text: str, parts: dict[str, float]) -> float:
        task = self.task
        self._progress.answered = True
        parts["answered"] = 1.0
        if not task.answers:
            return len(self._progress.found) / len(task.gold)
        parts["em"] = exact_match(text, task.answers)
        parts["f1"] = f1_score(text, task.answers)
        parts["cover"] = cover_match(text, task.answers)
        return parts[self.outcome]

    # -- state -------------------------------------------------------------------------------------------------------

    def _set_up(self, task: SearchTask) -> None:
        self._corpus = self.taskset.corpus(task)
        self._searcher = shared_retriever(self.retriever, self._corpus)
        if self.gain:
            known = (self._corpus.by_id.get(name) for name in task.gold)
            self._gold = tuple(self._corpus.tfidf.vector(searchable(d)) for d in known if d is not None)

    def _key(self, task: SearchTask) -> str:
        progress = self._progress
        if self.state == "history":
            digest = blake2b("\n".join(sorted(progress.shown)).encode("utf-8", "surrogatepass"), digest_size=8)
            seen = digest.hexdigest()
        else:
            seen = ",".join(str(i) for i, name in enumerate(task.gold) if name in progress.found)
        return f"{task.id}|{seen}|answered" if progress.answered else f"{task.id}|{seen}"

    def fork_state(self) -> Progress:
        return self._progress

    def load_fork(self, task: SearchTask, state: Progress) -> None:
        self._set_up(task)
        self._progress = state

    # -- expert ------------------------------------------------------------------------------------------------------

    def expert(self, mistakes: Mapping[str, float] | None = None, rng: np.random.Generator | None = None) -> str:
        """What the scripted solver writes now; see the class's docstring for `mistakes`.

        Raises:
            ConfigError: An unknown kind of mistake, or mistakes without `rng`.
        """
        task, progress = self.task, self._progress
        slips, dice = _draw(mistakes or {}, rng)
        actions: list[Action] = []
        if self.expert_judges and progress.useful is not None:
            said = progress.useful != slips["judge"]
            actions.append(Action("judge", {"verdict": "yes" if said else "no"}))
        missing = [i for i, name in enumerate(task.gold) if name not in progress.found]
        query = self._next_query(missing)
        if missing and slips["answer"]:
            actions.append(Action("answer", {"text": self.taskset.wrong_answer(task, missing[0], dice)}))
        elif missing and slips["query"]:
            actions.append(Action("search", {"query": self.taskset.wrong_query(task, missing[0], dice)}))
        elif query is None or self.turns_left <= 1:
            actions.append(Action("answer", {"text": task.answers[0] if task.answers else "done"}))
        else:
            actions.append(Action("search", {"query": query}))
        return self.parser.render(actions)

    def _next_query(self, missing: Sequence[int]) -> str | None:
        """The query that is likeliest to find the next missing evidence; None where nothing is left to try."""
        task = self.task
        if self._documents_left() == 0:
            return None
        for step in missing:
            document = self._corpus.by_id.get(task.gold[step])
            options = [task.queries[step], *([searchable(document)] if document is not None else [])]
            for query in options:
                if " ".join(query.lower().split()) not in self._progress.queries:
                    return query
        return None


_NOTHING = "( no results )"
_SPENT = "( no results : the document budget is spent )"
_NOTED = "noted"
_RIGHT, _WRONG = "correct", "wrong"


def _draw(mistakes: Mapping[str, float], rng: np.random.Generator | None) -> tuple[dict[str, bool], random.Random]:
    """Which kinds of mistake to make now, and the dice that choose among several of a kind."""
    for name in mistakes:
        if name not in MISTAKES:
            raise ConfigError(f"the search expert has no mistake {name!r}; {did_you_mean(name, MISTAKES)}")
    slips = dict.fromkeys(MISTAKES, False)
    if not mistakes:
        return slips, random.Random(0)
    if rng is None:
        raise ConfigError("an expert with mistakes needs rng")
    slips |= {name: bool(rng.random() < mistakes[name]) for name in MISTAKES if name in mistakes}
    return slips, random.Random(int(rng.integers(2**32)))


@lru_cache(maxsize=1)
def _threads(pid: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(RETRIEVAL_THREADS, thread_name_prefix="agentgym-search")


async def _in_thread(work: Callable[[], R]) -> R:
    # By process id: a forked child inherits the executor without its threads.
    return await asyncio.get_running_loop().run_in_executor(_threads(os.getpid()), work)
