"""A short soak: a streamed run whose processes are killed at random; and that its checks can fail."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "soak.py"
UPDATES = 10


@pytest.fixture(scope="module")
def soak() -> Any:
    spec = importlib.util.spec_from_file_location("soak", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where a dataclass looks its annotations up
    spec.loader.exec_module(module)
    return module


@pytest.mark.timeout(400)
def test_kills_at_random(soak: Any, tmp_path: Path) -> None:
    changes = {"updates": UPDATES, "rollout": {"max_staleness": 1}, "learner": {"processes": 1}}
    said: list[str] = []
    run = soak.Soak(
        tmp_path, changes, ["worker", "driver"], kills=3, every_s=0.5, seed=3, say=said.append, learning=1.0
    )
    result = run.run()
    assert sum(result["kills"].values()) == 3
    assert result["kills"]["worker"]
    assert result["kills"]["driver"]
    assert result["groups"] == result["runs"] * UPDATES * soak.CONFIG["tasks_per_update"]
    assert result["starts"] > result["runs"], "no driver was killed once it had begun"

    # A group that is learned from twice, and episodes that others were learned from, are found.
    episodes = tmp_path / "soak-1" / "episodes"
    second, third = (episodes / f"train-{update:06d}.parquet" for update in (2, 3))
    kept = second.read_bytes()
    second.write_bytes(third.read_bytes())
    with pytest.raises(SystemExit, match="update 3 learned twice"):
        soak.check(tmp_path / "soak-1")
    second.write_bytes(third.read_bytes())
    third.write_bytes(kept)
    with pytest.raises(SystemExit, match="the weights are others"):
        soak.check(tmp_path / "soak-1")
