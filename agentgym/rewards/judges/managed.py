"""`ManagedJudge`: what every judge needs around it: rules first, a cache, many requests at once, faults counted."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from agentgym.rewards.judges.cache import VerdictCache, content_key
from agentgym.rewards.judges.models import Budget
from agentgym.rewards.judges.screen import screen
from agentgym.rewards.judges.verdict import Judge, JudgeFault, Request, Verdict

log = logging.getLogger(__name__)


@dataclass(slots=True)
class JudgeStats:
    """Counters since the judge was made.

    Attributes:
        screened: Verdicts by a rule.
        cached: Verdicts found in the cache.
        asked: Verdicts by the judge.
        faults: Requests without a verdict.
    """

    screened: int = 0
    cached: int = 0
    asked: int = 0
    faults: int = 0


class ManagedJudge:
    """A judge that asks nothing a rule can decide and nothing twice.

    Args:
        judge: Decides what is left.
        identity: Of the judge, its parameters and model: verdicts are cached under it. A function is read at each
            request, for models whose weights change.
        cache: Keeps verdicts; faults are not kept.
        concurrency: Requests of `judge_all` that are under way at the same time.
        budget: Of the judge's model, for reports.
        openers, refusals: Which rules apply, see `agentgym.rewards.judges.screen`.
        close: Frees what the judge holds.

    Attributes:
        stats: Counters.
    """

    def __init__(
        self,
        judge: Judge,
        identity: Callable[[], str],
        *,
        cache: VerdictCache,
        concurrency: int = 64,
        budget: Budget | None = None,
        openers: bool = True,
        refusals: bool = True,
        close: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._judge, self._identity, self._cache, self._close = judge, identity, cache, close
        self.concurrency, self.budget = concurrency, budget or Budget()
        self.openers, self.refusals = openers, refusals
        self.stats = JudgeStats()

    @property
    def lowest(self) -> float:
        """See `Judge`."""
        return self._judge.lowest

    async def judge(self, request: Request) -> Verdict:
        """See `Judge.judge`."""
        verdict = screen(request, self.lowest, openers=self.openers, refusals=self.refusals)
        if verdict is not None:
            self.stats.screened += 1
            return verdict
        key = content_key(self._identity(), request)
        verdict = self._cache.get(key)
        if verdict is not None:
            self.stats.cached += 1
            return verdict
        try:
            verdict = await self._judge.judge(request)
        except JudgeFault:
            self.stats.faults += 1
            raise
        self.stats.asked += 1
        self._cache.put(key, verdict)
        return verdict

    async def judge_all(self, requests: Sequence[Request]) -> list[Verdict | None]:
        """A verdict for each request, in order; None where none could be had. Equal requests are judged once.

        Raises:
            BudgetSpent: The model may not be called any more. Verdicts had by then are in the cache.
            ConfigError: A request lacks what the judge reads.
        """
        distinct = list(dict.fromkeys(requests))
        verdicts: dict[Request, Verdict | None] = {}
        waiting = iter(distinct)

        async def work() -> None:
            for request in waiting:
                try:
                    verdicts[request] = await self.judge(request)
                except JudgeFault as fault:
                    verdicts[request] = None
                    log.warning("no verdict: %s", fault)

        workers = [asyncio.create_task(work()) for _ in range(min(self.concurrency, len(distinct)))]
        try:
            await asyncio.gather(*workers)
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)
        return [verdicts[request] for request in requests]

    async def close(self) -> None:
        """Frees the model, if the judge made it, and the cache's file."""
        self._cache.close()
        if self._close is not None:
            await self._close()
