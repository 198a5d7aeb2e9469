"""The registry: what is in it, what it refuses, and that every method copes with any episode."""

from __future__ import annotations

import time
from typing import Any, Protocol

import numpy as np
import pytest
from episodes import Step, answer, bad, episode, search, task
from hypothesis import given
from hypothesis import strategies as st
from making import trajectories, trajectory

from agentgym.faults import ConfigError
from agentgym.methods import Method, Methods
from agentgym.rewards.outcome import REWARDS, Reward, measure, reward
from agentgym.trajectory import Trajectory

NAMES = {
    "bleuberi", "chat_r1", "contrastive_sql", "cover_match", "craft_gui", "embedding_similarity", "exact_match", "f1",
    "mt_zero", "nuggets", "r3_rag", "re_seek", "router_r1", "search_r1", "shop_r1", "sql", "step_search",
    "step_search_steps", "sub_search", "swe_rl", "swe_tests", "tool_rl", "ui_r1",
}  # fmt: skip
PER_TURN = {"chat_r1", "craft_gui", "r3_rag", "re_seek", "shop_r1", "step_search_steps", "sub_search"}
NEEDS_ENCODER = {"contrastive_sql", "embedding_similarity"}
ANY = task(
    id="t0",
    question="Who led the band of the drummer?",
    answers=("John Lennon",),
    queries=("drummer band", ("band leader", "leader")),
    intents=("who drummed", "who led"),
    calls=({"name": "search", "arguments": {"query": "a"}},),
    patch="--- a/f\n+++ b/f\n@@ -1 +1 @@\n-x\n+y",
    action="click",
    box=(0, 0, 10, 10),
    steps=({"name": "click", "arguments": {"box": [0, 0, 10, 10], "text": "go", "n": 1}},),
    query="SELECT name FROM singer",
    references=("the cat is on the mat",),
    nuggets=("lennon led", "drummer was ringo"),
)


def parameters(name: str) -> dict[str, Any]:
    return {"encoder": "episodes:letters"} if name in NEEDS_ENCODER else {}


def test_every_method_is_there_and_documented() -> None:
    assert set(REWARDS.names()) >= NAMES
    for name in NAMES:
        method = REWARDS.get(name)
        assert isinstance(method, Method)
        about = method.describe()
        assert about["summary"].endswith("."), name
        assert about["source"], name
        assert all(p.get("description") for p in about["parameters"].values()), name


@pytest.mark.parametrize("name", sorted(NAMES))
def test_every_method_tells_an_outcome_from_rewards_of_turns(name: str) -> None:
    played = episode(search("drummer band", "The drummer of the band", relevance=1.0), answer("John Lennon"))
    result = measure(name, ANY, played, **parameters(name))
    if name in PER_TURN:
        assert isinstance(result, np.ndarray)
        assert result.shape == (2,)
        assert result.dtype == np.float64
    else:
        assert isinstance(result, float)


@pytest.mark.parametrize("name", sorted(NAMES))
def test_empty_truncated_and_malformed_episodes_are_scored(name: str) -> None:
    odd = trajectory(2)
    odd.turns[0].action = {"actions": ["no mapping", {"name": 3}, {"name": "search"}, {"name": "click", "args": [1]}]}
    odd.turns[1].action = {}
    for played in (
        episode(),
        episode(terminated=False),
        episode(bad(), bad(), terminated=False),
        episode(search("x"), bad()),
        episode(answer("")),
        episode(Step([("click", {"x": True, "y": None})]), Step([("click", {"coordinate": "ab"})])),
        odd,
    ):
        result = measure(name, ANY, played, **parameters(name))
        assert np.all(np.isfinite(result)), name
        assert np.shape(result) in ((), (len(played.turns),))


@given(trajectories("g0", "t0"))
def test_any_stored_episode_is_scored(played: Trajectory) -> None:
    for name in NAMES:
        result = measure(name, ANY, played, **parameters(name))
        assert np.all(np.isfinite(result))


