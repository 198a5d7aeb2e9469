"""Judges in training: episodes become requests, verdicts become parts of the reward table.

rewards:
  - judge: {name: yes_no, model: Qwen/Qwen3-4B, as: right}          # the answer, as the part `right`
  - judge: {name: rlpr, model: Qwen/Qwen3-4B, as: outcome}          # in place of the outcome
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

import numpy as np

from agentgym.aio import run_blocking
from agentgym.faults import ConfigError
from agentgym.rewards.judges.build import build_judge
from agentgym.rewards.judges.managed import ManagedJudge
from agentgym.rewards.judges.tree import Criterion
from agentgym.rewards.judges.verdict import JudgeFault, Request, Verdict
from agentgym.rewards.outcome.episode import well_formed
from agentgym.rewards.shaping.scoring import ScorerEntry, part_name, put
from agentgym.rewards.table import Floats, RewardTable, final_answer, said
from agentgym.task import TaskSet
from agentgym.trajectory import Group, Trajectory

log = logging.getLogger(__name__)

#: What of an episode is judged: what ended it, or everything the policy wrote.
Read = Literal["answer", "transcript"]
#: What an episode without a verdict gets: the mean of its group, or the error.
Missing = Literal["group_mean", "raise"]
#: Fields of a task that may say what was asked, the first there is; else the first thing the policy was told.
TASK_FIELDS = ("question", "instruction", "prompt", "goal", "description")
# An opening tag that is left over where the answer inside it was taken away.
_OPEN_TAG = re.compile(r"<[^<>\n]{1,40}>\s*\Z")


def request_of(task: object, trajectory: Trajectory, read: Read = "answer") -> Request:
    """The request that judges an episode.

    Args:
        task: The task that was played; `answers` (or `references`), `rubric` and `nuggets` are taken where it has
            them.
        trajectory: The episode; one that a budget ended has no answer and says nothing.
        read: What is judged.
    """
    written = "\n".join(said(trajectory))
    answer = final_answer(trajectory)
    if read == "transcript":
        text, reasoning = written, ""
    else:
        text, reasoning = answer or "", _before(written, answer)
    references = getattr(task, "answers", None) or getattr(task, "references", None) or ()
    rubric = getattr(task, "rubric", None)
    nuggets = getattr(task, "nuggets", None) or ()
    return Request(
        task=_asked(task, trajectory),
        text=text,
        references=(references,) if isinstance(references, str) else tuple(str(gold) for gold in references),
        rubric=rubric if isinstance(rubric, Criterion) else None,
        nuggets=tuple(str(fact) for fact in nuggets),
        reasoning=reasoning,
        well_formed=well_formed(trajectory),
    )


def judge_trajectories(
    judge: ManagedJudge, tasks: Sequence[object], trajectories: Sequence[Trajectory], read: Read = "answer"
) -> list[Verdict | None]:
    """A verdict for each episode, all judged at the same time; blocks until they are there.

    Args:
        judge: From `make_judge` or `build_judge`.
        tasks: One an episode.
        trajectories: The episodes.
        read: What of them is judged.

    Returns:
        None for an episode that carries a fault, or that no verdict could be had on.

    Raises:
        BudgetSpent: The judge's model may not be called any more.
        ConfigError: A task lacks what the judge reads.
    """
    chosen = [i for i, trajectory in enumerate(trajectories) if trajectory.fault is None]
    pairs = list(zip(tasks, trajectories, strict=True))
    found = run_blocking(judge.judge_all([request_of(*pairs[i], read) for i in chosen]))
    verdicts: list[Verdict | None] = [None] * len(pairs)
    for i, verdict in zip(chosen, found, strict=True):
        verdicts[i] = verdict
    return verdicts


def build_judge_scorer(options: Mapping[str, Any], where: str) -> ScorerEntry:
    """A judge as a scorer of the reward pipeline.

    Args:
        options: ``as``, the name of what it adds, by default the judge's (``outcome`` replaces the
            outcome); ``read``, ``answer`` or ``transcript``; ``missing``, what an episode without a verdict gets:
            ``group_mean`` of the others', which says nothing about it, or ``raise``; and the judge's own options.
        where: For messages.

    Raises:
        ConfigError: See `build_judge`.
    """
    rest = dict(options)
    given = part_name(rest, where)
    read, missing = rest.pop("read", "answer"), rest.pop("missing", "group_mean")
    for key, value, known in (("read", read, get_args(Read)), ("missing", missing, get_args(Missing))):
        if value not in known:
            raise ConfigError(f"{where}.{key}: must be one of {', '.join(known)}, got {value!r}")
    if read == "transcript":
        rest.setdefault("refusals", False)  # whoever thinks aloud may well say what it does not know yet
    judge = build_judge(rest, where)
    part = given or str(rest["name"])

    def scorer(table: RewardTable, groups: Sequence[Group], taskset: TaskSet[Any]) -> RewardTable:
        trajectories = [t for g in groups for t in g.trajectories]
        verdicts = judge_trajectories(judge, [taskset[t.task_id] for t in trajectories], trajectories, read)
        if missing == "raise" and None in verdicts:
            raise JudgeFault(f"{part}: no verdict on {sum(v is None for v in verdicts)} of {len(verdicts)} episodes")
        scores = fill_missing([None if v is None else v.score for v in verdicts], [len(g) for g in groups])
        return put(table, part, [float(score) for score in scores])

    return ScorerEntry(part, scorer)


def fill_missing(scores: Sequence[float | None], sizes: Sequence[int]) -> Floats:
    """Scores with each missing one replaced by the mean of its group, so that it neither pays nor punishes.

    Args:
        scores: N, group after group.
        sizes: Episodes of each group.

    Returns:
        float64[N]; 0 throughout a group of which nothing is known: no member is preferred.
    """
    values = np.array([np.nan if score is None else score for score in scores], dtype=np.float64)
    known = ~np.isnan(values)
    group = np.repeat(np.arange(len(sizes)), sizes)
    counts = np.bincount(group[known], minlength=len(sizes))
    sums = np.bincount(group[known], weights=values[known], minlength=len(sizes))
    means = np.divide(sums, counts, out=np.zeros(len(sizes)), where=counts > 0)
    return np.where(known, values, means[group]) if len(values) else values


def _asked(task: object, trajectory: Trajectory) -> str:
    for field in TASK_FIELDS:
        value = getattr(task, field, None)
        if isinstance(value, str) and value:
            return value
    told = (m["content"] for m in trajectory.messages if m["role"] == "user" and m["turn"] < 0)
    return next(told, "")


def _before(written: str, answer: str | None) -> str:
    """What was written before the answer; everything where the answer is not found in it."""
    at = written.rfind(answer) if answer else -1
    return written if at < 0 else _OPEN_TAG.sub("", written[:at])
