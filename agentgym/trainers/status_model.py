"""`RunStatus`: the schema of ``status.json``, what a training run says of itself while it runs.

A fact that is not known is absent; it is never a zero. Some facts are given by the run, others are worked out from
them by `agentgym.trainers.status.StatusBoard`: rates, shares and the time left.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

#: Name of the file in the run's folder.
STATUS = "status.json"

Ending = Literal["finished", "interrupted", "failed"]


class _Facts(BaseModel):
    # Keys of a newer or an older version are passed over, so that any `agentgym status` reads any run.
    model_config = ConfigDict(extra="ignore", use_attribute_docstrings=True, allow_inf_nan=False)


class Steps(_Facts):
    """How far a phase of known length is."""

    done: int
    """Steps done."""
    of: int
    """Steps it has."""


class EpisodeCounts(_Facts):
    """Episodes."""

    done: int | None = None
    """Finished and taken into an update, in the whole run."""
    in_flight: int | None = None
    """Being played right now."""


class GroupCounts(_Facts):
    """Groups between being asked for and being learned from."""

    waiting: int | None = None
    """Asked for, and not yet given to a worker."""
    in_flight: int | None = None
    """With a worker."""
    finished: int | None = None
    """Back, and waiting for the learner."""


class Staleness(_Facts):
    """How old the policy was that played what was learned from."""

    versions: dict[int, int] = Field(default_factory=dict)
    """Versions behind the learner -> groups of the last update."""
    dropped: dict[str, int] = Field(default_factory=dict)
    """Groups that were not learned from, by reason: ``stale``, ..."""
    corrected: int | None = None
    """Stale groups that were learned from, with an importance correction."""


class WorkerStatus(_Facts):
    """One rollout worker, as of its last report."""

    groups: int | None = None
    """Groups it holds."""
    in_flight: int | None = None
    """Episodes it is playing."""
    episodes: int | None = None
    """Episodes it has finished since it was started."""
    tokens: float | None = None
    """Tokens it has sampled since it was started."""
    heard_s: float | None = None
    """Seconds since its last report."""
    seconds: dict[str, float] = Field(default_factory=dict)
    """Wall seconds that contain each other: ``up`` since it was started, of these ``playing`` any episode, of these
    ``generating`` (its engine was at work; absent where the engine does not count that)."""
    share: dict[str, float] = Field(default_factory=dict)
    """Shares of the last minute: ``generating``, ``stepping`` (episodes were in flight and the engine stood still, so
    environments had them, or the collector itself), ``idle`` (no episode); ``playing`` for the first two where they
    cannot be told apart."""
    tokens_per_s: float | None = None
    """Tokens it sampled a second, over the last minute."""


class RunStatus(_Facts):
    """All that is known of a run at one moment."""

    format: int = 1
    """Version of this schema; fields may be added without a new one."""
    run: str | None = None
    """Name of the run's folder."""
    pid: int | None = None
    """Process that trains."""
    host: str | None = None
    """Machine it runs on."""
    started: datetime | None = None
    """When this process began with the run (UTC)."""
    written: datetime | None = None
    """When this was written (UTC)."""
    every_s: float | None = None
    """Seconds between two writes: a file much older than that is of a run that stands still or is gone."""
    command: str | None = None
    """The command that began the run, and that goes on with it."""
    cwd: str | None = None
    """Folder in which it was given."""
    prometheus: str | None = None
    """Address of the Prometheus endpoint."""
    ended: Ending | None = None
    """How the process left the run, once it has."""
    error: str | None = None
    """The error it failed with, in one line."""

    phase: str | None = None
    """What the training process is doing: ``warm_start``, ``evaluation``, ``rollout``, ``learn``, ..."""
    warm_start: Steps | None = None
    """Steps of the warm start."""
    update: int | None = None
    """Updates done."""
    updates: int | None = None
    """Updates the run has."""
    version: int | None = None
    """Version of the weights that the engines have."""
    wall_s: float | None = None
    """Seconds the run has taken so far, all its processes together."""
    eta_s: float | None = None
    """Seconds until the last update, at the pace of the latest ones."""

    episodes: EpisodeCounts | None = None
    """Episodes."""
    groups: GroupCounts | None = None
    """Groups."""
    queues: dict[str, int] = Field(default_factory=dict)
    """Entries of each queue, by name."""
    staleness: Staleness | None = None
    """Age of what is learned from."""
    tokens: dict[str, float] = Field(default_factory=dict)
    """Tokens: ``rollout`` (sampled by the engines since this process began), ``learner`` (read and written in the
    episodes that were learned from, in the whole run)."""
    tokens_per_s: dict[str, float] = Field(default_factory=dict)
    """The same a second of wall clock, over the last minute or since the last update, whichever is longer."""
    seconds: dict[str, float] = Field(default_factory=dict)
    """Wall seconds by phase, in the whole run."""
    share: dict[str, float] = Field(default_factory=dict)
    """Shares of time by phase, in the whole run."""
    recent: dict[str, float] = Field(default_factory=dict)
    """Shares of time by phase, in the last minute."""
    workers: dict[str, WorkerStatus] = Field(default_factory=dict)
    """Rollout workers by number."""
    faults: dict[str, int] = Field(default_factory=dict)
    """Faults of the world by kind, in the whole run."""
    engine: dict[str, float] = Field(default_factory=dict)
    """Counters of the engines, added up (`agentgym.engines.base.EngineStats`)."""
    metrics: dict[str, float] = Field(default_factory=dict)
    """Figures of the last update, as in ``metrics.jsonl``."""
    evaluation: dict[str, Any] | None = None
    """The last held-out evaluation, as in ``report.json``."""
    more: dict[str, Any] = Field(default_factory=dict)
    """Whatever else a source tells, by its name."""
    errors: dict[str, str] = Field(default_factory=dict)
    """Sources that could not be asked, and why."""
