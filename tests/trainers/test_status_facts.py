from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentgym.trainers.status_facts import merge, normalised, one_line, own_command, plain, to_json, validated
from agentgym.trainers.status_model import RunStatus

FACTS = st.recursive(
    st.none() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3) | st.integers(), inner, max_size=3),
    max_leaves=12,
)


@given(FACTS)
def test_plain_data_is_json(facts: Any) -> None:
    copied = plain(facts)
    assert json.loads(json.dumps(copied, allow_nan=False)) == copied
    assert plain(copied) == copied


def test_numbers_of_other_libraries_become_plain() -> None:
    facts = plain({"a": np.int64(3), "b": np.float32(0.5), "c": Counter([1, 1]), "d": (np.nan, 2)})
    assert facts == {"a": 3, "b": 0.5, "c": {"1": 2}, "d": [None, 2]}
    assert type(facts["a"]) is int


def test_a_copy_is_a_copy() -> None:
    told: dict[str, dict[str, int]] = {"groups": {"waiting": 1}}
    facts: dict[str, Any] = {}
    merge(facts, "a", plain(told))
    merge(facts, "b", {"groups": {"waiting": 2}})
    assert told == {"groups": {"waiting": 1}}
    assert facts == {"groups": {"waiting": 2}}


@given(
    st.dictionaries(st.text(max_size=3), st.integers(0, 99)), st.dictionaries(st.text(max_size=3), st.integers(0, 99))
)
def test_faults_of_several_sources_add_up(one: dict[str, int], other: dict[str, int]) -> None:
    facts: dict[str, Any] = {}
    merge(facts, "one", {"faults": one})
    merge(facts, "other", {"faults": other})
    total = {kind: one.get(kind, 0) + other.get(kind, 0) for kind in one | other}
    assert facts.get("faults", {}) == total


def test_every_wrong_field_is_named_and_the_others_stay() -> None:
    status = validated({"update": "x", "groups": {"waiting": 1.5}, "version": 2, "workers": {"0": {"tokens": "many"}}})
    assert (status.version, status.update, status.groups, status.workers) == (2, None, None, {})
    assert set(status.errors) == {"update", "groups", "workers"}
    assert status.errors["workers"].startswith("workers.0.tokens: ")


def test_a_status_survives_being_written() -> None:
    status = RunStatus(update=0, groups={"waiting": 0}, staleness={"versions": {0: 3}}, workers={"0": {"in_flight": 0}})
    data = json.loads(json.dumps(to_json(status)))
    assert data["update"] == 0
    assert RunStatus.model_validate(data) == status


@given(st.dictionaries(st.text(max_size=2), st.floats(0, 1e6)))
def test_shares_are_of_one_whole(parts: dict[str, float]) -> None:
    shares = normalised(parts)
    assert shares == {} or sum(shares.values()) == pytest.approx(1, abs=1e-3 * len(shares) + 1e-9)


def test_an_error_is_one_line() -> None:
    assert one_line(ValueError("a\n  b")) == "ValueError: a b"
    assert one_line(KeyboardInterrupt()) == "KeyboardInterrupt"
    assert len(one_line(ValueError("x" * 5000))) == 300


def test_the_command_is_one_that_can_be_given_again() -> None:
    code = "from agentgym.trainers.status_facts import own_command; print(own_command())"
    done = subprocess.run([sys.executable, "-c", code, "a b"], capture_output=True, text=True, check=True)
    assert done.stdout.strip().endswith("'a b'")
    assert "status_facts" in done.stdout  # a script of the user's own: as it was begun
    assert own_command()
