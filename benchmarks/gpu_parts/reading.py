"""An environment that answers at once: a text to read, whatever the policy writes, and a reward drawn by lot."""

from __future__ import annotations

import gymnasium
import numpy as np
from pydantic import BaseModel

from agentgym import ActionSpec, AgentEnv, Opening, Outcome, ParsedTurn, RewardSignal, Task, TaskSet
from agentgym.task import Split

ENV_ID = "agentgym-benchmark/GpuReading-v0"
#: Workers import this module to make the environment.
ENV = f"gpu_parts.reading:{ENV_ID}"


class Say(BaseModel):
    """Says something."""

    text: str


class Numbers(TaskSet[Task]):
    """Tasks without contents, named by their number."""

    def __init__(self, n: int) -> None:
        self.n = n

    def ids(self, split: Split) -> list[str]:
        return [str(i) for i in range(self.n)]

    def __getitem__(self, task_id: str) -> Task:
        return Task(id=task_id, split="train")


class Reading(AgentEnv[Task]):
    """Lengths are means, as those of the learner's batch.

    Args:
        tasks: How many.
        prompt: Words of the first message.
        observation: Words of an answer.
        turns: Turns of an episode.
        words: Of the vocabulary.
    """

    actions = (ActionSpec("say", Say, body="text"),)
    blocking = False

    def __init__(self, tasks: int, prompt: int, observation: int, turns: int, words: int) -> None:
        super().__init__(Numbers(tasks), instructions="none", max_turns=turns)
        self.prompt, self.observation, self.words = prompt, observation, words
        self._chance = np.random.default_rng()

    def begin(self, task: Task) -> Opening:
        return Opening(self._text(self.prompt), "reading")

    def act(self, turn: ParsedTurn) -> Outcome:
        last = self.turns_left == 1
        reward = RewardSignal(outcome=float(self._chance.random())) if last else RewardSignal()
        return Outcome("" if last else self._text(self.observation), reward, "reading", terminated=last)

    def malformed(self, turn: ParsedTurn) -> Outcome:
        return self.act(turn)

    def _text(self, mean: int) -> str:
        length = int(self._chance.integers(max(1, mean // 2), mean + mean // 2 + 1))
        return " ".join(f"w{i}" for i in self._chance.integers(self.words, size=length))


if ENV_ID not in gymnasium.registry:
    gymnasium.register(ENV_ID, "gpu_parts.reading:Reading", disable_env_checker=True, order_enforce=False)
