"""Rubric trees: weighted criteria that are met or not, essential ones gate, criteria may have criteria of their own.

The common form of rubric rewards (RGR-GRPO, OpenRubrics, AutoRule, Auto-Rubric): the score of a rubric is the weighted
share of its criteria that are met, and nothing where an essential one is not.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping

from pydantic import Field, model_validator

from agentgym.config import Config

#: Deepest nesting of criteria, and most criteria of a rubric; more is a mistake.
MAX_DEPTH, MAX_CRITERIA = 8, 256


class Criterion(Config):
    """A criterion that a judge decides, or a group of them."""

    text: str = Field(min_length=1)
    """What must hold; of a group, its name."""
    weight: float = Field(1.0, ge=0)
    """Share of the group's score; 0: it only gates."""
    essential: bool = False
    """Whether the group scores 0 where this one stays below `pass_at`."""
    pass_at: float = Field(1.0, gt=0, le=1)
    """From which score on an essential criterion passes (FREE; matters for groups, whose score is a share)."""
    criteria: tuple[Criterion, ...] = ()
    """The criteria of a group; none: a criterion by itself."""

    @model_validator(mode="after")
    def _bounded(self) -> Criterion:
        if _depth(self) > MAX_DEPTH:
            raise ValueError(f"criteria are nested deeper than {MAX_DEPTH}")
        names = [leaf.text for leaf in self.leaves()]
        if len(names) > MAX_CRITERIA:
            raise ValueError(f"{len(names)} criteria, at most {MAX_CRITERIA} are judged")
        if self.criteria and not any(c.weight > 0 or c.essential for c in self.criteria):
            raise ValueError(f"group {self.text!r} has neither a weight above 0 nor an essential criterion")
        return self

    def leaves(self) -> Iterator[Criterion]:
        """The criteria that are judged, in order."""
        for child in self.criteria:
            yield from child.leaves()
        if not self.criteria:
            yield self


def rubric_score(rubric: Criterion, met: Mapping[str, float]) -> float:
    """Score of a rubric, 0..1.

    Formula: a criterion by itself scores as it was judged; a group scores sum(w_i s_i) / sum(w_i) of its criteria, and
    0 where an essential one stays below its `pass_at`. A group whose weights are all 0 scores 1 where its gates pass.

    Args:
        rubric: The tree.
        met: Text of each criterion that is judged -> 0..1.

    Raises:
        KeyError: A criterion was not judged.
    """
    if not rubric.criteria:
        return met[rubric.text]
    return _combine(rubric, [rubric_score(child, met) for child in rubric.criteria])


async def walk_rubric(rubric: Criterion, decide: Callable[[Criterion], Awaitable[float]]) -> float:
    """The score of a rubric whose criteria are judged on the way, those of closed gates not at all.

    Args:
        rubric: The tree.
        decide: Judges one criterion, 0..1.

    Returns:
        What `rubric_score` gives for the same decisions.
    """
    if not rubric.criteria:
        return await decide(rubric)
    gates = [i for i, child in enumerate(rubric.criteria) if child.essential]
    rest = [i for i, child in enumerate(rubric.criteria) if not child.essential and child.weight > 0]
    scores = [0.0] * len(rubric.criteria)
    for chosen in (gates, rest):
        found = await asyncio.gather(*(walk_rubric(rubric.criteria[i], decide) for i in chosen))
        for i, score in zip(chosen, found, strict=True):
            scores[i] = score
        if any(scores[i] < rubric.criteria[i].pass_at for i in gates):
            return 0.0
    return _combine(rubric, scores)


def _combine(group: Criterion, scores: list[float]) -> float:
    pairs = list(zip(group.criteria, scores, strict=True))
    if any(child.essential and score < child.pass_at for child, score in pairs):
        return 0.0
    total = sum(child.weight for child, _ in pairs)
    return sum(child.weight * score for child, score in pairs) / total if total else 1.0


def _depth(rubric: Criterion) -> int:
    return 1 + max((_depth(child) for child in rubric.criteria), default=0)
