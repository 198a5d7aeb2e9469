"""Episodes of one process: what they record, how they end, and what happens when the world breaks."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agentgym.engines.base import Completion, Sampling
from agentgym.engines.scripted import Policy, ScriptedEngine
from agentgym.faults import ConfigError, EngineFault
from agentgym.making import make_env
from agentgym.rollout import Collector, EnvSpec, GroupRequest, Limits, turn_seed
from agentgym.rollout.collector import renderer_for
from agentgym.trajectory import Group

GUESS, BLOCKING, ASYNC = "toy_env:Guess-v0", "toy_env:BlockingGuess-v0", "toy_env:AsyncGuess-v0"
Make = Callable[..., Collector]


@pytest.fixture
def make(tokenizer: Any) -> Any:
    made: list[Collector] = []

    def _make(
        env: str = GUESS,
        policy: Policy | str | None = "toy_env:lots",
        engine: Any = None,
        limits: Limits | None = None,
        stop_at_action: bool = True,
        **kwargs: Any,
    ) -> Collector:
        spec = EnvSpec(env, kwargs)
        engine = engine or ScriptedEngine(policy or "null", tokenizer)
        renderer = renderer_for(make_env(GUESS), tokenizer)
        made.append(Collector(spec, engine, renderer, limits, stop_at_action=stop_at_action))
        return made[-1]

    yield _make
    for collector in made:
        collector.shutdown()


def requests(n: int = 6, samples: int = 4, **sampling: Any) -> list[GroupRequest]:
    return [
        GroupRequest(f"g{i}", f"train-{i}", tuple(range(10 * i, 10 * i + samples)), Sampling(**sampling))
        for i in range(n)
    ]


def same(a: Sequence[Group], b: Sequence[Group]) -> bool:
    def facts(group: Group) -> Any:
        return [
            (
                *(t.episode_id, t.task_id, t.seed, t.messages),
                *(t.tokens.tolist(), t.turn.tolist(), t.logprobs.tolist()),
                *((turn.signal, turn.state_key, turn.action, turn.reward) for turn in t.turns),
            )
            for t in group.trajectories
        ]

    return [facts(g) for g in a] == [facts(g) for g in b]


@pytest.mark.parametrize("env", [GUESS, BLOCKING, ASYNC])
def test_every_kind_of_environment(make: Make, env: str) -> None:
    collector = make(env, policy="expert")
    groups = collector.run(requests())
    assert [g.id for g in groups] == [f"g{i}" for i in range(6)]
    for group in groups:
        for trajectory in group.trajectories:
            trajectory.check()
            assert trajectory.outcome == 1.0
            assert trajectory.terminated
            assert not trajectory.truncated
    assert collector.stats.episodes == 24
    assert collector.stats.turns == sum(len(t.turns) for g in groups for t in g.trajectories)
    assert collector.stats.tokens == sum(len(t) for g in groups for t in g.trajectories)
    assert collector.stats.faults == {}


def test_a_trajectory_records_what_happened(make: Make) -> None:
    collector = make(policy="expert")
    (trajectory,) = collector.run([GroupRequest("g", "heldout-20", (7,))])[0].trajectories
    renderer = collector.renderer
    assert (trajectory.episode_id, trajectory.group_id, trajectory.task_id) == ("g/0", "g", "heldout-20")
    assert (trajectory.split, trajectory.difficulty, trajectory.seed, trajectory.env) == ("heldout", 3, 7, GUESS)
    # 16 is too low, 24 and 20 follow: the state key is that of the state in which the turn was taken.
    assert [t.state_key for t in trajectory.turns] == ["0-32", "17-32", "17-24"]
    assert trajectory.final_state_key == "17-24"
    assert [t.signal.outcome for t in trajectory.turns] == [None, None, 1.0]
    assert [t.reward for t in trajectory.turns] == [0.0, 0.0, 1.0]
    assert trajectory.turns[0].action["actions"] == [{"name": "guess", "args": {"number": 16}}]
    for i, number in enumerate((16, 24, 20)):
        assert renderer.text(trajectory.tokens[trajectory.turn == i].tolist()) == f"<guess> {number} </guess>"
    assert [m["role"] for m in trajectory.messages] == ["user", *["assistant", "user"] * 3]
    assert [m["turn"] for m in trajectory.messages] == [-1, 0, 0, 1, 1, 2, 2]
    assert trajectory.messages[-1]["content"] == "right"
    assert trajectory.turn[-1] == 2, "what the policy did not get to answer is not among the tokens"


def test_the_engine_reads_what_the_trajectory_says(make: Make, tokenizer: Any) -> None:
    prompts: dict[str, list[list[int]]] = {}

    class Spy(ScriptedEngine):
        async def generate(self, prompt_ids: Any, sampling: Sampling, session: str | None = None) -> Completion:
            completion = await super().generate(prompt_ids, sampling, session)
            prompts.setdefault(str(session), []).append([*prompt_ids, *completion.token_ids])
            return completion

    group = make(engine=Spy("toy_env:lots", tokenizer)).run(requests(1))[0]
    for i, trajectory in enumerate(group.trajectories):
        read = prompts[f"g0/{i}#1"]
        assert read[-1] == trajectory.tokens.tolist()
        assert all(b[: len(a)] == a for a, b in itertools.pairwise(read))


def test_the_same_requests_give_the_same_groups_in_the_same_order(make: Make) -> None:
    first = list(make(limits=Limits(concurrency=5)).iterate(requests(8)))
    again = list(make(limits=Limits(concurrency=5)).iterate(requests(8)))
    wider = make(limits=Limits(concurrency=64)).run(requests(8))
    assert same(first, again)
    assert same(sorted(first, key=lambda g: g.id), wider), "what is played does not depend on what else is"


def test_turns_draw_from_their_own_seeds(make: Make) -> None:
    seeds = {turn_seed(s, t) for s in range(50) for t in range(50)}
    assert len(seeds) == 2500
    assert all(0 <= s < 2**63 for s in seeds)
    seen: list[Sampling] = []
    collector = make(policy=lambda p: seen.append(p.sampling) or "<guess> 0 </guess>")
    collector.run([GroupRequest("g", "train-5", (3,), Sampling(temperature=0.5, top_k=3, stop=("x",), max_tokens=9))])
    assert [s.seed for s in seen] == [turn_seed(3, t) for t in range(8)]
    assert {(s.temperature, s.top_k, s.max_tokens, s.stop) for s in seen} == {(0.5, 3, 9, ("x", "</guess>"))}
    assert set(collector.renderer.end_ids) <= set(seen[0].stop_token_ids)
    seen.clear()
    collector = make(policy=lambda p: seen.append(p.sampling) or "", stop_at_action=False)
    collector.run(requests(1, 1))
    assert seen[0].stop == ()


def test_a_malformed_turn_is_the_agents_and_no_fault(make: Make) -> None:
    collector = make(policy="null")
    group = collector.run(requests(1, 2))[0]
    for trajectory in group.trajectories:
        assert trajectory.truncated
        assert trajectory.fault is None
        assert len(trajectory.turns) == 8
        assert all(t.signal.process == {"format": -1.0} for t in trajectory.turns)
    assert collector.drain_events() == []


def test_the_token_budget_truncates(make: Make) -> None:
    limits = Limits(episode_tokens=60)
    for trajectory in make(policy=lambda p: "<guess> 31 </guess>", limits=limits).run(requests(1))[0].trajectories:
        assert trajectory.truncated
        assert not trajectory.terminated
        assert len(trajectory) <= 60
        assert len(trajectory.turns) < 8
        trajectory.check()
    for trajectory in make(limits=Limits(episode_tokens=5)).run(requests(1))[0].trajectories:
        assert trajectory.truncated
        assert trajectory.turns == []
        trajectory.check()


def test_a_history_that_outgrows_the_engine_truncates(make: Make, tokenizer: Any) -> None:
    class Short(ScriptedEngine):
        async def generate(self, prompt_ids: Any, sampling: Sampling, session: str | None = None) -> Completion:
            if len(prompt_ids) > 50:
                raise ConfigError("the prompt is longer than the context")
            return await super().generate(prompt_ids, sampling, session)

    trajectory = make(engine=Short(lambda p: "<guess> 31 </guess>", tokenizer)).run(requests(1, 1))[0].trajectories[0]
    assert trajectory.truncated
    assert 0 < len(trajectory.turns) < 8
    trajectory.check()


@pytest.mark.parametrize("env", [GUESS, BLOCKING, ASYNC])
@pytest.mark.parametrize("trouble", ["raise", "exit", "fault"])
def test_a_broken_environment_is_tried_again(make: Make, env: str, trouble: str, tmp_path: Path) -> None:
    collector = make(env, policy="expert", trouble=trouble, marker=str(tmp_path / "once"))
    groups = collector.run(requests(2, 2))
    assert all(t.outcome == 1.0 and t.fault is None for g in groups for t in g.trajectories)
    (event,) = collector.drain_events()
    assert (event.kind, event.attempt, event.given_up) == ("crash", 1, False)
    assert "the" in event.detail or "SystemExit" in event.detail
    assert collector.stats.faults == {"crash": 1}
    assert collector.drain_events() == []


def test_a_fault_that_stays_is_given_up_and_is_no_zero(make: Make) -> None:
    collector = make(trouble="raise", task="train-1", limits=Limits(retries=2))
    groups = collector.run(requests(3, 2))
    assert [[t.fault is not None for t in g.trajectories] for g in groups] == [[False] * 2, [True] * 2, [False] * 2]
    for trajectory in groups[1].trajectories:
        assert trajectory.fault == "crash: step: ValueError: the toy broke"
        assert trajectory.turns == []
        assert len(trajectory) == 0
        trajectory.check()
    events = collector.drain_events()
    assert [(e.attempt, e.given_up) for e in events if e.episode == "g1/0"] == [(1, False), (2, False), (3, True)]
    assert len(events) == 6


@pytest.mark.parametrize("env", [BLOCKING, ASYNC])
def test_a_hanging_environment_is_left_behind(make: Make, env: str, tmp_path: Path) -> None:
    collector = make(env, policy="expert", trouble="sleep", marker=str(tmp_path / "once"), limits=Limits(step_s=0.3))
    groups = collector.run(requests(2, 4))
    assert all(t.outcome == 1.0 for g in groups for t in g.trajectories)
    (event,) = collector.drain_events()
    assert event.kind == "timeout"
    assert event.detail == "a step took longer than 0.3 s"


def test_an_inline_step_that_took_too_long_is_a_fault_too(make: Make) -> None:
    collector = make(trouble="slow", limits=Limits(step_s=0.01, retries=0))
    assert {t.fault for t in collector.run(requests(1, 2))[0].trajectories} == {
        "timeout: a step took longer than 0.01 s"
    }


def test_an_episode_may_run_out_of_time(make: Make) -> None:
    collector = make(ASYNC, policy="null", engine=None, limits=Limits(episode_s=0.2, retries=0), trouble="sleep")
    collector.engine.policy = lambda p: "<guess> 1 </guess>"  # type: ignore[attr-defined]
    trajectory = collector.run(requests(1, 1))[0].trajectories[0]
    assert trajectory.fault == "timeout: the episode ran out of time in a step"


class Broken(ScriptedEngine):
    """An engine that fails a few times."""

    def __init__(self, tokenizer: Any, times: int, how: Callable[[], Any]) -> None:
        super().__init__("toy_env:lots", tokenizer)
        self.times, self.how = times, how

    async def generate(self, prompt_ids: Any, sampling: Sampling, session: str | None = None) -> Completion:
        if self.times > 0:
            self.times -= 1
            result = self.how()
            if asyncio.iscoroutine(result):
                result = await result
            if isinstance(result, BaseException):
                raise result
            return result  # type: ignore[no-any-return]
        return await super().generate(prompt_ids, sampling, session)


@pytest.mark.parametrize(
    ("how", "detail"),
    [
        (lambda: EngineFault("out of memory"), "out of memory"),
        (lambda: RuntimeError("CUDA error"), "completion: RuntimeError: CUDA error"),
        (lambda: asyncio.sleep(30), "a completion took longer than 0.2 s"),
        (lambda: Completion([1, 2], [0.0], "stop", 0), "2 tokens came with 1 log-probabilities"),
    ],
)
def test_an_engine_that_fails(make: Make, tokenizer: Any, how: Any, detail: str) -> None:
    collector = make(engine=Broken(tokenizer, 2, how), limits=Limits(generate_s=0.2))
    groups = collector.run(requests(2, 2))
    assert all(t.fault is None for g in groups for t in g.trajectories)
    assert [(e.kind, e.detail) for e in collector.drain_events()] == [("engine", detail)] * 2


def test_a_wrong_request_ends_the_call_and_nothing_else(make: Make) -> None:
    collector = make(limits=Limits(concurrency=2))
    with pytest.raises(ConfigError, match="no task 'train-99'"):
        collector.run([*requests(3), GroupRequest("bad", "train-99", (1, 2))])
    assert len(collector.run(requests(3))) == 3
    with pytest.raises(ConfigError, match="Nowhere"):
        make("toy_env:Nowhere-v0").run(requests(1))
    with pytest.raises(ConfigError, match="unexpected keyword"):
        make(colour="red").run(requests(1))
    with pytest.raises(ConfigError, match="not an AgentEnv"):
        make("CartPole-v1").run(requests(1))


def test_environments_are_reused_and_broken_ones_closed(make: Make, tmp_path: Path) -> None:
    collector = make(trouble="fault", marker=str(tmp_path / "once"), limits=Limits(concurrency=3))
    seen: dict[int, Any] = {}
    attach = collector.engine.attach  # type: ignore[attr-defined]
    collector.engine.attach = lambda session, env: (  # type: ignore[attr-defined]
        seen.setdefault(id(env), env),
        attach(session, env),
    )
    collector.run(requests(8, 4))
    assert len(seen) == 4, "three at a time, one replaced"
    assert sum(env.closed for env in seen.values()) == 1
    collector.shutdown()
    assert all(env.closed for env in seen.values())


@pytest.mark.parametrize(("capacity", "expected"), [(3, 3), (50, 5), (None, 5)])
def test_no_more_at_once_than_the_environment_can_play(tokenizer: Any, capacity: int | None, expected: int) -> None:
    engine, playing, most = ScriptedEngine("toy_env:lots", tokenizer), set[str](), 0
    attach, release = engine.attach, engine.release

    def attached(session: str, env: Any) -> None:
        nonlocal most
        playing.add(session)
        most = max(most, len(playing))
        attach(session, env)

    def released(session: str) -> None:
        playing.discard(session)
        release(session)

    engine.attach, engine.release = attached, released  # type: ignore[method-assign]
    spec = EnvSpec(BLOCKING, {"capacity": capacity})
    with asyncio.Runner() as runner:
        collector = runner.run(Collector.open(spec, engine, tokenizer, Limits(concurrency=5)))

        async def collect() -> list[Group]:
            return [group async for group in collector.collect(requests(8, 2))]

        assert len(runner.run(collect())) == 8
        runner.run(collector.close())
    assert most == expected


def test_leaving_early_cancels_the_rest(make: Make) -> None:
    collector = make(ASYNC, limits=Limits(concurrency=4))
    for _ in collector.iterate(requests(20)):
        break
    played = collector.stats.episodes
    assert played < 80
    assert len(collector.run(requests(2))) == 2
    assert collector.stats.episodes == played + 8


def test_calls_share_one_loop(make: Make) -> None:
    collector = make(ASYNC, limits=Limits(concurrency=8))

    async def both() -> list[int]:
        async def count(prefix: str) -> int:
            asked = [GroupRequest(f"{prefix}{r.id}", r.task_id, r.seeds) for r in requests(4)]
            return len([g async for g in collector.collect(asked)])

        return await asyncio.gather(count("a"), count("b"))

    assert collector.runner.run(both()) == [4, 4]


def test_a_group_of_none(make: Make) -> None:
    assert len(make().run([GroupRequest("g", "train-1", ())])[0]) == 0
    assert make().run([]) == []


def test_states_are_grouped_by_key(make: Make) -> None:
    groups = make().run(requests(1, 8))
    first = {t.turns[0].state_key for t in groups[0].trajectories}
    assert first == {"0-32"}
    assert len({t.tokens.tobytes() for t in groups[0].trajectories}) > 1, "seeds make episodes differ"
    assert all(np.all(t.logprobs <= 0) for t in groups[0].trajectories)
