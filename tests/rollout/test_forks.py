"""Steps of several continuations: what they record by hand, what the engine reads, and what happens to faults."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from making import trajectory as made_up
from transformers import AutoModelForCausalLM

from agentgym.engines.base import Completion, Sampling
from agentgym.engines.chat import ChatRenderer
from agentgym.engines.scripted import Policy, Prompt, ScriptedEngine
from agentgym.faults import ConfigError
from agentgym.making import make_env
from agentgym.rollout import (
    AccuracyRequest,
    Collector,
    EngineSpec,
    EnvSpec,
    ForkedGroup,
    ForkRequest,
    GroupRequest,
    Limits,
    RolloutMismatch,
    RolloutPool,
    turn_seed,
)
from agentgym.rollout.checking import check_group
from agentgym.rollout.collector import renderer_for
from agentgym.rollout.forks import choose, fork_seed, last_turn, learnable, select, tokens_of
from agentgym.signal import RewardSignal
from agentgym.trainers.tiny import TinyConfig, make_tiny
from agentgym.trajectory import Group, Trajectory

GUESS, BLOCKING, ASYNC, RIGID = (f"toy_env:{kind}Guess-v0" for kind in ("", "Blocking", "Async", "Rigid"))
Make = Callable[..., Collector]

# What continuation c says at step t, about the number 20 below 32.
SAID = [
    ["number", "<guess> 16 </guess>", "<guess> 31 </guess>"],
    ["<guess> 20 </guess>", "<guess> 24 </guess>", "number"],
]
SAID += [["<guess> 20 </guess>"] * 3]


def by_hand(prompt: Prompt) -> str:
    """Session ``g/0#1.<c>``: each has had as many turns as there were steps."""
    return SAID[prompt.turn][int(str(prompt.session).rpartition(".")[2])]


@pytest.fixture
def make(tokenizer: Any) -> Iterator[Make]:
    made: list[Collector] = []

    def _make(
        env: str = GUESS,
        policy: Policy | str = "toy_env:lots",
        engine: Any = None,
        limits: Limits | None = None,
        **kwargs: Any,
    ) -> Collector:
        renderer = renderer_for(make_env(GUESS), tokenizer)
        made.append(Collector(EnvSpec(env, kwargs), engine or ScriptedEngine(policy, tokenizer), renderer, limits))
        return made[-1]

    yield _make
    for collector in made:
        collector.shutdown()


def forks(n: int = 3, **changes: Any) -> list[GroupRequest]:
    fields: dict[str, Any] = {"continuations": 4, "weights": {"closer": 1.0, "format": 1.0}, **changes}
    return [
        ForkRequest(f"g{i}", f"train-{(7 * i + 3) % 32}", (100 + i,), Sampling(max_tokens=12), **fields)
        for i in range(n)
    ]


def facts(groups: list[Group]) -> Any:
    return [
        (t.episode_id, t.seed, t.tokens.tolist(), t.logprobs.tolist(), [(x.signal, x.state_key) for x in t.turns])
        for group in groups
        for part in (group, *learnable([group]))
        for t in part.trajectories
    ]


def text(collector: Collector, trajectory: Trajectory, turn: int = 0) -> str:
    return collector.renderer.text(trajectory.tokens[trajectory.turn == turn].tolist())