def test_ten_thousand_turns_are_scored() -> None:
    played = episode(*(search(f"query {i} of many", f"document {i}") for i in range(10_000)), terminated=False)
    for name in sorted(NAMES):
        assert np.all(np.isfinite(measure(name, ANY, played, **parameters(name))))


@pytest.mark.parametrize("piece", ["<answer>", "the ", "a, 'b' (", "--- a\n+++ b\n@@\n-"])
def test_megabytes_are_scored(piece: str) -> None:
    huge = piece * (1_000_000 // len(piece))
    played = episode(search(huge, huge), Step([("answer", {"text": huge})], huge, {}, huge))
    for name in sorted(NAMES):
        begin = time.process_time()
        assert np.all(np.isfinite(measure(name, ANY, played, **parameters(name)))), name
        assert time.process_time() - begin < 10, name


def test_a_task_without_what_is_read_is_refused_by_name() -> None:
    with pytest.raises(ConfigError, match=r"reward 'exact_match' reads 'answers' of a task; SimpleNamespace has none"):
        measure("exact_match", task(id="x"), episode(answer("a")))
    with pytest.raises(ConfigError, match="reads 'queries'"):
        measure("step_search", task(answers=()), episode(answer("a")))


def test_unknown_names_and_parameters_are_refused() -> None:
    with pytest.raises(ConfigError, match="did you mean 'exact_match'"):
        measure("exact_mach", ANY, episode())
    with pytest.raises(ConfigError, match="whole_word"):
        measure("cover_match", ANY, episode(), whole_word=True)
    with pytest.raises(ConfigError, match="alpha"):
        measure("router_r1", ANY, episode(), alpha=2.0)


class HasIt(Protocol):
    @property
    def it(self) -> str: ...


@pytest.fixture
def own(monkeypatch: pytest.MonkeyPatch) -> Methods[Reward]:
    """A registry of the test's own in place of the package's."""
    registry: Methods[Reward] = Methods("reward", "reward function", "agentgym.test")
    monkeypatch.setattr("agentgym.rewards.outcome.registry.REWARDS", registry)
    return registry


def test_results_that_are_neither_an_outcome_nor_rewards_of_turns_are_refused(own: Methods[Reward]) -> None:
    def wrong_length(task: object, trajectory: Trajectory) -> Any:
        """Too many."""
        return np.zeros(len(trajectory.turns) + 1)

    def not_finite(task: object, trajectory: Trajectory) -> float:
        """No number."""
        return float("nan")

    for name, function in (("wrong_length", wrong_length), ("not_finite", not_finite)):
        own.register(name, source="a test", status="own")(function)
        with pytest.raises(ConfigError, match=name):
            measure(own.get(name), ANY, episode(answer("a")))


def test_the_check_keeps_the_function_as_it_is(own: Methods[Reward]) -> None:
    def mine(task: HasIt, trajectory: Trajectory, *, weight: float = 1.0) -> float:
        """The task's own number.

        Args:
            weight: Of it.
        """
        return weight * len(task.it)

    checked = reward("mine", source="a test", status="own")(mine)
    method = own.get("mine")
    assert checked(task(it="abc"), episode()) == 3.0
    assert method.describe()["parameters"]["weight"]["description"] == "Of it."
    assert method.bind(method.check({"weight": 2.0}, "here"))(task(it="abc"), episode()) == 6.0
    assert mine.__doc__ == checked.__doc__
    with pytest.raises(ConfigError, match="reads 'it'"):
        checked(task(), episode())


@given(st.sampled_from(sorted(NAMES)))
def test_the_same_episode_scores_the_same(name: str) -> None:
    played = episode(search("band", "the band", relevance=0.5), answer("Lennon", execution=1.0))
    first, second = (measure(name, ANY, played, **parameters(name)) for _ in range(2))
    assert np.array_equal(first, second)
