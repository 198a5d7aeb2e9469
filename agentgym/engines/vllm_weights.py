"""Weights on their way into vLLM, checked before they are sent: whole models and LoRA adapters (arXiv 2106.09685).

vLLM loads a checkpoint by name into fused and split tensors of its own, and passes over what it does not miss. So the
names and shapes are held against the model as transformers builds it, without memory; tied weights are sent under all
their names (vLLM would keep its old output head otherwise); and each worker says what was left without a weight.
"""

from __future__ import annotations

import contextlib
import json
import tempfile
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from pydantic import Field
from safetensors.torch import save_file
from transformers import AutoConfig, AutoModelForCausalLM, GenerationConfig, PreTrainedModel

from agentgym.config import Config
from agentgym.engines.weights import fit_weights
from agentgym.faults import ConfigError, EngineFault, did_you_mean, first_line

_PREFIX = "base_model.model."
_A, _B = ".lora_A.weight", ".lora_B.weight"


class LoraServing(Config):
    """Serving the policy as a model and a LoRA adapter."""

    rank: int = Field(16, ge=1)
    """Largest rank of an adapter; vLLM takes 1, 8, 16, 32, 64, 128, 256, 320 and 512."""
    alpha: float = Field(32.0, gt=0)
    """The adapter's update is scaled by alpha / its rank."""


class VllmWeights:
    """How new weights get into a vLLM engine.

    Args:
        model: Folder or hub name.
        lora: See `LoraServing`; none: whole models only.

    Attributes:
        skeleton: From `load_skeleton`.
        adapter: vLLM's `LoRARequest` of the adapter that requests are served with, or None.

    Raises:
        ConfigError: See `load_skeleton`.
    """

    def __init__(self, model: str, lora: LoraServing | None) -> None:
        self.skeleton = load_skeleton(model)
        self.adapter: Any = None
        self._model, self._lora = model, lora
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def prepare(self, state: Mapping[str, Any]) -> Callable[[Any], None]:
        """Checks a state of weights, a whole model's or an adapter's.

        Returns:
            What loads it into a vLLM engine in which nothing runs; it raises EngineFault where vLLM does not take it.

        Raises:
            EngineFault: It does not fit the model.
        """
        if self._lora is None or not is_adapter(state):
            return partial(self._load_model, checkpoint(self.skeleton, state))
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="agentgym-adapter-")
        folder = Path(self._folder.name)
        write_adapter(folder, self.skeleton, state, self._lora, self._model)
        return partial(self._load_adapter, folder)

    def _load_model(self, weights: list[tuple[str, torch.Tensor]], vllm: Any) -> None:
        left = vllm.collective_rpc(reload_weights, args=(weights,))
        if missing := sorted({name for names in left for name in names}):
            raise EngineFault(f"vLLM found no weights for {missing[0]!r} (one of {len(missing)})")
        self.adapter = None

    def _load_adapter(self, folder: Path, vllm: Any) -> None:
        from vllm.lora.request import LoRARequest

        name = ("policy", 1, str(folder))
        if not vllm.add_lora(LoRARequest(*name, load_inplace=True)):
            raise EngineFault("vLLM did not take the adapter")
        self.adapter = LoRARequest(*name)

    def close(self) -> None:
        """Removes the files of adapters."""
        if self._folder is not None:
            self._folder.cleanup()


def load_skeleton(name: str) -> PreTrainedModel:
    """The model of a folder or hub name without its weights (on torch's meta device), with its generation settings.

    Raises:
        ConfigError: Not a causal language model that transformers knows.
    """
    try:
        config = AutoConfig.from_pretrained(name)
        with torch.device("meta"):
            model: Any = AutoModelForCausalLM.from_config(config)  # type: ignore[no-untyped-call]
    except (OSError, ValueError) as error:
        raise ConfigError(f"model {name!r} cannot be loaded: {first_line(error)}") from error
    with contextlib.suppress(OSError):  # many folders have none: the model's configuration names its end of sequence
        model.generation_config = GenerationConfig.from_pretrained(name)
    skeleton: PreTrainedModel = model
    return skeleton