@pytest.mark.parametrize("env", [GUESS, BLOCKING, ASYNC])
def test_groups_by_hand(make: Make, env: str) -> None:
    collector = make(env, by_hand)
    request = ForkRequest("g", "train-20", (7,), continuations=3, temperature=0.0, weights={"closer": 1, "format": 0.5})
    (group,) = collector.run([request])
    check_group(request, group)
    assert isinstance(group, ForkedGroup)
    assert [step.id for step in group.steps] == ["g.step0", "g.step1", "g.step2"]

    # Step 0: unreadable; 16 is too low and narrows the interval; so does 31, yet 16 is better by nothing: lots decide.
    scored = [[(t.turns[0].signal, t.turns[0].state_key) for t in step.trajectories] for step in group.steps]
    closer = RewardSignal(None, {"closer": 1.0})
    assert scored[0] == [(RewardSignal(None, {"format": -1.0}), "0-32"), (closer, "0-32"), (closer, "0-32")]
    (path,) = group.trajectories
    first = text(collector, path)
    assert first in SAID[0][1:]
    key = "17-32" if "16" in first else "0-31"

    # Step 1: right at once, with nothing in its parts; 24 is too high and narrows it; unreadable. 24 scores best.
    assert [key for _, key in scored[1]] == [key] * 3
    assert [signal for signal, _ in scored[1]] == [RewardSignal(1.0), closer, RewardSignal(None, {"format": -1.0})]
    assert [t.terminated for t in group.steps[1].trajectories] == [True, False, False]
    assert text(collector, path, 1) == "<guess> 24 </guess>"

    # Step 2: all are right, so the path is.
    assert [signal.outcome for signal, _ in scored[2]] == [1.0] * 3
    assert (path.outcome, path.terminated, path.truncated, len(path.turns)) == (1.0, True, False, 3)
    heard = [m["content"] for m in path.messages if m["turn"] >= 0 and m["role"] == "user"]
    assert heard == ["higher" if "16" in first else "lower", "lower", "right"]

    for turn, step in enumerate(group.steps):
        for i, trajectory in enumerate(step.trajectories):
            trajectory.check()
            assert (trajectory.episode_id, trajectory.group_id) == (f"g.step{turn}/{i}", f"g.step{turn}")
            assert trajectory.seed == fork_seed(7, turn, i)
            assert text(collector, trajectory) == SAID[turn][i]
            begin = int(np.argmax(trajectory.turn == 0))
            # All that comes before the turn is context, and the same for all: the path's own tokens.
            assert np.all(trajectory.turn[:begin] == -1)
            assert np.all(trajectory.turn[begin:] == 0)
            assert np.array_equal(trajectory.tokens[:begin], path.tokens[:begin])
            roles = [(m["role"], m["turn"]) for m in trajectory.messages]
            assert roles == [("user", -1), *[("assistant", -1), ("user", -1)] * turn, ("assistant", 0), ("user", 0)]
    written = sum(t.policy_tokens for s in group.steps for t in s.trajectories)
    stats = collector.stats
    assert (stats.episodes, stats.turns, stats.forks, stats.policy_tokens) == (1, 9, 9, written)
    assert stats.tokens == tokens_of(group) == len(path) + written - path.policy_tokens


def test_every_turn_of_the_path_is_one_of_its_steps_continuations(make: Make) -> None:
    collector = make()
    requests = forks(8)
    for request, group in zip(requests, collector.run(requests), strict=True):
        check_group(request, group)
        assert isinstance(group, ForkedGroup)
        (path,) = group.trajectories
        assert len(path.turns) == len(group.steps)
        for turn, step in enumerate(group.steps):
            end = int(np.flatnonzero(path.turn == turn)[-1]) + 1
            kept = [t for t in step.trajectories if t.turns[0] is path.turns[turn]]
            assert np.array_equal(kept[0].tokens, path.tokens[:end])
            last = turn == len(group.steps) - 1
            assert kept[0].terminated is (last and path.terminated)
            assert kept[0].truncated is (last and path.truncated)
            assert len({t.tokens.tobytes() for t in step.trajectories}) > 1, "seeds make continuations differ"


def test_the_same_request_gives_the_same_groups(make: Make) -> None:
    alone = facts(make().run(forks(6)))
    for env in (GUESS, BLOCKING, ASYNC):
        assert facts(make(env).run(forks(6))) == alone
    narrow = make(limits=Limits(concurrency=3))  # narrower than a request: it runs all the same, one at a time
    assert facts(narrow.run(forks(6))) == alone
    other = [replace(r, seeds=(r.seeds[0] + 50,)) for r in forks(6)]
    assert facts(make().run(other)) != alone


def test_forks_and_episodes_share_the_places(make: Make) -> None:
    most, now = 0, 0

    class Busy(ScriptedEngine):
        async def generate(self, prompt_ids: Any, sampling: Sampling, session: str | None = None) -> Completion:
            nonlocal most, now
            now += 1
            most = max(most, now)
            try:
                return await super().generate(prompt_ids, sampling, session)
            finally:
                now -= 1

    engine = Busy("toy_env:lots", make().renderer, 0.001)
    collector = make(engine=engine, limits=Limits(concurrency=9))
    mixed = [*forks(5), *(GroupRequest(f"e{i}", "train-1", (i,)) for i in range(5))]
    assert len(collector.run(mixed)) == 10
    assert 4 < most <= 9


