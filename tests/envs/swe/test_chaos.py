"""Whole episodes on a daemon that fails: what was asked for comes back, and nothing is graded wrongly."""

from __future__ import annotations

import contextlib
import random
import threading
from collections.abc import Iterator

import pytest
import repairs  # registers the source "repairs"
from daemons import Daemon, own_daemon
from docker.errors import APIError
from judging import byte_tokenizer

from agentgym.actions import Action
from agentgym.engines import Sampling
from agentgym.engines.scripted import Prompt, ScriptedEngine
from agentgym.envs.swe.measuring import sandbox_spec
from agentgym.making import make_env
from agentgym.rollout.collector import Collector, renderer_for
from agentgym.rollout.request import EnvSpec, GroupRequest, Limits
from agentgym.tools.sandbox.image import IMAGE
from agentgym.tools.sandbox.pool import shared_pool

#: Episodes that are played, at the same time, and after so many that came back another container is killed.
EPISODES, TOGETHER, KILL_EVERY = 48, 4, 3
SANDBOX = {"run_id": "swe-chaos", "limits": {"memory_mb": 192, "disk_mb": 32, "tmp_mb": 16, "file_mb": 16}}
#: What the one who is wrong does.
WRONG = (
    Action("test", {"ids": "tests/test_areas.py"}),
    Action("edit", {"path": "shapes/areas.py", "old": "return 3 * x", "new": "return 4 * x"}),
    Action("submit", {}),
)


@pytest.fixture
def daemon(monkeypatch: pytest.MonkeyPatch) -> Iterator[Daemon]:
    made = own_daemon(IMAGE)
    monkeypatch.setenv("DOCKER_HOST", made.host)
    try:
        yield made
    finally:
        task = repairs.Repairs()["double"]
        for purpose in ("agents", "grading"):
            shared_pool(sandbox_spec(task, SANDBOX, purpose), TOGETHER).close()
        made.close()


def mends(request: str) -> bool:
    return int(request) % 2 == 0


def policy(prompt: Prompt) -> str:
    """Half of the episodes are the expert's, the others end with a wrong edit."""
    assert prompt.session is not None
    assert prompt.env is not None
    if mends(prompt.session.partition("/")[0]):
        return prompt.env.expert()
    return prompt.env.parser.render([WRONG[prompt.turn]])


def test_chaos_grades_nothing_wrongly(daemon: Daemon) -> None:
    # No verdict is kept: each episode's patch goes to the tests.
    options = {"source": "repairs", "kept_verdicts": 0, "pool_size": TOGETHER, "grading_size": TOGETHER}
    spec = EnvSpec("agentgym/Swe-v0", {**options, "sandbox": SANDBOX})
    renderer = renderer_for(make_env(spec.id, spec.kwargs), byte_tokenizer())
    limits = Limits(concurrency=TOGETHER, retries=20, step_s=120.0)
    collector = Collector(spec, ScriptedEngine(policy, renderer), renderer, limits)
    came_back, over = threading.Semaphore(0), threading.Event()
    outcomes, killed = {}, 0

    def break_things() -> None:
        nonlocal killed
        drawn = random.Random(0)
        for count in range(KILL_EVERY, EPISODES, KILL_EVERY):
            for _ in range(KILL_EVERY):
                came_back.acquire()
            if over.is_set():
                return
            if count == EPISODES // 2:
                daemon.stop()
                daemon.start()
            elif running := daemon.client().containers.list(ignore_removed=True):
                with contextlib.suppress(APIError):  # it has ended meanwhile
                    drawn.choice(running).kill()
                    killed += 1

    breaker = threading.Thread(target=break_things)
    breaker.start()
    try:
        asked = [GroupRequest(str(number), "double", (number,), Sampling(max_tokens=512)) for number in range(EPISODES)]
        for group in collector.iterate(asked):
            (trajectory,) = group.trajectories
            assert trajectory.fault is None
            outcomes[group.id] = trajectory.outcome
            came_back.release()
    finally:
        over.set()
        came_back.release(EPISODES)
        breaker.join()
        collector.shutdown()
    assert outcomes == {str(number): float(mends(str(number))) for number in range(EPISODES)}
    assert killed > EPISODES // KILL_EVERY // 2
    assert sum(collector.stats.faults.values()) > 0
