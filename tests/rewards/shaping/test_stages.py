"""What every stage must hold, the refusal of what cannot be used, and stages composed with memory across a restart."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tables import PARTS, Row, groups_of_rows, reward_table

from agentgym.faults import ConfigError
from agentgym.rewards.shaping import STAGES, build_stages
from agentgym.rewards.table import RewardTable

SIGNALS = dict.fromkeys((*PARTS, "evidence"), "a process part")

#: Each stage with the parameters that it needs.
STAGE_CONFIGS: Mapping[str, Mapping[str, Any]] = {
    "alignment": {"parts": ["a", "b"]},
    "bottom_line": {"checks": {"a": 0.0}, "behaviour": {"b": 1.0}},
    "brpo": {"score": "a"},
    "clip_reward": {"eta": 0.5},
    "co_reward": {"partner": {"t0": "t1"}},
    "cost_buffer": {"price": "a"},
    "crf": {},
    "csr": {},
    "delta": {},
    "difficulty_scale": {},
    "gate": {"when": "a"},
    "gdpo": {"weights": {"outcome": 1.0, "a": 0.5}},
    "laser": {"target": 20},
    "laser_d": {"target": 20, "least": 1},
    "laser_de": {"target": 20, "least": 1},
    "log_sigmoid": {"properties": {"outcome": "group", "a": "batch", "b": "first"}},
    "oni": {"label": "a"},
    "overlong": {"max_tokens": 20, "buffer": 4},
    "par": {},
    "potential": {"part": "a"},
    "renorm": {},
    "rubric_norm": {"rubric": "a"},
    "running_filter": {"parts": ["a", "b"]},
    "sd_e2": {"max_tokens": 50},
    "trust": {"think": "a"},
    "vsrm": {"after": "a", "before": "b"},
    "weigh": {"a": 0.5, "outcome": 2.0},
}
#: Their result depends on the place of a trajectory in its group.
BY_PLACE = {"brpo"}


def run(name: str, table: RewardTable, memory: Any = None) -> tuple[RewardTable, Any]:
    return build_stages([{name: STAGE_CONFIGS[name]}], SIGNALS).run(table, memory or {})


def numbers(table: RewardTable) -> list[np.ndarray[Any, Any]]:
    return [table.outcome, table.turn_reward, *(table.parts[name] for name in sorted(table.parts))]


@pytest.mark.parametrize("name", sorted(STAGE_CONFIGS))
@settings(max_examples=25)
@given(groups=groups_of_rows)
def test_any_batch_gives_finite_rewards_and_is_left_as_it_was(name: str, groups: list[list[Row]]) -> None:
    before = reward_table(groups, update=3)
    kept = copy.deepcopy(before)
    after, memory = run(name, before)
    assert all(np.array_equal(x, y) for x, y in zip(numbers(before), numbers(kept), strict=True)), "stages are pure"
    assert after.outcome.shape == (before.n,)
    assert after.turn_reward.shape == (before.m,)
    assert all(values.shape == (before.m,) for values in after.parts.values())
    assert all(np.isfinite(values).all() for values in numbers(after))
    again, same = run(name, before)
    assert all(np.array_equal(x, y) for x, y in zip(numbers(after), numbers(again), strict=True))
    assert json.loads(json.dumps(memory)) == json.loads(json.dumps(same)), "memory is plain data"


@pytest.mark.parametrize("name", sorted(set(STAGE_CONFIGS) - BY_PLACE))
@settings(max_examples=20)
@given(groups=groups_of_rows, data=st.data())
def test_permuting_a_group_permutes_the_result(name: str, groups: list[list[Row]], data: st.DataObject) -> None:
    orders = [data.draw(st.permutations(range(len(group)))) for group in groups]
    shuffled = [[group[i] for i in order] for group, order in zip(groups, orders, strict=True)]
    before, other = (reward_table(g, update=3) for g in (groups, shuffled))
    (after, _), (moved, _) = run(name, before), run(name, other)
    starts = np.cumsum([0, *(len(g) for g in groups)])[:-1].tolist()
    places = [start + i for start, order in zip(starts, orders, strict=True) for i in order]
    np.testing.assert_allclose(moved.outcome, after.outcome[places], atol=1e-9)
    turns = [t for row in places for t in range(before.offsets[row], before.offsets[row + 1])]
    np.testing.assert_allclose(moved.turn_reward, after.turn_reward[turns], atol=1e-9)


@pytest.mark.parametrize("name", sorted(STAGE_CONFIGS))
def test_ten_thousand_turns_and_turns_without_tokens(name: str) -> None:
    long = Row(1.0, parts={"a": [0.5] * 10_000, "b": [0.1] * 10_000}, tokens=0, truncated=True)
    after, _ = run(name, reward_table([[long, Row(0.0, turns=0)]]))
    assert all(np.isfinite(values).all() for values in numbers(after))


READS: Sequence[tuple[str, Mapping[str, Any]]] = [
    ("alignment", {"parts": ["evidence", "evidnce"]}),
    ("bottom_line", {"checks": {"evidnce": 1.0}, "behaviour": {"a": 1.0}}),
    ("bottom_line", {"checks": {"a": 1.0}, "behaviour": {"evidnce": 1.0}}),
    ("brpo", {"score": "evidnce"}),
    ("clip_reward", {"eta": 0.5, "part": "evidnce"}),
    ("cost_buffer", {"price": "evidnce"}),
    ("crf", {"part": "evidnce"}),
    ("delta", {"part": "evidnce"}),
    ("gate", {"when": "evidnce"}),
    ("gdpo", {"weights": {"evidnce": 1.0}}),
    ("log_sigmoid", {"properties": {"evidnce": "group"}}),
    ("oni", {"label": "evidnce"}),
    ("potential", {"part": "evidnce"}),
    ("rubric_norm", {"rubric": "evidnce"}),
    ("running_filter", {"parts": ["evidnce"]}),
    ("trust", {"think": "evidnce"}),
    ("vsrm", {"after": "evidnce", "before": "a"}),
    ("vsrm", {"after": "a", "before": "evidnce"}),
    ("weigh", {"evidnce": 1.0}),
]


@pytest.mark.parametrize(("name", "options"), READS)
def test_a_signal_that_the_environment_does_not_emit_is_refused_at_set_up(name: str, options: Any) -> None:
    with pytest.raises(ConfigError, match=rf"rewards\.0\.{name}: the environment emits no 'evidnce'; did you mean 'ev"):
        build_stages([{name: options}], SIGNALS)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("alignment", {"parts": ["outcome"]}),
        ("clip_reward", {"eta": 0.5, "part": "outcome"}),
        ("delta", {"part": "finished"}),
        ("oni", {"label": "outcome"}),
        ("potential", {"part": "outcome"}),
        ("running_filter", {"parts": ["outcome"]}),
        ("vsrm", {"after": "outcome", "before": "a"}),
    ],
)
def test_what_belongs_to_an_episode_is_refused_where_turns_are_read(name: str, options: Any) -> None:
    with pytest.raises(ConfigError, match=rf"rewards\.0\.{name}: the environment emits no '(outcome|finished)'"):
        build_stages([{name: options}], SIGNALS)


def test_every_stage_that_reads_signals_is_tried_with_a_wrong_one() -> None:
    reading = {name for name in STAGE_CONFIGS if STAGES.get(name).signals}
    assert reading == {name for name, _ in READS}


def test_the_outcome_and_the_ending_are_no_signals() -> None:
    build_stages([{"bottom_line": {"checks": {"finished": 1.0}, "behaviour": {"outcome": 1.0}}}], {})
    build_stages([{"gdpo": {"weights": {"outcome": 1.0}}}, {"brpo": {"score": "outcome"}}], {})


@pytest.mark.parametrize(
    ("stage", "message"),
    [
        ({"par": {"references": []}}, r"par: references"),
        ({"par": {"references": "grup"}}, r"par: references"),
        ({"par": {"k": 0}}, r"par: k: .*greater than 0"),
        ({"log_sigmoid": {}}, r"log_sigmoid: properties"),
        ({"log_sigmoid": {"properties": {}}}, r"log_sigmoid: properties"),
        ({"log_sigmoid": {"properties": {"outcome": "group"}, "quantile": 1}}, r"quantile: .*less than 1"),
        ({"gdpo": {"weights": {}}}, r"gdpo: weights"),
        ({"gdpo": {"weights": {"outcome": float("inf")}}}, r"gdpo: weights\.outcome: .*finite"),
        ({"laser": {"target": 0}}, r"laser: target: .*greater than or equal to 1"),
        ({"laser": {"target": 9, "mode": "bonus"}}, r"laser: mode: .*'bonus'"),
        ({"overlong": {"max_tokens": 9, "buffer": 0}}, r"overlong: buffer"),
        ({"co_reward": {}}, r"co_reward: partner"),
        ({"co_reward": {"partner": ""}}, r"co_reward: partner"),
        ({"potential": {"part": "a", "gamma": 1.1}}, r"potential: gamma"),
        ({"renorm": {"center": 0.5}}, r"renorm: unknown key 'center'; did you mean 'centre'"),
        ({"cost_buffer": {"price": "a", "transform": "cube"}}, r"cost_buffer: transform: .*'cube'"),
    ],
)
def test_parameters_that_cannot_be_used_are_refused_at_set_up(stage: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build_stages([stage], SIGNALS)


def batches() -> list[RewardTable]:
    rng = np.random.default_rng(7)
    return [
        reward_table(
            [
                [
                    Row(
                        float(rng.random() < 0.5),
                        parts={"a": rng.random(3).tolist(), "b": rng.random(3).tolist()},
                        tokens=int(rng.integers(1, 9)),
                        states=["s0", f"s{rng.integers(3)}", "s9"],
                    )
                    for _ in range(4)
                ]
                for _ in range(3)
            ],
            update=update,
        )
        for update in range(6)
    ]


#: Stages with memory one after the other, one of them twice.
COMPOSED: list[dict[str, Any]] = [
    {"running_filter": {"parts": ["a"]}},
    {"laser_d": {"target": 12, "least": 4}},
    {"cost_buffer": {"price": "b"}},
    {"oni": {"label": "a"}},
    {"alignment": {"parts": ["a", "b"]}},
    {"gate": {"when": "outcome", "at_least": 0.1}},
    {"par": {}},
    {"running_filter": {"parts": ["b"]}},
]


def test_stages_with_memory_compose_and_go_on_after_a_restart() -> None:
    pipeline = build_stages(COMPOSED, SIGNALS)
    straight: Mapping[str, Any] = {}
    resumed: Mapping[str, Any] = {}
    for batch in batches():
        through, straight = pipeline.run(batch, straight)
        stored = json.loads(json.dumps(resumed))
        after, resumed = build_stages(COMPOSED, SIGNALS).run(batch, stored)
        assert all(np.array_equal(x, y) for x, y in zip(numbers(through), numbers(after), strict=True))
        assert straight == resumed
    assert set(straight) == {
        "rewards.0.running_filter",
        "rewards.1.laser_d",
        "rewards.2.cost_buffer",
        "rewards.3.oni",
        "rewards.4.alignment",
        "rewards.6.par",
        "rewards.7.running_filter",
    }
    assert list(straight["rewards.0.running_filter"]["parts"]) == ["a"]
    assert straight["rewards.0.running_filter"]["parts"]["a"]["count"] == 6 * 12 * 3


def test_memory_changes_what_a_batch_is_worth() -> None:
    pipeline = build_stages(COMPOSED, SIGNALS)
    first, last = batches()[0], batches()[-1]
    fresh, _ = pipeline.run(last, {})
    _, memory = pipeline.run(first, {})
    later, _ = pipeline.run(last, memory)
    assert not np.array_equal(fresh.outcome, later.outcome)


def test_a_damaged_memory_is_named() -> None:
    pipeline = build_stages([{"cost_buffer": {"price": "a"}}], SIGNALS)
    with pytest.raises(ConfigError, match=r"memory of rewards\.0\.cost_buffer: prices"):
        pipeline.run(batches()[0], {"rewards.0.cost_buffer": {"prices": "cheap"}})


def test_a_process_reward_recipe_keeps_the_right_answer_first() -> None:
    config: list[dict[str, Any]] = [{"weigh": {"a": 1.0}}, {"delta": {}}, {"renorm": {}}]
    good, wrong = Row(1.0, parts={"a": [0.0, 0.0]}), Row(0.0, parts={"a": [1.0, 0.5]})
    shaped = build_stages(config, SIGNALS)(reward_table([[good, wrong]]))
    right, other = shaped.outcome + shaped.sum_turns(shaped.turn_reward)
    assert right >= other
