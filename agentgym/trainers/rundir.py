"""The folder of a run: ``config.yaml``, ``metrics.jsonl``, TensorBoard files, ``curve.png``, ``episodes/``,
``checkpoints/``, ``model/`` (the final policy, an ordinary Hugging Face folder), ``report.json``."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from agentgym.faults import ConfigError
from agentgym.store import EpisodeWriter
from agentgym.trainers.checkpoint import CheckpointStore
from agentgym.trainers.config import TrainConfig
from agentgym.trainers.evaluation import Evaluation

CONFIG, METRICS, REPORT, CURVE, MODEL = "config.yaml", "metrics.jsonl", "report.json", "curve.png", "model"
CHECKPOINTS = "checkpoints"


class RunDirectory:
    """One run's files.

    Args:
        path: The folder; made when it is not there.
        keep_checkpoints: How many checkpoints stay.
    """

    def __init__(self, path: Path, keep_checkpoints: int = 2) -> None:
        self.path = path
        path.mkdir(parents=True, exist_ok=True)
        self.episodes = EpisodeWriter(path / "episodes")
        self.checkpoints = CheckpointStore(path / CHECKPOINTS, keep=keep_checkpoints)
        self._board: Any = None

    @property
    def finished(self) -> bool:
        return (self.path / REPORT).exists()

    def write_config(self, config: TrainConfig) -> None:
        """Writes the resolved configuration: every field, defaults included."""
        data = config.model_dump(mode="json")
        write_atomic(self.path / CONFIG, yaml.safe_dump(data, sort_keys=False, allow_unicode=True))

    def same_config(self, config: TrainConfig) -> bool:
        """Whether the folder holds a run of this very configuration (only the number of updates, and what it tells of
        itself, may differ)."""
        try:
            stored = yaml.safe_load((self.path / CONFIG).read_text(encoding="utf-8"))
        except (OSError, yaml.YAMLError):
            return False
        if not isinstance(stored, dict):
            return False
        free: dict[str, Any] = {"updates": 0, "status": None}
        return {**stored, **free} == {**config.model_dump(mode="json"), **free}

    def open_metrics(self, done: Mapping[str, int]) -> None:
        """Opens the logs.

        Args:
            done: Steps done by phase; later rows (of a run that died before its next checkpoint) are dropped.
        """
        from torch.utils.tensorboard import SummaryWriter

        self.close()
        rows = [r for r in read_metrics(self.path) if r["update"] <= done.get(r["phase"], 0)]
        write_atomic(self.path / METRICS, "".join(json.dumps(r) + "\n" for r in rows))
        self._board = SummaryWriter(str(self.path / "tensorboard"), purge_step=max(done.values()) + 1)

    def log(self, update: int, metrics: Mapping[str, float], phase: str) -> None:
        """Appends one row to ``metrics.jsonl`` and TensorBoard."""
        row = {"update": update, "phase": phase, **{k: _plain(v) for k, v in metrics.items()}}
        with (self.path / METRICS).open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        if self._board is not None:
            for name, value in metrics.items():
                self._board.add_scalar(f"{phase}/{name}", value, update)

    def write_report(self, report: Mapping[str, Any]) -> None:
        write_atomic(self.path / REPORT, json.dumps(report, indent=2) + "\n")

    def draw_curve(self, evaluations: Sequence[Evaluation], title: str) -> None:
        """Draws held-out success against training episodes, a line a difficulty, with 95% bands."""
        draw_curve(self.path / CURVE, evaluations, title)

    def close(self) -> None:
        if self._board is not None:
            self._board.close()
            self._board = None


def choose_directory(config: TrainConfig, fresh: bool = False) -> Path:
    """The run's folder: an unfinished run of the same configuration is gone on with; otherwise the next free name.

    Nothing that an earlier run wrote is ever overwritten.
    """
    base = Path(config.runs)
    for number in range(1, 10_000):
        path = base / (config.name if number == 1 else f"{config.name}-{number}")
        if not path.exists():
            return path
        run = RunDirectory(path)
        if not fresh and not run.finished and run.same_config(config):
            return path
    raise ConfigError(f"{base}: too many runs named {config.name!r}")


def _plain(value: float) -> float:
    return round(float(value), 6)


def write_atomic(path: Path, text: str) -> None:
    """Writes a text file so that a reader sees the old one or the new one, never half of it."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, path)


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """The rows of a run's ``metrics.jsonl``; a last line that was cut off by a crash is ignored.

    Raises:
        ConfigError: A damaged line that is not the last one.
    """
    file = path / METRICS
    if not file.exists():
        return []
    lines = file.read_text(encoding="utf-8").splitlines()
    rows = []
    for number, line in enumerate(lines, 1):
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:
            if number < len(lines):
                raise ConfigError(f"{file}:{number}: not a JSON row") from None
    return rows


def draw_curve(path: Path, evaluations: Sequence[Evaluation], title: str) -> None:
    """See `RunDirectory.draw_curve`."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7.2, 4.2), dpi=130)
    difficulties = sorted({s.difficulty for e in evaluations for s in e.scores})
    colours = pyplot.get_cmap("viridis")
    for number, difficulty in enumerate(difficulties):
        colour = colours(0.85 * number / max(len(difficulties) - 1, 1))
        for mode, style in (("greedy", "-"), ("sampled", ":")):
            of_line = (difficulty, mode)
            points = [(e.episodes, s) for e in evaluations for s in e.scores if (s.difficulty, s.mode) == of_line]
            if not points:
                continue
            x = [episodes for episodes, _ in points]
            label = f"difficulty {difficulty}" if mode == "greedy" else None
            axes.plot(x, [s.rate for _, s in points], style, color=colour, label=label, marker="o", markersize=3)
            if mode == "greedy":
                low, high = zip(*(s.ci for _, s in points), strict=True)
                axes.fill_between(x, low, high, color=colour, alpha=0.15, linewidth=0)
    axes.set(xlabel="training episodes", ylabel="success on held-out tasks", ylim=(-0.02, 1.02), title=title)
    axes.grid(alpha=0.25)
    axes.legend(frameon=False, title="solid: greedy, dotted: sampled")
    figure.tight_layout()
    temporary = path.with_name(f".{path.name}")
    figure.savefig(temporary, format="png")
    os.replace(temporary, path)
    pyplot.close(figure)
