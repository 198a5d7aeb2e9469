"""SWE-RL: how similar the predicted patch is to the gold one, file by file (arXiv 2502.18449, public code).

Similarity is Ratcliff and Obershelp's (`difflib.SequenceMatcher`) over characters. It is cubic at worst, and a policy
can write its worst case; so the work is bounded, by character first and by line beyond.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from difflib import SequenceMatcher
from typing import Annotated, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from agentgym.faults import ConfigError
from agentgym.rewards.outcome.registry import reward
from agentgym.rewards.table import final_answer
from agentgym.trajectory import Trajectory

Ints = NDArray[np.int64]
#: Steps of a comparison: characters looked up, and pairs of equal ones looked at; 20 to 100 ns each.
MAX_WORK = 30_000_000
_NOWHERE = "/dev/null"


def patch_similarity(a: str, b: str, max_work: int = MAX_WORK) -> float:
    """``2 * matched characters / characters of both``, 0..1: `SequenceMatcher(None, a, b, autojunk=False).ratio()`.

    The ratio is exact while the comparison stays within the budget. Where it does not, the texts are compared by line
    too, each line by its length; the comparison that matched more counts, and what the budget left uncompared counts as
    unmatched. It depends a little on the order of the two, as its original does.

    Args:
        a: A text.
        b: Another.
        max_work: Steps of each of the two comparisons: elements looked up, and pairs of equal ones looked at.
    """
    if a == b:
        return 1.0
    matched, complete = _matched(a, b, np.ones(len(a), dtype=np.int64), max_work)
    if not complete:
        lines = a.splitlines(keepends=True)
        lengths = np.array([len(line) for line in lines], dtype=np.int64)
        matched = max(matched, _matched(lines, b.splitlines(keepends=True), lengths, max_work)[0])
    return 2.0 * matched / (len(a) + len(b))


def swe_rl(predicted: Mapping[str, str] | None, gold: Mapping[str, str], max_work: int = MAX_WORK) -> float:
    """Mean similarity of the diffs over the union of changed files; -1 for a patch that cannot be read.

    A file that only one side changes scores 0; two patches that change nothing score 1. A file with an empty diff is
    not changed: counting it would let empty entries raise the mean.

    Args:
        predicted: File -> diff; None for what is no patch.
        gold: File -> diff.
        max_work: See `patch_similarity`; for each file.
    """
    if predicted is None:
        return -1.0
    said = {path: diff for path, diff in predicted.items() if diff}
    meant = {path: diff for path, diff in gold.items() if diff}
    files = said.keys() | meant.keys()
    if not files:
        return 1.0
    both = sorted(said.keys() & meant.keys())
    return sum(patch_similarity(said[path], meant[path], max_work) for path in both) / len(files)


def split_patch(text: str) -> dict[str, str] | None:
    """File -> its hunks, of a unified diff (with or without ``diff --git`` lines); None for what is none.

    A file is named by its new path (its old one where it is deleted); hunks begin at ``@@``, and those of one file
    under several headings are put together. Nothing may stand before the first heading. Line counts are not checked.
    """
    files: dict[str, list[str]] = {}
    hunks: list[str] | None = None
    in_hunk = False
    lines = text.strip("\n").split("\n")
    for line, after in zip(lines, [*lines[1:], ""], strict=True):
        by_git = line.startswith("diff --git ")
        if by_git or (line.startswith("--- ") and after.startswith("+++ ")):
            path = line.rpartition(" b/")[2] if by_git else _path(line, after)
            if path is None:
                return None
            hunks, in_hunk = files.setdefault(path, []), False
        elif hunks is None:
            return None
        elif in_hunk or line.startswith("@@"):
            in_hunk = True
            hunks.append(line)
    return {path: "\n".join(found) for path, found in files.items()} or None


def _path(old: str, new: str) -> str | None:
    """The path that two heading lines (``--- old``, ``+++ new``) name; None for none."""
    paths = [line[4:].partition("\t")[0].strip() for line in (new, old)]
    path = next((path for path in paths if path and path != _NOWHERE), None)
    return path[2:] if path is not None and path.startswith(("a/", "b/")) else path


def _matched(a: Sequence[str], b: Sequence[str], weights: Ints, max_work: int) -> tuple[int, bool]:
    """Total weight of a's matched elements, and whether the budget sufficed to find them all."""
    often = Counter(b)
    # What `find_longest_match` does with each element: look it up, then visit its every occurrence in b.
    work = np.concatenate([[0], np.cumsum([often[x] + 1 for x in a], dtype=np.int64)])
    total = np.concatenate([[0], np.cumsum(weights)])
    matcher = SequenceMatcher(None, a, b, autojunk=False)
    stretches, spent, matched = [(0, len(a), 0, len(b))], 0, 0
    while stretches:
        alo, ahi, blo, bhi = stretches.pop()
        spent += int(work[ahi] - work[alo])
        if spent > max_work:
            return matched, False
        i, j, size = matcher.find_longest_match(alo, ahi, blo, bhi)
        if size:
            matched += int(total[i + size] - total[i])
            rest = ((alo, i, blo, j), (i + size, ahi, j + size, bhi))
            stretches += [s for s in rest if s[0] < s[1] and s[2] < s[3]]
    return matched, True


class HasPatch(Protocol):
    """A task with a gold patch, a unified diff."""

    @property
    def patch(self) -> str: ...


@reward(
    "swe_rl",
    source="SWE-RL: Advancing LLM Reasoning via Reinforcement Learning on Open Software Evolution",
    arxiv="2502.18449",
    status="code",
)
def score_swe_rl(task: HasPatch, trajectory: Trajectory, *, max_work: Annotated[int, Field(ge=1)] = MAX_WORK) -> float:
    """SWE-RL: mean similarity of the submitted patch with the gold one over the files of both; -1 for no patch.

    Formula: mean over the union of files of SequenceMatcher ratio of the two diffs; 0 where one is missing.

    Args:
        task: With `patch`, a unified diff.
        trajectory: The episode; its answer is a unified diff.
        max_work: Steps that the comparison of one file may take (20 to 100 ns each); beyond, it goes by line, and
            what is left uncompared counts as unmatched.

    Raises:
        ConfigError: The task's patch is no unified diff.
    """
    gold, answer = split_patch(task.patch), final_answer(trajectory)
    if gold is None:
        raise ConfigError(f"reward 'swe_rl': the patch of task {trajectory.task_id!r} is no unified diff")
    return swe_rl(None if answer is None else split_patch(answer), gold, max_work)
