from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from judging import ScriptedChat, block
from making import trajectories, trajectory

from agentgym.faults import ConfigError
from agentgym.rewards.judges import Criterion, make_judge
from agentgym.rewards.judges import episodes as module
from agentgym.rewards.judges.episodes import build_judge_scorer, fill_missing, judge_trajectories, request_of
from agentgym.rewards.judges.models import Reply
from agentgym.rewards.judges.verdict import JudgeFault, Request
from agentgym.rewards.shaping import build_stages
from agentgym.rewards.table import RewardTable
from agentgym.trajectory import Group, Trajectory

TASK = SimpleNamespace(question="Capital of France?", answers=("Paris",))


def episode(answer: str, sample: int = 0, group: str = "g0", thought: str = "Hm. ", **changes: Any) -> Trajectory:
    """Two turns: a search, and an answer."""
    made = trajectory(2, sample, group)
    made.turns[-1].action = {"actions": [{"name": "answer", "args": {"text": answer}}]}
    made.messages = [
        {"role": "user", "content": "Say the capital.", "turn": -1},
        {"role": "assistant", "content": "<search>France</search>", "turn": 0},
        {"role": "user", "content": "a country", "turn": 0},
        {"role": "assistant", "content": f"{thought}<answer>{answer}</answer>", "turn": 1},
    ]
    for name, value in changes.items():
        setattr(made, name, value)
    return made


def test_an_episode_becomes_a_request() -> None:
    assert request_of(TASK, episode("Paris", thought="Paris? ")) == Request(
        "Capital of France?", "Paris", references=("Paris",), reasoning="<search>France</search>\nParis? "
    )
    whole = request_of(TASK, episode("Paris"), "transcript")
    assert whole.text == "<search>France</search>\nHm. <answer>Paris</answer>"
    assert whole.reasoning == ""


def test_a_task_gives_what_it_has() -> None:
    rubric = Criterion(text="short")
    task = SimpleNamespace(instruction="Say it.", references="Paris", rubric=rubric)
    request = request_of(task, episode("Paris"))
    assert (request.task, request.references, request.rubric) == ("Say it.", ("Paris",), rubric)
    bare = request_of(SimpleNamespace(answers=None, rubric="no tree"), episode("Paris"))
    assert (bare.task, bare.references, bare.rubric) == ("Say the capital.", (), None)


def test_an_episode_that_a_budget_ended_says_nothing() -> None:
    cut = episode("Paris", terminated=False, truncated=True)
    assert request_of(TASK, cut).text == ""
    broken = episode("Paris")
    broken.turns[-1].action = {"error": "no action"}
    assert request_of(TASK, broken).text == ""
    assert not request_of(TASK, broken).well_formed
    [verdict] = judge_trajectories(make_judge("rules"), [TASK], [cut])
    assert verdict is not None
    assert (verdict.score, verdict.label) == (0.0, "empty")


def test_episodes_are_judged_together_and_faults_are_no_verdicts() -> None:
    played = [episode("Paris"), episode("Rome"), episode("Paris", fault="crash"), episode("Lyon")]

    def answer(user: str, nonce: str) -> str:
        said = block(user, "candidate")
        return "hm" if said == "Lyon" else f"VERDICT {nonce}: {'yes' if said == 'Paris' else 'no'}"

    chat = ScriptedChat(answer)
    judge = make_judge("yes_no", chat, asking={"tries": 2})
    verdicts = judge_trajectories(judge, [TASK] * 4, played)
    assert [v and v.score for v in verdicts] == [1.0, 0.0, None, None]
    assert len(chat.asked) == 4
    assert judge_trajectories(judge, [], []) == []


@given(trajectories("g", "t"))
def test_any_episode_can_be_asked_about(made: Trajectory) -> None:
    for read in ("answer", "transcript"):
        request = request_of(TASK, made, read)
        assert judge_trajectories(make_judge("rules"), [TASK], [made])[0] is not None or made.fault is not None
        assert request.task == TASK.question


