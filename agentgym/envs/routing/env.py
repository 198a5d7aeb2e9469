"""`RoutingEnv`: answer a question by asking models of different price and strength, and joining what they say.

Several rounds of routing and then an answer follow Router-R1 (arXiv 2506.09033); so does the objective of that name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import gymnasium
import numpy as np

from agentgym.actions import JUDGE, ActionSpec, ParsedTurn
from agentgym.aio import run_blocking
from agentgym.config import validate
from agentgym.env import FORMAT, AgentEnv, Instructions, Opening, Outcome
from agentgym.envs.routing.accounts import OBJECTIVES, Objective, worth
from agentgym.envs.routing.actions import ACTIONS, ONE_SHOT_ACTIONS, REFUSALS
from agentgym.envs.routing.candidates import Candidate, Estimate, Reply, make_backend, shared_backend
from agentgym.envs.routing.expert import EXPERTS, ExpertKind, Situation, write_turn
from agentgym.envs.routing.menu import Menu, Names, Offer
from agentgym.envs.routing.progress import Progress, State
from agentgym.envs.routing.prompts import DEFAULT_PARTS, Part, percent, percents
from agentgym.envs.routing.sources import SOURCES
from agentgym.envs.routing.task import RIGHT_AT, RoutingTask, RoutingTaskSet, normal
from agentgym.envs.sourcing import make_source, shared_taskset
from agentgym.envs.verdicts import refusal
from agentgym.faults import ConfigError
from agentgym.rewards.outcome.answer import cover_match, exact_match, f1_score
from agentgym.rewards.outcome.re_seek import verdict_sign
from agentgym.signal import RewardSignal
from agentgym.task import Split

#: Tasks of a split that are looked at for the largest number of facts.
MAX_SCANNED = 1_000


@dataclass(frozen=True, slots=True)
class _Call:
    """A route that is to be carried out, with what its turn has earned until then."""

    name: str
    candidate: Candidate
    question: str
    parts: dict[str, float]


class RoutingEnv(AgentEnv[RoutingTask]):
    """Answer a question by asking other models.

    **Actions** (one route or one answer a turn, a verdict before it or alone): ``route(model, question)`` asks a model;
    without a question, the question itself. ``judge(verdict)`` says whether the last reply was right (once).
    ``answer(text)`` ends the episode. Where only scores were recorded (*one-shot* tasks) there is nothing to read:
    ``route(model)`` is the only action, and it ends the episode.

    **Observations**: ``name : reply``.

    **Outcome**: made of quality and cost by `objective` (`accounts.worth`). Quality is how well the answer matches
    (`match`), in one-shot tasks the recorded score. Cost is USD as a share of the task's reference cost: its dearest
    candidate asked the question itself, once for each fact.

    **State key**: the task and the facts stated so far (``state="evidence"``), or all that was asked of whom
    (``state="history"``).

    **Expert**: asks the cheapest candidate that is right about the next missing fact, then answers; in one-shot tasks
    it asks the candidate of the highest utility. Mistakes, each with probability p a turn: ``model`` asks somebody
    else; ``question`` asks everything at once; ``answer`` answers too early, with what was said last; ``judge`` turns a
    verdict round (with `expert_judges`).

    Args:
        source: Where tasks come from: a name of `sources.SOURCES`. Its options are given beside it, e.g.
            ``source="recorded", fold=1`` or ``facts=[1, 2]``.
        backend: Who asks the candidates: a name of `candidates.BACKENDS`, or a mapping with ``name`` and its options;
            None: the source's own.
        a: Trade-off between accuracy and cost, at least 0: what a task's reference cost is worth in quality.
        objective: ``relative``: 1 - regret against the oracle; ``utility``: quality - a * cost; ``score``: quality;
            ``router_r1``: Router-R1's. None: ``relative`` where replies are known beforehand, else ``utility``.
        match: Measure of an answer's quality: exact match, F1 or cover match with the accepted answers.
        candidates: Names of the candidates that are offered; None: all.
        heldout_candidates: Names of candidates that no training task offers; held-out tasks do.
        names: Candidates are called by their ``real`` names, or by ``neutral`` ones: ``m1`` and so on.
        shuffle: Seed of the order in which a task lists its candidates; None: cheapest first, or as the source has it.
        show: What is told before the decision (`prompts.Part`).
        records: Shows each candidate's record on similar training questions: options of `records.Records`, e.g.
            ``{"k": 40}``; None: not shown.
        budget_usd: What an episode may spend; None: as much as it likes.
        on_budget: A route that would exceed it is refused (``refuse``), or ends the episode undecided (``end``).
        chars_per_token, output_tokens: Estimate of a call's tokens where nothing counted them.
        max_reply_chars: A longer reply is cut.
        state: What equal state keys mean; see above.
        extra_turns: Turns beyond one a fact, where `max_turns` does not say.
        expert: Whom the expert asks in one-shot tasks: the best one (``oracle``), or the one that `records` speak for
            (``records``), which knows no more than the prompt and does not solve every task.
        expert_judges: The expert gives a verdict on every reply.
        split, action_format, instructions, max_turns, max_action_chars, max_observation_chars, render_mode: See
            `AgentEnv`.
        **source_options: Options of the source.

    Raises:
        ConfigError: An option that cannot be used.
        DataError: A damaged file.
    """

    actions: ClassVar[Sequence[ActionSpec]] = ACTIONS
    signals: ClassVar[Mapping[str, str]] = {
        "format": "-1 for a turn that is not well-formed, or that asks a model that is not listed",
        "cost": "what the turn spent, as a share of the task's reference cost (a cost, to be weighed negatively)",
        "usd": "what the turn spent, in USD",
        "evidence": "1/number of facts for each fact that a right reply states for the first time",
        "judge": "+1 for a right verdict on the last reply, -1 for a wrong one",
        "repeat": "1 for asking a model again what it was asked before (a cost)",
        "failed": "1 for a route that brought no reply: the model failed or could not be asked that",
        "budget": "1 for a route that the budget forbids (a cost)",
        "answered": "1 on the turn that decides: an answer, or the one route of a one-shot task",
        "quality": "quality of what was decided, 0..1",
        "utility": "quality - a * cost of the whole episode, on the turn that decides",
        "regret": "utility of the oracle less that, at least 0; only where replies are known beforehand",
    }
    # Costs are in the outcome; a verdict earns nothing by default, so that judging never pays for asking in vain.
    weights: ClassVar[Mapping[str, float]] = {"format": 0.1, "evidence": 0.3}
    # `act_async` itself waits for live models.
    blocking: bool = False
    forkable: bool = True
    taskset: RoutingTaskSet

    def __init__(
        self,
        source: str = "scripted",
        *,
        backend: str | Mapping[str, Any] | None = None,
        a: float = 0.2,
        objective: Objective | None = None,
        match: Literal["em", "f1", "cover"] = "em",
        candidates: Sequence[str] | None = None,
        heldout_candidates: Sequence[str] = (),
        names: Names = "real",
        shuffle: int | None = None,
        show: Sequence[Part] = DEFAULT_PARTS,
        records: Mapping[str, Any] | None = None,
        budget_usd: float | None = None,
        on_budget: Literal["refuse", "end"] = "refuse",
        chars_per_token: float = 4.0,
        output_tokens: int = 256,
        max_reply_chars: int = 4096,
        state: State = "evidence",
        extra_turns: int = 3,
        expert: ExpertKind = "oracle",
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
        for name, value, known in (
            ("objective", objective, (None, *OBJECTIVES)),
            ("match", match, tuple(_MATCHES)),
            ("names", names, ("real", "neutral")),
            ("on_budget", on_budget, ("refuse", "end")),
            ("state", state, ("evidence", "history")),
            ("expert", expert, EXPERTS),
        ):
            if value not in known:
                raise ConfigError(f"{name} must be one of {', '.join(map(repr, known))}, got {value!r}")
        if not 0 <= a < float("inf"):
            raise ConfigError(f"a must be a number of at least 0, got {a!r}")
        if objective == "router_r1" and a > 1:
            raise ConfigError(f"a must be at most 1 with objective 'router_r1', got {a!r}")
        if budget_usd is not None and not budget_usd > 0:
            raise ConfigError(f"budget_usd must be above 0, got {budget_usd}")
        for name, count in {"max_reply_chars": max_reply_chars, "extra_turns": extra_turns}.items():
            if count < 1:
                raise ConfigError(f"{name} must be at least 1, got {count}")
        own = [name for name in RoutingEnv.__init__.__annotations__ if name not in ("return", "source_options")]
        chosen: dict[str, Any] = {**source_options, "heldout_candidates": heldout_candidates}
        if candidates is not None:
            chosen["candidates"] = candidates
        source_config = make_source(SOURCES, source, chosen, own)
        super().__init__(
            shared_taskset(source_config),
            split=split,
            action_format=action_format,
            instructions=instructions,
            max_turns=max_turns,
            max_action_chars=max_action_chars,
            max_observation_chars=max_observation_chars,
            render_mode=render_mode,
        )
        estimate = validate(
            Estimate, {"chars_per_token": chars_per_token, "output_tokens": output_tokens}, "Routing-v0"
        )
        self.backend = shared_backend(make_backend(backend or self.taskset.backend), self.taskset, estimate)
        self.menu = Menu(
            source_config,
            self.taskset,
            self.backend,
            estimate,
            a=float(a),
            names=names,
            shuffle=shuffle,
            show=show,
            records=records,
        )
        if objective == "relative" and self.menu.known is None:
            raise ConfigError("objective 'relative' needs a backend whose replies are known; use 'utility'")
        if expert == "records" and self.menu.records is None:
            raise ConfigError("expert 'records' goes by records; give the option records")
        self.objective: Objective = objective or ("utility" if self.menu.known is None else "relative")
        self.a, self.match = float(a), match
        self.budget_usd, self.on_budget, self.max_reply_chars = budget_usd, on_budget, max_reply_chars
        self.state, self.extra_turns = state, extra_turns
        self.expert_kind, self.expert_judges = expert, expert_judges
        self._offer: Offer | None = None
        self.progress = Progress()

    @property
    def offered(self) -> Offer:
        """Candidates, prices and oracle of the task being played."""
        if self._offer is None:
            raise gymnasium.error.ResetNeeded("call reset() first")
        return self._offer

    def vocabulary(self) -> list[str]:
        """Texts that hold every word this environment shows or its expert writes; tokenizers are made from them."""
        rules = self.instructions == "full"
        most = max(self.taskset.difficulty(i) for i in self.taskset.ids(self.split)[:MAX_SCANNED])
        words = self.menu.words(rules, self.max_turns or max(most, 1) + self.extra_turns)
        own = ["<model> </model> : ; , yes no Error:", _NOTED, _DECIDED, _SPENT, _UNLISTED, *_VERDICTS]
        own += REFUSALS.values()
        own += [self.parser.instructions()] if rules else []
        own += [_LEFT, ")", *percents()] if self.budget_usd is not None else []
        return [*own, *words]

    # -- the episode ---------------------------------------------------------------------------------------------------

    def task_actions(self, task: RoutingTask) -> Sequence[ActionSpec]:
        return ONE_SHOT_ACTIONS if self.menu.one_shot(task) else ACTIONS

    def turn_budget(self, task: RoutingTask) -> int:
        """One turn a fact and `extra_turns`."""
        return max(len(task.facts), 1) + self.extra_turns

    def begin(self, task: RoutingTask) -> Opening:
        self._offer, self.progress = self.menu.offer(task), Progress()
        turns = self.max_turns or self.turn_budget(task)
        return Opening(self.menu.prompt(self._offer, turns, rules=self.instructions == "full"), self._key(task))

    def act(self, turn: ParsedTurn) -> Outcome:
        call = self._prepare(turn)
        if isinstance(call, Outcome):
            return call
        if self.menu.known is not None:
            return self._finish(call, self.menu.known.foresee(call.candidate, call.question, self.task))
        return self._finish(call, run_blocking(self.backend.ask(call.candidate, call.question, self.task)))

    async def act_async(self, turn: ParsedTurn) -> Outcome:
        call = self._prepare(turn)
        if isinstance(call, Outcome):
            return call
        return self._finish(call, await self.backend.ask(call.candidate, call.question, self.task))

    def malformed(self, turn: ParsedTurn) -> Outcome:
        return self._undecided(f"Error: {turn.error}", {})

    def _prepare(self, turn: ParsedTurn) -> Outcome | _Call:
        """All of a turn but asking a model: what it led to, or the call that is to be made."""
        progress, first, last = self.progress, turn.actions[0], turn.actions[-1]
        reason = refusal(turn.actions, progress.to_judge, REFUSALS)
        name = self.offered.find(last.args["model"]) if last.name == "route" else None
        if reason is None and last.name == "route" and name is None:
            reason = f"{_UNLISTED} {' , '.join(self.offered.shown)}"
        if reason is not None:  # nothing of the turn counts: a verdict in it can be given again
            return self._undecided(f"Error: {reason}", {FORMAT: -1.0})
        parts: dict[str, float] = {}
        if first.name == JUDGE:
            if progress.right is not None:
                parts["judge"] = verdict_sign(first.args["verdict"] == "yes", progress.right)
            progress.to_judge = False
        if last.name == "answer":
            return self._decide(_MATCHES[self.match](last.args["text"], self.task.answers), parts)
        if name is None:
            return self._undecided(_NOTED, parts)
        candidate, question = self.offered.shown[name], last.args["question"] or self.task.question
        most = self.menu.most(candidate, question, self.task)
        if self.budget_usd is not None and progress.usd + most > self.budget_usd:
            return self._undecided(f"Error: {_SPENT}", parts | {"budget": 1.0}, ends=self.on_budget == "end")
        return _Call(name, candidate, question, parts)

    def _finish(self, call: _Call, reply: Reply) -> Outcome:
        """Takes a reply in."""
        progress, task, parts = self.progress, self.task, call.parts
        asked = call.candidate.name, normal(call.question)
        parts["repeat"] = float(asked in progress.asked)
        parts["usd"], parts["cost"] = reply.usd, self.offered.prices.share(reply.usd)
        progress.asked.add(asked)
        progress.usd += reply.usd
        if reply.error is not None:
            progress.to_judge, progress.right = False, None
            return self._undecided(f"Error: {call.name} : {reply.error}", parts | {"failed": 1.0})
        if self.offered.one_shot:
            return self._decide(reply.score or 0.0, parts)
        facts = task.facts_asked(call.question)
        score = reply.score
        if score is None and 0 in facts and not task.facts:
            score = cover_match(reply.text, task.answers)
        progress.reply = reply.text[: self.max_reply_chars]
        progress.to_judge, progress.right = True, None if score is None else score >= RIGHT_AT
        if progress.right:
            parts["evidence"] = len(facts - progress.found) / max(len(task.facts), 1)
            progress.found |= facts
        return self._undecided(f"{call.name} : {progress.reply}", parts)

    def _decide(self, quality: float, parts: dict[str, float]) -> Outcome:
        progress, oracle = self.progress, self.offered.oracle
        progress.decided = True
        utility = quality - self.a * self.offered.prices.share(progress.usd)
        parts = parts | {"answered": 1.0, "quality": quality, "utility": utility}
        if oracle is not None:
            parts["regret"] = max(oracle.utility(self.a) - utility, 0.0)
        said = _DECIDED if self.offered.one_shot else _VERDICTS[quality >= 1.0]
        return Outcome(said, RewardSignal(self._worth(quality), parts), self._key(self.task), terminated=True)

    def _undecided(self, observation: str, parts: dict[str, float], ends: bool = False) -> Outcome:
        """The episode goes on, or its budget ends it without a decision."""
        last = ends or self.turns_left <= 1
        if self.budget_usd is not None:
            left = max(1.0 - self.progress.usd / self.budget_usd, 0.0)
            observation += f" {_LEFT} {percent(left)} )"
        signal = RewardSignal(self._worth(0.0, decided=False) if last else None, parts)
        return Outcome(observation, signal, self._key(self.task), terminated=ends)

    def _worth(self, quality: float, decided: bool = True) -> float:
        prices, oracle = self.offered.prices, self.offered.oracle
        return worth(
            self.objective, quality, self.progress.usd, a=self.a, prices=prices, oracle=oracle, decided=decided
        )

    # -- state ---------------------------------------------------------------------------------------------------------

    def _key(self, task: RoutingTask) -> str:
        return f"{task.id}|{self.progress.key(self.state)}"

    def fork_state(self) -> Progress:
        return self.progress

    def load_fork(self, task: RoutingTask, state: Progress) -> None:
        self._offer, self.progress = self.menu.offer(task), state

    # -- expert --------------------------------------------------------------------------------------------------------

    def expert(self, mistakes: Mapping[str, float] | None = None, rng: np.random.Generator | None = None) -> str:
        """What the scripted router writes now; see the class's docstring for `mistakes`.

        Raises:
            ConfigError: An unknown kind of mistake, or mistakes without `rng`.
        """
        progress, offer = self.progress, self.offered
        situation = Situation(
            models=tuple(offer.shown),
            plan=self._plan(),
            answer=None if offer.one_shot else self.task.answers[0],
            last_reply=progress.reply,
            verdict=progress.right if self.expert_judges and progress.to_judge else None,
        )
        return self.parser.render(write_turn(situation, mistakes, rng))

    def _plan(self) -> list[tuple[str, str]]:
        """What the expert still has to ask, as (name, sub-question)."""
        offer, task, progress = self.offered, self.task, self.progress
        if offer.one_shot:
            best = self.menu.best_record(offer) if self.expert_kind == "records" else offer.course[0].candidate
            return [(offer.name_of(best), "")]
        plan: list[tuple[str, str]] = []
        for step in offer.course if self.turns_left > 1 else ():
            asked = (step.candidate.name, normal(step.question)) in progress.asked
            affordable = self.budget_usd is None or progress.usd + step.usd <= self.budget_usd
            if step.fact not in progress.found and not asked and affordable:
                plan.append((offer.name_of(step.candidate), "" if step.question == task.question else step.question))
        return plan


_MATCHES: dict[str, Callable[[str, Sequence[str]], float]] = {"em": exact_match, "f1": f1_score, "cover": cover_match}
_NOTED = "noted"
_DECIDED = "asked"
_VERDICTS = ("wrong", "correct")
_UNLISTED = "no such model ; listed are"
_SPENT = "the budget does not allow that"
_LEFT = "( budget left"
