"""`ToolCallEnv`: call tools, ask the user, say when it is done; every turn's facts come as named signals.

Format and correctness of calls follow ToolRL (arXiv 2504.13958); progress is a potential difference of the share of
the goal that holds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from agentgym.actions import JUDGE, Action, ActionSpec, ParsedTurn
from agentgym.env import FORMAT, AgentEnv, Instructions, Opening, Outcome
from agentgym.envs.sourcing import make_source, shared_taskset
from agentgym.envs.toolcall.session import CallResult, Session
from agentgym.envs.toolcall.task import SOURCES, ToolCallTask, ToolCallTaskSet
from agentgym.envs.verdicts import Verdict
from agentgym.faults import ConfigError
from agentgym.rewards.outcome.re_seek import verdict_sign
from agentgym.signal import RewardSignal
from agentgym.task import Split

MESSAGE = "message"
#: Tool sets whose action specifications one environment keeps.
KEPT_TOOLS = 64

_NOTED = "Noted."


class _Arguments(BaseModel):
    model_config = ConfigDict(extra="forbid")


class MessageArguments(_Arguments):
    """Tell the user something: ask what you need to know, or report when everything is done."""

    text: Annotated[str, StringConstraints(strip_whitespace=True)] = Field(description="What you say.")


class JudgeArguments(_Arguments):
    """Say whether the last result helped: yes or no."""

    verdict: Verdict = Field(description="Whether it told or did something that is needed.")


OWN_ACTIONS = (
    ActionSpec(MESSAGE, MessageArguments, body="text"),
    ActionSpec(JUDGE, JudgeArguments, body="verdict"),
)


@dataclass(slots=True)
class Progress:
    """State of an episode, apart from the session's own.

    Attributes:
        share: Share of the goal that held after the last turn.
        useful: Whether the last results helped; None when there is nothing to judge.
    """

    share: float | None = None
    useful: bool | None = None


class ToolCallEnv(AgentEnv[ToolCallTask]):
    """Do what a user wants by calling tools.

    **Actions**: the task's tools, up to `max_calls` calls a turn, which are carried out in order;
    ``message(text)`` to the user, alone in its turn; ``judge(verdict)`` on the last results, before the others.

    **Observations**: the results in order, one a line where there are several, each after its tool's name; or what the
    user says. An error is one line, and the calls after it are carried out all the same.

    **Outcome**: 1 when the episode ends with the goal reached and nothing else changed, else 0; see the source.

    **State key**: the task, the data behind the tools, and what the user has said.

    **Expert**: the source's; its mistakes are named there.

    Args:
        source: Where tasks come from: a name of `task.SOURCES`; its options are given beside it.
        gamma: Discount of the potential in ``progress``.
        max_calls: Calls that one turn may make.
        expert_judges: The expert judges every result that can be judged.
        split, action_format, instructions, max_turns, max_action_chars, max_observation_chars, render_mode: See
            `AgentEnv`.
        **source_options: Options of the source.

    Raises:
        ConfigError: An option that cannot be used.
        DataError: A damaged file.
    """

    actions: ClassVar[Sequence[ActionSpec]] = OWN_ACTIONS
    signals: ClassVar[Mapping[str, str]] = {
        "format": "-1 for a turn that is not well-formed: unknown tools and wrong arguments too",
        "validity": "share of the turn's calls that the tool accepted (0..1); absent without calls",
        "progress": "gamma * (share of the goal that holds now) - (share before): a potential difference",
        "forbidden": "changes outside the goal that the turn made (a cost)",
        "policy": "violations of the policy document by the turn (a cost)",
        "judge": "+1 for a right verdict on the last results, -1 for a wrong one",
        "toolrl_format": "ToolRL: 1 for a well-formed turn (where calls are expected)",
        "toolrl_correctness": "ToolRL: correctness of the turn's calls, -3..3 (where calls are expected)",
    }
    # Verdicts earn nothing by default: a right "no" on a fruitless call would pay for calling in vain.
    weights: ClassVar[Mapping[str, float]] = {"format": 0.1, "progress": 0.3, "forbidden": -0.1, "policy": -0.1}
    forkable = True  # where the source's sessions are; an instance knows
    taskset: ToolCallTaskSet

    def __init__(
        self,
        source: str = "worlds",
        *,
        gamma: float = 1.0,
        max_calls: int = 16,
        expert_judges: bool = False,
        split: Split = "train",
        action_format: str = "hermes",
        instructions: Instructions = "full",
        max_turns: int | None = None,
        max_action_chars: int = 65_536,
        max_observation_chars: int = 65_536,
        render_mode: str | None = None,
        **source_options: Any,
    ) -> None:
        if not 0 < gamma <= 1:
            raise ConfigError(f"gamma must be above 0 and at most 1, got {gamma:g}")
        if max_calls < 1:
            raise ConfigError(f"max_calls must be at least 1, got {max_calls}")
        own = [name for name in ToolCallEnv.__init__.__annotations__ if name not in ("return", "source_options")]
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
        self.gamma, self.max_calls, self.expert_judges = gamma, max_calls, expert_judges
        self.blocking, self.forkable = self.taskset.blocking, self.taskset.forkable
        self._offers: dict[int, tuple[Sequence[ActionSpec], tuple[ActionSpec, ...]]] = {}
        self._live: Session | None = None
        self._progress = Progress()

    def vocabulary(self) -> list[str]:
        """Texts that hold every word an episode can contain; tokenizers are made from them."""
        own = [f"<{MESSAGE}> </{MESSAGE}> <{JUDGE}> </{JUDGE}>", "yes no : Error:", _NOTED]
        return [*own, *map(str, range(1, 10)), *self.taskset.texts()]

    @property
    def session(self) -> Session:
        """The world of the episode."""
        if self._live is None:
            raise ConfigError("call reset() first")
        return self._live

    # -- the episode -------------------------------------------------------------------------------------------------

    def task_actions(self, task: ToolCallTask) -> Sequence[ActionSpec]:
        return self._with_own(self.taskset.tools(task))

    def _with_own(self, tools: Sequence[ActionSpec]) -> Sequence[ActionSpec]:
        kept = self._offers.get(id(tools))
        if kept is None or kept[0] is not tools:
            if len(self._offers) >= KEPT_TOOLS:
                self._offers.clear()
            kept = self._offers[id(tools)] = (tools, (*tools, *OWN_ACTIONS))
        return kept[1]

    def _follow(self, task: ToolCallTask) -> None:
        """Makes the parser one of what may be called now: an episode may hand tools out on its way."""
        tools = self.session.tools()
        specs = self.task_actions(task) if tools is None else self._with_own(tools)
        if list(self.parser.specs.values()) != list(specs):
            self.parser = type(self.parser)(specs)

    def turn_budget(self, task: ToolCallTask) -> int:
        return self.taskset.turn_budget(task)

    def begin(self, task: ToolCallTask) -> Opening:
        self._live = self.taskset.session(task, int(self.np_random.integers(2**31)))
        self._follow(task)
        prompt, system = self._live.opening()
        self._progress = Progress(self._live.progress())
        return Opening(prompt, self._key(), system)

    def act(self, turn: ParsedTurn) -> Outcome:
        progress, session = self._progress, self.session
        if reason := self._refusal(turn.actions):
            return Outcome(f"Error: {reason}", RewardSignal(process={FORMAT: -1.0}), self._key())
        parts: dict[str, float] = {}
        observation, over = _NOTED, False
        calls: list[Action] = []
        for action in turn.actions:
            if action.name == JUDGE:
                parts["judge"] = verdict_sign(action.args["verdict"] == "yes", bool(progress.useful))
                progress.useful = None
            elif action.name == MESSAGE:
                reply = session.say(action.args["text"])
                observation, over, progress.useful = reply.text, reply.over, None
            else:
                calls.append(action)
        if calls:
            results = [session.call(action) for action in calls]
            parts["validity"] = sum(r.error is None for r in results) / len(results)
            known = [r.useful for r in results if r.useful is not None]
            progress.useful = any(known) if known else None
            observation = _shown(calls, results)
            over = session.ended()
        self._follow(self.task)
        share = session.progress()
        if share is not None and progress.share is not None:
            parts["progress"] = self.gamma * share - progress.share
        progress.share = share
        parts.update(session.parts(calls))
        outcome = session.outcome() if over else None
        return Outcome(observation, RewardSignal(outcome, parts), self._key(), terminated=over)

    def _refusal(self, actions: Sequence[Action]) -> str | None:
        """Why well-formed actions are no turn; None where they are."""
        names = [a.name for a in actions]
        if names[0] == JUDGE:
            if self._progress.useful is None:
                return "there is no result to judge"
            names = names[1:]
        if JUDGE in names:
            return "write one verdict, before the other actions"
        if MESSAGE in names and len(names) > 1:
            return "a message to the user goes alone: read the results first"
        if len(names) > self.max_calls:
            return f"make at most {self.max_calls} calls a turn, not {len(names)}"
        return None

    def _key(self) -> str:
        return f"{self.session.key()}|{self._progress.useful}"

    # -- expert, forks -----------------------------------------------------------------------------------------------

    def expert(self, mistakes: Mapping[str, float] | None = None, rng: np.random.Generator | None = None) -> str:
        actions = list(self.session.expert(mistakes, rng))
        if self.expert_judges and self._progress.useful is not None:
            erred = bool(mistakes) and rng is not None and rng.random() < (mistakes or {}).get(JUDGE, 0.0)
            verdict = "yes" if self._progress.useful != erred else "no"
            actions.insert(0, Action(JUDGE, {"verdict": verdict}))
        return self.parser.render(actions)

    def fork_state(self) -> tuple[Any, Progress]:
        return self.session.save(), self._progress

    def load_fork(self, task: ToolCallTask, state: tuple[Any, Progress]) -> None:
        self._live = self.taskset.session(task, 0)
        self._live.load(state[0])
        self._progress = state[1]
        self._follow(task)


def _shown(calls: Sequence[Action], results: Sequence[CallResult]) -> str:
    """Results as the agent reads them; which is whose is said where there are several."""
    if len(results) == 1:
        return results[0].text
    return "\n".join(f"{call.name} : {result.text}" for call, result in zip(calls, results, strict=True))
