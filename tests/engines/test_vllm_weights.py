"""What is sent to vLLM, and what is refused before; vLLM itself is not needed (tests/engines/vllm has the rest)."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, PreTrainedModel

from agentgym.engines.vllm_weights import (
    LoraServing,
    checkpoint,
    is_adapter,
    load_skeleton,
    reload_weights,
    write_adapter,
)
from agentgym.faults import ConfigError, EngineFault
from agentgym.trainers.policy import LoraSettings, Policy, PolicyConfig
from agentgym.trainers.tiny import TinyConfig, make_tiny

LAYER = "model.layers.0.self_attn.q_proj"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(make_tiny(tmp_path_factory.mktemp("model"), ["a", "b"], TinyConfig(width=16, layers=1, heads=2)))


@pytest.fixture(scope="module")
def skeleton(model: str) -> PreTrainedModel:
    return load_skeleton(model)


def test_a_skeleton_has_names_shapes_and_ends_but_no_memory(model: str, skeleton: PreTrainedModel) -> None:
    full = AutoModelForCausalLM.from_pretrained(model)
    assert {n: v.shape for n, v in skeleton.state_dict().items()} == {n: v.shape for n, v in full.state_dict().items()}
    assert all(parameter.is_meta for parameter in skeleton.parameters())
    assert skeleton.generation_config.eos_token_id == full.generation_config.eos_token_id


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be loaded"):
        load_skeleton(str(tmp_path))


@pytest.mark.parametrize("left_out", ["lm_head.weight", "model.embed_tokens.weight", ""])
def test_tied_weights_are_sent_under_every_name(model: str, skeleton: PreTrainedModel, left_out: str) -> None:
    state = Policy(model, PolicyConfig(device="cpu")).weights()
    sent = dict(checkpoint(skeleton, {name: value for name, value in state.items() if name != left_out}))
    assert sent.keys() == state.keys()
    assert all(torch.equal(sent[name], value) for name, value in state.items())
    assert sent["lm_head.weight"] is sent["model.embed_tokens.weight"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model.norm.weight": None}, "missing weight 'model.norm.weight'"),
        ({"model.norm.wieght": torch.ones(16)}, "unexpected weight.*did you mean 'model.norm.weight'"),
        ({"model.norm.weight": torch.ones(3)}, r"shape \(3,\), the model's is \(16,\)"),
        ({"lm_head.weight": torch.zeros(17, 16)}, "tied in the model but differ"),
    ],
)
def test_what_does_not_fit_is_refused(
    model: str, skeleton: PreTrainedModel, change: dict[str, Any], message: str
) -> None:
    state = {**Policy(model, PolicyConfig(device="cpu")).weights(), **change}
    vocabulary = state["model.embed_tokens.weight"].shape
    state = {
        name: torch.zeros(vocabulary) if name == "lm_head.weight" and name in change else value
        for name, value in state.items()
        if value is not None
    }
    with pytest.raises(EngineFault, match=message):
        checkpoint(skeleton, state)


class Model(torch.nn.Linear):
    """Passes over what it does not know, as some of vLLM's models do."""

    def load_weights(self, weights: Iterable[tuple[str, torch.Tensor]]) -> set[str]:
        return {name for name, _ in weights if hasattr(self, name)}


class Worker:
    """As much of a vLLM worker as is asked."""

    def __init__(self, quantization: str | None) -> None:
        self.model = Model(2, 3)
        self.model_runner = SimpleNamespace(get_model=lambda: self.model)
        self.model_config = SimpleNamespace(quantization=quantization)

    def reload_weights(self, weights_iterator: Iterable[tuple[str, torch.Tensor]]) -> None:
        self.model.load_weights(weights_iterator)


@pytest.mark.parametrize(("quantization", "left"), [(None, ["bias"]), ("fp8", [])])
def test_a_worker_names_what_no_weight_reached(quantization: str | None, left: list[str]) -> None:
    worker = Worker(quantization)
    assert reload_weights(worker, [("weight", torch.ones(3, 2)), ("biases", torch.ones(3))]) == left
    assert reload_weights(worker, [("weight", torch.ones(3, 2)), ("bias", torch.ones(3))]) == []
    assert "load_weights" not in vars(worker.model)


@pytest.fixture
def adapter(model: str) -> dict[str, torch.Tensor]:
    from peft import get_peft_model_state_dict

    policy = Policy(model, PolicyConfig(device="cpu", lora=LoraSettings(rank=4, alpha=8)))
    state: dict[str, torch.Tensor] = get_peft_model_state_dict(policy._adapted)
    return state


def test_an_adapter_is_written_as_peft_reads_it(
    model: str, skeleton: PreTrainedModel, adapter: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    from peft import PeftModel

    assert is_adapter(adapter)
    assert not is_adapter({})
    assert not is_adapter(Policy(model, PolicyConfig(device="cpu")).weights())
    named = {name.replace(".weight", ".default.weight"): value for name, value in adapter.items()}
    write_adapter(tmp_path / "adapter", skeleton, named, LoraServing(rank=8, alpha=8), model)
    described = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())
    assert (described["r"], described["lora_alpha"]) == (4, 8)
    read = load_file(tmp_path / "adapter" / "adapter_model.safetensors")
    assert read.keys() == adapter.keys()
    assert all(torch.equal(read[name], value) for name, value in adapter.items())
    loaded = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(model), str(tmp_path / "adapter"))
    assert set(loaded.peft_config["default"].target_modules) >= {"q_proj", "down_proj"}


A, B = f"base_model.model.{LAYER}.lora_A.weight", f"base_model.model.{LAYER}.lora_B.weight"
Change = Callable[[dict[str, torch.Tensor]], dict[str, Any]]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: {B: None}, f"missing weight '{B}' of an adapter"),
        (lambda s: {A.replace("q_proj", "q_prj"): s[A]}, f"unexpected adapter of .*did you mean '{LAYER}'"),
        (lambda s: {A: torch.ones(4, 3)}, r"shapes \(4, 3\) and \(16, 4\), the layer's is \(16, 16\)"),
        (lambda s: {A: torch.ones(2, 16), B: torch.ones(16, 2)}, r"rank \[2, 4\]: they need one rank, 4"),
    ],
)
def test_an_adapter_that_does_not_fit_is_refused(
    model: str,
    skeleton: PreTrainedModel,
    adapter: dict[str, torch.Tensor],
    tmp_path: Path,
    change: Change,
    message: str,
) -> None:
    state = {name: value for name, value in {**adapter, **change(adapter)}.items() if value is not None}
    with pytest.raises(EngineFault, match=message):
        write_adapter(tmp_path / "adapter", skeleton, state, LoraServing(rank=4), model)
    assert not (tmp_path / "adapter").exists()
