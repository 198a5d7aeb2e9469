from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from transformers import AutoModelForCausalLM, AutoTokenizer

from agentgym.faults import ConfigError, DataError
from agentgym.trainers.models import check_packing
from agentgym.trainers.packing import Targets, pack
from agentgym.trainers.policy import LoraSettings, Policy, PolicyConfig

CPU = torch.device("cpu")
SIZES: dict[str, Any] = {
    "vocab_size": 60,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 4,
    "initializer_range": 0.3,
    "pad_token_id": 0,
    "bos_token_id": None,
    "eos_token_id": 1,
}


def save_model(folder: Path, family: str, **changes: Any) -> Path:
    """A model folder with random weights; configuration keys that other families do not know are left out."""
    torch.manual_seed(0)
    config = getattr(transformers, f"{family}Config")(**(SIZES | changes))
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    return folder


def probe_loss(values: list[torch.Tensor]) -> torch.Tensor:
    flat = torch.stack(values)
    return (flat * torch.linspace(-1, 2, len(flat))).sum()


@pytest.mark.parametrize(
    ("family", "changes"),
    [
        ("Llama", {}),
        ("Llama", {"tie_word_embeddings": True}),
        ("Qwen2", {}),
        ("Qwen2", {"use_sliding_window": True, "sliding_window": 6, "max_window_layers": 1}),
        ("Qwen3", {}),
        ("Mistral", {"sliding_window": None}),
        ("Mistral", {"sliding_window": 6}),
        ("Granite", {"logits_scaling": 3.0}),
        ("Cohere", {"logit_scale": 0.5}),
    ],
)
@pytest.mark.parametrize("checkpointing", [False, True])
def test_packed_equals_unpacked(tmp_path, batch, plain_logprobs, family, changes, checkpointing):
    folder = save_model(tmp_path, family, **changes)
    policy = Policy(folder, PolicyConfig(chunk_tokens=7, gradient_checkpointing=checkpointing))
    targets = Targets.of(batch)
    row = pack(batch, range(len(batch)), targets, CPU)
    got = torch.zeros(len(targets)).index_copy(0, row.slots, policy.logprobs(row))
    probe_loss(list(got)).backward()

    plain = AutoModelForCausalLM.from_pretrained(folder)
    want = [logp for trajectory in batch for _, logp in plain_logprobs(plain, trajectory)]
    probe_loss(want).backward()
    torch.testing.assert_close(got, torch.stack(want), atol=1e-5, rtol=1e-5)
    gradients = dict(plain.named_parameters())
    for name, parameter in policy.trained().items():
        largest = gradients[name].grad.abs().max().item()
        torch.testing.assert_close(
            parameter.grad, gradients[name].grad, atol=1e-5 * max(1, largest), rtol=1e-5, msg=name
        )


@pytest.mark.parametrize(
    ("family", "message"),
    [
        ("Gemma2", "softcap"),
        ("GptOss", "sinks"),
        ("Mamba", "cannot be trained packed"),
        ("Bloom", "cannot be trained packed"),
    ],
)
def test_models_that_cannot_be_packed_are_refused(tmp_path, family, message):
    extra = {"num_local_experts": 2} if family == "GptOss" else {}
    with pytest.raises(ConfigError, match=message):
        Policy(save_model(tmp_path, family, **extra), PolicyConfig())


def test_check_finds_an_unknown_logit_scale(tiny):
    policy = Policy(tiny, PolicyConfig())
    policy.model.config.logit_scale = 0.5  # the head would scale, the model's own forward does not
    with pytest.raises(ConfigError, match="off the model's own"):
        check_packing(policy.model)


def test_errors_name_what_was_given(tmp_path, tiny):
    with pytest.raises(ConfigError, match="nowhere"):
        Policy(tmp_path / "nowhere", PolicyConfig())
    with pytest.raises(ConfigError, match=r"learner\.device 'tpu9'"):
        Policy(tiny, PolicyConfig(device="tpu9"))
    with pytest.raises(ConfigError, match=r"learner\.lora"):
        Policy(tiny, PolicyConfig(lora=LoraSettings(targets=("no_such_layer",))))
    Policy(tiny, PolicyConfig()).save(tmp_path / "saved")
    weights = tmp_path / "saved" / "model" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:100])
    with pytest.raises(DataError, match="not weights of"):
        Policy(tiny, PolicyConfig()).load(tmp_path / "saved")


def test_dropout_is_off(tmp_path, batch):
    folder = save_model(tmp_path, "Llama", attention_dropout=0.5)
    policy = Policy(folder, PolicyConfig(gradient_checkpointing=True))
    row = pack(batch, range(len(batch)), Targets.of(batch), CPU)
    assert torch.equal(policy.logprobs(row), policy.logprobs(row))


def test_bf16_is_near_fp32_and_trains_fp32_weights(tiny, batch):
    row = pack(batch, range(len(batch)), Targets.of(batch), CPU)
    exact = Policy(tiny, PolicyConfig(precision="fp32")).logprobs(row)
    policy = Policy(tiny, PolicyConfig(precision="bf16"))
    half = policy.logprobs(row)
    assert half.dtype == torch.float32
    assert not torch.equal(half, exact)
    torch.testing.assert_close(half, exact, atol=0.15, rtol=0)
    half.sum().backward()
    assert all(p.dtype == p.grad.dtype == torch.float32 for p in policy.trained().values())


