"""What a command did to the files, without reading all of them again.

The files' inodes and times of change are listed before and after. A command can set neither: what has the same ones has
the same content, but for writes through a shared memory map, which leave the times alone on a tmpfs; so all files are
read once more before they are graded.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from agentgym.envs.swe.tree import LITTER, File, Tree, is_path, matches
from agentgym.tools.sandbox.base import Sandbox

#: More changed files, or bytes in them, are read all at once, with all the others.
MOST_FILES, MOST_BYTES = 40, 4 << 20
#: So few files are read all at once always: that costs no more than to list them.
FEW_FILES = 200
#: Bytes that a listing may have, and seconds it may take.
LISTING_BYTES, LISTING_S = 16 << 20, 20.0
#: A file that changed in so many seconds before a listing may change again without showing another time.
TICK_S = 0.1
_LIST: Final = r"date +%s.%N && exec find . -xdev \( -type f -o -type l \) -printf '%P\0%y %C@ %i %m %s\0%l\0'"


class _Entry(NamedTuple):
    """A file or link as it is listed; equal ones have the same content."""

    kind: str
    changed: float
    inode: int
    mode: int
    size: int
    target: str


class Notes:
    """Keeps the last listing of a sandbox's workspace."""

    def __init__(self) -> None:
        self._before: dict[str, _Entry] | None = None
        #: Whether some files were taken for unchanged by their listing alone since all were read.
        self.partial = False

    def forget(self) -> None:
        """The files are others: another sandbox."""
        self._before, self.partial = None, False

    def read(self, sandbox: Sandbox, known: Tree, *, everything: bool = False) -> Tree:
        """The files as they are now.

        Args:
            sandbox: Where they are.
            known: The files as they were when they were read last, with what was put there since.
            everything: Reads all of them, whatever the listing says.

        Raises:
            SandboxError: They cannot be read.
            TreeError: They are no tree.
        """
        before, self._before = self._before, None
        listed = None if everything or len(known) <= FEW_FILES else _listing(sandbox)
        if before is not None and listed is not None:
            found = {path: entry for path, entry in listed.items() if is_path(path) and not matches(path, LITTER)}
            fresh = [path for path, entry in found.items() if path not in known or before.get(path) != entry]
            size = sum(found[path].size for path in fresh)
            if len(fresh) <= MOST_FILES and size <= MOST_BYTES:
                read = {path: _file(sandbox, path, found[path]) for path in fresh}
                gone = known.keys() - found.keys()
                self.partial = True
                self._before = listed
                if not read and not gone:
                    return known
                return Tree({path: file for path, file in known.items() if path not in gone} | read)
        # No honest file is larger than its disk: what pretends to be has holes.
        tree = Tree.from_tar(sandbox.snapshot(), max_bytes=sandbox.limits.disk_mb << 20)
        self._before, self.partial = listed, False
        return tree


def _file(sandbox: Sandbox, path: str, entry: _Entry) -> File:
    if entry.kind == "l":
        return File(entry.target.encode(), link=True)
    return File(sandbox.get(path), executable=bool(entry.mode & 0o100))


def _listing(sandbox: Sandbox) -> dict[str, _Entry] | None:
    """All files and links; None where that cannot be had: too many, names that are not UTF-8, no ``find``."""
    result = sandbox.exec(["bash", "-c", _LIST], timeout_s=LISTING_S, output_bytes=LISTING_BYTES)
    if result.exit_code or result.truncated or "\ufffd" in result.output:
        return None
    now, _, rest = result.output.partition("\n")
    fields = rest.split("\0")[:-1]
    listed: dict[str, _Entry] = {}
    for path, facts, target in zip(fields[::3], fields[1::3], fields[2::3], strict=True):
        kind, changed, inode, mode, size = facts.split()
        # A time that no other listing can show: the next one takes the file for changed.
        recent = float(now) - float(changed) < TICK_S
        time = float("nan") if recent else float(changed)
        listed[path] = _Entry(kind, time, int(inode), int(mode, 8), int(size), target)
    return listed
