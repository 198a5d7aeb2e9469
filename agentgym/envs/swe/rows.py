"""Rows of task files, and how each becomes a `SweTask`: our own, and those of SWE-bench's family.

The data sets' own rules for images, test commands and names of tests are kept here, as far as a row does not say them:
SWE-bench (and Verified), SWE-Gym, SWE-smith, R2E-Gym. Their images hold the repository at ``/testbed``.
"""

from __future__ import annotations

import json
from abc import abstractmethod
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, ConfigDict, Field, field_validator

from agentgym.envs.files import Row, typed_rows
from agentgym.envs.swe.logs import PYTEST_NAMES, directives, parse_pytest, short_name
from agentgym.envs.swe.patches import parse_patch, reversed_patch
from agentgym.envs.swe.task import TEST_TIMEOUT_S, SweTask
from agentgym.envs.swe.tree import Tree, diff, is_path
from agentgym.faults import ConfigError, DataError
from agentgym.task import Split
from agentgym.tools.sandbox.image import IMAGE

#: Where the images have the repository, the Python of its tests, and how long those may take, in seconds.
TESTBED, TESTBED_PYTHON = "/testbed", "/opt/miniconda3/envs/testbed/bin/python"
IMAGE_TIMEOUT_S = 1800.0
#: Repositories whose tests pytest does not run: (command, parser of what it prints).
COMMANDS = {
    "django/django": ("./tests/runtests.py --verbosity 2 --settings=test_sqlite --parallel 1", "django"),
    "sympy/sympy": ("PYTHONWARNINGS='ignore::UserWarning,ignore::SyntaxWarning' bin/test -C --verbose", "sympy"),
}


def _listed(value: Any) -> Any:
    """Lists of tests come as lists, or as the JSON text of one."""
    return json.loads(value) if isinstance(value, str) else value


#: Ids of tests.
Tests = Annotated[tuple[str, ...], BeforeValidator(_listed)]


class OwnRow(Row):
    """A row of ``tasks.jsonl``: SWE-bench's names, lists as lists, and what it does not have.

    Attributes:
        instance_id: Unique in the file.
        repo: Name of the repository under ``repos/``.
        problem_statement: What is wrong.
        patch: The gold patch: it leads from what the agent finds to the repository under ``repos/``.
        FAIL_TO_PASS: Ids of tests.
        PASS_TO_PASS: Ids of tests.
        HELDBACK: Ids of held-back tests, which must pass as well.
        split: ``"train"`` or ``"heldout"``; none: by a hash of the id.
        difficulty: 1 is easiest.
        kinds: Kinds of the mutations that made the fault.
        base_commit: What the repository's files were taken from (a commit, a version, a digest).
        hints_text: Hints.
        image: Docker image to run the tests in.
        python: The Python there.
        test_command: See `SweTask`.
        test_timeout_s: Seconds that the tests may take.
    """

    instance_id: str
    repo: str
    problem_statement: str
    patch: str
    FAIL_TO_PASS: Tests
    PASS_TO_PASS: Tests = ()
    HELDBACK: Tests = ()
    split: Split | None = None
    difficulty: int = 1
    kinds: tuple[str, ...] = ()
    base_commit: str = ""
    hints_text: str = ""
    image: str = IMAGE
    python: str = "python3"
    test_command: str = "python3 -m pytest"
    test_timeout_s: float = TEST_TIMEOUT_S

    def task(self, split: Split) -> SweTask:
        """The task, of the split that the row does not override."""
        return SweTask(
            id=self.instance_id,
            split=self.split or split,
            difficulty=self.difficulty,
            repo=self.repo,
            problem=self.problem_statement,
            gold_patch=self.patch,
            fail_to_pass=self.FAIL_TO_PASS,
            pass_to_pass=self.PASS_TO_PASS,
            heldback=self.HELDBACK,
            image=self.image,
            python=self.python,
            test_command=self.test_command,
            test_timeout_s=self.test_timeout_s,
            kinds=self.kinds,
            base_commit=self.base_commit,
            hints=self.hints_text,
        )