class Tasks:
    def __getitem__(self, task_id: str) -> Any:
        return TASK


def groups() -> list[Group]:
    first = [episode("Paris", 0), episode("Rome", 1), episode("hm", 2)]
    return [Group("g0", "t0", first), Group("g1", "t0", [episode("hm", 0, "g1"), episode("hm", 1, "g1")])]


def test_a_judge_is_a_part_of_the_rewards() -> None:
    entry = build_judge_scorer({"name": "rules", "as": "right"}, "rewards.0.judge")
    table = entry.scorer(RewardTable.from_groups(groups()), groups(), Tasks())  # type: ignore[arg-type]
    assert entry.part == "right"
    assert table.parts["right"].tolist() == [0, 1, 0, 0, 0, 0, 0, 0, 0, 0]
    entry = build_judge_scorer({"name": "rules", "as": "outcome"}, "rewards.0.judge")
    table = entry.scorer(RewardTable.from_groups(groups()), groups(), Tasks())  # type: ignore[arg-type]
    assert table.outcome.tolist() == [1, 0, 0, 0, 0]
    assert build_judge_scorer({"name": "rules"}, "r.0").part == "rules"


def unsure(user: str, nonce: str) -> Reply:
    said = block(user, "candidate")
    return Reply("hm" if said == "hm" else f"VERDICT {nonce}: {'yes' if said == 'Paris' else 'no'}")


def test_an_episode_without_a_verdict_gets_the_mean_of_its_group_or_ends_the_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def build(config: Any, where: str) -> Any:
        return make_judge(config["name"], ScriptedChat(unsure), asking={"tries": 1})

    monkeypatch.setattr(module, "build_judge", build)
    scorer = build_judge_scorer({"name": "yes_no", "as": "outcome"}, "r.0").scorer
    table = scorer(RewardTable.from_groups(groups()), groups(), Tasks())  # type: ignore[arg-type]
    assert table.outcome.tolist() == [1, 0, 0.5, 0, 0]
    scorer = build_judge_scorer({"name": "yes_no", "missing": "raise"}, "r.0").scorer
    with pytest.raises(JudgeFault, match="yes_no: no verdict on 3 of 5 episodes"):
        scorer(RewardTable.from_groups(groups()), groups(), Tasks())  # type: ignore[arg-type]


def test_a_configuration_names_a_judge() -> None:
    stages = [{"judge": {"name": "rules", "as": "right"}}, {"weigh": {"right": 2.0}}]
    pipeline = build_stages(stages, {})
    shaped = pipeline(pipeline.read(groups(), Tasks()))  # type: ignore[arg-type]
    assert shaped.turn_reward.tolist() == [0, 2, 0, 0, 0, 0, 0, 0, 0, 0]
    with pytest.raises(ConfigError, match=r"rewards\.0\.judge\.name: no judge 'rule'; did you mean 'rules'"):
        build_stages([{"judge": {"name": "rule"}}], {})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "rules", "read": "all"}, r"r\.0\.read: must be one of answer, transcript, got 'all'"),
        ({"name": "rules", "missing": 0}, r"r\.0\.missing: must be one of group_mean, raise, got 0"),
        ({"name": "rules", "as": 3}, r"r\.0\.as: must be a name, got 3"),
        ({"as": "x"}, r"r\.0: needs a name"),
        ({"name": "rules", "colour": 1}, "unknown key 'colour'"),
    ],
)
def test_mistakes_are_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build_judge_scorer(options, "r.0")


@given(st.lists(st.lists(st.none() | st.floats(-5, 5), max_size=4), max_size=4))
def test_missing_scores_keep_the_groups_mean(scores: list[list[float | None]]) -> None:
    filled = fill_missing([s for group in scores for s in group], [len(group) for group in scores])
    assert np.all(np.isfinite(filled))
    at = 0
    for group in scores:
        known = [s for s in group if s is not None]
        if group:
            assert filled[at : at + len(group)].mean() == pytest.approx(np.mean(known) if known else 0.0)
        at += len(group)
