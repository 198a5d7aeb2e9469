"""Grading: whether a submission mends the fault. The one place where an agent's code meets the tests that judge it.

What holds, whatever the submission does:

* Only text that differs is carried over, as a patch computed on the host from the files' contents, to a fresh sandbox
  with a fresh copy of the repository. No process, no compiled file, no history, nothing outside of the workspace comes
  along. The tests are copied in anew.
* What decides about the submission is not up to it: changes to tests, conftest.py, the configuration of pytest,
  ``.pth``, ``sitecustomize``, plugins' metadata, and new modules named like those the runner imports are dropped and
  reported (`protection`).
* What tests print is not read. A second process (``inside/reporter.py``) that the tests cannot trace, read or write to
  reports what the runner told it, under a key that the tests' process never holds. To kill it is to lose.
* A test without a report failed. So leaving early (``sys.exit``, ``os._exit``, ``pytest.exit``), hanging, using up
  memory and forking without end are failures; a run that does not come to its end counts for nothing.
* A test failed that the submission's code skips or declares an expected failure (``pytest.skip`` in the code under
  test).
* Canaries of unknown names run before and after (`canaries`): what makes tests pass that should not, or ends the run
  before them, is unmasked. Writing to a test's file while tests run is reported by an audit hook, and found out
  afterwards by the files' digests.

What cannot be prevented: code under test runs in the interpreter that tests it. Code that knows the grader, finds its
token or its hooks in that interpreter's memory, and alters the results of exactly the tests that count can lie. It must
tell these from the canaries by their names, which it knows for the tests it could read only; held-back tests are
not among them, and are part of the outcome. Such code can also read the tests' files while they run, and answer what
they ask for. A value that is equal to everything (``__eq__`` that says yes) satisfies ``assert f(x) == y`` as well:
tests that check a type or an inequality too do not fall for it. Where a repository's tests are not run by pytest
(`SweTask.log_format`) statuses are read from what is printed, as SWE-bench does, and can be forged by printing.

A sandbox that breaks is an `EnvironmentFault`, never a verdict.
"""

from __future__ import annotations

import base64
import hashlib
import json
import random
import secrets
import shlex
import time
import zlib
from collections.abc import Collection, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol

from agentgym.envs.swe import canaries as canary
from agentgym.envs.swe.inside import REPORTER
from agentgym.envs.swe.logs import PARSERS, renamed
from agentgym.envs.swe.patches import PatchError
from agentgym.envs.swe.protection import screen
from agentgym.envs.swe.task import SweTask, SweTaskSet
from agentgym.envs.swe.tree import Tree, apply, diff
from agentgym.faults import EnvironmentFault
from agentgym.rewards.outcome.swe_tests import fail_to_pass_share, pass_to_pass_share
from agentgym.tools.sandbox.base import ExecResult, Sandbox, SandboxEnded, SandboxError

#: Longest patch that is graded, in characters.
MAX_PATCH = 1_000_000
#: Seconds that a grading waits for a sandbox.
LEASE_S = 300.0
#: Seconds that the reporter gets beyond the tests' own limit.
MARGIN_S = 10.0
#: Bytes of what the tests print that are kept, and of it where it is read by a parser of logs.
LOG_BYTES, PARSED_LOG_BYTES = 8_192, 16 * 1024 * 1024
#: Bytes that a report may have, packed.
REPORT_BYTES = 16 * 1024 * 1024
#: Variables of every run: the same order of sets each time, no litter.
ENV = {"PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1"}
#: Of several reports on one test (its phases, its subtests) the first of these counts.
_WORST_FIRST = ("ERROR", "FAILED", "XPASS", "PASSED", "XFAIL", "SKIPPED")


class Leased(Protocol):
    """A sandbox that is one's own for a while."""

    @property
    def sandbox(self) -> Sandbox: ...


class Pool(Protocol):
    """What grading needs of `agentgym.tools.sandbox.pool.SandboxPool`."""

    def lease(self, archive: bytes, *, timeout_s: float) -> AbstractContextManager[Leased]: ...


@dataclass(frozen=True)
class Grade:
    """What came of a submission.

    Attributes:
        resolved: Whether all tests that should pass do, held-back ones included.
        statuses: Status by id of the tests that are named to the agent; a missing one did not report.
        f2p: Share of FAIL_TO_PASS tests that pass, 0..1.
        p2p: Share of PASS_TO_PASS tests that still pass, 0..1.
        heldback: Share of held-back tests that pass, 0..1; 1 where there are none. For the outcome only.
        seconds: Wall time, waiting for a sandbox included.
        tests_s: Seconds of it in which the tests ran.
        why: Why it is not resolved where that is not the tests' verdict; empty otherwise.
        patch: What was graded, after screening.
        dropped: Paths whose changes were left out.
        tampered: Whether the run was caught altering results or tests.
        log: Ends of what the tests printed, for people. It may quote held-back tests.
    """

    resolved: bool
    statuses: Mapping[str, str] = field(default_factory=dict)
    f2p: float = 0.0
    p2p: float = 0.0
    heldback: float = 0.0
    seconds: float = 0.0
    tests_s: float = 0.0
    why: str = ""
    patch: str = ""
    dropped: tuple[str, ...] = ()
    tampered: bool = False
    log: str = ""


