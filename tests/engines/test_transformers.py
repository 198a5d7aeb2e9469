from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from agentgym.engines.base import ENGINES, Completion, Engine, Sampling
from agentgym.engines.transformers import TransformersEngine
from agentgym.faults import ConfigError, EngineFault

V = 96
SMALL = {
    "vocab_size": V,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
FAMILIES: dict[str, dict[str, Any]] = {
    "Llama": {},
    "Qwen2": {"tie_word_embeddings": True},
    "Qwen3": {"head_dim": 16},
    "Mistral": {"sliding_window": 24},
    "Gemma2": {"head_dim": 8, "sliding_window": 24, "attn_logit_softcapping": 2.0, "final_logit_softcapping": 3.0},
    "Gemma3": {"head_dim": 8, "sliding_window": 24},
    "GPT2": {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 256},
    "Phi3": {},
    "Olmo2": {},
}


def make_model(family: str = "Llama", seed: int = 0, **changes: Any) -> PreTrainedModel:
    """A random model whose logits are far from uniform."""
    config_name = {"Gemma3": "Gemma3TextConfig"}.get(family, f"{family}Config")
    model_name = {"GPT2": "GPT2LMHeadModel"}.get(family, f"{family}ForCausalLM")
    options = {**SMALL, **FAMILIES[family], **changes}
    if family == "GPT2":
        options = {
            k: v for k, v in options.items() if k in ("vocab_size", "n_embd", "n_layer", "n_head", "n_positions")
        }
    torch.manual_seed(seed)
    model = getattr(transformers, model_name)(getattr(transformers, config_name)(**options)).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.dim() > 1:
                parameter.mul_(3 if "embed" in name or "lm_head" in name else 6)
    return model


def reference_logprobs(model: PreTrainedModel, ids: list[int]) -> np.ndarray:
    """float32[n - 1, vocabulary] of a plain forward pass by the model's own eager attention."""
    before = model.config._attn_implementation
    model.set_attn_implementation("eager")
    try:
        with torch.inference_mode():
            logits = model(input_ids=torch.tensor([ids]), use_cache=False).logits[0, :-1]
    finally:
        model.set_attn_implementation(before)
    return logits.float().log_softmax(-1).numpy()


def prompt(seed: int, low: int = 1, high: int = 25) -> list[int]:
    rng = np.random.default_rng(seed)
    return [int(t) for t in rng.integers(3, V, size=rng.integers(low, high))]


Turn = tuple[list[int], Completion]


async def episode(
    engine: TransformersEngine, index: int, turns: int, session: bool = True, greedy: bool = False
) -> list[Turn]:
    """A multi-turn conversation with ragged lengths; its course follows from its index."""
    ids, said = prompt(index), []
    for turn in range(turns):
        seed = 100 * index + turn
        sampling = Sampling(temperature=0 if greedy else 1, max_tokens=1 + seed % 7, seed=seed)
        completion = await engine.generate(ids, sampling, session=f"episode {index}" if session else None)
        said.append((list(ids), completion))
        ids = ids + completion.token_ids + prompt(seed + 5000, 0, 12)
        if index % 3 == 0:
            await asyncio.sleep(0.001 * (index % 5))  # a slow environment
    if session:
        engine.release(f"episode {index}")
    return said


def run(work: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    return asyncio.run(asyncio.wait_for(work(), 60))


def play(engine: TransformersEngine, episodes: range, turns: int = 4, **options: Any) -> dict[int, list[Turn]]:
    async def everything() -> dict[int, list[Turn]]:
        said = await asyncio.gather(*(episode(engine, i, turns, **options) for i in episodes))
        return dict(zip(episodes, said, strict=True))

    result: dict[int, list[Turn]] = run(everything)
    return result


def check(model: PreTrainedModel, said: dict[int, list[Turn]], greedy: bool, tolerance: float = 1e-5) -> None:
    for turns in said.values():
        for ids, completion in turns:
            n = len(completion.token_ids)
            logprobs = reference_logprobs(model, ids + completion.token_ids)[-n:]
            np.testing.assert_allclose(
                completion.logprobs, logprobs[np.arange(n), completion.token_ids], atol=tolerance, rtol=0
            )
            if greedy:
                assert completion.token_ids == logprobs.argmax(-1).tolist()


@pytest.mark.parametrize("greedy", [True, False], ids=["greedy", "sampled"])
@pytest.mark.parametrize("family", FAMILIES)
def test_many_ragged_sessions_equal_a_plain_forward_pass(family: str, greedy: bool) -> None:
    model = make_model(family)
    engine = TransformersEngine(module=model, end_ids=(2,))
    said = play(engine, range(12), greedy=greedy)
    check(model, said, greedy, tolerance=1e-5 if family != "Gemma3" else 3e-5)
    sampled = sum(len(c.token_ids) for turns in said.values() for _, c in turns)
    # Each token of each episode was read at most once: all of the last turn's prompt, less what was sampled and read.
    assert engine.stats.generated == sampled
    assert engine.stats.reread == engine.stats.evictions == 0
    assert engine.stats.read <= sum(len(turns[-1][0]) for turns in said.values())
    assert engine.stats.forwards < sampled / 3


@pytest.mark.parametrize(
    "options",
    [
        {"session": False},
        {"max_sessions": 1},
        {"max_sessions": 3},
        {"max_sessions": 3, "patience_steps": 0},
        {"max_step_tokens": 1},
        {"max_step_tokens": 7},
        {"in_thread": True},
        {"settle_rounds": 0},
    ],
    ids=str,
)
def test_no_setting_changes_what_is_sampled(options: dict[str, Any]) -> None:
    model = make_model("Qwen2")
    usual = play(TransformersEngine(module=model), range(10))
    session = options.pop("session", True)
    engine = TransformersEngine(module=model, **options)
    said = play(engine, range(10), session=session)
    check(model, said, greedy=False)
    for index, turns in usual.items():
        assert [c.token_ids for _, c in turns] == [c.token_ids for _, c in said[index]]
    if not session:
        assert engine.stats.read == sum(len(ids) for turns in said.values() for ids, _ in turns)
        assert engine.stats.reread == 0  # nobody asked for it to be kept
    elif "patience_steps" in options:
        assert engine.stats.evictions > 0
        assert engine.stats.reread > 0


def test_evictions_are_counted_to_the_token_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    engine = TransformersEngine(module=make_model(), max_sessions=1, end_ids=())

    async def work() -> None:
        first, second = prompt(1, 10, 11), prompt(2, 6, 7)
        a = await engine.generate(first, Sampling(max_tokens=4), session="a")
        assert (engine.stats.read, engine.stats.reread) == (10, 0)
        await engine.generate(second, Sampling(max_tokens=1), session="b")  # takes a's slot
        assert (engine.stats.read, engine.stats.reread, engine.stats.evictions) == (16, 0, 1)
        await engine.generate(first + a.token_ids + [5, 6], Sampling(max_tokens=1), session="a")
        # 10 + 3 had been read; the last sampled token and the two new ones had not.
        assert (engine.stats.read, engine.stats.reread, engine.stats.evictions) == (16 + 16, 13, 2)

    with caplog.at_level(logging.WARNING):
        run(work)
    assert "evicted the cache of session a (13 tokens" in caplog.text


def test_a_rewritten_history_keeps_the_common_part() -> None:
    model = make_model()
    engine = TransformersEngine(module=model, end_ids=())
    ids = prompt(3, 20, 21)

    async def work() -> Completion:
        await engine.generate(ids, Sampling(max_tokens=3), session="a")
        read = engine.stats.read
        rewritten = [*ids[:12], 9, *ids[13:18]]
        completion = await engine.generate(rewritten, Sampling(max_tokens=5), session="a")
        assert engine.stats.read - read == len(rewritten) - 12
        assert engine.stats.reread == 0
        again = await engine.generate(rewritten, Sampling(max_tokens=5), session="a")
        assert again.token_ids == completion.token_ids
        assert engine.stats.reread == 1  # the last token's logits are needed once more
        return completion

    completion = run(work)
    check(model, {0: [([*ids[:12], 9, *ids[13:18]], completion)]}, greedy=False)


def test_seeds_decide_alone_what_is_sampled() -> None:
    model = make_model()
    together = play(TransformersEngine(module=model), range(16))
    for index in (0, 7, 15):
        alone = play(TransformersEngine(module=model), range(index, index + 1))
        assert [c.token_ids for _, c in alone[index]] == [c.token_ids for _, c in together[index]]


def test_the_same_calls_give_the_same_bits() -> None:
    def once() -> list[tuple[list[int], list[float]]]:
        engine = TransformersEngine(module=make_model())

        async def work() -> list[Completion]:
            jobs = [engine.generate(prompt(i), Sampling(seed=i, max_tokens=9), str(i)) for i in range(9)]
            return list(await asyncio.gather(*jobs))

        return [(c.token_ids, c.logprobs) for c in run(work)]

    assert once() == once()


@pytest.mark.parametrize(
    ("temperature", "top_p", "top_k"), [(0.5, 1.0, 0), (1.0, 0.6, 0), (1.3, 1.0, 5), (0.8, 0.9, 7)]
)
def test_logprobs_are_those_of_the_distribution_sampled_from(temperature: float, top_p: float, top_k: int) -> None:
    model = make_model()
    engine = TransformersEngine(module=model, end_ids=())
    sampling = Sampling(temperature=temperature, top_p=top_p, top_k=top_k, max_tokens=12, seed=4)

    async def work() -> list[Completion]:
        others = [engine.generate(prompt(i), Sampling(max_tokens=5, seed=i)) for i in range(3)]
        return list(await asyncio.gather(engine.generate(prompt(9), sampling), *others))

    completion = run(work)[0]
    ids = prompt(9) + completion.token_ids
    warpers = [transformers.TemperatureLogitsWarper(temperature)]
    if top_k:
        warpers.append(transformers.TopKLogitsWarper(top_k))
    if top_p < 1:
        warpers.append(transformers.TopPLogitsWarper(top_p))
    with torch.inference_mode():
        scores = model(input_ids=torch.tensor([ids])).logits[0, len(prompt(9)) - 1 : -1]
        for warper in warpers:
            scores = warper(None, scores)
    want = scores.log_softmax(-1).gather(-1, torch.tensor(completion.token_ids)[:, None])[:, 0]
    np.testing.assert_allclose(completion.logprobs, want.numpy(), atol=1e-5)
    assert len(set(completion.token_ids)) > 1


# -- endings -----------------------------------------------------------------------------------------------------------


def words() -> PreTrainedTokenizerFast:
    """Token k reads "wk"."""
    raw = Tokenizer(models.WordLevel({f"w{i}": i for i in range(V)}, unk_token="w0"))  # noqa: S106
    raw.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=raw, eos_token="w2")  # noqa: S106


def test_endings() -> None:
    model = make_model()
    engine = TransformersEngine(module=model, tokenizer=words(), end_ids=())

    async def work() -> None:
        free = await engine.generate(prompt(1), Sampling(max_tokens=30, seed=8))
        assert (len(free.token_ids), free.finish_reason) == (30, "length")
        stop = free.token_ids[11]
        n = free.token_ids.index(stop) + 1
        follower = free.token_ids[n]
        for sampling in (
            Sampling(max_tokens=30, seed=8, stop_token_ids=(stop,)),
            Sampling(max_tokens=30, seed=8, stop=("never", f" w{stop} ".rstrip())),
            Sampling(max_tokens=n, seed=8, stop=(f"w{stop}",)),
        ):
            got = await engine.generate(prompt(1), sampling)
            assert (got.token_ids, got.finish_reason) == (free.token_ids[:n], "stop")
            assert got.logprobs == pytest.approx(free.logprobs[:n], abs=1e-5)
        across = await engine.generate(prompt(1), Sampling(max_tokens=30, seed=8, stop=(f"w{stop} w{follower}",)))
        assert across.token_ids == free.token_ids[: n + 1]
        # A stop string in the prompt is not one of the completion.
        again = await engine.generate([stop, *prompt(1)], Sampling(max_tokens=1, seed=8, stop=(f"w{stop} w",)))
        assert again.finish_reason == "length"

    run(work)


def test_the_models_own_end_of_turn_ends_it() -> None:
    model = make_model()
    model.generation_config.eos_token_id = [5, 6]
    engine = TransformersEngine(module=model, tokenizer=words())
    assert engine.end_ids == {2, 5, 6}
    said = play(engine, range(20), turns=2)
    completions = [c for turns in said.values() for _, c in turns]
    assert any(c.finish_reason == "stop" for c in completions)
    for c in completions:
        assert (c.finish_reason == "stop") == (c.token_ids[-1] in engine.end_ids)
        assert not engine.end_ids.intersection(c.token_ids[:-1])


def test_a_full_context_ends_with_length() -> None:
    model = make_model()
    engine = TransformersEngine(module=model, max_context=30, end_ids=())

    async def work() -> Completion:
        completion = await engine.generate(prompt(1, 27, 28), Sampling(max_tokens=50), session="a")
        with pytest.raises(ConfigError, match="30 tokens, max_context is 30"):
            await engine.generate(prompt(1, 30, 31), Sampling())
        return completion

    completion = run(work)
    assert (len(completion.token_ids), completion.finish_reason) == (3, "length")
    check(model, {0: [(prompt(1, 27, 28), completion)]}, greedy=False)


@pytest.mark.parametrize(
    ("ids", "sampling", "message"),
    [
        ([], Sampling(), "prompt is empty"),
        ([V], Sampling(), f"token {V}, the vocabulary has {V}"),
        ([-1], Sampling(), "vocabulary"),
        ([1], Sampling(stop=("x",)), "needs a tokenizer"),
    ],
)
def test_bad_requests_are_refused_and_leave_the_engine_well(ids: list[int], sampling: Sampling, message: str) -> None:
    engine = TransformersEngine(module=make_model())

    async def work() -> Completion:
        with pytest.raises(ConfigError, match=message):
            await engine.generate(ids, sampling)
        return await engine.generate([1, 2], Sampling(max_tokens=2))

    assert run(work).token_ids


# -- life and death ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("in_thread", [False, True])
def test_cancelling_frees_the_slot(in_thread: bool) -> None:
    model = make_model()
    engine = TransformersEngine(module=model, max_sessions=2, end_ids=(), in_thread=in_thread)

    async def work() -> Completion:
        jobs = [
            asyncio.create_task(engine.generate(prompt(i), Sampling(max_tokens=200), session=str(i))) for i in range(3)
        ]
        while engine.stats.forwards < 4:
            await asyncio.sleep(0)
        assert engine._sessions.held == 2
        for job in jobs:
            job.cancel()
        assert all(isinstance(r, asyncio.CancelledError) for r in await asyncio.gather(*jobs, return_exceptions=True))
        while engine._running or engine._waiting:
            await asyncio.sleep(0)
        assert engine._sessions.held == 0
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(engine.generate(prompt(4), Sampling(max_tokens=230), session="1"), 0.005)
        return await engine.generate(prompt(1), Sampling(max_tokens=5, seed=3), session="1")

    check(model, {0: [(prompt(1), run(work))]}, greedy=False)
    assert engine.stats.evictions == 0


def test_one_session_is_answered_in_order() -> None:
    model = make_model()
    engine = TransformersEngine(module=model, end_ids=())

    async def work() -> list[Completion]:
        jobs = [engine.generate(prompt(i), Sampling(max_tokens=6, seed=i), session="same") for i in range(4)]
        return list(await asyncio.gather(*jobs))

    check(model, {i: [(prompt(i), c)] for i, c in enumerate(run(work))}, greedy=False)


@pytest.mark.parametrize("in_thread", [False, True])
def test_close_fails_what_is_pending(in_thread: bool) -> None:
    engine = TransformersEngine(module=make_model(), max_sessions=1, end_ids=(), in_thread=in_thread)

    async def work() -> None:
        jobs = [asyncio.create_task(engine.generate([1, 2], Sampling(max_tokens=200))) for _ in range(3)]
        while engine.stats.forwards < 3:
            await asyncio.sleep(0)
        await engine.close()
        for result in await asyncio.gather(*jobs, return_exceptions=True):
            assert isinstance(result, EngineFault)
            assert "closed" in str(result)
        with pytest.raises(EngineFault, match="closed"):
            await engine.generate([1], Sampling())
        await engine.close()

    run(work)


def test_a_failing_forward_pass_is_a_fault_and_the_engine_recovers() -> None:
    model = make_model()
    engine = TransformersEngine(module=model, end_ids=())
    calls = 0

    def fail(*_: Any) -> None:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise RuntimeError("out of memory\nlong story")

    async def work() -> list[Any]:
        hook = model.register_forward_pre_hook(fail)
        jobs = [engine.generate(prompt(i), Sampling(max_tokens=9), session=str(i)) for i in range(3)]
        results = await asyncio.gather(*jobs, return_exceptions=True)
        hook.remove()
        assert [str(r) for r in results] == ["engine: forward pass failed: RuntimeError: out of memory"] * 3
        assert all(isinstance(r, EngineFault) for r in results)
        return list(
            await asyncio.gather(*(engine.generate(prompt(i), Sampling(max_tokens=9), str(i)) for i in range(3)))
        )

    check(model, {i: [(prompt(i), c)] for i, c in enumerate(run(work))}, greedy=False)
    assert model.config._attn_implementation == "sdpa"  # the module is as it was


def test_damaged_weights_are_a_fault() -> None:
    model = make_model()
    engine = TransformersEngine(module=model)
    state = {name: value.clone() for name, value in model.state_dict().items()}
    state["model.norm.weight"][:] = torch.nan

    async def work() -> None:
        await engine.update_weights(1, state)
        with pytest.raises(EngineFault, match="not finite"):
            await engine.generate([1, 2], Sampling())

    run(work)


@pytest.mark.parametrize("orderly", [True, False])
def test_an_engine_outlives_an_event_loop(orderly: bool) -> None:
    model = make_model()
    engine = TransformersEngine(module=model, end_ids=())

    async def leave() -> asyncio.Task[Completion]:
        job = asyncio.get_running_loop().create_task(engine.generate([4], Sampling(max_tokens=200), session="left"))
        while not engine.stats.forwards:
            await asyncio.sleep(0)
        return job

    if orderly:
        run(leave)
    else:
        loop = asyncio.new_event_loop()
        abandoned = loop.run_until_complete(leave())
        loop.close()
        assert not abandoned.done()
    check(model, play(engine, range(3)), greedy=False)


# -- weights -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", ["Llama", "Qwen2"])
def test_new_weights_equal_a_fresh_engine(family: str) -> None:
    old, new = make_model(family, seed=0), make_model(family, seed=1)
    state = {name: value.clone() for name, value in new.named_parameters()}  # a tied head is listed once
    engine = TransformersEngine(module=old)

    async def update() -> None:
        await asyncio.gather(*(engine.generate(prompt(i), Sampling(max_tokens=3), f"episode {i}") for i in range(6)))
        await engine.update_weights(7, state)

    run(update)
    said = play(engine, range(6))
    assert engine.version == 7
    assert {c.version for turns in said.values() for _, c in turns} == {7}
    fresh = play(TransformersEngine(module=new), range(6))
    assert [[c.token_ids for _, c in t] for t in said.values()] == [[c.token_ids for _, c in t] for t in fresh.values()]
    check(new, said, greedy=False)


@pytest.mark.parametrize("in_thread", [False, True])
def test_weights_that_change_in_mid_completion(in_thread: bool) -> None:
    old, new = make_model(seed=0), make_model(seed=1)
    first, second = ({k: v.clone() for k, v in m.state_dict().items()} for m in (old, new))
    engine = TransformersEngine(module=make_model(seed=0), max_sessions=2, end_ids=(), in_thread=in_thread)

    async def work() -> tuple[int, list[Completion]]:
        jobs = [
            asyncio.create_task(engine.generate(prompt(i), Sampling(max_tokens=20, seed=i), str(i))) for i in range(3)
        ]
        while engine.stats.forwards < 5:
            await asyncio.sleep(0)
        await engine.update_weights(3, second)
        sampled = [len(r.logprobs) for r in engine._running]
        assert len(set(sampled)) == 1
        return sampled[0], list(await asyncio.gather(*jobs))

    at, completions = run(work)
    assert 0 < at < 20
    assert [c.version for c in completions] == [0, 0, 3]
    assert [c.changes for c in completions] == [((at, 3),), ((at, 3),), ()]
    for i, c in enumerate(completions):
        ids, rows = prompt(i) + c.token_ids, np.arange(20)
        before, after = (reference_logprobs(m, ids)[-20:][rows, c.token_ids] for m in (old, new))
        change = at if i < 2 else 0
        np.testing.assert_allclose(c.logprobs, np.concatenate([before[:change], after[change:]]), atol=1e-5)
    # The two that were under way read again all that they had read.
    assert engine.stats.reread == sum(len(prompt(i)) + at - 1 for i in range(2))
    assert set(first) == set(second)


def test_weights_that_do_not_fit_end_the_engine() -> None:
    model = make_model()
    engine = TransformersEngine(module=model, end_ids=())
    state = dict(model.state_dict())
    state["model.norm.weight"] = torch.zeros(5)

    async def work() -> None:
        job = asyncio.create_task(engine.generate([1, 2], Sampling(max_tokens=200)))
        while not engine.stats.forwards:
            await asyncio.sleep(0)
        with pytest.raises(EngineFault, match=r"model.norm.weight' has shape \(5,\)"):
            await engine.update_weights(1, state)
        for doomed in (job, engine.generate([1], Sampling()), engine.update_weights(2, model.state_dict())):
            with pytest.raises(EngineFault, match="has shape"):
                await doomed

    run(work)


# -- making one --------------------------------------------------------------------------------------------------------


def test_a_folder_is_loaded_with_its_tokenizer(tmp_path: Any) -> None:
    model = make_model()
    model.generation_config.eos_token_id = 7
    model.save_pretrained(tmp_path)
    words().save_pretrained(tmp_path)
    engine = ENGINES.get("transformers")(model=str(tmp_path), device="cpu", max_context=200, version=4)
    assert isinstance(engine, Engine)
    assert engine.end_ids == {2, 7}
    assert engine.module.dtype == torch.float32
    said = play(engine, range(4))
    check(model, said, greedy=False)
    assert {c.version for turns in said.values() for _, c in turns} == {4}


def test_bfloat16(tmp_path: Any) -> None:
    make_model().save_pretrained(tmp_path)
    engine = TransformersEngine(str(tmp_path), device="cpu", dtype="bfloat16")
    assert engine.module.dtype == torch.bfloat16
    said = play(engine, range(4))
    check(engine.module, said, greedy=False, tolerance=0.2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "give either model"),
        ({"model": "/no/such/folder"}, "'/no/such/folder' cannot be loaded"),
        ({"model": "/no/such/folder", "dtype": "float8"}, "dtype must be"),
        ({"model": "/no/such/folder", "device": "abacus"}, "device 'abacus' cannot be used"),
        ({"module": "tiny", "max_context": 257}, "the model's 256 positions, got 257"),
        ({"module": "tiny", "max_sessions": 0}, "max_sessions must be at least 1"),
    ],
)
def test_arguments_that_cannot_be_used(options: dict[str, Any], message: str) -> None:
    if options.get("module") == "tiny":
        options = {**options, "module": make_model()}
    with pytest.raises(ConfigError, match=message):
        TransformersEngine(**options)


def test_layers_that_cannot_be_run_are_named() -> None:
    config = transformers.Lfm2Config(
        vocab_size=V, hidden_size=32, intermediate_size=32, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, layer_types=["conv", "full_attention"],
    )  # fmt: skip
    with pytest.raises(ConfigError, match="'lfm2' has 'conv' layers"):
        TransformersEngine(module=transformers.Lfm2ForCausalLM(config))


def test_a_model_whose_positions_come_from_elsewhere_is_refused() -> None:
    config = transformers.BloomConfig(vocab_size=V, hidden_size=32, n_layer=1, n_head=4)
    with pytest.raises(ConfigError, match="'bloom'"):
        TransformersEngine(module=transformers.BloomForCausalLM(config), max_context=64)
