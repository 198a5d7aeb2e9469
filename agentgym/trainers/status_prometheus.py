"""`Endpoint`: a run's status for Prometheus, in its text format, over HTTP at ``/metrics``.

The numbers are those of the last `RunStatus`; every name begins with ``agentgym_``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from agentgym.faults import ConfigError
from agentgym.trainers.status_model import RunStatus

#: Label values -> number; None leaves the sample out.
_Samples = dict[tuple[str, ...], float | int | None]


class Endpoint:
    """Serves what `read` gives, from threads of its own, until `close`.

    Args:
        host: Interface to listen on.
        port: 0 picks a free one.
        read: The status to serve.

    Attributes:
        url: Where the numbers are.

    Raises:
        ConfigError: The port cannot be had.
    """

    def __init__(self, host: str, port: int, read: Callable[[], RunStatus]) -> None:
        registry = CollectorRegistry()
        registry.register(_Reader(read))
        try:
            self._server, self._thread = start_http_server(port, host, registry)
        except OSError as error:
            why = (error.strerror or str(error)).lower()
            raise ConfigError(
                f"status.prometheus_port: {host}:{port} cannot be listened on: {why}; 0 picks a free port"
            ) from None
        name = f"[{host}]" if ":" in host else host
        self.url = f"http://{name}:{self._server.server_port}/metrics"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Reader(Collector):
    def __init__(self, read: Callable[[], RunStatus]) -> None:
        self._read = read

    def describe(self) -> list[Metric]:
        return []  # the names depend on what is known

    def collect(self) -> Iterator[Metric]:
        return families(self._read())


def families(status: RunStatus) -> Iterator[Metric]:
    """The metric families of a status; what is not known has no sample, and a family without samples is left out."""
    for family in (*_progress(status), *_work(status), *_workers(status), *_trouble(status)):
        if family.samples:
            yield family


def _progress(status: RunStatus) -> Iterator[Metric]:
    yield _gauge("start_time_seconds", "When this process began with the run.", _unix(status.started))
    yield _gauge("written_time_seconds", "When these numbers were taken.", _unix(status.written))
    yield _gauge("update", "Updates done.", status.update)
    yield _gauge("updates", "Updates the run has.", status.updates)
    yield _gauge("version", "Version of the weights that the engines have.", status.version)
    yield _gauge("eta_seconds", "Seconds until the last update.", status.eta_s)
    yield _gauges("metric", "Figures of the last update.", ("kind",), _by_name(status.metrics))
    phase: _Samples = {} if status.phase is None else {(status.phase,): 1}
    yield _gauges("phase", "1 for the phase the training process is in.", ("phase",), phase)
    yield _counters("phase_seconds", "Wall time by phase.", ("phase",), _by_name(status.seconds))
    scores: _Samples = {}
    for score in (status.evaluation or {}).get("scores", ()):
        scores[str(score.get("mode")), str(score.get("difficulty"))] = score.get("success")
    help_text = "Held-out success in the last evaluation, by decoding and difficulty."
    yield _gauges("heldout_success", help_text, ("kind", "difficulty"), scores)


def _work(status: RunStatus) -> Iterator[Metric]:
    episodes, groups, stale = status.episodes, status.groups, status.staleness
    if episodes is not None:
        yield _counters("episodes", "Episodes taken into an update.", (), {(): episodes.done})
        yield _gauge("episodes_in_flight", "Episodes being played.", episodes.in_flight)
    if groups is not None:
        counts: _Samples = {("waiting",): groups.waiting, ("in_flight",): groups.in_flight}
        counts[("finished",)] = groups.finished
        yield _gauges("groups", "Groups waiting, in flight, and finished but not learned from.", ("kind",), counts)
    yield _gauges("queue_entries", "Entries of each queue.", ("kind",), _by_name(status.queues))
    if stale is not None:
        versions: _Samples = {(str(behind),): count for behind, count in sorted(stale.versions.items())}
        yield _gauges("staleness_groups", "Groups of the last update, by versions behind.", ("kind",), versions)
        yield _counters("dropped_groups", "Groups not learned from, by reason.", ("kind",), _by_name(stale.dropped))
        yield _counters("corrected_groups", "Stale groups learned from with a correction.", (), {(): stale.corrected})
    yield _counters("tokens", "Tokens sampled, and of the episodes learned from.", ("kind",), _by_name(status.tokens))
    yield _gauges("tokens_per_second", "The same a second, lately.", ("kind",), _by_name(status.tokens_per_s))
    yield _gauges("engine", "Counters of the engines, added up.", ("kind",), _by_name(status.engine))


def _workers(status: RunStatus) -> Iterator[Metric]:
    seconds: _Samples = {}
    share: _Samples = {}
    counts: dict[str, _Samples] = {"episodes": {}, "tokens": {}, "groups": {}, "in_flight": {}, "heard": {}}
    for number, worker in status.workers.items():
        seconds |= {(number, kind): s for kind, s in worker.seconds.items()}
        share |= {(number, kind): s for kind, s in worker.share.items()}
        counts["episodes"][(number,)] = worker.episodes
        counts["tokens"][(number,)] = worker.tokens
        counts["groups"][(number,)] = worker.groups
        counts["in_flight"][(number,)] = worker.in_flight
        counts["heard"][(number,)] = worker.heard_s
    one, two = ("worker",), ("worker", "kind")
    yield _counters("worker_seconds", "A worker's wall time: up, of it playing, of it generating.", two, seconds)
    yield _gauges("worker_share", "Shares of its time, lately.", two, share)
    yield _counters("worker_episodes", "Episodes a worker has finished.", one, counts["episodes"])
    yield _counters("worker_tokens", "Tokens a worker has sampled.", one, counts["tokens"])
    yield _gauges("worker_groups", "Groups a worker holds.", one, counts["groups"])
    yield _gauges("worker_in_flight", "Episodes a worker is playing.", one, counts["in_flight"])
    yield _gauges("worker_heard_seconds", "Seconds since a worker's last report.", one, counts["heard"])


def _trouble(status: RunStatus) -> Iterator[Metric]:
    yield _counters("faults", "Faults of the world.", ("kind",), _by_name(status.faults))
    yield _gauges(
        "source_error",
        "1 for a part of the run that cannot be asked.",
        ("kind",),
        dict.fromkeys(((name,) for name in status.errors), 1),
    )


def _unix(moment: datetime | None) -> float | None:
    return None if moment is None else moment.timestamp()


def _by_name(numbers: dict[str, float] | dict[str, int]) -> _Samples:
    return {(name,): number for name, number in numbers.items()}


def _gauge(name: str, documentation: str, value: float | None) -> Metric:
    return _gauges(name, documentation, (), {(): value})


def _gauges(name: str, documentation: str, labels: tuple[str, ...], samples: _Samples) -> Metric:
    return _fill(GaugeMetricFamily(f"agentgym_{name}", documentation, labels=labels), samples)


def _counters(name: str, documentation: str, labels: tuple[str, ...], samples: _Samples) -> Metric:
    return _fill(CounterMetricFamily(f"agentgym_{name}", documentation, labels=labels), samples)


def _fill(family: GaugeMetricFamily | CounterMetricFamily, samples: _Samples) -> Metric:
    for labels, value in samples.items():
        if value is not None:
            family.add_metric(labels, value)
    return family
