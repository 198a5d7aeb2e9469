from __future__ import annotations

import pickle

import pytest

from agentgym.faults import (
    MAX_LISTED,
    AgentGymError,
    ConfigError,
    DataError,
    EngineFault,
    EnvironmentFault,
    MissingExtra,
    did_you_mean,
    first_line,
    typed_line,
)

ERRORS = [
    (ConfigError("seed must be positive"), "seed must be positive"),
    (DataError("a.json", "not JSON", line=7), "a.json:7: not JSON"),
    (DataError("a.json", "empty"), "a.json: empty"),
    (MissingExtra("bm25s", "search"), "bm25s is not installed; mend it with: pip install 'agentgym[search]'"),
    (EnvironmentFault("timeout", "no answer for 60 s"), "timeout: no answer for 60 s"),
    (EnvironmentFault("crash"), "crash"),
    (EngineFault("out of memory"), "engine: out of memory"),
]


@pytest.mark.parametrize(("error", "text"), ERRORS)
def test_one_line_and_the_same_after_a_trip_between_processes(error: AgentGymError, text: str) -> None:
    assert str(error) == text
    back = pickle.loads(pickle.dumps(error))
    assert type(back) is type(error)
    assert str(back) == text
    assert vars(back) == vars(error)


def test_errors_are_also_what_python_code_expects() -> None:
    assert issubclass(ConfigError, ValueError)
    assert issubclass(DataError, ValueError)
    assert issubclass(MissingExtra, ImportError)
    assert issubclass(EngineFault, EnvironmentFault)
    assert all(isinstance(error, AgentGymError) for error, _ in ERRORS)


def test_did_you_mean() -> None:
    assert did_you_mean("gigppo", ["grpo", "gigpo", "rloo"]) == "did you mean 'gigpo'?"
    assert did_you_mean("xyz", ["b", "a"]) == "known: a, b"
    assert did_you_mean("xyz", []) == "known: none"
    many = [f"name{i:03}" for i in range(MAX_LISTED + 5)]
    assert did_you_mean("xyz", many).endswith("name019 and 5 more")


@pytest.mark.parametrize(
    ("error", "line", "typed"),
    [
        (ValueError("one\ntwo"), "one", "ValueError: one"),
        (OSError("\n   \n  three  \nfour"), "three", "OSError: three"),
        (TimeoutError(), "TimeoutError", "TimeoutError"),
        (KeyError("x" * 300), "'" + "x" * 199, "KeyError: '" + "x" * 199),
    ],
)
def test_an_error_in_one_line(error, line, typed):
    assert first_line(error) == line
    assert typed_line(error) == typed
