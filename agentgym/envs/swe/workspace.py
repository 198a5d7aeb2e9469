"""`Workspace`: a task's repository in a leased sandbox, and what an agent does to it.

Everything happens inside, as the sandbox's own user: a path that leads out of the repository reaches nothing of the
host. What the files are by now is kept as a `Tree`, for the state key and for grading.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

from agentgym.envs.swe.noting import Notes
from agentgym.envs.swe.progress import first_line, functions
from agentgym.envs.swe.spacing import replace_loosely, words
from agentgym.envs.swe.task import SweTask
from agentgym.envs.swe.tree import LITTER, File, Tree, TreeError, is_path, matches
from agentgym.faults import EnvironmentFault
from agentgym.tools.base import ToolError
from agentgym.tools.editing import numbered, replace_once
from agentgym.tools.sandbox.base import ExecResult, SandboxEnded, SandboxError
from agentgym.tools.sandbox.pool import Lease, SandboxPool

#: Largest file that is viewed, edited or created, in bytes.
MAX_FILE_BYTES: Final = 1_000_000
#: Matches that a search finds in one file, and characters of a line that it shows.
MAX_MATCHES, MAX_MATCH_CHARS = 50, 300
#: Seconds that a search, or looking whether a file can be parsed, may take.
SEARCH_S, PARSE_S = 20.0, 10.0
#: Exit codes: grep and ripgrep found nothing; there is no such program.
_NO_MATCH, _NO_PROGRAM = 1, 127
#: Variables of every command: no litter, the same order of sets each time, nothing that waits for a key.
ENV: Final = {
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONHASHSEED": "0",
    "PAGER": "cat",
    "GIT_PAGER": "cat",
    "TERM": "dumb",
    "COLUMNS": "100",
}
_PARSE = "import ast, sys; ast.parse(sys.stdin.buffer.read())"
_RANGE = re.compile(r"(\d{1,9})\s*(?:[-:,]\s*(\d{1,9}))?")
_LINES_SHOWN = re.compile(r"\[lines \d+-\d+ of \d+\]\Z")


class Workspace:
    """A repository in a sandbox.

    Args:
        pool: Where the sandbox is leased.
        task: The task.
        archive: Tar archive of the files.
        tree: The same files.
        timeout_s: Seconds that a command may take.
        output_bytes: Bytes that are kept of its output.
        loose: Edits and searches do not mind white space (`agentgym.envs.swe.spacing`).

    Raises:
        EnvironmentFault: No sandbox could be had.
    """

    def __init__(
        self,
        pool: SandboxPool,
        task: SweTask,
        tree: Tree,
        archive: bytes | None = None,
        *,
        timeout_s: float = 60.0,
        output_bytes: int = 65_536,
        loose: bool = False,
    ) -> None:
        self.task, self.tree, self.loose = task, tree, loose
        self.timeout_s, self.output_bytes = timeout_s, output_bytes
        #: Why the files cannot be read as a whole since the last command; empty where they can.
        self.unreadable = ""
        self._pool, self._notes = pool, Notes()
        self._lease: Lease | None = None
        self._reopen(archive)

    @property
    def lease(self) -> Lease:
        """The sandbox.

        Raises:
            EnvironmentFault: It was given back.
        """
        if self._lease is None:
            raise EnvironmentFault("sandbox", "the workspace is closed")
        return self._lease

    def close(self, *, broken: bool = False) -> None:
        """Gives the sandbox back; a second time does nothing.

        Args:
            broken: It must not be used again.
        """
        lease, self._lease = self._lease, None
        if lease is not None:
            if broken:
                lease.taint()
            lease.close()

    # --- commands ---

    def run(self, command: str, *, env: Mapping[str, str] | None = None, timeout_s: float | None = None) -> ExecResult:
        """Runs a command of the agent's and takes note of what it did to the files.

        A sandbox that the command brought down is replaced by another, with the files as they were before.

        Raises:
            EnvironmentFault: The sandbox broke.
        """
        result = self._exec(f"{self._path_prefix}{command}", env=env, timeout_s=timeout_s)
        self._take_note()
        return result

    def settle(self) -> None:
        """Reads all files once more where that was not done after the last command; see `noting`.

        Raises:
            EnvironmentFault: The sandbox broke.
        """
        if self._notes.partial:
            self._take_note(everything=True)

    @property
    def _path_prefix(self) -> str:
        """Puts the task's own Python before others."""
        folder = self.task.python.rpartition("/")[0]
        return f'export PATH={shlex.quote(folder)}:"$PATH"; ' if folder else ""

    def _exec(
        self,
        command: str | Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        timeout_s: float | None = None,
        stdin: bytes | None = None,
    ) -> ExecResult:
        variables = {**ENV, **(env or {})}
        seconds = self.timeout_s if timeout_s is None else timeout_s
        options: dict[str, Any] = {"env": variables, "timeout_s": seconds, "stdin": stdin}
        sandbox = self.lease.sandbox
        try:
            return sandbox.exec(command, output_bytes=self.output_bytes, **options)
        except SandboxEnded as ended:
            self._reopen()
            return ExecResult(137, f"{ended}\n", False, False, 0.0)

    def _take_note(self, *, everything: bool = False) -> None:
        """Reads what changed."""
        self.unreadable = ""
        try:
            self.tree = self._notes.read(self.lease.sandbox, self.tree, everything=everything)
        except SandboxEnded as ended:
            self._reopen()
            self.unreadable = f"{ended}; the files are as they were before this command"
        except (SandboxError, TreeError) as error:
            self.unreadable = str(error)

    def _reopen(self, archive: bytes | None = None) -> None:
        """Takes another sandbox for the one that was used up, with the files as they are known, or those given."""
        self.close(broken=True)
        self._notes.forget()
        try:
            self._lease = self._pool.lease(packed(self.tree) if archive is None else archive)
        except SandboxError as error:  # sandbox.limits.disk_mb may be too little
            raise EnvironmentFault("sandbox", f"the repository does not go into the sandbox: {error}") from None

    def archive(self) -> bytes:
        """All files, as a new `Workspace` takes them.

        Raises:
            EnvironmentFault: The sandbox broke.
        """
        try:
            return self.lease.sandbox.snapshot()
        except SandboxError:
            return packed(self.tree)

    # --- looking ---

    def place(self, path: str) -> str:
        """A path as the files are named: relative to the repository, without ``.``; empty for the repository itself.

        Raises:
            ToolError: It leads out of the repository.
        """
        given = path.strip()
        if self.loose and given not in self.tree:
            given = "".join(given.split())
        root = self.task.workspace.rstrip("/")
        if given == root or given.startswith(root + "/"):
            given = given[len(root) :].lstrip("/")
        if given.startswith(("/", "~")):
            raise ToolError(f"{_brief(given)} is outside of the repository; write a path relative to it")
        names = [name for name in given.split("/") if name not in ("", ".")]
        if ".." in names or "\0" in given:
            raise ToolError(f"{_brief(given)} must not lead out of the repository")
        return "/".join(names)

    def read(self, path: str) -> str:
        """The text of a file.

        Raises:
            EnvironmentFault: The sandbox broke.
            ToolError: There is none, or it is no text.
        """
        known = self.tree.get(path)
        if not path or (known is None and self.is_folder(path)):
            raise ToolError(f"{_brief(path) or 'the repository'} is a folder")
        if known is not None and len(known.data) > MAX_FILE_BYTES:
            raise ToolError(f"{_brief(path)} has {len(known.data)} bytes, too many to be shown or edited")
        try:
            data = self.lease.sandbox.get(path)
        except SandboxEnded:
            self._reopen()
            raise ToolError("the sandbox had ended and was started anew; try again") from None
        except SandboxError as error:
            near = "" if known is not None else self._near(path)
            raise ToolError(f"there is no file {_brief(path)}{near}" if _absent(error) else str(error)) from None
        if len(data) > MAX_FILE_BYTES or b"\0" in data:
            raise ToolError(f"{_brief(path)} is not a text file that can be shown")
        try:
            return data.decode()
        except UnicodeDecodeError:
            raise ToolError(f"{_brief(path)} is not a text file") from None

    def _near(self, path: str) -> str:
        """Names a file of the same name elsewhere."""
        name = path.rpartition("/")[2]
        found = next((p for p in self.tree if p.rpartition("/")[2] == name), None)
        return "" if found is None else f"; there is {_brief(found)}"

    def is_folder(self, path: str) -> bool:
        """Whether a path is a folder with files in it; the empty path is the repository."""
        return not path or any(p.startswith(f"{path}/") for p in self.tree)

    def listing(self, folder: str, most: int) -> str:
        """The files in a folder, one a line."""
        found = [p for p in self.tree if not folder or p.startswith(f"{folder}/")]
        more = [f"[{len(found) - most} more files]"] if len(found) > most else []
        return "\n".join([*found[:most], *more]) or "(no files)"

    def view(self, path: str, lines: str, most: int, *, numbers: bool = True) -> tuple[str, int, int]:
        """Lines of a file.

        Args:
            path: As of `place`.
            lines: ``"10-40"``, ``"10"`` (from there on), the name of a function, or empty for all.
            most: How many are shown.
            numbers: Whether their numbers are.

        Returns:
            The text, and the first and the last line that it shows.

        Raises:
            EnvironmentFault: The sandbox broke.
            ToolError: There is no such file, line or function.
        """
        text = self.read(path)
        count = max(len(text.splitlines()), 1)
        start, end = self._range(text, lines.strip(), count)
        shown = numbered(text, start, end, max_lines=most)
        last = min(end, start + most - 1, count)
        if not numbers and text:
            note = [shown.splitlines()[-1]] if _LINES_SHOWN.search(shown) and last < end else []
            shown = "\n".join([*text.splitlines()[start - 1 : last], *note])
        return shown, start, last

    def _range(self, text: str, lines: str, count: int) -> tuple[int, int]:
        if not lines:
            return 1, count
        if match := _RANGE.fullmatch(lines):
            start = int(match[1])
            return start, min(int(match[2]), count) if match[2] and int(match[2]) >= start else count
        name = "".join(lines.split()).removesuffix("()")
        known = functions(text)
        found = [f for f in known if f.name == name] or [f for f in known if f.name.rpartition(".")[2] == name]
        if not found:
            there = ", ".join(f.name for f in known[:20])
            raise ToolError(f"there is no function {_brief(name)!r}; there is {there or 'none'}")
        return first_line(text, found[0]), found[0].end

    def search(self, text: str, path: str) -> str:
        """The lines that hold a text, each with its file and number; empty where there are none.

        Raises:
            EnvironmentFault: The sandbox broke.
            ToolError: The text has more than one line, or there is no such path.
        """
        if "\n" in text.strip():
            raise ToolError("text must be one line")
        place = self.place(path)
        if place and place not in self.tree and not self.is_folder(place):
            raise ToolError(f"there is no {_brief(place)}{self._near(place)}")
        how = ["--fixed-strings", f"--regexp={text}"]
        if self.loose:
            how = ["--regexp=" + r"\s*".join(map(re.escape, words(text)))]
        where = f"./{place}" if place else "."
        wide = [f"--max-count={MAX_MATCHES}", f"--max-columns={MAX_MATCH_CHARS}", "--max-columns-preview"]
        hidden = ["--no-config", "--no-ignore", "--hidden", "--glob=!.git", "--sort=path"]
        form = ["--line-number", "--no-heading", "--with-filename", "--color=never"]
        result = self._exec(["rg", *hidden, *wide, *form, *how, "--", where], timeout_s=SEARCH_S)
        if result.exit_code == _NO_PROGRAM:  # an image without ripgrep
            plain = ["grep", "-rnIHF", "--exclude-dir=.git", f"--max-count={MAX_MATCHES}", "-e", text, "--", where]
            result = self._exec(plain, timeout_s=SEARCH_S)
        if result.timed_out:
            raise ToolError(f"the search took longer than {SEARCH_S:g} s; search in a smaller folder")
        if result.exit_code > _NO_MATCH and not result.output.strip():
            raise ToolError("the search failed")
        return "\n".join(line.removeprefix("./") for line in result.output.splitlines())

    # --- changing ---

    def edit(self, path: str, old: str, new: str, within: tuple[int, int] | None = None) -> int:
        """Replaces a passage; returns the line on which it began.

        Args:
            path: As of `place`.
            old: Must occur exactly once.
            new: What comes in its place.
            within: Lines that were looked at last; with `loose`, a passage in them goes before others.

        Raises:
            EnvironmentFault: The sandbox broke.
            ToolError: The text is absent or ambiguous, the file cannot be edited.
        """
        text = self.read(path)
        if "\r\n" in text and "\r" not in old:
            old, new = old.replace("\n", "\r\n"), new.replace("\r\n", "\n").replace("\n", "\r\n")
        changed, line = replace_once(text, old, new) if not self.loose else _replace(text, old, new, within)
        self._write(path, changed)
        return line

    def create(self, path: str, text: str) -> None:
        """Makes a file.

        Raises:
            EnvironmentFault: The sandbox broke.
            ToolError: Something is there already, or nothing can be there.
        """
        if not path:
            raise ToolError("path must name a file")
        there = self._exec(["test", "-e", f"./{path}", "-o", "-L", f"./{path}"], timeout_s=SEARCH_S)
        if there.exit_code == 0:
            raise ToolError(f"{_brief(path)} exists already; edit it instead")
        self._write(path, text if not text or text.endswith("\n") else f"{text}\n")

    def _write(self, path: str, text: str) -> None:
        data = text.encode()
        if len(data) > MAX_FILE_BYTES:
            raise ToolError(f"{_brief(path)} would have {len(data)} bytes; the limit is {MAX_FILE_BYTES}")
        before = self.tree.get(path)
        executable = before is not None and before.executable
        try:
            self.lease.sandbox.put(path, data)
        except SandboxEnded:
            self._reopen()
            raise ToolError("the sandbox had ended and was started anew; try again") from None
        except SandboxError as error:
            raise ToolError(str(error)) from None
        if executable:
            self._exec(["chmod", "+x", f"./{path}"])
        if is_path(path) and not matches(path, LITTER):
            try:
                self.tree = self.tree.put({path: File(data, executable)})
            except TreeError as error:
                self.unreadable = str(error)

    def parses(self, path: str) -> bool:
        """Whether a file is what its name says, as far as the task's Python can tell: true for all but Python's."""
        file = self.tree.get(path)
        if file is None or not path.endswith(".py"):
            return True
        result = self._exec([self.task.python, "-I", "-S", "-c", _PARSE], stdin=file.data, timeout_s=PARSE_S)
        return result.exit_code == 0


def _replace(text: str, old: str, new: str, within: tuple[int, int] | None) -> tuple[str, int]:
    """A replacement that does not mind white space; an exact one where words do not do."""
    try:
        return replace_loosely(text, old, new, within)
    except ToolError:
        if old != new and old and text.count(old) == 1:  # a part of a word, or white space alone
            return replace_once(text, old, new)
        raise


@lru_cache(maxsize=8)
def packed(tree: Tree) -> bytes:
    """A tree as a tar archive; the same one serves many episodes."""
    return tree.to_tar()


def _absent(error: SandboxError) -> bool:
    return "No such file" in str(error)


def _brief(path: str) -> str:
    return path if len(path) <= 100 else f"{path[:100]}..."