def test_a_scorer_adds_its_parts_and_decides(make: Make) -> None:
    from toy_env import closer

    (group,) = make().run(forks(1, scorer=closer, weights={"twice_closer": 1.0}, temperature=0.0))
    assert isinstance(group, ForkedGroup)
    for turn, step in enumerate(group.steps):
        parts = [t.turns[0].signal.process for t in step.trajectories]
        assert all(p["twice_closer"] == 2 * p.get("closer", 0.0) for p in parts)
        kept = group.trajectories[0].turns[turn].signal.process
        assert kept["twice_closer"] == max(p["twice_closer"] for p in parts)


def test_budgets_end_the_path(make: Make) -> None:
    (group,) = make(policy=lambda _: "number", max_turns=2).run(forks(1))
    assert isinstance(group, ForkedGroup)
    assert (len(group.steps), group.trajectories[0].truncated) == (2, True)
    assert [t.truncated for t in group.steps[0].trajectories] == [False] * 4
    assert [t.truncated for t in group.steps[1].trajectories] == [True] * 4
    prompt = int(np.argmax(group.steps[0].trajectories[0].turn == 0))
    for room, steps in ((prompt, 0), (prompt + 1, 1), (prompt + 4, 1), (1000, 8)):
        request = forks(1)[0]
        (short,) = make(policy=lambda _: "number", limits=Limits(episode_tokens=room)).run([request])
        check_group(request, short)
        assert isinstance(short, ForkedGroup)
        assert len(short.steps) == len(short.trajectories[0].turns) == steps
        assert short.trajectories[0].truncated
        assert len(short.trajectories[0]) <= room


@pytest.mark.parametrize("trouble", ["raise", "fault", "exit"])
def test_a_fault_of_one_continuation_repeats_the_episode(make: Make, tmp_path: Path, trouble: str) -> None:
    sound = facts(make().run(forks(2)))
    collector = make(trouble=trouble, marker=str(tmp_path / "once"))
    assert facts(collector.run(forks(2))) == sound
    (event,) = collector.drain_events()
    assert not event.given_up
    assert collector.stats.episodes == 2


def test_a_fault_for_good_leaves_nothing_to_train_on(make: Make) -> None:
    collector = make(trouble="raise", task="train-3", limits=Limits(retries=1))
    requests = forks(2)
    broken, sound = collector.run(requests)
    check_group(requests[0], broken)
    assert learnable([broken]) == []
    assert broken.trajectories[0].fault == "crash: step: ValueError: the toy broke"
    assert learnable([sound])
    assert collector.stats.episodes == 1


def test_a_hanging_continuation_is_a_fault(make: Make, tmp_path: Path) -> None:
    collector = make(BLOCKING, trouble="sleep", marker=str(tmp_path / "once"), limits=Limits(step_s=0.3))
    request = forks(1)[0]
    (group,) = collector.run([request])
    check_group(request, group)
    assert [e.detail for e in collector.drain_events()] == ["a step took longer than 0.3 s"]


def test_what_cannot_be_forked_is_the_requests_mistake(make: Make) -> None:
    with pytest.raises(ConfigError, match="cannot snapshot"):
        make(RIGID).run(forks(1))
    with pytest.raises(ConfigError, match="cannot snapshot"):
        make(RIGID).run([AccuracyRequest("g", "train-1", (1,))])
    for wrong in ({"seeds": (1, 2)}, {"continuations": 0}, {"temperature": -1.0}):
        with pytest.raises(ConfigError, match=next(iter(wrong)).rstrip("s")):
            replace(forks(1)[0], **wrong)


