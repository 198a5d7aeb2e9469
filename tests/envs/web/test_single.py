"""Rows of single steps: what is read, what is refused, what an episode of one step pays."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agentgym.envs.web.env import WebEnv
from agentgym.envs.web.single import RowsSource
from agentgym.faults import DataError

Started = Callable[..., WebEnv]
TREE = {"id": 1, "instruction": "Search for tea", "tree": "[3] searchbox", "action": "fill"}
SHOT = {"id": 2, "instruction": "Open the cart", "screenshot": "shots/2.png", "action": "click", "box": [10, 4, 60, 30]}


def write(folder: Path, *rows: Any) -> str:
    path = folder / "rows.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in rows))
    return str(path)


def test_a_row_is_a_task_of_one_step(tmp_path: Path) -> None:
    path = write(tmp_path, {**TREE, "arguments": {"id": "3", "text": "tea"}}, SHOT)
    tasks = RowsSource(path=path, heldout=0.0).make()
    assert tasks.ids("train") == ["rows/1", "rows/2"]
    first, second = tasks["rows/1"], tasks["rows/2"]
    assert first.steps == ({"name": "fill", "arguments": {"id": "3", "text": "tea"}},)
    assert not first.origins
    assert second.steps == ({"name": "mouse_click", "arguments": {"box": [10.0, 4.0, 60.0, 30.0]}},)
    assert str(tmp_path / "shots" / "2.png") in tasks.world(second).page
    assert "tea" in " ".join(tasks.texts())


def test_names_of_public_data_are_known(tmp_path: Path) -> None:
    row = {"task": "Go back", "axtree": "page", "action_type": "press_back"}
    tasks = RowsSource(path=write(tmp_path, row), heldout=0.0).make()
    assert tasks["rows/1"].action == "go_back"


def test_an_episode(web: Started, tmp_path: Path) -> None:
    env = web(source="rows", path=write(tmp_path, SHOT), heldout=0.0)
    env.reset(options={"task": "rows/2"})
    _, _, ended, _, info = env.step("mouse_click(60, 30)")
    assert ended
    assert info["signal"].outcome == 1.0
    assert info["signal"].process["ui_r1"] == 2.0
    env.reset(options={"task": "rows/2"})
    _, _, ended, _, info = env.step("mouse_click(61, 30)")
    assert ended
    assert info["signal"].outcome == 0.0
    assert info["signal"].process["ui_r1"] == 1.0
    env.reset(options={"task": "rows/2"})
    *_, info = env.step(env.expert())
    assert info["signal"].outcome == 1.0


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{**SHOT, "tree": "x"}], "a screenshot or a tree"),
        ([{"instruction": "x", "action": "click"}], "a screenshot or a tree"),
        ([{**SHOT, "action": "teleport"}], "not known"),
        ([{**SHOT, "box": [60, 4, 10, 30]}], "x1 <= x2"),
        ([{**SHOT, "box": [0, 0, 1]}], "box"),
        ([{**SHOT, "box": [0, 0, 1, 1e300]}], "box"),
        ([{**SHOT, "screenshot": "../secret.png"}], "outside"),
        ([{**SHOT, "screenshot": "/etc/passwd"}], "outside"),
        ([SHOT, SHOT], "twice"),
        ([], "no rows"),
    ],
)
def test_damaged_rows(tmp_path: Path, rows: list[dict[str, Any]], message: str) -> None:
    with pytest.raises(DataError, match=message):
        RowsSource(path=write(tmp_path, *rows)).make()
