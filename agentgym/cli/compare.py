"""``agentgym compare``: how several credit methods judge the same stored episodes, as a table and as a picture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from agentgym.cli.common import console, emit_json, number, table
from agentgym.cli.stored import Batch, StoredRun, shaped
from agentgym.config import parse_yaml
from agentgym.faults import ConfigError
from agentgym.rewards.shaping import build_stages
from agentgym.rewards.table import Floats, RewardTable
from agentgym.trainers.compare import MAX_PANELS, Panel, build_methods, disagreement, draw, judge, rank_correlation

#: Default name of the picture, in the run's folder.
PICTURE = "compare.png"


def parse_methods(text: str) -> list[str | Mapping[str, Any]]:
    """``a, b`` or ``a, {name: b, gamma: 0.9}``: the entries of a YAML list without its brackets.

    Raises:
        ConfigError: Something else.
    """
    entries = parse_yaml(f"[{text}]", "--credit")
    if not isinstance(entries, list) or not entries or not all(isinstance(e, str | dict) for e in entries):
        raise ConfigError(f"--credit must name methods, e.g. 'grpo, {{name: gigpo, gamma: 0.9}}', got {text!r}")
    return entries


def compare_methods(
    path: Path, credit: str, *, episode: str | None, update: int | None, out: Path | None, as_json: bool
) -> None:
    """Credits a run's training episodes by each method, and says and draws how far they agree.

    Args:
        path: Folder of the run; its rewards are taken as they are configured there.
        credit: Methods, see `parse_methods`.
        episode: Draw this one alone: its id, or its number among those compared; None draws the group on which the
            methods differ most.
        update: Compare on the episodes of this update; None: of all.
        out: The picture; None: ``compare.png`` in the run's folder.
        as_json: Print the figures as JSON.

    Raises:
        ConfigError: No such run, update or episode, or a method that cannot be used.
        DataError: A damaged file of episodes.
    """
    run, methods = StoredRun(path), build_methods(parse_methods(credit))
    env = run.make_env()
    try:
        pipeline = build_stages(run.record.rewards, env.signals)
        judged: list[Floats] = []
        drawn: Drawing | None = None
        seen = 0
        for batch, [scored] in shaped([pipeline], run.batches(update), env.taskset):
            if update is not None and batch.update != update:
                continue  # shaped all the same: its stages may remember it
            values = judge(scored, methods)
            judged.append(values)
            found = _drawing(batch, scored, values, episode, seen)
            if found is not None and (drawn is None or found.interest > drawn.interest):
                drawn = found
            seen += scored.n
    finally:
        env.close()
    if not judged:
        raise ConfigError(f"{path} holds no episodes of update {update}; it has {_span(run)}")
    if drawn is None:
        wanted = "any" if episode is None else repr(episode)
        raise ConfigError(f"no episode {wanted} among the {seen} compared; 'agentgym show {path}' lists them")
    picture = out or path / PICTURE
    draw(picture, list(methods), drawn.panels, drawn.title)
    everything = np.concatenate(judged, axis=1)
    _print(list(methods), everything, rank_correlation(everything), drawn.panels, picture, seen, as_json)


def _span(run: StoredRun) -> str:
    return f"updates {run.updates[0]} to {run.updates[-1]}"


@dataclass(frozen=True)
class Drawing:
    """Episodes that may be drawn.

    Attributes:
        panels: One an episode.
        title: Above all.
        interest: The drawing with the most is drawn.
    """

    panels: list[Panel]
    title: str
    interest: float


def _drawing(batch: Batch, scored: RewardTable, values: Floats, episode: str | None, before: int) -> Drawing | None:
    """What to draw of a batch: the wanted episode, or the group on which the methods differ most; None: nothing."""
    trajectories = [t for g in batch.groups for t in g.trajectories]
    interest = 0.0
    if episode is not None:
        chosen = [i for i, t in enumerate(trajectories) if episode in (t.episode_id, str(before + i))]
    else:
        differ = disagreement(values, scored.group[scored.trajectory], scored.n_groups)
        most = int(differ.argmax()) if len(differ) else 0
        interest = float(differ[most]) if len(differ) else 0.0
        chosen = np.flatnonzero(scored.group == most).tolist()
    if not chosen:
        return None
    panels = []
    for i in chosen:
        t = trajectories[i]
        ending = "truncated" if t.truncated else f"outcome {number(t.outcome)}"
        panels.append(Panel(f"{t.episode_id}: {ending}", values[:, scored.offsets[i] : scored.offsets[i + 1]]))
    task = trajectories[chosen[0]].task_id
    return Drawing(panels, f"update {batch.update}, task {task}", interest)


def _print(
    names: list[str],
    values: Floats,
    correlation: Floats,
    panels: list[Panel],
    picture: Path,
    episodes: int,
    as_json: bool,
) -> None:
    agree = [[None if np.isnan(c) else float(c) for c in row] for row in correlation]
    if as_json:
        emit_json(
            {
                "methods": names,
                "episodes": episodes,
                "turns": values.shape[1],
                "rank_correlation": agree,
                "picture": str(picture),
                "shown": [{"title": p.title, "advantages": p.advantages.tolist()} for p in panels],
            }
        )
        return
    out = console()
    out.print(f"rank correlation (Spearman) over {values.shape[1]} turns of {episodes} episodes")
    rows = [
        (name, *(number(None if c is None else round(c, 3)) for c in row))
        for name, row in zip(names, agree, strict=True)
    ]
    out.print(table(("", *names), rows, right=names))
    more = f" (the first {MAX_PANELS} of {len(panels)} episodes)" if len(panels) > MAX_PANELS else ""
    out.print(f"picture: {picture}{more}", markup=False)
