"""Sources: the shipped repositories, folders, single-turn rows, and repositories in images."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sandboxes import need
from shop import FAULTY, HELDBACK, MENDED, TASK

from agentgym.envs.sourcing import make_source, shared_taskset
from agentgym.envs.swe.grading import grade
from agentgym.envs.swe.measuring import sandbox_spec
from agentgym.envs.swe.patches import reversed_patch
from agentgym.envs.swe.sources import SHIPPED, SOURCES, TASKS
from agentgym.envs.swe.task import SweTask, SweTaskSet
from agentgym.envs.swe.tree import File, apply, diff
from agentgym.faults import ConfigError, DataError
from agentgym.task import SPLITS
from agentgym.tools.sandbox import make_sandbox
from agentgym.tools.sandbox.pool import SandboxPool

ROW: dict[str, Any] = {
    "instance_id": "shop-1",
    "repo": "shop",
    "split": "train",
    "problem_statement": TASK.problem,
    "patch": TASK.gold_patch,
    "FAIL_TO_PASS": TASK.fail_to_pass,
    "PASS_TO_PASS": TASK.pass_to_pass,
    "HELDBACK": TASK.heldback,
    "kinds": ["operator"],
    "test_timeout_s": 20.0,
}


def taskset(name: str, **options: Any) -> SweTaskSet:
    return shared_taskset(make_source(SOURCES, name, options))


@pytest.fixture(params=["folder", "archive"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A folder of tasks with the shop's repository."""
    whole = MENDED.put(HELDBACK)
    if request.param == "archive":
        (tmp_path / "repos").mkdir()
        (tmp_path / "repos" / "shop.tar").write_bytes(whole.to_tar())
    else:
        for path, file in whole.items():
            place = tmp_path / "repos" / "shop" / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(file.data)
    write(tmp_path / TASKS, ROW, {**ROW, "instance_id": "shop-2", "split": "heldout", "kinds": ["operator", "loop"]})
    return tmp_path


def write(file: Path, *rows: dict[str, Any]) -> Path:
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def test_a_folder_of_tasks(folder: Path) -> None:
    found = taskset("rows", path=str(folder))
    assert (list(found.ids("train")), list(found.ids("heldout"))) == (["shop-1"], ["shop-2"])
    task = found["shop-1"]
    assert found.tree(task) == FAULTY
    assert found.tests(task) == {
        **{path: file.data for path, file in FAULTY.items() if path.startswith("tests/")}, **HELDBACK,
    }  # fmt: skip
    assert task.model_copy(update={"kinds": ()}) == TASK
    assert list(taskset("rows", path=str(folder / TASKS), kinds=["operator"]).ids("heldout")) == []


def test_damaged_folders(folder: Path) -> None:
    for change, why in (
        ({"repo": "shops"}, "no such repository"),
        ({"repo": "../repos/shop"}, "no name of a repository"),
        ({"FAIL_TO_PASS": 3}, "FAIL_TO_PASS"),
    ):
        write(folder / TASKS, {**ROW, **change})
        with pytest.raises(DataError, match=why):
            taskset("rows", path=str(folder))
    write(folder / TASKS, ROW)
    with pytest.raises(ConfigError, match="leave no task"):
        taskset("rows", path=str(folder), kinds=["loop"])
    with pytest.raises(ConfigError, match="has no option 'kind'; did you mean 'kinds'"):
        taskset("rows", path=str(folder), kind=["loop"])
    write(folder / TASKS, {**ROW, "patch": TASK.gold_patch.replace("sum", "max")})
    found = taskset("rows", path=str(folder))
    with pytest.raises(DataError, match="cannot be undone"):
        found.tree(found["shop-1"])


def test_shipped_tasks_are_whole() -> None:
    found = taskset("shipped")
    assert len(found.ids("train")) >= 60
    assert len(found.ids("heldout")) >= 20
    repos = {split: {found[key].repo for key in found.ids(split)} for split in SPLITS}
    assert len(repos["train"] | repos["heldout"]) >= 5
    for split in SPLITS:
        for key in found.ids(split):
            task = found[key]
            tree, tests = found.tree(task), found.tests(task)
            assert task.fail_to_pass
            assert task.heldback
            assert set(task.tested_files) <= tests.keys()
            assert not any(path.startswith("heldback/") for path in tree)
            mended = apply(tree, task.gold_patch)
            assert mended != tree
            assert all(path in tree for path in tests if not path.startswith("heldback/"))
    assert sum(file.stat().st_size for file in SHIPPED.rglob("*") if file.suffix in (".py", ".md")) < 300_000


