"""Puts a state of weights into a module: all of it fits, or nothing is changed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from agentgym.faults import EngineFault, did_you_mean


def load_weights(module: torch.nn.Module, state: Mapping[str, Any]) -> None:
    """Copies a state (name -> tensor or array) into the module's own memory, casting to its types.

    Raises:
        EngineFault: See `fit_weights`; nothing is changed.
    """
    own = module.state_dict(keep_vars=True)
    tensors = fit_weights(module, state)
    with torch.no_grad():
        for name, tensor in tensors.items():
            own[name].copy_(tensor)


def fit_weights(module: torch.nn.Module, state: Mapping[str, Any]) -> dict[str, torch.Tensor]:
    """The state's tensors by name, a tied weight under one of its names only.

    A name of a tied weight may be left out when its twin is given; buffers may be left out.

    Args:
        module: Whose names and shapes count; it may be without memory (on torch's meta device).
        state: Name -> tensor or array.

    Raises:
        EngineFault: A missing or unexpected name, a shape that differs, two different tensors for tied weights.
    """
    own: dict[str, torch.Tensor] = module.state_dict(keep_vars=True)
    if unexpected := sorted(set(state) - set(own)):
        hint = did_you_mean(unexpected[0], own)
        raise EngineFault(f"unexpected weight {unexpected[0]!r} ({_count(unexpected)}); {hint}")
    # `named_parameters` lists a tied weight once; any of its names will do.
    needed = {id(parameter): name for name, parameter in module.named_parameters()}
    given: dict[int, str] = {}
    tensors: dict[str, torch.Tensor] = {}
    for name, value in state.items():
        target, tensor = own[name], torch.as_tensor(value)
        if target.shape != tensor.shape:
            raise EngineFault(f"weight {name!r} has shape {tuple(tensor.shape)}, the model's is {tuple(target.shape)}")
        twin = given.setdefault(id(target), name)
        if twin == name:
            tensors[name] = tensor
        elif tensor.data_ptr() != tensors[twin].data_ptr() and not torch.equal(tensor, tensors[twin]):
            raise EngineFault(f"weights {twin!r} and {name!r} are tied in the model but differ")
    if missing := sorted(name for key, name in needed.items() if key not in given):
        raise EngineFault(f"missing weight {missing[0]!r} ({_count(missing)})")
    return tensors


def _count(names: list[str]) -> str:
    return "1 name" if len(names) == 1 else f"{len(names)} names"