def grade(task: SweTask, taskset: SweTaskSet, submission: Tree | str, pool: Pool) -> Grade:
    """Grades a submission in a fresh sandbox.

    Args:
        task: The task.
        taskset: Where it is from.
        submission: The files as the agent left them, or a unified diff.
        pool: Where sandboxes of the task's image come from.

    Raises:
        EnvironmentFault: The sandbox broke, or could not take the files.
    """
    begun = time.monotonic()
    base, tests = taskset.tree(task), taskset.tests(task)
    patch = ""
    dropped: tuple[str, ...] = ()
    try:
        patch = submission if isinstance(submission, str) else diff(base, submission)
        if len(patch) > MAX_PATCH:
            raise PatchError(f"the patch is longer than {MAX_PATCH} characters")
        patch, dropped = screen(patch, task, base, tests.keys())
        mended = apply(base, patch)
    except PatchError as error:
        return Grade(False, seconds=time.monotonic() - begun, why=f"the patch cannot be used: {error}", dropped=dropped)
    changed = [path for path in mended if mended[path] != base.get(path)]
    run = run_tests(task, mended.put(tests), tests.keys(), pool, suspects=changed)
    verdict = _judge(task, run)
    return Grade(
        **verdict, seconds=time.monotonic() - begun, tests_s=run.seconds, why=run.why, patch=patch, dropped=dropped,
        tampered=run.tampered, log=run.log[-LOG_BYTES:],
    )  # fmt: skip


@dataclass(frozen=True)
class Run:
    """One run of a task's tests.

    Attributes:
        statuses: Status by id; of no meaning where there is a `why`.
        why: Why it cannot be believed; empty where it can.
        tampered: Whether results or tests were altered.
        log: Ends of what was printed; where a parser reads it, all of it.
        seconds: Wall time of the tests.
    """

    statuses: Mapping[str, str] = field(default_factory=dict)
    why: str = ""
    tampered: bool = False
    log: str = ""
    seconds: float = 0.0


def run_tests(task: SweTask, tree: Tree, tests: Collection[str], pool: Pool, *, suspects: Collection[str] = ()) -> Run:
    """Runs a task's tests on a tree, in a fresh sandbox.

    Args:
        task: Which tests, and how.
        tree: Repository and tests.
        tests: Paths of those files that may not change meanwhile.
        pool: Where the sandbox comes from.
        suspects: Paths of files whose code may neither skip a test that calls it nor expect it to fail.

    Raises:
        EnvironmentFault: The sandbox broke, or could not take the files.
    """
    token, key = secrets.token_hex(16), secrets.token_hex(16)
    birds = None
    if not task.log_format:
        ids = (*task.fail_to_pass, *task.pass_to_pass, *task.heldback)
        birds = canary.draw(ids, tree.keys(), random.Random(secrets.randbits(64)))
        tree = tree.put(dict([birds.first, birds.last]))
        tests = [*tests, birds.first[0], birds.last[0]]
    job = _job(task, tree, tests, birds)
    told = (
        b"W"
        + json.dumps(
            {**job, "changed": [f"{task.workspace}/{path}" for path in suspects], "token": token, "key": key}
        ).encode()
    )
    try:
        with pool.lease(tree.to_tar(), timeout_s=LEASE_S) as lease:
            try:
                result = lease.sandbox.exec(
                    [task.python, "-I", "-S", "-c", REPORTER],
                    timeout_s=task.test_timeout_s + MARGIN_S,
                    stdin=told,
                    output_bytes=REPORT_BYTES,
                )
            except SandboxEnded as ended:  # of what the tests did
                return Run(why=str(ended))
    except SandboxError as error:
        raise EnvironmentFault("sandbox", str(error)) from None
    report = _report(result, key)
    if report is None:
        return Run(why=f"the run ended without a report (exit code {result.exit_code})")
    if birds is None:
        statuses = PARSERS[task.log_format](report["log"])
        return Run(statuses, _cut_off(report), bool(report["changed"]), report["log"], float(report["seconds"]))
    return _believed(report, token, birds)


