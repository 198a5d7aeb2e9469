"""Reading episodes: actions, queries, observations, parts, format."""

from __future__ import annotations

import numpy as np
from episodes import Step, answer, bad, episode, search

from agentgym.actions import Action
from agentgym.rewards.outcome.episode import (
    actions,
    argument,
    at_last,
    formatted,
    observations,
    part,
    queries,
    well_formed,
)


def test_what_was_done_shown_and_measured() -> None:
    played = episode(search("who", "[1] him", evidence=0.5), bad(), answer("me", f1=1.0))
    assert [[a.name for a in turn] for turn in actions(played)] == [["search"], [], ["answer"]]
    assert queries(played) == ["who", None, None]
    assert queries(played, "answer") == [None, None, "me"]
    assert observations(played) == ["[1] him", "Error: no action found", "noted"]
    assert part(played, "evidence").tolist() == [0.5, 0.0, 0.0]
    assert part(played, "nothing").tolist() == [0.0, 0.0, 0.0]
    assert formatted(played) == [True, False, True]
    assert not well_formed(played)
    assert well_formed(episode(answer("me")))
    assert not well_formed(episode())


def test_the_last_search_of_a_turn_counts_and_the_one_text_argument_is_its_query() -> None:
    played = episode(Step([("search", {"query": "a"}), ("search", {"query": "b", "k": 3}), ("answer", {"text": "c"})]))
    assert queries(played) == ["b"]
    assert argument(Action("x", {"a": "one", "b": "two"})) is None
    assert argument(Action("x", {"a": 1})) is None


def test_a_turn_whose_format_the_environment_faults_is_not_well_formed() -> None:
    assert formatted(episode(Step([("search", {"query": "a"})], parts={"format": -1.0}))) == [False]


def test_actions_of_the_wrong_shape_read_as_nothing() -> None:
    played = episode(answer("a"))
    for stored in ({}, {"actions": "x"}, {"actions": [3, {"name": 3}, None]}):
        played.turns[0].action = stored
        assert actions(played) == [()]
    played.turns[0].action = {"actions": [{"name": "a", "args": [1]}]}
    assert actions(played) == [(Action("a", {}),)]


def test_an_amount_at_the_last_turn() -> None:
    values = np.array([1.0, 2.0])
    assert at_last(values, 3.0).tolist() == [1.0, 5.0]
    assert values.tolist() == [1.0, 2.0]
    assert at_last(np.zeros(0), 3.0).tolist() == []
