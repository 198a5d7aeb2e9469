from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from sampled import Turn, logits, prompt, worst
from transformers import AutoTokenizer, PreTrainedModel

from agentgym.engines.base import ENGINES, Completion, Engine, Sampling
from agentgym.engines.vllm import VllmEngine
from agentgym.faults import ConfigError


@pytest.fixture(scope="module")
def engine(open_engine: Callable[..., Any]) -> Iterator[VllmEngine]:
    """One engine for all tests that leave its weights alone."""
    with open_engine(max_sessions=48) as opened:
        yield opened


async def episode(engine: VllmEngine, index: int, turns: int, **options: Any) -> list[Turn]:
    """A conversation with ragged lengths; its course follows from its index."""
    ids, said = prompt(index), []
    for turn in range(turns):
        seed = 100 * index + turn
        sampling = Sampling(**{"max_tokens": 1 + seed % 9, "seed": seed, **options})
        completion = await engine.generate(ids, sampling, session=f"episode {index}")
        said.append((list(ids), completion))
        ids = ids + completion.token_ids + prompt(seed + 5000, 0, 12)
        if index % 3 == 0:
            await asyncio.sleep(0.001 * (index % 5))  # a slow environment
    engine.release(f"episode {index}")
    return said


def play(run: Any, engine: VllmEngine, episodes: range, turns: int = 4, **options: Any) -> list[list[Turn]]:
    async def everything() -> list[list[Turn]]:
        return await asyncio.gather(*(episode(engine, i, turns, **options) for i in episodes))

    result: list[list[Turn]] = run(everything())
    return result


def test_it_is_an_engine_by_name(engine: VllmEngine) -> None:
    assert ENGINES.get("vllm") is VllmEngine
    assert isinstance(engine, Engine)
    assert engine.max_context == 256


@pytest.mark.parametrize(
    "options",
    [{}, {"temperature": 0}, {"temperature": 0.7}, {"temperature": 1.5, "top_k": 9}, {"top_p": 0.8}],
    ids=str,
)
def test_many_ragged_sessions_equal_a_plain_forward_pass(
    engine: VllmEngine, reference: PreTrainedModel, run: Any, options: dict[str, Any]
) -> None:
    before, cached = engine.stats.read, engine.stats.extra["cached"]
    generated, reread, busy = engine.stats.generated, engine.stats.reread, engine.stats.busy_s
    said = play(run, engine, range(12), **options)
    turns = [turn for episode in said for turn in episode]
    assert worst(reference, turns, Sampling(**options)) < 2e-5
    if options.get("temperature") == 0:
        for ids, completion in turns:
            n = len(completion.token_ids)
            assert completion.token_ids == logits(reference, ids + completion.token_ids)[-n:].argmax(-1).tolist()
    # Every prompt token was either read or found in the cache; at most a block of each turn was read twice.
    sampled = sum(len(completion.token_ids) for _, completion in turns)
    read, found = engine.stats.read - before, engine.stats.extra["cached"] - cached
    assert engine.stats.generated - generated == sampled
    assert read + found == sum(len(ids) for ids, _ in turns)
    assert found > 0
    assert engine.stats.reread - reread < 32 * len(turns)
    assert engine.stats.busy_s > busy
    assert all(completion.version == 0 and not completion.changes for _, completion in turns)


def test_same_seed_same_completion_whatever_else_runs(engine: VllmEngine, run: Any) -> None:
    ids, sampling = prompt(7), Sampling(max_tokens=20, seed=2**62 + 5)

    async def busy() -> Completion:
        others = [episode(engine, i, 2) for i in range(100, 115)]
        return (await asyncio.gather(engine.generate(ids, sampling), *others))[0]

    alone, among = run(engine.generate(ids, sampling)), run(busy())
    other = run(engine.generate(ids, Sampling(max_tokens=20, seed=1)))
    assert alone.token_ids == among.token_ids
    np.testing.assert_allclose(alone.logprobs, among.logprobs, atol=1e-5)
    assert other.token_ids != alone.token_ids


