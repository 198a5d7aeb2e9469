from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence

import pytest
from judging import run

from agentgym.faults import ConfigError, EngineFault
from agentgym.rewards.judges.models import Batcher, Budget, Metered
from agentgym.rewards.judges.verdict import BudgetSpent, JudgeFault


class Flaky:
    identity = "flaky"

    def __init__(self, *errors: Exception | None) -> None:
        self.errors, self.calls = list(errors), 0

    async def __call__(self, item: int, /) -> int:
        self.calls += 1
        error = self.errors.pop(0) if self.errors else None
        if error is not None:
            raise error
        return item


def test_calls_are_tried_again_and_each_try_is_booked() -> None:
    model, budget = Flaky(EngineFault("down"), EngineFault("down")), Budget(10)
    metered: Metered[int, int] = Metered(model, budget, retries=2)
    assert metered.identity == "flaky"
    assert run(metered(7)) == 7
    assert (model.calls, budget.spent) == (3, 3)


def test_what_fails_every_time_is_a_fault_of_the_judge() -> None:
    metered: Metered[int, int] = Metered(Flaky(*[EngineFault("down")] * 3), Budget(), retries=1)
    with pytest.raises(JudgeFault, match=r"failed 2 times: engine: down"):
        run(metered(7))


@pytest.mark.parametrize("error", [JudgeFault("unreadable"), ConfigError("too long")])
def test_what_another_try_cannot_mend_is_not_tried_again(error: Exception) -> None:
    model = Flaky(error)
    with pytest.raises(type(error), match=str(error)):
        run(Metered(model, Budget(), retries=5)(7))
    assert model.calls == 1


def test_a_spent_budget_stops_before_the_call() -> None:
    model = Flaky()
    metered: Metered[int, int] = Metered(model, Budget(1))
    assert run(metered(1)) == 1
    with pytest.raises(BudgetSpent, match="budget of 1 model calls is spent"):
        run(metered(2))
    assert model.calls == 1


def test_what_is_asked_at_the_same_time_is_one_call_in_a_thread() -> None:
    calls: list[list[int]] = []
    threads: set[threading.Thread] = set()

    def work(items: Sequence[int]) -> list[int]:
        calls.append(list(items))
        threads.add(threading.current_thread())
        return [i * i for i in items]

    async def main(batcher: Batcher[int, int]) -> list[int]:
        return await asyncio.gather(*(batcher(i) for i in range(10)))

    batcher: Batcher[int, int] = Batcher(work, 4)
    assert run(main(batcher)) == [i * i for i in range(10)]
    assert [len(c) for c in calls] == [4, 4, 2]
    assert threading.main_thread() not in threads
    assert run(main(batcher)) == [i * i for i in range(10)], "another event loop, the same batcher"


def test_an_error_reaches_everyone_of_its_batch_and_no_one_else() -> None:
    def work(items: Sequence[int]) -> list[int]:
        if 0 in items:
            raise EngineFault("out of memory")
        return list(items)

    async def main() -> list[object]:
        batcher: Batcher[int, int] = Batcher(work, 2)
        return await asyncio.gather(*(batcher(i) for i in range(4)), return_exceptions=True)

    first, second, *rest = run(main())
    assert isinstance(first, EngineFault)
    assert isinstance(second, EngineFault)
    assert rest == [2, 3]


def test_a_cancelled_item_is_not_run() -> None:
    seen: list[int] = []

    def work(items: Sequence[int]) -> list[int]:
        seen.extend(items)
        return list(items)

    async def main() -> int:
        batcher: Batcher[int, int] = Batcher(work, 8)
        doomed = asyncio.create_task(batcher(1))
        await asyncio.sleep(0)
        doomed.cancel()
        return await batcher(2)

    assert run(main()) == 2
    assert seen == [2]
