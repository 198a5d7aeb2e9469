from __future__ import annotations

import json
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import pytest
from judging import run, saying

from agentgym.faults import ConfigError, DataError
from agentgym.methods import KINDS, catalogue
from agentgym.rewards.judges import JUDGES, BudgetSpent, build_judge, make_judge
from agentgym.rewards.judges.registry import JudgeOptions
from agentgym.rewards.judges.verdict import JudgeFault, PlainJudge, Request, Verdict
from agentgym.trainers.tiny import TinyConfig, make_tiny

REQUEST = Request("Capital of France?", "Paris", references=("Paris",), reasoning="the seat is there")
NAMES = {
    "rules", "yes_no", "ordinal", "nuggets", "rubric", "pairwise", "reward_model", "similarity",
    "rlpr", "likelihood", "log_likelihood", "follow_up", "endogenous", "yes_likelihood",
}  # fmt: skip


def letters(texts: list[str]) -> list[list[int]]:
    return [[text.count(c) for c in "abcdefghijklmnopqrstuvwxyz"] for text in texts]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> str:
    words = ["Capital of France ? Paris the seat is there", "yes no right wrong"]
    return str(make_tiny(tmp_path_factory.mktemp("tiny"), words, TinyConfig(width=16, layers=1, heads=2, context=2048)))


def test_every_judge_says_where_it_is_from() -> None:
    assert set(JUDGES.names()) >= NAMES
    assert "judge" in KINDS
    for method in catalogue("judge"):
        described = method.describe()
        assert method.source
        assert method.summary.endswith(".")
        own = set(method.parameters.model_fields) - set(JudgeOptions.model_fields)
        assert all(method.parameters.model_fields[name].description for name in own), method.name
        assert set(described["needs"]) <= {"chat", "likelihood", "classifier", "encoder"}
        json.dumps(described)


def test_a_judge_by_rules_needs_nothing() -> None:
    assert run(build_judge({"name": "rules", "match": "em"}, "rewards.0.judge").judge(REQUEST)).score == 1.0


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({}, r"^r\.0: needs a name; known: endogenous"),
        ({"name": "yes_mo"}, r"^r\.0\.name: no judge 'yes_mo'; did you mean 'yes_no'"),
        ({"name": "rules", "macth": "em"}, r"^r\.0 \(rules\): unknown key 'macth'; did you mean 'match'"),
        ({"name": "rules", "model": "x"}, r"^r\.0\.model: judge 'rules' asks no model"),
        ({"name": "yes_no"}, r"^r\.0\.model: judge 'yes_no' needs a chat model"),
        (
            {"name": "yes_no", "model": {"name": "x", "engin": "y"}},
            r"unknown key 'model\.engin'; did you mean 'engine'",
        ),
        ({"name": "yes_no", "model": {"name": "x", "engine": "transformer"}}, r"^r\.0\.model: no engine 'transformer'"),
        ({"name": "yes_no", "model": "x", "asking": {"votes": 3}}, r"asking: .*votes above 1 need a temperature"),
        ({"name": "similarity", "model": "os:sep"}, r"^r\.0\.model: encoder 'os:sep' is a str"),
        ({"name": "rules", "budget": -1}, r"budget: .*greater than or equal to 0"),
        ({"name": "ordinal", "model": "x", "low": "a"}, r"low: .*integer"),
    ],
)
def test_mistakes_are_named(config: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build_judge(config, "r.0")


def test_unknown_arguments_of_a_model_are_named(tiny: str) -> None:
    for name, message in (("yes_no", "engine 'transformers': .*devise"), ("rlpr", "devise")):
        with pytest.raises(ConfigError, match=rf"^r\.0\.model: .*{message}"):
            build_judge({"name": name, "model": {"name": tiny, "options": {"devise": "cpu"}}}, "r.0")


def test_judges_are_made_from_plain_configuration(tiny: str) -> None:
    for name in ("rlpr", "log_likelihood", "follow_up", "endogenous", "yes_likelihood"):
        judge = build_judge({"name": name, "model": tiny}, "r.0")
        assert run(judge.judge(REQUEST)).score >= judge.lowest
    chat = build_judge({"name": "yes_no", "model": tiny, "asking": {"tries": 1, "max_tokens": 8}}, "r.0")

    async def ask() -> None:
        with pytest.raises(JudgeFault, match="no readable verdict"):  # an untrained model writes none
            await chat.judge(REQUEST)
        await chat.close()
        with pytest.raises(JudgeFault, match="the engine is closed"):
            await chat.judge(REQUEST)

    run(ask())


def test_an_encoder_is_named_by_its_import_path(monkeypatch: pytest.MonkeyPatch) -> None:
    module: Any = types.ModuleType("some_encoder")
    module.letters = letters
    monkeypatch.setitem(sys.modules, "some_encoder", module)
    judge = build_judge({"name": "similarity", "model": "some_encoder:letters"}, "r.0")
    assert run(judge.judge(REQUEST)).score == pytest.approx(1.0)


def test_a_budget_counts_calls_of_the_model() -> None:
    chat = saying("tie")
    judge = make_judge("pairwise", chat, budget=3)
    assert run(judge.judge(Request("t", "a1", "b2"))).score == 0.5
    with pytest.raises(BudgetSpent):
        run(judge.judge(Request("t", "c3", "d4")))
    assert judge.budget.spent == len(chat.asked) == 3
    assert run(judge.judge(Request("t", "a1", "b2"))).score == 0.5, "what is known costs nothing"


def test_a_cache_file_is_shared_by_equal_judges_only(tmp_path: Path) -> None:
    file = str(tmp_path / "verdicts.sqlite")

    def asked(name: str, **options: Any) -> int:
        chat = saying("1" if name == "ordinal" else "yes")
        run(make_judge(name, chat, cache=file, **options).judge(REQUEST))
        return len(chat.asked)

    assert asked("yes_no") == 1
    assert asked("yes_no") == 0
    assert asked("yes_no", concurrency=3, retries=0) == 0, "what decides no verdict makes no other key"
    assert asked("yes_no", question="Is it short?") == 1
    assert asked("ordinal") == 1
    assert asked("ordinal", high=5) == 1
    (tmp_path / "folder").mkdir()
    with pytest.raises(DataError, match="cannot be used as a cache"):
        make_judge("rules", cache=str(tmp_path / "folder"))


def test_a_plug_in_is_wrapped_like_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    def polite(*, word: str = "please") -> PlainJudge:
        """Whether a word occurs."""

        async def decide(request: Request) -> Verdict:
            return Verdict(float(word in request.text), "word")

        return PlainJudge(decide)

    monkeypatch.setitem(JUDGES._registry._items, "polite", polite)
    judge = make_judge("polite", word="thanks")
    assert run(judge.judge(Request("t", "thanks a lot"))).score == 1.0
    assert run(judge.judge(Request("t", "..."))).label == "no_words"


def test_making_a_judge_is_light() -> None:
    script = (
        "import sys; from agentgym.rewards.judges import make_judge; make_judge('rules');"
        "print(sorted({'torch', 'transformers', 'ray'} & set(sys.modules)))"
    )
    out = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True, timeout=60)
    assert out.stdout.strip() == "[]"
