"""What a repair task is, and what a set of them answers besides the tasks: the files found, the tests that decide.

Modelled on SWE-bench's instances (SWE-bench: Can Language Models Resolve Real-World GitHub Issues?), with held-back
tests besides: what was hard-coded for the tests that the agent could read does not pass those that it never saw.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any, Literal

from pydantic import Field

from agentgym.envs.swe.tree import Tree
from agentgym.task import SPLITS, ListedTasks, Task, TaskSet
from agentgym.tools.sandbox.image import IMAGE
from agentgym.tools.sandbox.supervised import WORKSPACE

#: Seconds that the tests of a task may take unless it says otherwise.
TEST_TIMEOUT_S = 120.0
#: What a submission may not change, as patterns of `agentgym.envs.swe.protection`: tests, and what is read by pytest,
#: by Python or by the grader before the first test runs.
PROTECTED = (
    "tests", "/test", "/testing", "test_*.py", "*_test.py", "tests.py", "conftest.py",
    "*.pth", "sitecustomize", "sitecustomize.*", "usercustomize", "usercustomize.*",
    "pytest.ini", ".pytest.ini", "pytest.toml", ".pytest.toml", "tox.ini", "setup.cfg", "pyproject.toml", ".coveragerc",
    ".git", ".hg", "*.egg-info", "*.dist-info", "*.egg-link", "__pycache__", "*.pyc",
)  # fmt: skip


class SweTask(Task):
    """A repository with a fault, and the tests that tell whether it is mended.

    Attributes:
        repo: Name of the repository's tree in its task set.
        problem: What is wrong, in the words of the one who noticed.
        gold_patch: A unified diff that mends it. Never shown to the agent.
        test_patch: A unified diff of the tests that came with the mending; empty where `SweTaskSet.tests` has them.
        fail_to_pass: Ids of tests that fail and must pass.
        pass_to_pass: Ids of tests that pass and must go on passing.
        heldback: Ids of tests that the agent never sees and only the outcome reads.
        files: Paths that a single-turn task shows in its prompt (`edits`); such a task needs no container.
        image: Docker image that the tests run in.
        python: The Python there that runs the tests, 3.5 or later: a name on its PATH, or a path.
        workspace: Absolute path of the repository there.
        hidden: Absolute paths of other folders there that would give the tests or the mending away.
        test_command: How the tests are run. The grader takes variables before ``pytest`` and options after it;
            a command without ``pytest`` is run as it is, and its output read by `log_format`.
        log_format: Which of `agentgym.envs.swe.logs.PARSERS` reads that output; empty: pytest is watched from within.
        names: How the ids are made from pytest's own, a key of `agentgym.envs.swe.logs.NAMES`; empty: they are those.
        test_files: What is added to `test_command`; empty: the files that the ids name.
        rule: ``"swe-bench"``: named tests pass; ``"exact"``: every status is as in `expected` (R2E-Gym).
        expected: Test -> status, for that rule.
        protected: What a submission may not change; see `agentgym.envs.swe.protection`.
        test_timeout_s: Seconds that the tests may take.
        kinds: Kinds of the mutations that made the fault.
        base_commit: Commit that the tree was taken from.
        hints: What people said about the problem before it was mended. Not part of the problem.
        extra: What else the row said.
    """

    repo: str
    problem: str
    gold_patch: str
    test_patch: str = ""
    fail_to_pass: tuple[str, ...] = ()
    pass_to_pass: tuple[str, ...] = ()
    heldback: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    image: str = IMAGE
    python: str = "python3"
    workspace: str = WORKSPACE
    hidden: tuple[str, ...] = ()
    test_command: str = "python3 -m pytest"
    log_format: str = ""
    names: str = ""
    test_files: tuple[str, ...] = ()
    rule: Literal["swe-bench", "exact"] = "swe-bench"
    expected: dict[str, str] = Field(default_factory=dict)
    protected: tuple[str, ...] = PROTECTED
    test_timeout_s: float = Field(TEST_TIMEOUT_S, gt=0)
    kinds: tuple[str, ...] = ()
    base_commit: str = ""
    hints: str = ""
    extra: dict[str, Any] = Field(default_factory=dict)

    @property
    def patch(self) -> str:
        """The gold patch, under the name that the reward ``swe_rl`` asks for."""
        return self.gold_patch

    @property
    def tested_files(self) -> tuple[str, ...]:
        """What a test run of the task names: `test_files`, or the files of all its ids, each once, in order."""
        if self.test_files:
            return self.test_files
        ids = (*self.fail_to_pass, *self.pass_to_pass, *self.heldback)
        return tuple(dict.fromkeys(test.partition("::")[0] for test in ids))


class SweTaskSet(TaskSet[SweTask]):
    """A `TaskSet` that knows its repositories."""

    @abstractmethod
    def tree(self, task: SweTask) -> Tree:
        """What the agent finds: the repository with the fault; no held-back tests, gold patch or git history.

        Raises:
            EnvironmentFault: It is taken from an image, and the daemon does not answer.
        """

    @abstractmethod
    def tests(self, task: SweTask) -> Mapping[str, bytes]:
        """Contents by path of the tests as the grader puts them, held-back ones included.

        Raises:
            EnvironmentFault: They are taken from an image, and the daemon does not answer.
        """

    def texts(self) -> Iterable[str]:
        """Texts that hold every word an agent can meet, for tokenizers that are made for a task set."""
        for split in SPLITS:
            for task_id in self.ids(split):
                task = self[task_id]
                yield task.problem
                for path, file in self.tree(task).items():
                    yield path
                    if (text := file.text) is not None:
                        yield text


class ListedTaskSet(ListedTasks[SweTask], SweTaskSet):
    """Tasks that are all known at once; subclasses say where the trees come from."""
