"""Engines with a life of their own: new weights, what breaks them, how they begin and end."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from peft import get_peft_model_state_dict
from sampled import Turn, own_logprobs, prompt, worst
from transformers import PreTrainedModel

from agentgym.engines.base import Sampling
from agentgym.engines.vllm import VllmEngine
from agentgym.faults import ConfigError, EngineFault
from agentgym.trainers.policy import LoraSettings, Policy, PolicyConfig
from agentgym.trainers.tiny import TinyConfig, make_tiny


def test_new_weights_reach_requests_under_way(
    open_engine: Callable[..., Any], reference: PreTrainedModel, run: Any
) -> None:
    old = {name: value.clone() for name, value in reference.state_dict().items()}
    torch.manual_seed(5)
    with torch.no_grad():
        for parameter in reference.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    new = {name: value.clone() for name, value in reference.state_dict().items()}
    del new["lm_head.weight"]  # tied: one name is enough

    async def work(engine: VllmEngine) -> tuple[list[Turn], list[Turn]]:
        ids = [prompt(i, 40, 60) for i in range(8)]
        first = [
            asyncio.create_task(engine.generate(ids[i], Sampling(max_tokens=120, seed=i), f"s{i}")) for i in range(8)
        ]
        while engine.stats.generated < 40:
            await asyncio.sleep(0.001)
        await engine.update_weights(3, new)
        during = await asyncio.gather(*first)
        after = await asyncio.gather(
            *(engine.generate(ids[i], Sampling(max_tokens=9, seed=i), f"s{i}") for i in range(8))
        )
        return list(zip(ids, during, strict=True)), list(zip(ids, after, strict=True))

    with open_engine(end_ids=()) as engine:
        during, after = run(work(engine))
        assert engine.version == 3
        assert engine.stats.reread > 8 * 40 - 8
    difference = worst(reference, after, Sampling())
    assert difference < 2e-5
    assert {c.version for _, c in after} == {3}
    for ids, completion in during:
        ((offset, version),) = completion.changes
        assert (completion.version, version, len(completion.token_ids)) == (0, 3, 120)
        by_new = own_logprobs(reference, ids, completion, Sampling())
        reference.load_state_dict(old)
        by_old = own_logprobs(reference, ids, completion, Sampling())
        reference.load_state_dict({**new, "lm_head.weight": new["model.embed_tokens.weight"]})
        expected = torch.cat([by_old[:offset], by_new[offset:]])
        torch.testing.assert_close(torch.tensor(completion.logprobs), expected, atol=2e-5, rtol=0)


def test_weights_that_do_not_fit_end_the_engine(
    open_engine: Callable[..., Any], reference: PreTrainedModel, run: Any
) -> None:
    async def work(engine: VllmEngine) -> None:
        pending = asyncio.create_task(engine.generate([5], Sampling(max_tokens=200)))
        while not engine.stats.generated:
            await asyncio.sleep(0.001)
        with pytest.raises(EngineFault, match=r"'model.norm.weight' has shape \(3,\), the model's is \(64,\)"):
            await engine.update_weights(1, {**reference.state_dict(), "model.norm.weight": torch.ones(3)})
        for later in (pending, engine.generate([5], Sampling()), engine.update_weights(2, reference.state_dict())):
            with pytest.raises(EngineFault, match="has shape"):
                await later
        assert engine.version == 0

    with open_engine(end_ids=()) as engine:
        run(work(engine))


def test_a_load_that_fails_within_vllm_ends_the_engine(
    open_engine: Callable[..., Any], reference: PreTrainedModel, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As with an architecture whose names vLLM passes over: the model must not go on with its old weights unnoticed.
    monkeypatch.setattr("agentgym.engines.vllm_weights.checkpoint", lambda skeleton, state: list(state.items()))
    state = {name: value for name, value in reference.state_dict().items() if "layers.1.mlp.down" not in name}

    async def work(engine: VllmEngine) -> None:
        with pytest.raises(EngineFault, match=r"no weights for 'model.layers.1.mlp.down_proj.weight'"):
            await engine.update_weights(1, state)
        with pytest.raises(EngineFault):
            await engine.generate([5], Sampling())

    with open_engine() as engine:
        run(work(engine))


def test_damaged_weights_are_noticed(open_engine: Callable[..., Any], reference: PreTrainedModel, run: Any) -> None:
    state = {name: torch.full_like(value, torch.inf) for name, value in reference.state_dict().items()}

    async def work(engine: VllmEngine) -> None:
        await engine.update_weights(1, state)
        with pytest.raises(EngineFault, match="not finite"):
            await engine.generate([5], Sampling(max_tokens=2))

    with open_engine() as engine:
        run(work(engine))


def test_closing_fails_what_is_pending_and_a_process_has_one(
    open_engine: Callable[..., Any], model: str, run: Any
) -> None:
    async def work(engine: VllmEngine) -> None:
        pending = asyncio.create_task(engine.generate([5], Sampling(max_tokens=200)))
        while not engine.stats.generated:
            await asyncio.sleep(0.001)
        with pytest.raises(ConfigError, match="has a vLLM engine already"):
            VllmEngine(model)
        await engine.close()
        await engine.close()
        with pytest.raises(EngineFault, match="the engine is closed"):
            await pending
        with pytest.raises(EngineFault, match="the engine is closed"):
            await engine.generate([5], Sampling())

    with open_engine(end_ids=()) as engine:
        run(work(engine))
    with open_engine() as engine:
        assert run(engine.generate([5], Sampling(max_tokens=1))).token_ids


def test_the_process_is_left_as_it_was(open_engine: Callable[..., Any], run: Any) -> None:
    states = (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist())
    set_num_threads = torch.set_num_threads
    with open_engine():
        assert torch.set_num_threads is set_num_threads
        assert (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()) == states


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_sessions": 0}, "max_sessions must be at least 1"),
        ({"memory_share": 1.5}, "memory_share must be in"),
        ({"max_context": 999}, "max_context must be between 2 and the model's 256 positions"),
        ({"model": "/no/such/folder"}, "cannot be loaded"),
        ({"args": {"max_num_seq": 3}}, "args.max_num_seq: vLLM has no such argument; did you mean 'max_num_seqs'"),
        ({"args": {"max_model_len": 3}}, "args.max_model_len: this argument is the engine's own"),
        ({"args": {"quantization": "no"}}, "vLLM does not take model"),
        ({"lora": {"rang": 3}}, "lora.*rang"),
    ],
)
def test_options_that_cannot_be_used(open_engine: Callable[..., Any], options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message), open_engine(**options):
        pass


def test_a_model_that_loads_and_cannot_sample(open_engine: Callable[..., Any], tmp_path: Path) -> None:
    narrow = make_tiny(tmp_path, ["a", "b"], TinyConfig(width=64, layers=1, heads=4, context=64))
    with pytest.raises(EngineFault, match=r"cannot sample from .*head_dim=16"), open_engine(model=str(narrow)):
        pass
    with open_engine():  # the process is free again
        pass


def test_an_adapter_is_the_policys_weights(
    open_engine: Callable[..., Any], model: str, reference: PreTrainedModel, run: Any
) -> None:
    policy = Policy(model, PolicyConfig(device="cpu", lora=LoraSettings(rank=4, alpha=12)))

    async def work(engine: VllmEngine) -> None:
        for version in (1, 2, 3):
            with torch.no_grad():
                for parameter in policy.trained().values():
                    parameter.add_(0.1 * torch.randn_like(parameter))
            reference.load_state_dict(policy.weights())
            adapter = {k: v.clone() for k, v in get_peft_model_state_dict(policy._adapted).items()}
            pending = asyncio.create_task(engine.generate(prompt(9), Sampling(max_tokens=60, seed=version), "s"))
            generated = engine.stats.generated
            while engine.stats.generated == generated:
                await asyncio.sleep(0.001)
            # The last time as the learner sends it: merged.
            await engine.update_weights(version, adapter if version < 3 else policy.weights())
            assert (await pending).changes[-1][1] == version
            turns = [(prompt(i), await engine.generate(prompt(i), Sampling(seed=i, max_tokens=9))) for i in range(6)]
            assert worst(reference, turns, Sampling()) < 5e-5
        name = "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight"
        with pytest.raises(EngineFault, match=r"they need one rank, 8 \(lora.rank\) at most"):
            await engine.update_weights(4, {name: torch.ones(9, 64), name.replace("_A", "_B"): torch.ones(64, 9)})

    with open_engine(lora={"rank": 8, "alpha": 12}, end_ids=()) as engine:
        run(work(engine))
