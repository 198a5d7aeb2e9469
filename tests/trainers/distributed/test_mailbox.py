"""The mailbox by itself, without Ray: commands are handed out once, answers collected, failures not waited for."""

from __future__ import annotations

import asyncio

import pytest

from agentgym.faults import ConfigError
from agentgym.trainers.distributed import mailbox as module
from agentgym.trainers.distributed.mailbox import Answer, Command, Mailbox


def test_every_rank_gets_every_command_and_all_answers_come_back_by_rank() -> None:
    async def rank(box: Mailbox, number: int, delay: float) -> list[str]:
        await box.join(number, f"actor {number}")
        seen, done = [], 0
        while (command := await box.next(done)).name:
            await asyncio.sleep(delay)
            seen.append(f"{command.name} {command.arguments}")
            await box.answer(Answer(command.number, number, command.arguments))
            done = command.number + 1
        return seen

    async def run() -> None:
        box = Mailbox(3)
        ranks = [asyncio.create_task(rank(box, number, 0.02 * (3 - number))) for number in range(3)]
        assert await box.joined() == ["actor 0", "actor 1", "actor 2"]
        for number, name in enumerate(["update", "save"]):
            answers = await box.run(Command(number, name, number))
            assert [(a.rank, a.value) for a in answers] == [(0, number), (1, number), (2, number)]
            assert box.command is not None
            assert box.command.arguments is None  # what it stood for is let go of
        last = asyncio.create_task(box.run(Command(2, "")))
        assert await asyncio.gather(*ranks) == [["update 0", "save 1"]] * 3
        last.cancel()

    asyncio.run(run())


def test_a_failure_is_not_waited_past(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_GRACE_S", 0.05)

    async def run() -> list[Answer]:
        box = Mailbox(2)
        running = asyncio.create_task(box.run(Command(0, "update")))
        await box.next(0)
        await box.answer(Answer.failed(0, 1, RuntimeError("connection closed")))
        return await running

    (answer,) = asyncio.run(run())
    assert (answer.rank, answer.sound, str(answer.error)) == (1, False, "RuntimeError: connection closed")


def test_answers_to_a_command_that_was_given_up_are_dropped() -> None:
    async def run() -> list[Answer]:
        box = Mailbox(1)
        given_up = asyncio.create_task(box.run(Command(0, "update")))
        assert (await box.next(0)).name == "update"
        given_up.cancel()
        running = asyncio.create_task(box.run(Command(1, "weights")))
        while (await box.next(0)).number == 0:
            await asyncio.sleep(0)
        await box.answer(Answer(0, 0, "old"))
        await box.answer(Answer(1, 0, "new"))
        return await running

    assert [answer.value for answer in asyncio.run(run())] == ["new"]


class Unpicklable(ValueError):
    def __init__(self, one: int, two: int) -> None:
        super().__init__(f"{one} and {two}")


def test_typed_errors_travel_as_they_are_and_others_as_one_line() -> None:
    typed = Answer.failed(4, 0, ConfigError("no such model"))
    assert isinstance(typed.error, ConfigError)
    assert typed.sound
    other = Answer.failed(4, 0, RuntimeError("out of memory\nand a long story"))
    assert (str(other.error), other.sound) == ("RuntimeError: out of memory", False)
    odd = Answer.failed(4, 0, Unpicklable(1, 2))
    assert (str(odd.error), odd.sound) == ("Unpicklable: 1 and 2", False)
    assert str(Answer.failed(4, 0, KeyError()).error) == "KeyError"
