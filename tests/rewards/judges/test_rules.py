from __future__ import annotations

import pytest
from judging import run

from agentgym.faults import ConfigError
from agentgym.rewards.judges import make_judge
from agentgym.rewards.judges.verdict import Request


@pytest.mark.parametrize(
    ("text", "options", "score"),
    [
        ("Paris", {}, 1.0),
        ("the PARIS!", {}, 1.0),
        ("It is Paris", {}, 0.0),
        ("I think so. <answer>Paris</answer>", {}, 1.0),
        ("<answer>Paris</answer> <answer>Rome</answer>", {}, 0.0),
        ("Paris <answer></answer>", {}, 0.0),
        ("It is Paris", {"match": "cover"}, 1.0),
        ("Paris is it", {"match": "f1", "at_least": 0.5}, 1.0),
        ("Paris is it", {"match": "f1", "at_least": 0.6}, 0.0),
        (" ".join(["Rome"] * 60 + ["Paris"]), {"match": "cover"}, 0.0),
        (" ".join(["Rome"] * 60 + ["Paris"]), {"match": "cover", "most_words": None}, 1.0),
    ],
)
def test_rules(text: str, options: dict[str, object], score: float) -> None:
    assert run(make_judge("rules", **options).judge(Request("Capital?", text, references=("Paris",)))).score == score


def test_without_right_answers_nothing_can_be_compared() -> None:
    with pytest.raises(ConfigError, match="the request has none"):
        run(make_judge("rules").judge(Request("Capital?", "Paris")))