def test_choosing_shipped_tasks() -> None:
    some = taskset("shipped", repos=["bakery"], kinds=["operator"], max_difficulty=2)
    assert some.ids("heldout")
    for key in some.ids("heldout"):
        task = some[key]
        assert (task.repo, task.kinds) == ("bakery", ("operator",))
        assert task.difficulty <= 2


def test_single_turn_tasks(folder: Path, tmp_path: Path) -> None:
    found = taskset("edits", path=str(folder))
    task = found["shop-1"]
    assert task.files == ("shop/sums.py",)
    assert dict(found.tree(task)) == {"shop/sums.py": FAULTY["shop/sums.py"]}
    assert found.tests(task) == {}
    assert taskset("edits").ids("train")
    rows = tmp_path / "alone" / "rows.jsonl"
    rows.parent.mkdir()
    row = {**ROW, "files": {"shop/sums.py": FAULTY["shop/sums.py"].text}}
    write(rows, row)
    found = taskset("edits", path=str(rows))
    assert apply(found.tree(found["shop-1"]), TASK.gold_patch)["shop/sums.py"] == MENDED["shop/sums.py"]
    write(rows, {**row, "files": {"../x": ""}})
    with pytest.raises(DataError, match=r"rows\.jsonl:1"):
        taskset("edits", path=str(rows))


# --- repositories in images ---


@pytest.fixture(scope="module")
def image() -> Iterator[str]:
    """An image with the mended shop, its history, and other tests beside it, as SWE-bench's family publishes them."""
    need("docker")
    from agentgym.tools.sandbox.docker import connect
    from agentgym.tools.sandbox.image import IMAGE

    client, name = connect(), "agentgym-test-shop:latest"
    made = client.api.create_container(IMAGE, command=["true"])
    try:
        tree = MENDED.put({f"testbed/{path}": file for path, file in MENDED.items()})
        tree = tree.put(
            {"r2e_tests/test_1.py": b"from shop.sums import total\n\n\ndef test_a():\n    assert total([1]) == 1\n"}
        )
        tree = tree.put({"testbed/run": File(b"#!/bin/sh\n", executable=True), "testbed/link": File(b"run", link=True)})
        archive = io.BytesIO(tree.leave(("/shop", "/tests", "/setup.cfg")).to_tar())
        with tarfile.open(fileobj=archive, mode="a") as tar:
            history = tarfile.TarInfo("testbed/.git/HEAD")
            tar.addfile(history, io.BytesIO())
        client.api.put_archive(made["Id"], "/", archive.getvalue())
        client.api.commit(made["Id"], "agentgym-test-shop", "latest")
        yield name
    finally:
        client.api.remove_container(made["Id"], force=True)
        client.images.remove(name, force=True)
        client.close()


@pytest.fixture(scope="module")
def testbed(image: str) -> Iterator[SandboxPool]:
    """Sandboxes whose workspace is the image's."""
    limits = {"memory_mb": 192, "processes": 40, "disk_mb": 32, "tmp_mb": 16, "file_mb": 16}
    with SandboxPool({"name": "docker", "image": image, "workspace": "/testbed", "limits": limits}, size=1) as made:
        yield made


def options(image: str, cache: Path) -> dict[str, Any]:
    return {"image": image, "python": "python3", "cache": str(cache), "test_timeout_s": 20.0, "heldout": 0.0}


SMITH = {
    "instance_id": "shop.1.func",
    "repo": "swesmith/shop.1",
    "image_name": "x",
    "FAIL_TO_PASS": list(TASK.fail_to_pass),
    "PASS_TO_PASS": list(TASK.pass_to_pass),
}


def test_swe_smith_in_an_image(image: str, testbed: SandboxPool, tmp_path: Path) -> None:
    file = write(tmp_path / "rows.jsonl", {**SMITH, "patch": reversed_patch(TASK.gold_patch)})
    found = taskset("rows", path=str(file), **options(image, tmp_path / "cache"))
    task = found["shop.1.func"]
    tree = found.tree(task)
    assert tree == FAULTY.put({"run": File(b"#!/bin/sh\n", executable=True), "link": File(b"run", link=True)})
    assert set(found.tests(task)) == {"tests/test_sums.py", "tests/test_names.py"}
    kept = list((tmp_path / "cache").iterdir())
    assert len(kept) == 1
    kept[0].write_bytes(b"damaged")
    again = taskset("rows", path=str(file), **{**options(image, tmp_path / "cache"), "heldout": 0.01})
    assert again.tree(task) == tree
    assert grade(task, found, task.gold_patch, testbed).resolved
    assert not grade(task, found, "", testbed).resolved


