"""Facts about a run as plain data: made from whatever the run's parts tell, merged, validated."""

from __future__ import annotations

import math
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from agentgym.trainers.status_model import RunStatus

_MAX_ERROR_CHARS = 300
_PROGRAM = "agentgym"


def plain(value: Any) -> Any:
    """A copy that nobody else changes: NumPy's numbers as Python's, and without what is not known (None, NaN)."""
    if isinstance(value, Mapping):
        copied = {str(key): plain(one) for key, one in list(value.items())}
        return {key: one for key, one in copied.items() if one is not None}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    if hasattr(value, "item"):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value


def merge(facts: dict[str, Any], source: str, told: Mapping[str, Any]) -> None:
    """Adds what a source told to the facts: mappings key by key, faults summed up, unknown fields under its name."""
    more = {name: value for name, value in told.items() if name not in RunStatus.model_fields}
    known = {name: value for name, value in told.items() if name not in more}
    faults = dict(facts.get("faults", {}))
    for kind, count in known.pop("faults", {}).items():
        faults[kind] = faults.get(kind, 0) + count
    if faults:
        facts["faults"] = faults
    _deep(facts, known)
    if more:
        _deep(facts, {"more": {source: more}})


def _deep(into: dict[str, Any], told: Mapping[str, Any]) -> None:
    for name, value in told.items():
        if isinstance(value, dict) and isinstance(into.get(name), dict):
            _deep(into[name], value)
        else:
            into[name] = value


def validated(facts: dict[str, Any]) -> RunStatus:
    """The facts as a status; those that are not of their field's type become an error of that name."""
    try:
        return RunStatus.model_validate(facts)
    except ValidationError as error:
        sound = dict(facts)
        errors = dict(facts.get("errors", {}))
        for problem in error.errors(include_url=False):
            name = str(problem["loc"][0])
            sound.pop(name, None)
            errors[name] = f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}"[:_MAX_ERROR_CHARS]
        return RunStatus.model_validate({**sound, "errors": errors})


def to_json(status: RunStatus) -> dict[str, Any]:
    """Plain data, without the facts that are not known."""
    return {"format": status.format, **status.model_dump(mode="json", exclude_defaults=True)}


def normalised(parts: Mapping[str, float]) -> dict[str, float]:
    """Shares of the whole; none where there is no whole."""
    total = sum(parts.values())
    return {name: round(part / total, 4) for name, part in parts.items()} if total > 0 else {}


def one_line(error: BaseException) -> str:
    """An error's type and message."""
    detail = " ".join(str(error).split())
    return f"{type(error).__name__}: {detail}"[:_MAX_ERROR_CHARS] if detail else type(error).__name__


def own_command() -> str:
    """The command line of this process, as one that goes on with its run: ``--fresh`` would begin another one."""
    module = getattr(sys.modules["__main__"].__spec__, "name", "")
    if Path(sys.argv[0]).name == _PROGRAM or module.partition(".")[0] == _PROGRAM:
        return shlex.join([_PROGRAM, *(a for a in sys.argv[1:] if a != "--fresh")])
    return shlex.join(sys.orig_argv)
