from __future__ import annotations

import socket
import urllib.request
from datetime import UTC, datetime
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from agentgym.faults import ConfigError
from agentgym.trainers.status_model import RunStatus
from agentgym.trainers.status_prometheus import Endpoint, families

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "training.md"
NUMBERS = {"a": 1.0, "b": 2.0}
EVERYTHING = RunStatus.model_validate(
    {
        "started": datetime.now(UTC),
        "written": datetime.now(UTC),
        "phase": "learn",
        "update": 3,
        "updates": 9,
        "version": 3,
        "eta_s": 60.0,
        "episodes": {"done": 10, "in_flight": 4},
        "groups": {"waiting": 1, "in_flight": 2, "finished": 3},
        "queues": {"weights": 1},
        "staleness": {"versions": {0: 4, 2: 1}, "dropped": {"stale": 1}, "corrected": 2},
        "tokens": NUMBERS,
        "tokens_per_s": NUMBERS,
        "seconds": NUMBERS,
        "workers": {
            "0": {
                "groups": 1,
                "in_flight": 4,
                "episodes": 20,
                "tokens": 100.0,
                "heard_s": 0.5,
                "seconds": {"up": 9.0},
                "share": {"idle": 1.0},
            },
            "1": {"groups": 0},
        },
        "faults": {"timeout": 2},
        "engine": NUMBERS,
        "metrics": NUMBERS,
        "evaluation": {"scores": [{"mode": "greedy", "difficulty": 4, "success": 0.5}]},
        "errors": {"gpu": "no driver"},
    }
)


def test_every_name_is_in_the_document() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    names = {sample.name for family in families(EVERYTHING) for sample in family.samples}
    assert len(names) > 25
    assert [name for name in sorted(names) if f"`{name}`" not in text] == []
    labels = {label for family in families(EVERYTHING) for sample in family.samples for label in sample.labels}
    assert labels == {"phase", "kind", "worker", "difficulty"}


def test_what_is_not_known_is_not_served() -> None:
    assert list(families(RunStatus())) == []
    (family,) = families(RunStatus(update=0))
    assert [(sample.name, sample.value) for sample in family.samples] == [("agentgym_update", 0)]
    workers = {
        s.labels["worker"] for f in families(EVERYTHING) if f.name == "agentgym_worker_groups" for s in f.samples
    }
    assert workers == {"0", "1"}
    heard = [s.labels["worker"] for f in families(EVERYTHING) if f.name.endswith("heard_seconds") for s in f.samples]
    assert heard == ["0"]


def test_families_are_well_formed() -> None:
    class All:
        def collect(self) -> object:
            return families(EVERYTHING)

    registry = CollectorRegistry()
    registry.register(All())  # type: ignore[arg-type]
    text = generate_latest(registry).decode()
    assert 'agentgym_staleness_groups{kind="2"} 1.0' in text
    assert "# TYPE agentgym_faults_total counter" in text
    assert "# TYPE agentgym_update gauge" in text


def test_it_serves_the_newest_status_until_it_is_closed() -> None:
    now = RunStatus(update=1)
    endpoint = Endpoint("localhost", 0, lambda: now)
    for update in (1, 2):
        now = RunStatus(update=update)
        text = urllib.request.urlopen(endpoint.url).read().decode()  # noqa: S310 - our own
        assert f"agentgym_update {update}.0" in text
    with pytest.raises(ConfigError, match="0 picks a free port"):
        Endpoint("localhost", int(endpoint.url.split(":")[2].split("/")[0]), lambda: now)
    endpoint.close()
    endpoint = Endpoint("localhost", int(endpoint.url.split(":")[2].split("/")[0]), lambda: now)  # free again
    endpoint.close()


def test_an_interface_that_this_machine_does_not_have_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"status\.prometheus_port: 192\.0\.2\.1:0 cannot be listened on"):
        Endpoint("192.0.2.1", 0, RunStatus)


def test_an_ipv6_interface_or_that_there_is_none() -> None:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        with pytest.raises(ConfigError, match="cannot be listened on"):
            Endpoint("::1", 0, RunStatus)
        return
    endpoint = Endpoint("::1", 0, RunStatus)
    assert endpoint.url.startswith("http://[::1]:")
    endpoint.close()
