"""The policy as the learner sees it: a packed language model, its trainable parameters, its weights in and out."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import Field
from safetensors import SafetensorError
from safetensors.torch import load_file

from agentgym.config import Config
from agentgym.faults import ConfigError, DataError, MissingExtra, first_line
from agentgym.trainers.distributed import shards
from agentgym.trainers.distributed.shards import gathered, like, local
from agentgym.trainers.distributed.team import ALONE, Team
from agentgym.trainers.logprobs import Head
from agentgym.trainers.models import check_packing, load_model, quiet, run_packed
from agentgym.trainers.packing import MicroBatch

_ADAPTER = "default"


class LoraSettings(Config):
    """Low-rank adapters (LoRA, arXiv 2106.09685) through peft; the model itself stays frozen."""

    rank: int = Field(16, ge=1)
    """Rank of the update of each matrix."""
    alpha: float = Field(32.0, gt=0)
    """The update is scaled by alpha / rank."""
    targets: str | tuple[str, ...] = "all-linear"
    """Names of the layers that are adapted, or ``all-linear``."""
    seed: int = Field(0, ge=0)
    """Decides the adapters' initial weights."""


class PolicyConfig(Config):
    """How the policy's model is held and run."""

    device: str = "auto"
    """``auto`` (a GPU where there is one), ``cpu``, ``cuda``, ``cuda:1``."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """``bf16``: matrix products in bfloat16, trained weights and log-probabilities in fp32. ``auto``: bf16 on a GPU,
    fp32 on a CPU."""
    gradient_checkpointing: bool = False
    """Recompute each layer in the backward pass instead of keeping its activations."""
    chunk_tokens: int = Field(2048, ge=1)
    """Most predicted tokens whose logits exist at one time."""
    lora: LoraSettings | None = None
    """Train adapters instead of the whole model."""

    def torch_device(self) -> torch.device:
        """The device meant.

        Raises:
            ConfigError: No such device.
        """
        if self.device == "auto":
            return torch.device("cuda" if torch.cuda.is_available() else "cpu")
        try:
            device = torch.device(self.device)
        except RuntimeError:
            raise ConfigError(f"learner.device {self.device!r} is not a device; use auto, cpu or cuda") from None
        if device.type == "cuda" and not torch.cuda.is_available():
            raise ConfigError(f"learner.device {self.device!r}: torch sees no GPU; use auto or cpu")
        return device


class Policy:
    """A causal language model that is run packed.

    Args:
        source: A model folder or a hub name.
        config: See `PolicyConfig`.
        temperature: Of the sampling whose log-probabilities are wanted.
        team: Those that train the same policy.

    Attributes:
        spread: `compute` as the team runs it, together; None: each runs it alone.

    Raises:
        ConfigError: The model cannot be read, or not trained packed.
        MissingExtra: LoRA is asked for and peft is not installed.
    """

    def __init__(self, source: str | Path, config: PolicyConfig, temperature: float = 1.0, team: Team = ALONE) -> None:
        self.source, self.config = str(source), config
        self.device = config.torch_device()
        self.half = config.precision == "bf16" or (config.precision == "auto" and self.device.type == "cuda")
        frozen_half = self.half and config.lora is not None
        dtype = torch.bfloat16 if frozen_half else torch.float32
        self.model = load_model(source, dtype, team.loads_on(self.device))
        check_packing(self.model)
        self._adapted: Any = None if config.lora is None else _adapt(self.model, config.lora)
        if config.gradient_checkpointing:
            _checkpoint_layers(self.model)
        self.model.train(config.gradient_checkpointing)  # dropout is off either way
        self.head = Head.of(self.model, temperature)
        self._tokenizer: Any = None
        self.spread: Callable[[MicroBatch], torch.Tensor] | None = None
        team.join(self)

    @property
    def context(self) -> int | None:
        """Longest sequence the model was made for; None where its configuration does not say."""
        value = getattr(self.model.config.get_text_config(), "max_position_embeddings", None)
        return int(value) if value else None

    def trained(self) -> dict[str, torch.nn.Parameter]:
        """The parameters that are trained, by name."""
        return {name: p for name, p in self.model.named_parameters() if p.requires_grad}

    def logprobs(self, batch: MicroBatch) -> torch.Tensor:
        """float32[p], the log-probability of each target of a micro-batch that has a slot."""
        if batch.labels.numel() == 0:
            return torch.zeros(0, device=self.device)
        with self.precision():
            return (self.spread or self.compute)(batch)[: len(batch.slots)]

    def compute(self, batch: MicroBatch) -> torch.Tensor:
        """float32[p], the log-probability of each target of a micro-batch, which has at least one."""
        return self.head.logprobs(self.hidden(batch), batch.labels, self.config.chunk_tokens)

    def hidden(self, batch: MicroBatch) -> torch.Tensor:
        """[p, width], the hidden states that predict the targets of a micro-batch, which has at least one."""
        with self.precision():
            return run_packed(self.model, batch.tokens, batch.positions, batch.lengths).index_select(0, batch.predict)

    def precision(self) -> Any:
        """A context in which matrix products have the configured precision."""
        return torch.autocast(self.device.type, dtype=torch.bfloat16) if self.half else nullcontext()

    # -- another model that begins as this one -----------------------------------------------------------------------

    def twin(self, temperature: float = 1.0, head: bool = True) -> Policy:
        """A policy of its own with these weights, to be trained beside this one.

        What is not trained here (the model under adapters) is shared, not copied.

        Args:
            temperature: Of its log-probabilities.
            head: False: an output embedding that is not tied to the input's is shared too, for those who only read
                hidden states.
        """
        copied = self.model if head else self.model.get_decoder()
        own = {id(p) for p in copied.parameters() if p.requires_grad}
        shared = {id(p): p for p in self.model.parameters() if id(p) not in own}
        other = copy.copy(self)
        other.model, other._adapted = copy.deepcopy((self.model, self._adapted), shared)
        other.head = Head.of(other.model, temperature)
        return other

    @torch.no_grad()
    def follow(self, other: Policy) -> None:
        """Takes over the trained parameters of the policy that this one is the twin of."""
        theirs = other.trained()
        for name, p in self.trained().items():
            p.copy_(theirs[name])

    # -- a frozen reference: a copy of the trained parameters, or what there is without adapters ----------------------

    def copy(self, device: torch.device | None = None) -> dict[str, torch.Tensor]:
        """Copies of the trained parameters; of a sharded policy, of this process's shards.

        Args:
            device: Where they are kept; None: with the policy.
        """
        return {name: local(p).to(device or p.device, copy=True) for name, p in self.trained().items()}

    @contextmanager
    def swapped(self, parameters: dict[str, torch.Tensor]) -> Iterator[None]:
        """Inside, the policy computes with these parameters instead of its own; for use without gradients.

        Contents are exchanged, one parameter at a time: no more memory is needed, wherever the others are kept, and
        whatever else holds the parameters (a sharded model's buffers) sees the exchange.
        """
        self._exchange(parameters)
        try:
            yield
        finally:
            self._exchange(parameters)

    @torch.no_grad()
    def _exchange(self, parameters: dict[str, torch.Tensor]) -> None:
        for name, p in self.trained().items():
            own, other = local(p), parameters[name]
            kept = own.to(other.device, copy=True)
            own.copy_(other)
            other.copy_(kept)

    @contextmanager
    def without_adapters(self) -> Iterator[None]:
        """Inside, the policy is the model under its adapters; for use without gradients."""
        trained = self.trained()
        with self._adapted.disable_adapter():
            for p in trained.values():
                p.requires_grad_(True)  # peft freezes them meanwhile, which a sharded model would take for lasting
            yield

    # -- weights in and out ------------------------------------------------------------------------------------------

    @torch.no_grad()
    def weights(self, keep: bool = True) -> dict[str, torch.Tensor]:
        """The whole model's weights on the CPU under their Hugging Face names, adapters merged in.

        A tied output head is listed under its own name too: engines that load by name would keep their old one.

        Args:
            keep: False: nothing is returned. Shards are gathered by all processes of a team together, one parameter at
                a time; only one of them needs the result.
        """
        state = {}
        if self._adapted is None:
            state = self.model.state_dict(keep_vars=True)
        else:
            layers = {f"{name}.": module for name, module in self.model.named_modules() if hasattr(module, "lora_A")}
            for name, value in self.model.state_dict(keep_vars=True).items():
                prefix, found, rest = name.partition("base_layer.")
                if found and rest == "weight":
                    state[prefix + rest] = value + layers[prefix].get_delta_weight(_ADAPTER).to(value.dtype)
                elif found:
                    state[prefix + rest] = value
                elif ".lora_" not in name:
                    state[name] = value
        copies: dict[int, torch.Tensor] = {}  # tied weights are one parameter, and are copied once
        for value in state.values():
            if id(value) not in copies:
                whole = gathered(value)
                copies[id(value)] = whole.to("cpu", copy=True) if keep else whole.new_empty(0)
        return {name: copies[id(value)] for name, value in state.items()} if keep else {}

    def save(self, folder: Path) -> None:
        """Writes what `load` reads: ``model/`` (a Hugging Face folder), or ``adapter/`` (a peft folder) with LoRA.

        For a policy that is not sharded; teams write shards (`agentgym.trainers.distributed.shards`).
        """
        with quiet():
            if self._adapted is None:
                self.model.save_pretrained(folder / "model")
                self._save_tokenizer(folder / "model")
            else:
                self._adapted.save_pretrained(str(folder / "adapter"))

    @torch.no_grad()
    def load(self, folder: Path) -> None:
        """Reads what `save` wrote, or the shards that a team wrote.

        Raises:
            DataError: Not weights of this model.
        """
        trained = self.trained()
        try:
            if shards.found(folder):
                tensors = {shards.PARAMETER + name: p.detach() for name, p in trained.items()}
                shards.read(folder / shards.SHARDS, tensors)
                return
            if self._adapted is None:
                saved = load_model(folder / "model", torch.float32, torch.device("cpu")).state_dict()
            else:
                saved = load_file(folder / "adapter" / "adapter_model.safetensors")
            for name, p in trained.items():
                value = saved[name if self._adapted is None else _adapter_key(name)]
                if value.shape != p.shape:
                    raise ValueError(f"{name} has another shape")
                p.copy_(like(p, value))
        except (ConfigError, OSError, RuntimeError, ValueError, KeyError, SafetensorError) as error:
            raise DataError(folder, f"not weights of {self.source}: {first_line(error, 160)}") from error

    def export(self, folder: Path, keep: bool = True) -> Path:
        """Writes an ordinary Hugging Face folder, adapters merged in, tokenizer included.

        Args:
            folder: Where.
            keep: False: writes nothing; see `weights`.
        """
        if self._adapted is None and self.spread is None:
            model = self.model
        else:
            state = self.weights(keep)
            if not keep:
                return folder
            model = load_model(self.source, torch.float32, torch.device("cpu"))
            model.load_state_dict(state)
        with quiet():
            model.save_pretrained(folder)
            self._save_tokenizer(folder)
        return folder

    def _save_tokenizer(self, folder: Path) -> None:
        if self._tokenizer is None:
            from transformers import AutoTokenizer

            try:
                self._tokenizer = AutoTokenizer.from_pretrained(self.source)
            except (OSError, ValueError):
                self._tokenizer = False  # a folder with weights only stays one
        if self._tokenizer:
            self._tokenizer.save_pretrained(folder, save_jinja_files=False)


def _adapter_key(name: str) -> str:
    """The name that peft's files give to a parameter of the adapters."""
    return f"base_model.model.{name}".replace(f".{_ADAPTER}.", ".")


def _checkpoint_layers(model: Any) -> None:
    """Recomputes each decoder layer in the backward pass; the function was renamed in transformers 5.23."""
    enable = getattr(model, "activation_checkpointing_enable", None) or model.gradient_checkpointing_enable
    try:
        enable({"use_reentrant": False})
    except ValueError as error:
        raise ConfigError(f"learner.gradient_checkpointing: {error}") from error
    model.enable_input_require_grads()  # or frozen embeddings (LoRA) would cut the graph


def _adapt(model: Any, settings: LoraSettings) -> Any:
    """Puts adapters into the model's layers, in place; returns peft's wrapper of it."""
    try:
        from peft import LoraConfig, get_peft_model
    except ImportError:
        raise MissingExtra("peft", "train") from None
    targets = settings.targets if isinstance(settings.targets, str) else list(settings.targets)
    with torch.random.fork_rng():
        torch.manual_seed(settings.seed)
        try:
            return get_peft_model(
                model,
                LoraConfig(
                    r=settings.rank,
                    lora_alpha=settings.alpha,  # type: ignore[arg-type, unused-ignore]
                    lora_dropout=0.0,
                    target_modules=targets,
                    task_type="CAUSAL_LM",
                ),
            )
        except ValueError as error:
            raise ConfigError(f"learner.lora: {first_line(error)}") from error