def _job(task: SweTask, tree: Tree, tests: Iterable[str], birds: canary.Canaries | None) -> dict[str, Any]:
    """What the reporter is told, but for its secrets."""
    variables, options = _command(task.test_command)
    path = ["", *filter(None, variables.pop("PYTHONPATH", "").split(":"))]
    files = [path for path in task.tested_files if path in tree or any(known.startswith(f"{path}/") for known in tree)]
    if birds is not None:
        files = [birds.first[0], *files, birds.last[0]]
    shell = None if birds else f"{task.test_command} {shlex.join(task.test_files)}"
    return {
        "python": task.python,
        "source": REPORTER,
        "workspace": task.workspace,
        "env": {**ENV, **(variables if birds else {})},
        "path": path,
        "arguments": [f"--rootdir={task.workspace}", "--continue-on-collection-errors", *options, *files],
        "shell": shell,
        "seconds": task.test_timeout_s,
        "log_bytes": LOG_BYTES if birds else PARSED_LOG_BYTES,
        "digests": {
            f"{task.workspace}/{path}": hashlib.sha256(tree[path].data).hexdigest()
            for path in tests
            if path in tree and not tree[path].link
        },
    }


def _command(text: str) -> tuple[dict[str, str], list[str]]:
    """``A=b python3 -m pytest -x`` -> ({"A": "b"}, ["-x"])."""
    words = shlex.split(text)
    variables = {}
    while words and "=" in words[0] and not words[0].startswith("-"):
        name, _, value = words.pop(0).partition("=")
        variables[name] = value
    at = next((at for at, word in enumerate(words) if word.rpartition("/")[2] in ("pytest", "py.test")), len(words))
    return variables, words[at + 1 :]


def _report(result: ExecResult, key: str) -> dict[str, Any] | None:
    """What the watcher said; None where it did not."""
    begin, end = result.output.find(key), result.output.rfind(key)
    if begin < 0 or begin == end:
        return None
    try:
        report = json.loads(zlib.decompress(base64.b64decode(result.output[begin + len(key) : end])))
    except (ValueError, zlib.error):
        return None
    return report if isinstance(report, dict) else None


def _cut_off(report: Mapping[str, Any]) -> str:
    if report["ended"] == "time":
        return "the tests ran out of time"
    return str(report["ended"])


def _believed(report: Mapping[str, Any], token: str, birds: canary.Canaries) -> Run:
    """The statuses that the runner told, and whether its word is good."""
    records = [record[1:] for record in report["records"] if record and record[0] == token]
    statuses = statuses_of(records)
    touched = sorted({str(record[1]) for record in records if record[0] == "touched"} | set(report["changed"]))
    said = birds.verdict(statuses)
    why, tampered = _cut_off(report), False
    if said == canary.LIED:
        why, tampered = said, True
    elif touched:
        why, tampered = f"the tests were written to while they ran: {', '.join(touched)[:200]}", True
    elif not why and not any(record[0] == "end" for record in records):
        why = f"the run ended before its last test (exit code {report.get('code')})"
    real = {test: status for test, status in statuses.items() if test.rpartition("::")[2] not in birds.due}
    return Run(real, why or said, tampered, report["log"], float(report["seconds"]))


def statuses_of(records: Iterable[list[Any]]) -> dict[str, str]:
    """Status by id out of the runner's records, as ``pytest -rA`` would say; FAILED where code under test escaped."""
    found: dict[str, str] = {}
    for record in records:
        if record[0] == "escaped" and len(record) == 2:
            found[record[1]] = "FAILED"
        if record[0] != "test" or len(record) != 5:
            continue
        _, test, when, outcome, expected = record
        if outcome == "failed":
            status = "FAILED" if when == "call" else "ERROR"
        elif outcome == "skipped":
            status = "XFAIL" if expected else "SKIPPED"
        elif outcome == "passed" and when == "call":
            status = "XPASS" if expected else "PASSED"
        else:
            continue
        if test not in found or _WORST_FIRST.index(status) < _WORST_FIRST.index(found[test]):
            found[test] = status
    return found


def _judge(task: SweTask, run: Run) -> dict[str, Any]:
    if run.why:
        return {"resolved": False}
    statuses = renamed(run.statuses, task.names)
    if task.rule == "exact":
        right = {test: statuses.get(test) == status for test, status in task.expected.items()}
        resolved = all(right.values()) and statuses.keys() <= right.keys()
        shares = [
            sum(right.get(test, False) for test in tests) / len(tests) if tests else 1.0
            for tests in (task.fail_to_pass, task.pass_to_pass)
        ]
        return {"resolved": resolved, "statuses": dict(statuses), "f2p": shares[0], "p2p": shares[1], "heldback": 1.0}
    f2p = fail_to_pass_share(statuses, task.fail_to_pass)
    p2p = pass_to_pass_share(statuses, task.pass_to_pass)
    heldback = fail_to_pass_share(statuses, task.heldback)
    shown = {test: statuses[test] for test in (*task.fail_to_pass, *task.pass_to_pass) if test in statuses}
    return {
        "resolved": f2p == p2p == heldback == 1.0, "statuses": shown, "f2p": f2p, "p2p": p2p, "heldback": heldback,
    }  # fmt: skip
