"""`Hands`: carries out an agent's actions on a workspace, and says what each showed and what it was worth."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from agentgym.envs.swe.gold import Gold
from agentgym.envs.swe.progress import Progress, failure_shown, overlaps, request_key, shows
from agentgym.envs.swe.prompts import NOTHING, bounded, steady, summary
from agentgym.envs.swe.task import SweTask
from agentgym.envs.swe.workspace import Workspace
from agentgym.tools.base import ToolError
from agentgym.tools.sandbox.base import ExecResult

Tracebacks = Literal["long", "short", "line", "no"]
#: What pytest is told besides the tests; a command that is not pytest does not mind.
_PYTEST: Final = "-q --no-header -rfE --color=no -p no:cacheprovider -o console_output_style=classic --tb={}"
#: What joins the parts of a test's id.
_GLUE = re.compile(r"\s*(?::\s*:|[.\[\]/])\s*")
_MATCH = re.compile(r"([^:\n]+):(\d{1,9})[:-]")


@dataclass(frozen=True, slots=True)
class Shown:
    """How results are shown.

    Attributes:
        lines: Most lines of one.
        chars: Most characters of one.
        numbers: Whether lines of a file carry their numbers.
        tracebacks: Of failing tests, as pytest's ``--tb`` takes it.
    """

    lines: int
    chars: int
    numbers: bool
    tracebacks: Tracebacks


class Hands:
    """Carries out actions.

    Args:
        task: The task.
        gold: What its gold patch changes.
        workspace: Its files.
        progress: The state of the episode; changed in place.
        shown: How results are shown.
    """

    def __init__(self, task: SweTask, gold: Gold, workspace: Workspace, progress: Progress, shown: Shown) -> None:
        self.task, self.gold, self.workspace, self.progress, self.shown = task, gold, workspace, progress, shown

    def do(self, name: str, args: Mapping[str, Any], parts: dict[str, float]) -> str:
        """One action other than ``judge`` and ``submit``; returns the observation.

        Args:
            name: Of the action.
            args: Its arguments.
            parts: Where what it was worth is put.

        Raises:
            EnvironmentFault: The sandbox broke.
        """
        before = self.workspace.tree
        self.progress.useful = None
        try:
            observation: str = getattr(self, f"_{name}")(args, parts)
        except ToolError as error:
            parts["error"] = 1.0
            return f"Error: {error}"
        finally:
            # What tests leave behind is no change of the agent's.
            if name != "test" and self.workspace.tree is not before and self.workspace.tree != before:
                self.progress.edits += 1
                self.progress.done.clear()
                self.progress.passed = None
        return observation

    # --- looking ---

    def _view(self, args: Mapping[str, Any], parts: dict[str, float]) -> str:
        path, lines = self.workspace.place(args["path"]), args["lines"].strip()
        self._note_repeat(parts, "view", path, lines)
        progress = self.progress
        if path not in self.workspace.tree and self.workspace.is_folder(path):
            progress.useful = False
            return self._told("view", path, self.workspace.listing(path, self.shown.lines))
        text, start, end = self.workspace.view(path, lines, self.shown.lines, numbers=self.shown.numbers)
        progress.last_path, progress.last_lines = path, (start, end)
        if path in self.gold.files:
            self._localised({path}, parts)
        found = {hunk.place for hunk in self.gold.hunks if overlaps(hunk, path, start, end)}
        progress.useful = bool(found)
        self._localised_functions(found, parts)
        return self._told("view", f"{path} {lines}", bounded(text, self.shown.lines + 1, self.shown.chars))

    def _search(self, args: Mapping[str, Any], parts: dict[str, float]) -> str:
        text, path = args["text"], args["path"]
        self._note_repeat(parts, "search", text, path)
        found = self.workspace.search(text, path)
        lines = [(m[1], int(m[2])) for line in found.splitlines() if (m := _MATCH.match(line))]
        self.progress.useful = any(overlaps(h, p, n, n) for p, n in lines for h in self.gold.hunks)
        return self._told("search", f"{text} {path}", bounded(found or NOTHING, self.shown.lines, self.shown.chars))

    def _localised(self, files: set[str], parts: dict[str, float]) -> None:
        fresh = (files & self.gold.files) - self.progress.files
        self.progress.files |= fresh
        if fresh:
            parts["file"] = parts.get("file", 0.0) + len(fresh) / len(self.gold.files)

    def _localised_functions(self, places: set[tuple[str, str]], parts: dict[str, float]) -> None:
        fresh = places - self.progress.functions
        self.progress.functions |= fresh
        if fresh:
            parts["function"] = len(fresh) / len(self.gold.places)

    # --- running ---

    def _bash(self, args: Mapping[str, Any], parts: dict[str, float]) -> str:
        result = self.workspace.run(args["command"])
        seen = {
            hunk.place
            for hunk in self.gold.hunks
            if hunk.path in self.gold.base
            and hunk.place not in self.progress.functions
            and shows(result.output, hunk, (self.gold.base[hunk.path].text or "").splitlines())
        }
        self._localised({path for path, _ in seen}, parts)
        self._localised_functions(seen, parts)
        self._note_failure(result, parts)
        return self._result("bash", args["command"], result)

    def _test(self, args: Mapping[str, Any], parts: dict[str, float]) -> str:
        asked = args["ids"]
        ids = self._ids(asked)
        self._note_repeat(parts, "test", *ids)
        command = " ".join([self.task.test_command, *map(shlex.quote, ids)])
        options = {"PYTEST_ADDOPTS": _PYTEST.format(self.shown.tracebacks)}
        result = self.workspace.run(command, env=options, timeout_s=self.task.test_timeout_s)
        parts["tests_s"] = result.seconds
        self._note_failure(result, parts)
        passed = result.exit_code == 0 and not result.timed_out
        self.progress.passed = passed
        # What says nothing of the fault cannot show that it is mended.
        told = set(self.task.fail_to_pass) & self._known_tests()
        telling = any(not ids or _named(test, ids) for test in told)
        self.progress.useful = passed and telling
        return self._result("test", " ".join(ids), result)

    def _ids(self, asked: str) -> list[str]:
        """The tests to run: those that were asked for, or the files of the task's tests as far as they are there."""
        if self.workspace.loose:
            asked = _GLUE.sub(lambda match: "".join(match[0].split()), asked)
        ids = asked.split()
        for test in ids:
            if test.startswith("-"):
                raise ToolError(f"{test[:100]!r} is no id of a test; ids look like tests/test_x.py::test_y")
            self.workspace.place(test.partition("::")[0])
        return ids or [path for path in self.task.tested_files if path in self.workspace.tree]

    def _known_tests(self) -> set[str]:
        """The tests of the task whose files the agent has."""
        tests = (*self.task.fail_to_pass, *self.task.pass_to_pass)
        return {test for test in tests if test.partition("::")[0] in self.gold.base}

    def _note_failure(self, result: ExecResult, parts: dict[str, float]) -> None:
        progress = self.progress
        if progress.reproduced or result.exit_code == 0:
            return
        if failure_shown(result.output, self.task.fail_to_pass, self.gold.hunks, self.task.workspace):
            progress.reproduced = True
            parts["reproduced"] = 1.0

    def _result(self, name: str, asked: str, result: ExecResult) -> str:
        output = steady(result.output)
        if name == "test" and self.shown.tracebacks == "no":
            output = summary(output)
        lines = [bounded(output, self.shown.lines, self.shown.chars)]
        if result.timed_out:
            lines.append("[it ran too long and was ended]")
        elif result.exit_code != 0 and name == "bash":
            lines.append(f"[exit status {result.exit_code}]")
        if self.workspace.unreadable:
            lines.append(f"[{self.workspace.unreadable}]")
        return self._told(name, asked, "\n".join(lines))

    # --- changing ---

    def _edit(self, args: Mapping[str, Any], parts: dict[str, float]) -> str:
        progress = self.progress
        if not args["path"] and not progress.last_path:
            raise ToolError("path must name a file: none was viewed yet")
        path = self.workspace.place(args["path"]) if args["path"] else progress.last_path
        within = progress.last_lines if path == progress.last_path else None
        line = self.workspace.edit(path, args["old"], args["new"], within)
        return self._changed(path, f"replaced in {path}, line {line}", parts)

    def _create(self, args: Mapping[str, Any], parts: dict[str, float]) -> str:
        path = self.workspace.place(args["path"])
        self.workspace.create(path, args["text"])
        return self._changed(path, f"created {path}", parts)

    def _changed(self, path: str, said: str, parts: dict[str, float]) -> str:
        progress = self.progress
        if path != progress.last_path:
            progress.last_path, progress.last_lines = path, None
        if not self.workspace.parses(path):
            parts["unparsable"] = 1.0
            return f"{said}; the file cannot be parsed any more"
        if not progress.edited:
            progress.edited = True
            parts["edit"] = 1.0
        return said

    # --- notes ---

    def _note_repeat(self, parts: dict[str, float], name: str, *arguments: str) -> None:
        key = request_key(name, *arguments)
        parts["repeat"] = float(key in self.progress.done)
        self.progress.done.add(key)

    def _told(self, name: str, asked: str, observation: str) -> str:
        self.progress.shown = request_key(name, asked, observation)
        return observation


def _named(test: str, ids: list[str]) -> bool:
    """Whether an id, or the file or class that it begins with, was named."""
    return any(test == named or test.startswith((f"{named}::", f"{named}[", f"{named.rstrip('/')}/")) for named in ids)