class EditRow(Row):
    """A single-turn task: its files, and the patch that mends them.

    Attributes:
        instance_id: Unique in the file.
        problem_statement: What is wrong.
        files: Content by path of what is shown.
        patch: The gold patch.
        repo: What it was taken from.
        split: ``"train"`` or ``"heldout"``; none: by a hash of the id.
    """

    instance_id: str
    problem_statement: str
    files: dict[str, str] = Field(min_length=1)
    patch: str
    repo: str = ""
    split: Split | None = None

    def task(self, split: Split) -> SweTask:
        """The task.

        Raises:
            PatchError: The gold patch is none.
        """
        parse_patch(self.patch)
        return SweTask(
            id=self.instance_id,
            split=self.split or split,
            repo=self.repo,
            problem=self.problem_statement,
            gold_patch=self.patch,
            files=tuple(self.files),
        )


class ImageRow(Row):
    """Base of the rows whose repository is in an image."""

    @property
    @abstractmethod
    def key(self) -> str:
        """The task's id."""

    @abstractmethod
    def task(self, split: Split) -> SweTask:
        """The task.

        Raises:
            PatchError: A patch of the row is none.
        """


class BenchRow(ImageRow):
    """SWE-bench: a commit's parent, its patch, the tests that came with it."""

    instance_id: str
    repo: str
    base_commit: str
    patch: str
    test_patch: str
    problem_statement: str
    hints_text: str | None = ""
    created_at: Any = None
    version: str | float | None = None
    environment_setup_commit: str | None = None
    difficulty: str | None = None
    FAIL_TO_PASS: Tests
    PASS_TO_PASS: Tests

    @property
    def key(self) -> str:
        return self.instance_id

    @property
    def image(self) -> str:
        """The image that the data set's makers publish."""
        return f"swebench/sweb.eval.x86_64.{self.instance_id.replace('__', '_1776_').lower()}:latest"

    def task(self, split: Split) -> SweTask:
        parse_patch(self.patch)
        command, log_format = COMMANDS.get(self.repo, ("python -m pytest", ""))
        return SweTask(
            id=self.instance_id,
            split=split,
            difficulty=_DIFFICULTIES.get(self.difficulty or "", 1),
            repo=self.repo,
            problem=self.problem_statement,
            gold_patch=self.patch,
            test_patch=self.test_patch,
            fail_to_pass=self.FAIL_TO_PASS,
            pass_to_pass=self.PASS_TO_PASS,
            image=self.image,
            python=TESTBED_PYTHON,
            workspace=TESTBED,
            test_command=f"PATH={TESTBED_PYTHON.rpartition('/')[0]}:$PATH {command}" if log_format else command,
            log_format=log_format,
            names=PYTEST_NAMES.get(self.repo, "first-word"),
            test_files=directives(self.repo, self.test_patch),
            test_timeout_s=IMAGE_TIMEOUT_S,
            base_commit=self.base_commit,
            hints=self.hints_text or "",
            extra={
                "version": self.version,
                "created_at": None if self.created_at is None else str(self.created_at),
                "environment_setup_commit": self.environment_setup_commit,
                "difficulty": self.difficulty,
            },
        )


#: How long the annotators of SWE-bench Verified thought that mending takes.
_DIFFICULTIES = {"<15 min fix": 1, "15 min - 1 hour": 2, "1-4 hours": 3, ">4 hours": 4}


class GymRow(BenchRow):
    """SWE-Gym: as SWE-bench, with images of its own."""

    @property
    def image(self) -> str:
        return f"xingyaoww/sweb.eval.x86_64.{self.instance_id.replace('__', '_s_').lower()}:latest"


class SmithRow(ImageRow):
    """SWE-smith: a patch that *breaks* what is in the image."""

    instance_id: str
    repo: str
    patch: str
    image_name: str
    problem_statement: str = ""
    FAIL_TO_PASS: Tests
    PASS_TO_PASS: Tests

    @property
    def key(self) -> str:
        return self.instance_id

    def task(self, split: Split) -> SweTask:
        name = self.image_name
        image = name if "/" in name else f"jyangballin/{name.replace('__', '_1776_')}"
        return SweTask(
            id=self.instance_id,
            split=split,
            repo=self.repo,
            problem=self.problem_statement,
            gold_patch=reversed_patch(self.patch),
            fail_to_pass=self.FAIL_TO_PASS,
            pass_to_pass=self.PASS_TO_PASS,
            image=image if ":" in image else f"{image}:latest",
            python=TESTBED_PYTHON,
            workspace=TESTBED,
            test_command="python -m pytest --disable-warnings --color=no --tb=no",
            names="first-word",
            test_timeout_s=IMAGE_TIMEOUT_S,
            base_commit=self.repo.rpartition(".")[2],
            extra={"breaks": self.patch},
        )


