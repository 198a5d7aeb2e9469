from __future__ import annotations

import pytest
from episodes import answer, bad, episode, search, task
from hypothesis import given
from hypothesis import strategies as st

from agentgym.rewards.outcome import measure
from agentgym.rewards.outcome.answer import (
    cover_match,
    exact_match,
    f1_score,
    last_answer,
    normalize_answer,
    search_r1_reward,
)
from agentgym.trajectory import Trajectory


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("The  Beatles!", "beatles"),
        ("an Apple, a day", "apple day"),
        ("U.S.A.", "usa"),
        ("Theatre", "theatre"),
        ("The The", "the the"),
        ("!?", "!?"),
        ("", ""),
        ("  \n ", ""),
    ],
)
def test_normal_form(text: str, normal: str) -> None:
    assert normalize_answer(text) == normal


def test_exact_match_takes_any_gold_answer() -> None:
    assert exact_match("the Walls and Bridges.", ["Imagine", "Walls and Bridges"]) == 1.0
    assert exact_match("Walls", ["Walls and Bridges"]) == 0.0
    assert exact_match("x", []) == 0.0


@pytest.mark.parametrize("nothing", ["", " ", "\n"])
@pytest.mark.parametrize("gold", ["the", "!", "a an", "no"])
def test_saying_nothing_never_matches(nothing: str, gold: str) -> None:
    assert exact_match(nothing, [gold]) == f1_score(nothing, [gold]) == cover_match(nothing, [gold]) == 0.0


def test_f1_is_the_best_over_the_gold_answers() -> None:
    # 2 common of 3 and 2 tokens: precision 2/3, recall 1.
    assert f1_score("tall John Lennon", ["Ono", "John Lennon"]) == pytest.approx(0.8)
    assert f1_score("no no no", ["no"]) == pytest.approx(0.5)
    assert f1_score("Paris", ["London"]) == 0.0


def test_cover_match_counts_whole_words_unless_told_otherwise() -> None:
    assert cover_match("It was John Lennon, in 1974", ["lennon"]) == 1.0
    assert cover_match("nothing", ["no"]) == 0.0
    assert cover_match("nothing", ["no"], whole_words=False) == 1.0
    assert cover_match("Lennon", ["John Lennon"]) == 0.0


def test_the_last_answer_counts() -> None:
    assert last_answer("<answer>a</answer> then <answer> b\n</answer>") == "b"
    assert last_answer("<answer>open") is None


@pytest.mark.parametrize(
    ("flags", "reward"),
    [
        ({"correct": True, "valid": True}, 1.0),
        ({"correct": True, "valid": False}, 0.8),
        ({"correct": False, "valid": True}, 0.2),
        ({"correct": False, "valid": True, "retrieved": True}, 0.3),
        ({"correct": False, "valid": False}, 0.1),
        ({"correct": False, "valid": False, "retrieved": True}, 0.1),
        ({"correct": False, "valid": False, "answered": False}, 0.0),
        ({"correct": False, "valid": True, "answered": False}, 0.2),
        ({"correct": False, "valid": True, "answered": False, "retrieved": True}, 0.3),
    ],
)
def test_search_r1_format_variant(flags: dict[str, bool], reward: float) -> None:
    assert search_r1_reward(**flags) == pytest.approx(reward)


@given(st.text(), st.lists(st.text(), max_size=3))
def test_scores_of_any_text_are_ordered_and_bounded(prediction: str, golds: list[str]) -> None:
    em, f1, cover = (score(prediction, golds) for score in (exact_match, f1_score, cover_match))
    assert em in (0.0, 1.0)
    assert cover in (0.0, 1.0)
    assert 0.0 <= f1 <= 1.0
    assert em <= cover
    assert em <= f1 + 1e-12


@given(st.text(min_size=1).filter(lambda t: bool(t.strip())))
def test_an_answer_matches_itself(text: str) -> None:
    assert exact_match(text, [text]) == cover_match(text, [text]) == 1.0
    assert f1_score(text, [text]) == pytest.approx(1.0)


def test_tags_without_end_are_read_in_linear_time() -> None:
    assert last_answer("<answer>" * 200_000) is None
    assert last_answer("<answer>a</answer>" * 100_000 + "<answer>") == "a"
    assert last_answer("<answer>a<answer>b</answer></answer>") == "a<answer>b"


def score(name: str, played: Trajectory, *golds: str, **parameters: object) -> float:
    result = measure(name, task(answers=golds), played, **parameters)
    assert isinstance(result, float)
    return result


def test_the_answer_of_an_episode_is_what_ended_it() -> None:
    played = episode(search("who"), answer("John Lennon"))
    assert score("exact_match", played, "lennon", "john lennon") == 1.0
    assert score("f1", played, "Lennon") == pytest.approx(2 / 3)
    assert score("cover_match", played, "Lennon") == 1.0
    assert score("cover_match", played, "ennon") == 0.0
    assert score("cover_match", played, "ennon", whole_words=False) == 1.0
    cut = episode(search("John Lennon"), terminated=False)
    assert [score(name, cut, "John Lennon") for name in ("exact_match", "f1", "cover_match")] == [0.0] * 3


def test_search_r1_of_episodes() -> None:
    right, wrong, found = answer("Lennon"), answer("Ono"), search("who", "[1] Lennon : a man")
    assert score("search_r1", episode(found, right), "lennon") == 1.0
    assert score("search_r1", episode(found, wrong), "lennon") == pytest.approx(0.3)
    assert score("search_r1", episode(search("who"), wrong), "lennon") == pytest.approx(0.2)
    assert score("search_r1", episode(bad(), right), "lennon") == pytest.approx(0.8)
    assert score("search_r1", episode(bad(), wrong), "lennon") == pytest.approx(0.1)
    assert score("search_r1", episode(search("who"), terminated=False), "lennon") == 0.0
    # The answer is there, but text after it spoils the format.
    spoilt = episode(found, bad("<answer>Lennon</answer> I think"), terminated=False)
    assert score("search_r1", spoilt, "lennon") == pytest.approx(0.8)
    assert score("search_r1", episode(answer("John Lennon")), "lennon", match="f1", at_least=0.6) == 1.0


def test_a_megabyte_is_scored() -> None:
    huge = "the answer is no. " * 60_000
    assert score("cover_match", episode(answer(huge)), "answer is no") == 1.0
    assert score("search_r1", episode(search("x", huge), answer(huge)), "yes") == pytest.approx(0.2)