def test_ends_are_part_of_the_completion(engine: VllmEngine, model: str, run: Any) -> None:
    ids = prompt(3)
    whole = run(engine.generate(ids, Sampling(max_tokens=30, seed=4)))
    assert whole.finish_reason == "length"
    assert len(whole.token_ids) == len(whole.logprobs) == 30
    later = next(i for i in range(3, 30) if whole.token_ids[i] not in whole.token_ids[:i])
    by_id = run(engine.generate(ids, Sampling(max_tokens=30, seed=4, stop_token_ids=(whole.token_ids[later],))))
    assert by_id.finish_reason == "stop"
    assert by_id.token_ids == whole.token_ids[: later + 1]
    tokenizer = AutoTokenizer.from_pretrained(model)
    text = tokenizer.decode(whole.token_ids[later - 1 : later + 1])
    by_text = run(engine.generate(ids, Sampling(max_tokens=30, seed=4, stop=("never said", text))))
    assert by_text.finish_reason == "stop"
    cut = len(by_text.token_ids)
    assert by_text.token_ids == whole.token_ids[:cut]
    assert by_text.logprobs == pytest.approx(whole.logprobs[:cut], abs=1e-5)
    assert text in tokenizer.decode(by_text.token_ids)
    assert text not in tokenizer.decode(by_text.token_ids[:-1])


def test_the_models_own_end_ends(open_engine: Callable[..., Any], engine: VllmEngine, model: str, run: Any) -> None:
    assert engine.end_ids == {AutoTokenizer.from_pretrained(model).eos_token_id}
    ids, end = prompt(11), next(iter(engine.end_ids))

    async def many() -> list[Completion]:
        return await asyncio.gather(*(engine.generate(ids, Sampling(max_tokens=200, seed=s)) for s in range(40)))

    ended = [c for c in run(many()) if c.finish_reason == "stop"]
    assert ended
    assert all(c.token_ids.index(end) == len(c.token_ids) - 1 for c in ended)


def test_the_context_bounds_a_completion(engine: VllmEngine, run: Any) -> None:
    ids = [5] * 250
    full = run(engine.generate(ids, Sampling(max_tokens=50, seed=2)))
    assert (len(full.token_ids), full.finish_reason) == (6, "length")


@pytest.mark.parametrize(
    ("ids", "options", "message"),
    [
        ([], {}, "the prompt is empty"),
        ([5] * 256, {}, "has 256 tokens, max_context is 256"),
        ([5, 10_000], {}, "holds token 10000"),
        ([-1], {}, "the prompt holds token"),
        ([5], {"temperature": 0.001}, "at 0 or from 0.01 on"),
    ],
)
def test_a_prompt_that_cannot_be_read_is_the_callers(
    engine: VllmEngine, run: Any, ids: list[int], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        run(engine.generate(ids, Sampling(**options)))
    assert run(engine.generate([5], Sampling(max_tokens=1))).version == 0  # nobody else is harmed


def test_what_vllm_itself_refuses_is_the_callers(engine: VllmEngine, run: Any) -> None:
    with pytest.raises(ConfigError, match="vLLM refuses the request"):
        run(engine.generate([5], Sampling(stop_token_ids=(10_000,))))
    assert run(engine.generate([5], Sampling(max_tokens=1))).version == 0


def test_a_cancelled_request_leaves_and_others_go_on(engine: VllmEngine, run: Any) -> None:
    async def work() -> Completion:
        long = [asyncio.create_task(engine.generate(prompt(i), Sampling(max_tokens=150, seed=i))) for i in range(6)]
        while engine.stats.generated == generated:
            await asyncio.sleep(0.001)
        for task in long[1:]:
            task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await long[1]
        return await long[0]

    generated = engine.stats.generated
    kept = run(work())
    assert kept.token_ids == run(engine.generate(prompt(0), Sampling(max_tokens=150, seed=0))).token_ids
    assert engine._requests == {}
    assert not engine._vllm.has_unfinished_requests()


def test_the_event_loop_stays_free(engine: VllmEngine, run: Any) -> None:
    async def work() -> list[float]:
        task = asyncio.create_task(engine.generate(prompt(1), Sampling(max_tokens=180, seed=3)))
        gaps = []
        while not task.done():
            started = time.perf_counter()
            await asyncio.sleep(0.001)
            gaps.append(time.perf_counter() - started)
        return gaps

    forwards = engine.stats.forwards
    assert len(run(work())) > (engine.stats.forwards - forwards) / 10


def test_more_requests_and_longer_prompts_than_a_step_holds(engine: VllmEngine, run: Any) -> None:
    async def many() -> list[Completion]:
        return await asyncio.gather(*(engine.generate([i] * 200, Sampling(max_tokens=2, seed=i)) for i in range(3, 80)))

    assert all(1 <= len(c.token_ids) <= 2 for c in run(many()))