def test_weights_hold_the_tied_head_and_are_copies(tiny):
    policy = Policy(tiny, PolicyConfig())
    weights = policy.weights()
    assert torch.equal(weights["lm_head.weight"], weights["model.embed_tokens.weight"])
    plain = AutoModelForCausalLM.from_pretrained(tiny)
    assert weights.keys() == plain.state_dict().keys()
    before = {name: value.clone() for name, value in weights.items()}
    with torch.no_grad():
        for parameter in policy.trained().values():
            parameter.add_(1.0)
    assert all(torch.equal(weights[name], before[name]) for name in weights)


def test_swapped_parameters_are_put_back(tiny, batch):
    policy = Policy(tiny, PolicyConfig())
    row = pack(batch, range(len(batch)), Targets.of(batch), CPU)
    first, start = policy.copy(), policy.logprobs(row)
    with torch.no_grad():
        for parameter in policy.trained().values():
            parameter.mul_(1.1)
    moved = policy.logprobs(row)
    with torch.no_grad(), policy.swapped(first):
        assert torch.equal(policy.logprobs(row), start)
    assert torch.equal(policy.logprobs(row), moved)


def train_a_little(policy: Policy, batch: list[Any]) -> torch.Tensor:
    """Ten steps; the log-probabilities afterwards."""
    row = pack(batch, range(len(batch)), Targets.of(batch), CPU)
    optimizer = torch.optim.AdamW(policy.trained().values(), lr=3e-2)
    for _ in range(10):
        (-policy.logprobs(row).mean()).backward()
        optimizer.step()
        optimizer.zero_grad()
    return policy.logprobs(row).detach()


def test_lora_trains_and_its_merged_weights_are_the_policy(tmp_path, tiny, batch):
    config = PolicyConfig(lora=LoraSettings(rank=4))
    policy = Policy(tiny, config)
    assert policy.trained().keys()
    assert all(".lora_" in name for name in policy.trained())
    row = pack(batch, range(len(batch)), Targets.of(batch), CPU)
    start = policy.logprobs(row).detach()
    torch.testing.assert_close(start, Policy(tiny, PolicyConfig()).logprobs(row))
    after = train_a_little(policy, batch)
    assert after.mean() > start.mean() + 0.1

    weights = policy.weights()
    plain = Policy(tiny, PolicyConfig())
    assert weights.keys() == plain.model.state_dict().keys()
    plain.model.load_state_dict(weights)
    torch.testing.assert_close(plain.logprobs(row), after, atol=1e-5, rtol=1e-5)

    exported = Policy(policy.export(tmp_path / "merged"), PolicyConfig())
    torch.testing.assert_close(exported.logprobs(row), after, atol=1e-5, rtol=1e-5)

    policy.save(tmp_path / "saved")
    assert json.loads((tmp_path / "saved" / "adapter" / "adapter_config.json").read_text())["r"] == 4
    again = Policy(tiny, config)
    again.load(tmp_path / "saved")
    assert torch.equal(again.logprobs(row), after)


def test_lora_with_gradient_checkpointing(tiny, batch):
    plain = train_a_little(Policy(tiny, PolicyConfig(lora=LoraSettings(rank=4))), batch)
    config = PolicyConfig(lora=LoraSettings(rank=4), gradient_checkpointing=True)
    torch.testing.assert_close(train_a_little(Policy(tiny, config), batch), plain, atol=1e-5, rtol=1e-5)


def test_saved_model_is_an_ordinary_folder_with_its_tokenizer(tmp_path, tiny, batch):
    policy = Policy(tiny, PolicyConfig())
    train_a_little(policy, batch)
    policy.save(tmp_path)
    plain = AutoModelForCausalLM.from_pretrained(tmp_path / "model")
    assert plain.config._attn_implementation == "sdpa"
    for name, value in plain.state_dict().items():
        assert torch.equal(value, policy.weights()[name])
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "model")
    chat = [{"role": "user", "content": "w1 w2"}]
    assert tokenizer.apply_chat_template(chat, tokenize=False) == "<|user|> w1 w2 <|end|> "
    again = Policy(tiny, PolicyConfig())
    again.load(tmp_path)
    assert all(torch.equal(a, b) for a, b in zip(again.weights().values(), policy.weights().values(), strict=True))


@pytest.mark.parametrize("changes", [{}, {"lora": LoraSettings(rank=4)}, {"gradient_checkpointing": True}])
def test_a_twin_is_trained_on_its_own(tiny, batch, changes):
    policy = Policy(tiny, PolicyConfig(**changes), temperature=2.0)
    row = pack(batch, range(len(batch)), Targets.of(batch), CPU)
    train_a_little(policy, batch)
    start = policy.logprobs(row).detach()
    twin = policy.twin(temperature=2.0)
    assert torch.equal(twin.logprobs(row), start)
    frozen = {p.data_ptr() for p in policy.model.parameters() if not p.requires_grad}
    assert frozen == {p.data_ptr() for p in twin.model.parameters() if not p.requires_grad}
    assert not torch.equal(train_a_little(twin, batch), start)
    assert torch.equal(policy.logprobs(row), start)
    twin.follow(policy)
    assert torch.equal(twin.logprobs(row), start)
    assert not torch.equal(policy.twin().logprobs(row), start)  # at temperature 1


def test_a_twin_without_a_head_of_its_own(tmp_path, batch):
    policy = Policy(save_model(tmp_path, "Llama"), PolicyConfig())
    twin = policy.twin(head=False)
    assert twin.head.projection.weight is policy.head.projection.weight
    row = pack(batch, range(len(batch)), Targets.of(batch), CPU)
    assert torch.equal(twin.hidden(row), policy.hidden(row))
    own = {p.data_ptr() for p in twin.model.get_decoder().parameters()}
    assert not own & {p.data_ptr() for p in policy.model.parameters()}