def test_swe_bench_in_an_image(image: str, testbed: SandboxPool, tmp_path: Path) -> None:
    test = b"from shop.names import shout\n\n\ndef test_twice():\n    assert shout('a' * 2) == 'AA!'\n"
    mended = MENDED.put({"shop/names.py": b"def shout(name):\n    return name.upper() + '!'\n"})
    row = {
        "instance_id": "a__shop-1", "repo": "a/shop", "base_commit": "1", "problem_statement": "p",
        "patch": diff(MENDED, mended), "test_patch": diff(MENDED, MENDED.put({"tests/test_twice.py": test})),
        "FAIL_TO_PASS": '["tests/test_twice.py::test_twice"]', "PASS_TO_PASS": "[]", "environment_setup_commit": "1",
    }  # fmt: skip
    file = write(tmp_path / "rows.jsonl", row)
    found = taskset("rows", path=str(file), **options(image, tmp_path / "cache"))
    task = found["a__shop-1"]
    assert "tests/test_twice.py" not in found.tree(task)
    assert found.tests(task) == {"tests/test_twice.py": test}
    assert grade(task, found, task.gold_patch, testbed).resolved
    assert not grade(task, found, "", testbed).resolved
    # The same by what is printed, as repositories without pytest are graded.
    printed = task.model_copy(update={"test_command": "python3 -m pytest -rA", "log_format": "pytest"})
    assert grade(printed, found, task.gold_patch, testbed).resolved
    assert grade(printed, found, "", testbed).statuses == {"tests/test_twice.py::test_twice": "FAILED"}


def test_r2e_gym_in_an_image(image: str, testbed: SandboxPool, tmp_path: Path) -> None:
    change = {
        "header": {"file": {"path": "shop/sums.py"}},
        "old_file_content": MENDED["shop/sums.py"].text,
        "new_file_content": (MENDED["shop/sums.py"].text or "") + "\n\nLIMIT = 3\n",
    }
    row = {
        "repo_name": "shop", "docker_image": image, "commit_hash": "1234567890ab", "problem_statement": "p",
        "parsed_commit_content": json.dumps({"file_diffs": [change]}), "expected_output_json": '{"test_a": "PASSED"}',
    }  # fmt: skip
    file = write(tmp_path / "rows.jsonl", row)
    found = taskset("rows", path=str(file), **options(image, tmp_path / "cache"))
    task = found["shop-1234567890ab"]
    assert set(found.tests(task)) == {"r2e_tests/test_1.py"}
    assert grade(task, found, task.gold_patch, testbed).resolved
    for expected in ({"test_a": "FAILED"}, {"test_a": "PASSED", "test_b": "PASSED"}):
        assert not grade(task.model_copy(update={"expected": expected}), found, "", testbed).resolved


def test_what_an_image_gives_away_is_not_found_inside(image: str, tmp_path: Path) -> None:
    """Neither the history in the repository's folder nor the tests beside it: in the image they are."""
    looked_at = ("/testbed/.git/HEAD", "/r2e_tests/test_1.py")
    with make_sandbox({"name": "docker", "image": image, "workspace": "/elsewhere"}) as open_one:
        for path in looked_at:
            assert open_one.exec(["test", "-e", path]).exit_code == 0
    task = SweTask(
        id="t", split="train", repo="r", problem="p", gold_patch="", image=image, workspace="/testbed",
        hidden=("/r2e_tests",),
    )  # fmt: skip
    with make_sandbox(sandbox_spec(task, {}, "test")) as inside:
        for path in looked_at:
            assert inside.exec(["cat", path]).exit_code != 0
        assert inside.exec("chmod 755 /r2e_tests").exit_code != 0
        found = inside.exec("find / -name test_1.py 2>/dev/null; find /testbed -name HEAD")
        assert found.output == ""


def test_no_such_image(tmp_path: Path) -> None:
    need("docker")
    file = write(tmp_path / "rows.jsonl", {**SMITH, "patch": TASK.gold_patch})
    found = taskset("rows", path=str(file), **options("agentgym-no-such:latest", tmp_path))
    with pytest.raises(ConfigError, match="no image 'agentgym-no-such:latest'"):
        found.tree(found["shop.1.func"])