def test_what_comes_back_is_checked(make: Make) -> None:
    request = forks(1)[0]
    (group,) = make().run([request])
    assert isinstance(group, ForkedGroup)
    step = group.steps[0]
    strange = replace(step, trajectories=[replace(step.trajectories[0], seed=1), *step.trajectories[1:]])
    two = replace(step, trajectories=[replace(t, turns=t.turns * 2) for t in step.trajectories])
    for steps, message in (
        ([], "0 steps for"),
        ([replace(step, id="g0.step1"), *group.steps[1:]], "step 0 of group 'g0' came back as 'g0.step1'"),
        ([replace(step, trajectories=step.trajectories[1:]), *group.steps[1:]], "3 episodes instead of 4"),
        ([strange, *group.steps[1:]], "came back as"),
        ([two, *group.steps[1:]], "2 turns instead of 1"),
    ):
        with pytest.raises(RolloutMismatch, match=message):
            check_group(request, replace(group, steps=steps))
    with pytest.raises(RolloutMismatch, match="0 steps"):
        check_group(request, Group(group.id, group.task_id, group.trajectories))


def test_what_is_left_of_forked_groups(make: Make) -> None:
    forked, whole = make().run([*forks(1), GroupRequest("e", "train-1", (1, 2))])
    assert [g.id for g in learnable([forked, whole])][-1] == "e"
    (left,) = select([forked, whole], {"g0.step1"})
    assert [g.id for g in learnable([left])] == ["g0.step1"]
    assert left.trajectories == forked.trajectories
    assert select([forked, whole], {"e"}) == [whole]
    assert select([forked, whole], ()) == []
    assert tokens_of(whole) == sum(len(t) for t in whole.trajectories)


@given(
    st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=8),
    st.sampled_from([0.0, 1e-300, 0.1, 1.0, 100.0]),
    st.integers(0, 2**62),
)
def test_a_choice_is_one_of_them(scores: list[float], temperature: float, seed: int) -> None:
    kept = choose(scores, temperature, np.random.default_rng(seed))
    assert kept == choose(scores, temperature, np.random.default_rng(seed))
    if temperature < 0.1:
        assert scores[kept] == max(scores)


def test_choices_follow_the_softmax() -> None:
    scores = [0.0, 1.0, -1.0, 1.0]
    for temperature in (1.0, 0.5):
        weights = np.exp(np.array(scores) / temperature)
        counts = np.bincount([choose(scores, temperature, np.random.default_rng(s)) for s in range(4000)], minlength=4)
        assert counts / 4000 == pytest.approx(weights / weights.sum(), abs=0.03)
    ties = [choose(scores, 0.0, np.random.default_rng(s)) for s in range(400)]
    assert np.bincount(ties, minlength=4)[[0, 2]].tolist() == [0, 0]
    assert np.bincount(ties)[1] == pytest.approx(200, abs=50)


def test_seeds_of_forks_differ() -> None:
    seeds = {fork_seed(s, t, i) for s in range(9) for t in range(9) for i in range(9)}
    assert len(seeds) == 9**3
    assert not seeds & {turn_seed(s, t) for s in range(9) for t in range(9)}
    assert all(0 <= s < 2**63 for s in seeds)


def test_the_last_turn_of_a_rewritten_history() -> None:
    whole = made_up(turns=2, starts=np.array([0, 5], dtype=np.int32), seed=9, logprobs=np.arange(8, dtype=np.float32))
    assert whole.turn.tolist() == [-1, -1, 0, 0, -1, 1, 1, -1]
    last = last_turn(whole, "g0.step1", 3, 77)
    assert (last.episode_id, last.group_id, last.seed, last.task_id) == ("g0.step1/3", "g0.step1", 77, whole.task_id)
    assert last.tokens.tolist() == [5, 6, 7], "an earlier sequence is not read with this turn"
    assert last.turn.tolist() == [0, 0, -1]
    assert last.logprobs.tolist() == [5, 6, 0]
    assert last.starts.tolist() == [0]
    assert last.turns == whole.turns[1:]
    assert whole.turn.tolist() == [-1, -1, 0, 0, -1, 1, 1, -1]