def checkpoint(skeleton: PreTrainedModel, state: Mapping[str, Any]) -> list[tuple[str, torch.Tensor]]:
    """A state as the list of weights that vLLM loads, tied ones under each of their names.

    Args:
        skeleton: From `load_skeleton`.
        state: Parameter name -> tensor or array.

    Raises:
        EngineFault: It does not fit the model.
    """
    fitting = fit_weights(skeleton, state)
    own = skeleton.state_dict(keep_vars=True)
    given = {id(own[name]): tensor for name, tensor in fitting.items()}
    return [(name, given[id(value)]) for name, value in own.items() if id(value) in given]


def reload_weights(worker: Any, weights: Iterable[tuple[str, torch.Tensor]]) -> list[str]:
    """Run inside each vLLM worker: loads its share of the weights in place.

    Args:
        worker: vLLM's.
        weights: From `checkpoint`.

    Returns:
        Names of its parameters that no weight reached (of a quantised model, which renames them: none).
    """
    model = worker.model_runner.get_model()
    load, reached = model.load_weights, None

    def listen(weights: Iterable[tuple[str, torch.Tensor]]) -> Any:
        nonlocal reached
        reached = load(weights)
        return reached

    model.load_weights = listen
    try:
        worker.reload_weights(weights_iterator=iter(weights))
    finally:
        del model.load_weights
    if reached is None or worker.model_config.quantization is not None:
        return []
    return sorted({name.replace(".base_layer.", ".") for name, _ in model.named_parameters()} - set(reached))


def is_adapter(state: Mapping[str, Any]) -> bool:
    """Whether a state is a LoRA adapter's (as peft names it) rather than a whole model's."""
    return bool(state) and all(".lora_" in name for name in state)


def write_adapter(
    folder: Path, skeleton: PreTrainedModel, state: Mapping[str, Any], settings: LoraServing, base: str
) -> None:
    """Writes an adapter as the folder (of peft's format) that vLLM reads.

    Args:
        folder: Where to.
        skeleton: Of the model under it.
        state: As `peft.get_peft_model_state_dict` names it: ``base_model.model.<layer>.lora_A.weight`` [rank, in] and
            ``.lora_B.weight`` [out, rank].
        settings: Its largest rank, and its alpha.
        base: Folder or hub name of the model under it.

    Raises:
        EngineFault: It does not fit the model.
    """
    # peft puts the adapter's name before ".weight" in a module's own state, and leaves it out in a saved one.
    tensors = {name.replace(".default.weight", ".weight"): torch.as_tensor(value) for name, value in state.items()}
    linear = {name: m for name, m in skeleton.named_modules() if isinstance(m, torch.nn.Linear)}
    layers = {name.removeprefix(_PREFIX).removesuffix(_A).removesuffix(_B) for name in tensors}
    ranks: set[int] = set()
    for layer in sorted(layers):
        if layer not in linear:
            raise EngineFault(f"unexpected adapter of {layer!r}; {did_you_mean(layer, linear)}")
        a, b = (tensors.get(f"{_PREFIX}{layer}{part}") for part in (_A, _B))
        if a is None or b is None:
            raise EngineFault(f"missing weight {_PREFIX + layer + (_A if a is None else _B)!r} of an adapter")
        rank, wanted = a.shape[0], (linear[layer].out_features, linear[layer].in_features)
        if a.shape != (rank, wanted[1]) or b.shape != (wanted[0], rank):
            shapes = f"{tuple(a.shape)} and {tuple(b.shape)}"
            raise EngineFault(f"the adapter of {layer!r} has shapes {shapes}, the layer's is {wanted}")
        ranks.add(rank)
    if len(ranks) != 1 or max(ranks) > settings.rank:
        raise EngineFault(f"adapters of rank {sorted(ranks)}: they need one rank, {settings.rank} (lora.rank) at most")
    described = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": base,
        "bias": "none",
        "r": ranks.pop(),
        "lora_alpha": settings.alpha,
        "target_modules": sorted({layer.rpartition(".")[2] for layer in layers}),
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "adapter_config.json").write_text(json.dumps(described), encoding="utf-8")
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, folder / "adapter_model.safetensors")
