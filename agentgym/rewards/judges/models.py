"""What judges ask: a model is an asynchronous function of one item, with a name for what decides its answers.

Four kinds: a chat (`agentgym.rewards.judges.chat`), a likelihood scorer (`causal`), a classifier (`classifier`) and an
encoder (`similarity`). `Metered` counts calls against a budget and tries again what the world, not the judge, broke;
`Batcher` gathers what is asked at the same time into one pass.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from agentgym.engines.base import Sampling
from agentgym.env import Message
from agentgym.faults import EnvironmentFault
from agentgym.rewards.judges.verdict import BudgetSpent, JudgeFault

log = logging.getLogger(__name__)

A = TypeVar("A")
B = TypeVar("B")
A_in = TypeVar("A_in", contravariant=True)
B_out = TypeVar("B_out", covariant=True)
Floats = NDArray[np.float64]


class Model(Protocol[A_in, B_out]):
    """Answers one item; many may be asked at the same time.

    Attributes:
        identity: Equal for models that answer alike; cached verdicts are kept under it.
    """

    @property
    def identity(self) -> str: ...

    async def __call__(self, item: A_in, /) -> B_out:
        """The answer.

        Raises:
            EnvironmentFault: The model broke.
        """
        ...


def _unknown(begin: int, end: int) -> float | None:
    return None


@dataclass(frozen=True, slots=True)
class Prompt:
    """What a chat is asked: messages, and how to sample the reply."""

    messages: tuple[Message, ...]
    sampling: Sampling


@dataclass(frozen=True, slots=True)
class Reply:
    """What a chat says.

    Attributes:
        text: Without the token that ends it.
        finished: It ended by itself, not at the token limit.
        probability: ``(begin, end)`` -> the probability of the tokens that hold that stretch of the text; None where
            the engine does not say.
    """

    text: str
    finished: bool = True
    probability: Callable[[int, int], float | None] = _unknown


@dataclass(frozen=True, slots=True)
class Passage:
    """What a likelihood scorer is asked: how likely is the target here?

    Attributes:
        messages: The conversation before.
        said: What the assistant has said so far; hostile.
        target: What is scored; hostile. It goes on with what the assistant said, or is the user's next message.
        role: Who says the target.
    """

    messages: tuple[tuple[str, str], ...]
    said: str
    target: str
    role: str = "assistant"


@dataclass(frozen=True, slots=True)
class TokenScores:
    """How likely a target is.

    Attributes:
        logprobs: float64[n], log-probability of each token of the target.
        values: float64[n], logsumexp of the logits that each token was predicted by.
    """

    logprobs: Floats
    values: Floats


@dataclass(frozen=True, slots=True)
class Pair:
    """What a classifier is asked: how good is this text (hostile) for this task?"""

    task: str
    text: str


Chat = Model[Prompt, Reply]
Likelihood = Model[Passage, TokenScores]
Classifier = Model[Pair, float]
Embedder = Model[str, Floats]


class Budget:
    """How often a model may be called.

    Args:
        limit: Calls; None: any number.

    Attributes:
        spent: Calls so far.
    """

    def __init__(self, limit: int | None = None) -> None:
        self.limit, self.spent = limit, 0

    def spend(self) -> None:
        """Books one call.

        Raises:
            BudgetSpent: There is none left.
        """
        if self.limit is not None and self.spent >= self.limit:
            raise BudgetSpent(self.limit)
        self.spent += 1


class Metered(Generic[A, B]):
    """A model whose calls are counted, and tried again where the world broke.

    Args:
        model: The model.
        budget: Every call is booked, a repeated one too.
        retries: Further tries after an `EnvironmentFault`.
    """

    def __init__(self, model: Model[A, B], budget: Budget, retries: int = 2) -> None:
        self.model, self.budget, self.retries = model, budget, retries

    @property
    def identity(self) -> str:
        return self.model.identity

    async def __call__(self, item: A, /) -> B:
        """The model's answer.

        Raises:
            JudgeFault: The model broke every time.
            BudgetSpent: It may not be called any more.
        """
        for left in range(self.retries, -1, -1):
            self.budget.spend()
            try:
                return await self.model(item)
            except JudgeFault:
                raise
            except EnvironmentFault as fault:
                if not left:
                    raise JudgeFault(f"the model failed {self.retries + 1} times: {fault}") from fault
                log.info("a judge's model failed, trying again: %s", fault)
        raise AssertionError("unreachable")


class Batcher(Generic[A, B]):
    """Gathers items that are asked at the same time into one call, which runs in a thread.

    Args:
        run: Items -> one answer each, in order.
        size: Most items of one call.
    """

    def __init__(self, run: Callable[[Sequence[A]], Sequence[B]], size: int) -> None:
        self._run, self._size = run, size
        self._waiting: list[tuple[A, asyncio.Future[B]]] = []
        self._driver: asyncio.Task[None] | None = None

    async def __call__(self, item: A) -> B:
        """The item's answer; an error of the call is raised for every item of it."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[B] = loop.create_future()
        if self._driver is not None and self._driver.get_loop() is not loop:
            self._driver, self._waiting = None, []  # of a loop that has ended
        self._waiting.append((item, future))
        if self._driver is None or self._driver.done():
            self._driver = loop.create_task(self._drive())
        return await future

    async def _drive(self) -> None:
        while self._waiting:
            await asyncio.sleep(0)  # whoever is ready to ask joins
            batch, self._waiting = self._waiting[: self._size], self._waiting[self._size :]
            batch = [(item, future) for item, future in batch if not future.done()]
            try:
                results = await asyncio.to_thread(self._run, [item for item, _ in batch]) if batch else []
            except Exception as error:
                for _, future in batch:
                    if not future.done():
                        future.set_exception(error)
                continue
            for (_, future), result in zip(batch, results, strict=True):
                if not future.done():
                    future.set_result(result)
