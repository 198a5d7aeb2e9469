"""``agentgym status``: how a run is doing, now or over and over."""

from __future__ import annotations

import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from rich.console import RenderableType
from rich.live import Live

from agentgym.cli.common import console, emit_json
from agentgym.cli.status_view import render
from agentgym.faults import ConfigError
from agentgym.trainers.status_facts import to_json
from agentgym.trainers.status_reading import RunView, State, read_run

#: Seconds between two looks with ``--watch``.
WATCH_S = 1.0
#: A run in one of these may still have something to say.
_GOING = (State.RUNNING, State.SILENT, State.UNKNOWN)


def show_status(run: Path, *, watch: bool, as_json: bool) -> None:
    """Prints how a run is doing.

    Args:
        run: Its folder.
        watch: Again and again, until it has ended or Ctrl-C; where there is no terminal, once it has ended.
        as_json: As one JSON document.

    Raises:
        ConfigError: No run, a damaged file, or options that exclude each other.
    """
    if watch and as_json:
        raise ConfigError("give --watch or --json, not both")
    view = read_run(run)
    if as_json:
        emit_json(describe(view))
        return
    out = console()

    def screen() -> RenderableType:
        return render(view, out.width, out.options.ascii_only)

    if not watch:
        out.print(screen())
        return
    try:
        with Live(console=out, auto_refresh=False) if out.is_terminal else nullcontext() as live:
            if live is not None:
                live.update(screen(), refresh=True)
            while view.state in _GOING:
                time.sleep(WATCH_S)
                view = read_run(run)
                if live is not None:
                    live.update(screen(), refresh=True)
    except KeyboardInterrupt:  # how one leaves
        return
    if not out.is_terminal:
        out.print(screen())


def describe(view: RunView) -> dict[str, Any]:
    """A view as plain data, without what is not known."""
    data = {
        "run": str(view.directory),
        "state": view.state.value,
        "since": None if view.since is None else view.since.isoformat(),
        "resume": view.resume,
        "status": to_json(view.status),
        "report": view.report,
    }
    return {name: value for name, value in data.items() if value is not None}