REWRITING = (
    "{% for m in messages %}{% if loop.last or m.role != 'assistant' %}{{ '<|' + m.role + '|>' + m.content }}"
    "{% else %}{{ '<|assistant|>number' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)


def test_tokens_of_a_rewritten_history_fork_too(tokenizer: Any) -> None:
    renderer = ChatRenderer(tokenizer, template=REWRITING)
    assert renderer.mode == "rewrite"
    collector = Collector(EnvSpec(GUESS), ScriptedEngine("toy_env:lots", renderer), renderer)
    requests = forks(3)
    groups = collector.run(requests)
    for request, group in zip(requests, groups, strict=True):
        check_group(request, group)
        assert isinstance(group, ForkedGroup)
        (path,) = group.trajectories
        assert len(path.starts) == len(group.steps) > 1
        for turn, (part, step) in enumerate(zip(path.sequences(), group.steps, strict=True)):
            end = int(np.flatnonzero(path.turn == turn)[-1]) + 1
            assert any(np.array_equal(t.tokens, path.tokens[part.start : end]) for t in step.trajectories)
    collector.shutdown()


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    words = "guess a number below higher lower right Error"
    config = TinyConfig(width=16, layers=1, heads=2, context=512)
    return str(make_tiny(tmp_path_factory.mktemp("model"), [words, *map(str, range(33))], config, ("think", "guess")))


def open_pool(model: str, workers: int, **options: Any) -> RolloutPool:
    engine = EngineSpec("transformers", {"model": model, "device": "cpu", "threads": 1, **options})
    spec = EnvSpec(GUESS, {"max_turns": 3})
    return RolloutPool(spec, engine, model, workers, limits=Limits(concurrency=64), object_store_memory=80 * 1024**2)


def test_a_real_model_reads_nothing_twice_but_what_is_counted(model: str) -> None:
    torch.set_num_threads(1)
    requests = forks(4)
    with open_pool(model, 0) as pool:
        groups = list(pool.collect(requests, ordered=True))
        stats = pool.stats()
    network = AutoModelForCausalLM.from_pretrained(model)
    read = shared = 0
    for group in groups:
        assert isinstance(group, ForkedGroup)
        (path,) = group.trajectories
        sessions: list[list[int]] = [[]] * 4
        for step in group.steps:
            for i, trajectory in enumerate(step.trajectories):
                begin = int(np.argmax(trajectory.turn == 0))
                prompt = trajectory.tokens[:begin].tolist()
                known = next((n for n, (a, b) in enumerate(zip(sessions[i], prompt, strict=False)) if a != b), None)
                known = min(len(sessions[i]), len(prompt)) if known is None else known
                # The token that was sampled last is in the history, but has not been read.
                read += len(prompt) - known + (known == len(sessions[i]) > 0)
                sessions[i] = trajectory.tokens.tolist()
                ids = torch.tensor(trajectory.tokens, dtype=torch.long)[None]
                with torch.no_grad():
                    logprobs = torch.log_softmax(network(ids).logits[0, :-1].float(), -1)
                expected = logprobs.gather(-1, ids[0, 1:, None])[:, 0]
                written = torch.tensor(trajectory.turn[1:] >= 0)
                assert torch.allclose(expected[written], torch.tensor(trajectory.logprobs[1:])[written], atol=1e-4)
        begins = [int(np.argmax(path.turn == turn)) for turn in range(len(group.steps))]
        shared += begins[0] * 3
        assert len(begins) == len(group.steps)
    assert stats["engine.generated"] == stats["policy_tokens"]
    assert stats["tokens"] == sum(tokens_of(g) for g in groups)
    assert stats["engine.reread"] == 0
    assert stats["engine.read"] == read
    assert stats["shared_tokens"] > shared, (
        "the first prompt by all but one, later what was kept by those that were not"
    )
    # What one session alone would have read of the paths, and what the others read again.
    once = sum(int(np.count_nonzero(t.turn < 0)) for g in groups for t in g.trajectories)
    fed_back = sum(len(g.trajectories[0].turns) - 1 for g in groups)
    assert once <= read - stats["shared_tokens"] <= once + 4 * fed_back


def test_a_worker_plays_what_this_process_plays(model: str) -> None:
    torch.set_num_threads(1)
    requests = [*forks(3), AccuracyRequest("a", "train-5", (3, 4), Sampling(max_tokens=12), 2)]
    runs = []
    for workers in (0, 1):
        with open_pool(model, workers) as pool:
            runs.append((facts(list(pool.collect(requests, ordered=True))), pool.stats()))
    assert runs[0][0] == runs[1][0]
    for name in ("episodes", "turns", "tokens", "policy_tokens", "forks", "shared_tokens", "engine.read"):
        assert runs[0][1][name] == runs[1][1][name]