class _Place(Row):
    path: str


class _Header(Row):
    file: _Place


class _FileChange(Row):
    header: _Header
    old_file_content: str = ""
    new_file_content: str = ""


class _Commit(Row):
    file_diffs: tuple[_FileChange, ...]


class R2ERow(ImageRow):
    """R2E-Gym: a commit with generated tests in the image's ``/r2e_tests``, and the status that each must have."""

    repo_name: str
    docker_image: str
    commit_hash: str
    parsed_commit_content: Annotated[_Commit, BeforeValidator(_listed)]
    expected_output_json: Annotated[dict[str, str], BeforeValidator(_listed)]
    execution_result_content: Annotated[dict[str, Any], BeforeValidator(_listed)] = Field(default_factory=dict)
    problem_statement: str = ""

    @field_validator("expected_output_json")
    @classmethod
    def _plain(cls, value: dict[str, str]) -> dict[str, str]:
        return {name: status for test, status in value.items() if (name := short_name(test))}

    @property
    def key(self) -> str:
        return f"{self.repo_name}-{self.commit_hash[:12]}"

    def task(self, split: Split) -> SweTask:
        changes = [change for change in self.parsed_commit_content.file_diffs if is_path(change.header.file.path)]
        trees = [
            Tree({change.header.file.path: text.encode() for change, text in pairs if text})
            for pairs in (
                [(change, change.old_file_content) for change in changes if not _tests(change)],
                [(change, change.new_file_content) for change in changes if not _tests(change)],
            )
        ]
        log = str(self.execution_result_content.get("old_commit_res_stdout", ""))
        before = {short_name(test.partition("::")[2]): status for test, status in parse_pytest(log).items()}
        passing = [test for test, status in self.expected_output_json.items() if status == "PASSED"]
        return SweTask(
            id=self.key,
            split=split,
            repo=self.repo_name,
            problem=self.problem_statement,
            gold_patch=diff(*trees),
            fail_to_pass=tuple(test for test in passing if before.get(test) != "PASSED"),
            pass_to_pass=tuple(test for test in passing if before.get(test) == "PASSED"),
            image=self.docker_image,
            python=f"{TESTBED}/.venv/bin/python",
            workspace=TESTBED,
            hidden=(f"/{R2E_TESTS}",),
            test_command="PYTHONWARNINGS=ignore::UserWarning,ignore::SyntaxWarning python -W ignore -m pytest",
            names="short",
            test_files=(R2E_TESTS,),
            rule="exact",
            expected=self.expected_output_json,
            test_timeout_s=IMAGE_TIMEOUT_S,
            base_commit=f"{self.commit_hash}^",
        )


#: Folder of the tests, in an image's root and in the repository.
R2E_TESTS = "r2e_tests"


def _tests(change: _FileChange) -> bool:
    path = change.header.file.path
    return path.endswith("_test.py") or any(part in ("tests", "test", "testing") or part.startswith("test_")
                                            for part in path.split("/"))  # fmt: skip


#: Format -> model of a row.
FORMATS: dict[str, type[ImageRow]] = {
    "swe-bench": BenchRow, "swe-gym": GymRow, "swe-smith": SmithRow, "r2e-gym": R2ERow,
}  # fmt: skip


class _Columns(Row):
    model_config = ConfigDict(extra="allow", frozen=True)


def detect(file: Path) -> str:
    """What the rows of a file are, by their columns; ``"own"`` beside a folder ``repos``.

    Raises:
        ConfigError: None of the known formats.
        DataError: A damaged file, or one without rows.
    """
    if (file.parent / "repos").is_dir():
        return "own"
    for _, row in typed_rows(file, _Columns):
        columns = set(row.model_extra or ())
        if {"docker_image", "parsed_commit_content"} <= columns:
            return "r2e-gym"
        if {"image_name", "patch"} <= columns:
            return "swe-smith"
        if {"instance_id", "patch", "test_patch", "FAIL_TO_PASS"} <= columns:
            return "swe-bench" if "environment_setup_commit" in columns else "swe-gym"
        raise ConfigError(f"{file}: these rows are of no known format; say which with the option 'format'")
    raise DataError(file, "no rows")
