"""Sessions of people as tasks."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agentgym.envs.web.behaviour import GOAL, BehaviourSource
from agentgym.envs.web.env import WebEnv
from agentgym.faults import DataError

Started = Callable[..., WebEnv]
STEPS = [
    {"page": "[1] searchbox", "action": "fill", "arguments": {"id": "1", "text": "kettle"}},
    {"page": "[4] link", "action": "click", "arguments": {"id": "4"}, "rationale": "it is the cheapest"},
    {"page": "[9] button", "action": "stop"},
]


def write(folder: Path, *rows: Any) -> str:
    path = folder / "sessions.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in rows))
    return str(path)


def test_a_session_is_a_task(web: Started, tmp_path: Path) -> None:
    env = web(source="behaviour", path=write(tmp_path, {"id": "s1", "goal": "buy", "steps": STEPS}), heldout=0.0)
    text, _ = env.reset(options={"task": "behaviour/s1"})
    assert "[1] searchbox" in text
    text, _, ended, _, info = env.step("fill('1', 'pan')")
    assert "[4] link" in text
    assert not ended
    assert info["signal"].process["exact"] == 0.0
    _, _, ended, _, info = env.step("click('4')")
    assert not ended
    assert info["signal"].process["shop_r1"] > 0.0
    _, _, ended, _, info = env.step(env.expert())
    assert ended
    assert info["signal"].outcome == pytest.approx(2 / 3)


def test_windows_and_reasons(tmp_path: Path) -> None:
    path = write(tmp_path, {"session_id": 7, "actions": STEPS})
    tasks = BehaviourSource(path=path, window=2, rationales=True, heldout=0.0).make()
    assert tasks.ids("train") == ["behaviour/7/0", "behaviour/7/2"]
    assert tasks["behaviour/7/0"].goal == GOAL
    assert tasks["behaviour/7/2"].length == 1
    assert tasks.world(tasks["behaviour/7/2"]).page == "Why the last step: it is the cheapest\n[9] button"
    assert tasks["behaviour/7/0"].split == tasks["behaviour/7/2"].split


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"id": 1, "steps": []}], "steps"),
        ([{"id": 1, "steps": [{"page": "x", "action": "fly"}]}], "not known"),
        ([{"id": 1, "steps": STEPS}, {"id": 1, "steps": STEPS}], "twice"),
        ([], "no sessions"),
    ],
)
def test_damaged_sessions(tmp_path: Path, rows: list[dict[str, Any]], message: str) -> None:
    with pytest.raises(DataError, match=message):
        BehaviourSource(path=write(tmp_path, *rows)).make()
