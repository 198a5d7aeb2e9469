"""How a run's status looks: one screen, what matters first, in any terminal and without colours too."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from agentgym.cli.common import number, safe
from agentgym.cli.progress import SHOWN, duration
from agentgym.trainers.status_model import RunStatus, WorkerStatus
from agentgym.trainers.status_reading import RunView, State, age_s

#: Workers that are listed; `agentgym status --json` has them all.
MAX_WORKERS = 16
_COLOURS = {
    State.RUNNING: "green",
    State.FINISHED: "bold green",
    State.SILENT: "yellow",
    State.UNKNOWN: "yellow",
    State.INTERRUPTED: "yellow",
    State.FAILED: "bold red",
    State.KILLED: "bold red",
}
#: What a worker's time is made of: colour, and the sign that tells it apart where there are no colours.
_TIME = {
    "generating": ("green", "█", "#"),
    "playing": ("green", "█", "#"),
    "stepping": ("cyan", "▒", "="),
    "idle": ("bright_black", "·", "."),
}
_BAR, _PROGRESS = 24, 40  # columns
_LEAST_BAR = 6
_WORKER_COLUMNS = 70  # what a worker's line takes without its bar
_LEAST = 0.005  # share of the time that is worth a line
_SHORT = {"groups_with_signal": "signal"}
_BUSY = "busy_s"  # a counter of the engines that the workers' bars show
_ALIVE = (State.RUNNING, State.SILENT)


def render(view: RunView, width: int = 80, ascii_only: bool = False) -> RenderableType:
    """A run on one screen.

    Args:
        view: The run.
        width: Columns of the screen.
        ascii_only: It has no other characters.
    """
    status = view.status
    parts: list[RenderableType] = [_headline(view)]
    parts += _advice(view)
    parts += _progress(status)
    parts += ["", _facts(view)]
    if status.share:
        parts += ["", _phases(status.share, status.recent if view.state in _ALIVE else {})]
    if status.workers and view.state in _ALIVE:
        parts += ["", *_workers(status, width, ascii_only)]
    return Group(*parts)


def _headline(view: RunView) -> Text:
    status, since = view.status, view.since
    line = Text.assemble((safe(view.directory.resolve().name), "bold"), "  ", (view.state.value, _COLOURS[view.state]))
    said: list[str] = []
    if view.state in _ALIVE:
        said.append(f"process {status.pid} on {status.host}")
    if since is not None and view.state is not State.RUNNING:
        verb = {State.SILENT: "silent for", State.UNKNOWN: "last wrote", State.KILLED: "last heard of"}
        ago = _roughly(age_s(since)) + ("" if view.state is State.SILENT else " ago")
        said.append(f"{verb.get(view.state, '')} {ago} ({_moment(since)})".strip())
    if status.wall_s is not None:
        said.append(f"{duration(status.wall_s)} so far" if view.report is None else f"took {duration(status.wall_s)}")
    if view.state is State.RUNNING and status.eta_s is not None:
        said.append(f"about {duration(status.eta_s)} left")
    return line.append("  " + safe(" · ".join(said)))


def _advice(view: RunView) -> Iterator[Text]:
    """What there is to know or to do about the state."""
    status, report = view.status, view.report
    if view.state is State.SILENT:
        yield Text("its process lives and does not write: stopped, hanging, or its disk is full")
    if view.state is State.UNKNOWN:
        yield Text(f"it has no status.json, so nothing says whether it is running; if it is not, {_go_on(view)}")
    if status.error is not None and view.state in (State.FAILED, State.INTERRUPTED):
        yield Text(safe(status.error), style="red" if view.state is State.FAILED else "")
    if view.state in (State.KILLED, State.INTERRUPTED, State.FAILED):
        yield Text(_go_on(view))
    if report is not None and "final_success" in report:
        low, high = report["final_success_ci"]
        yield Text(
            f"held-out success at difficulty {report['target_difficulty']}: {number(report['warm_start_success'])} -> "
            f"{number(report['final_success'])} (95% interval {low:.2f}-{high:.2f})"
        )


def _go_on(view: RunView) -> str:
    return f"this goes on with it:  {safe(view.resume or '')}"


def _progress(status: RunStatus) -> Iterator[RenderableType]:
    warm = status.warm_start
    if not status.update and warm is not None and warm.done < warm.of:
        name, done, of = "warm start", warm.done, warm.of
    elif status.update is not None and status.updates:
        name, done, of = "update", status.update, status.updates
    else:
        return
    line = Table.grid(padding=(0, 2))
    phase = "" if status.ended or status.phase is None else status.phase.replace("_", " ")
    bar = ProgressBar(total=of, completed=done, width=_PROGRESS)
    line.add_row(
        f"{name} {done}/{of}", bar, f"{done / of:.0%}", Text(safe("" if phase == name else phase), style="cyan")
    )
    yield line


def _facts(view: RunView) -> Table:
    status = view.status
    episodes, groups, stale, rates = status.episodes, status.groups, status.staleness, status.tokens_per_s
    live = view.state in _ALIVE
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="bold", no_wrap=True)
    grid.add_column(overflow="fold")

    def row(name: str, parts: Iterable[str], style: str = "") -> None:
        text = " · ".join(part for part in parts if part)
        if text:
            grid.add_row(name, Text(safe(text), style=style))

    if episodes is not None:
        row("episodes", (_count(episodes.done, "done"), _count(episodes.in_flight if live else None, "in flight")))
    if groups is not None and live:
        kinds = ((groups.waiting, "waiting"), (groups.in_flight, "in flight"), (groups.finished, "finished"))
        row("groups", (_count(n, what) for n, what in kinds))
    row("queues", _listed(status.queues))
    if live:
        names = {"rollout": "sampled", "learner": "learned from"}
        row("tokens/s", (f"{rate:,.0f} {names.get(name, name)}" for name, rate in sorted(rates.items(), reverse=True)))
    if stale is not None:
        ages = sorted(stale.versions.items())
        row("staleness", (f"{n} group{'' if n == 1 else 's'} {behind} behind" for behind, n in ages))
        row("left out", (f"{n:,} {reason.replace('_', ' ')}" for reason, n in stale.dropped.items()))
        row("corrected", (_count(stale.corrected or None, "stale groups"),))
    row(
        "last update",
        (f"{_SHORT.get(name, name)} {status.metrics[name]:.3f}" for name in SHOWN if name in status.metrics),
    )
    row("held out", _evaluation(status.evaluation))
    row("engine", _listed({name: n for name, n in status.engine.items() if n and name != _BUSY}))
    row("faults", _listed(status.faults), style="yellow")
    row("not known", (f"{source}: {why}" for source, why in status.errors.items()), style="red")
    for source, facts in status.more.items():
        row(source, _listed(facts) if isinstance(facts, Mapping) else (str(facts),))
    row("prometheus", (status.prometheus or "" if live else "",))
    return grid


def _evaluation(evaluation: Mapping[str, Any] | None) -> Iterator[str]:
    if evaluation is None:
        return
    yield f"after update {evaluation.get('update')}"
    for score in evaluation.get("scores", ()):
        if score.get("mode") == "greedy":
            low, high = score.get("ci", (0.0, 1.0))
            yield f"difficulty {score.get('difficulty')}: {score.get('success', 0.0):.2f} ({low:.2f}-{high:.2f})"


def _phases(share: Mapping[str, float], recent: Mapping[str, float]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    shown = recent or share
    table.add_column("time")
    table.add_column("lately" if recent else "whole run", justify="right")
    table.add_column("")
    if recent:
        table.add_column("whole run", justify="right")
    for phase, whole in sorted(share.items(), key=lambda item: -item[1]):
        now = shown.get(phase, 0.0)
        if max(now, whole) < _LEAST:
            continue
        cells: list[RenderableType] = [Text(safe(phase.replace("_", " "))), f"{now:.0%}"]
        cells.append(ProgressBar(total=1.0, completed=now, width=_BAR, complete_style="cyan", finished_style="cyan"))
        table.add_row(*cells, *([f"{whole:.0%}"] if recent else []))
    return table


def _workers(status: RunStatus, width: int, ascii_only: bool) -> Iterator[RenderableType]:
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    table.add_column("worker")
    for name in ("groups", "in flight", "episodes", "tokens/s", "heard"):
        table.add_column(name, justify="right")
    table.add_column("time lately", no_wrap=True)
    bar = min(max(width - _WORKER_COLUMNS, _LEAST_BAR), _BAR)
    listed = list(status.workers.items())
    for name, worker in listed[:MAX_WORKERS]:
        heard = None if worker.heard_s is None else f"{worker.heard_s:.0f} s"
        rate = None if worker.tokens_per_s is None else f"{worker.tokens_per_s:,.0f}"
        numbers = (_count(worker.groups), _count(worker.in_flight), _count(worker.episodes), rate, heard)
        table.add_row(Text(safe(name)), *(cell or "" for cell in numbers), _share(worker, bar, ascii_only))
    yield table
    if len(listed) > MAX_WORKERS:
        yield f"and {len(listed) - MAX_WORKERS} more, which --json has"
    legend = Text()
    for kind, (colour, block, letter) in _TIME.items():
        if any(kind in worker.share for worker in status.workers.values()):
            legend.append(letter if ascii_only else block, style=colour).append(f" {kind}  ")
    if legend:
        yield legend


def _share(worker: WorkerStatus, bar: int, ascii_only: bool) -> Text:
    line, drawn, until = Text(), 0, 0.0
    for kind, (colour, block, letter) in _TIME.items():
        if kind in worker.share:
            until += worker.share[kind] * bar
            line.append((letter if ascii_only else block) * (round(until) - drawn), style=colour)
            drawn = round(until)
    numbers = " ".join(f"{worker.share[kind]:4.0%}" for kind in _TIME if kind in worker.share)
    return line.append(f" {numbers}")


def _listed(numbers: Mapping[str, Any]) -> Iterator[str]:
    return (f"{name.replace('_', ' ')} {_short(n) if isinstance(n, int | float) else n}" for name, n in numbers.items())


def _count(n: int | None, what: str = "") -> str:
    return "" if n is None else f"{n:,} {what}".rstrip()


def _short(n: float) -> str:
    """Three digits and a letter for the thousands."""
    for size, letter in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(n) >= size:
            return f"{n / (1e3 if letter == 'k' else size):.3g} {letter}"
    return f"{n:,.0f}" if n == int(n) else f"{n:,.1f}"


def _roughly(seconds: float) -> str:
    for size, unit in ((86_400, "days"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def _moment(moment: datetime) -> str:
    local = moment.astimezone()
    return f"{local:%Y-%m-%d %H:%M:%S}"
