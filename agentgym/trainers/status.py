"""`StatusBoard`: a run's live view, written to ``status.json`` and served to Prometheus while the run goes on.

One daemon thread asks the run's parts (sources) for what they know, works out rates and shares, and writes. The run
never waits for it and never fails by it: a source that raises is shown as an error, a full disk is logged.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from agentgym.faults import MissingExtra
from agentgym.trainers.interrupt import Interrupted
from agentgym.trainers.status_facts import merge, normalised, one_line, own_command, plain, to_json, validated
from agentgym.trainers.status_model import STATUS, Ending, RunStatus
from agentgym.trainers.status_series import WINDOW_S, Series

if TYPE_CHECKING:
    from agentgym.trainers.status_prometheus import Endpoint

logger = logging.getLogger(__name__)

#: A source: what a part of the run knows right now, as fields of `RunStatus`; other names go to `RunStatus.more`.
Source = Callable[[], Mapping[str, Any]]

#: Phases before the first update: their time says nothing about the pace of updates.
BEFORE_UPDATES = ("starting", "warm_start", "evaluation")
#: Seconds of the latest updates that the time left is reckoned from.
PACE_S = 1800.0
_JOIN_S = 5.0  # longest wait for a source that hangs when the run is over


class StatusBoard:
    """Tells the outside how a run is doing; a context manager, open as long as the run.

    Args:
        directory: The run's folder. Nothing is written before it exists.
        every_s: Seconds between two writes.
        prometheus: Host and port of an endpoint for Prometheus (port 0 picks a free one); None: there is none.
        window_s: Seconds over which rates are taken.

    Attributes:
        status: As it was last written.

    Raises:
        ConfigError: On entering: the port cannot be had.
        MissingExtra: On entering: an endpoint was asked for, and prometheus-client is not installed.
    """

    def __init__(
        self,
        directory: Path,
        every_s: float = 2.0,
        prometheus: tuple[str, int] | None = None,
        window_s: float = WINDOW_S,
    ) -> None:
        self.directory, self.every_s = directory, every_s
        self._address = prometheus
        self._endpoint: Endpoint | None = None
        self._facts: dict[str, Any] = {"phase": "starting"}
        self._sources: dict[str, Source] = {}
        self.window_s = window_s
        self._series: defaultdict[str, dict[str, Series]] = defaultdict(dict)
        self._looked: dict[str, float] = {}
        self._pace = Series(PACE_S)
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="status", daemon=True)
        self._silenced = False
        self.status = RunStatus()

    # -- what a run tells --------------------------------------------------------------------------------------------

    def set(self, **facts: Any) -> None:
        """Tells facts, by the fields of `RunStatus`; each replaces what was told of that field before."""
        told = plain(facts)
        with self._lock:
            self._facts |= told

    def source(self, name: str, read: Source) -> None:
        """Has `read` asked before every write, in the board's thread: it must be quick and safe to call from there.

        Fields that several sources know are merged key by key; their `faults` are added up.
        """
        with self._lock:
            self._sources[name] = read

    # -- the thread --------------------------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        if self._address is not None:
            try:
                from agentgym.trainers.status_prometheus import Endpoint
            except ModuleNotFoundError as error:  # pragma: no cover - the train extra brings it
                raise MissingExtra("prometheus-client", "train") from error
            self._endpoint = Endpoint(*self._address, lambda: self.status)
            self.set(prometheus=self._endpoint.url)
        self.set(
            run=self.directory.resolve().name,
            pid=os.getpid(),
            host=socket.gethostname(),
            started=datetime.now(UTC),
            every_s=self.every_s,
            command=own_command(),
            cwd=str(Path.cwd()),
        )
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join(_JOIN_S)
        ended: Ending = "finished"
        if error is not None:
            ended = "interrupted" if isinstance(error, Interrupted | KeyboardInterrupt) else "failed"
            self.set(error=one_line(error))
        self.set(ended=ended)
        if self._thread.is_alive():  # in a source that hangs, and would hang again
            self._sources.clear()
        self._tell(last=True)
        if self._endpoint is not None:
            self._endpoint.close()

    def _run(self) -> None:
        while not self._over.is_set():
            self._tell()
            self._over.wait(self.every_s)

    def _tell(self, last: bool = False) -> None:
        """Refreshes and writes; says once, not every time, that it cannot."""
        try:
            status = self.refresh()
            late = self._over.is_set() and not last  # out of a source that hung: the last word has been said
            if self.directory.is_dir() and not late:
                self._write(status)
        except Exception as error:
            if not self._silenced:
                logger.warning("the run's status cannot be written: %s", one_line(error))
            self._silenced = True
        else:
            self._silenced = False

    def _write(self, status: RunStatus) -> None:
        temporary = self.directory / f".{STATUS}"
        try:
            temporary.write_text(json.dumps(to_json(status), indent=1) + "\n", encoding="utf-8")
            os.replace(temporary, self.directory / STATUS)
        except OSError:
            with suppress(OSError):  # half a file takes room on a full disk
                temporary.unlink()
            raise

    # -- what it makes of it -----------------------------------------------------------------------------------------

    def refresh(self) -> RunStatus:
        """Asks every source, and works out the rest."""
        with self._lock:
            facts, sources = plain(self._facts), dict(self._sources)
        errors: dict[str, str] = {}
        for name, read in sources.items():
            try:
                merge(facts, name, plain(read()))
            except Exception as error:
                errors[name] = one_line(error)
        status = validated(facts | {"errors": errors})
        self._work_out(status, time.monotonic())
        status.written = datetime.now(UTC)
        self.status = status
        return status

    def _work_out(self, status: RunStatus, now: float) -> None:
        for name, seen in status.workers.items():
            seen.share = normalised(worker_parts(self._rises(f"worker {name} time", seen.seconds, now)))
            if seen.tokens is not None:
                seen.tokens_per_s = self._rates(f"worker {name}", {"tokens": seen.tokens}, now).get("tokens")
        status.share = normalised(status.seconds)
        status.recent = normalised(self._rises("phases", status.seconds, now))
        status.tokens_per_s = self._rates("tokens", status.tokens, now)
        if status.update is not None:
            self._pace.add(now, status.update)
            if not self._pace.changed and status.phase in BEFORE_UPDATES:
                self._pace.restart(now)
            if status.updates is not None and status.ended is None:
                left = self._pace.left(now, status.updates)
                status.eta_s = None if left is None else round(left, 1)

    def _look(self, what: str, counters: Mapping[str, float], now: float) -> dict[str, Series]:
        """The series of counters that are told together, with what they stand at now."""
        series, before = self._series[what], self._looked.get(what)
        for name, total in counters.items():
            if name not in series:
                series[name] = Series(self.window_s)
                if before is not None:  # it was not there at the last look, so all of it is new
                    series[name].add(before, 0.0)
            series[name].add(now, total)
        if counters:
            self._looked[what] = now
        return {name: series[name] for name in counters}

    def _rates(self, what: str, counters: Mapping[str, float], now: float) -> dict[str, float]:
        rates = {name: series.rate(now) for name, series in self._look(what, counters, now).items()}
        return {name: round(rate, 2) for name, rate in rates.items() if rate is not None}

    def _rises(self, what: str, counters: Mapping[str, float], now: float) -> dict[str, float]:
        return {name: series.rise(now) for name, series in self._look(what, counters, now).items()}


def worker_parts(rises: Mapping[str, float]) -> dict[str, float]:
    """Seconds that contain each other (`WorkerStatus.seconds`) as parts of one whole (`WorkerStatus.share`)."""
    if "up" not in rises:
        return {}
    playing = min(rises.get("playing", 0.0), rises["up"])
    parts = {"idle": rises["up"] - playing}
    if "generating" not in rises:
        return {"playing": playing, **parts}
    generating = min(rises["generating"], playing)
    return {"generating": generating, "stepping": playing - generating, **parts}
