from __future__ import annotations

import dataclasses
import sqlite3
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentgym.faults import DataError
from agentgym.rewards.judges.cache import VerdictCache, content_key
from agentgym.rewards.judges.tree import Criterion
from agentgym.rewards.judges.verdict import Request, Verdict

REQUEST = Request("task", "text", None, ("gold",), None, ("fact",), "because", True)
YES = Verdict(0.75, "yes", "it is \ud800 so")


def test_everything_that_decides_is_in_the_key() -> None:
    changes = {
        "task": "t",
        "text": "t",
        "other": "t",
        "references": ("gold", "silver"),
        "rubric": Criterion(text="c"),
        "nuggets": (),
        "reasoning": "",
        "well_formed": False,
    }
    assert set(changes) == {field.name for field in dataclasses.fields(Request)}
    keys = {content_key("judge", dataclasses.replace(REQUEST, **{name: value})) for name, value in changes.items()}
    keys |= {content_key("judge", REQUEST), content_key("other judge", REQUEST)}
    assert len(keys) == len(changes) + 2
    assert content_key("judge", REQUEST) == content_key("judge", dataclasses.replace(REQUEST))


@given(st.text(), st.text())
def test_texts_do_not_run_into_each_other(a: str, b: str) -> None:
    if a:
        assert content_key("j", Request(a, b)) != content_key("j", Request("", a + b))


def test_memory_keeps_the_latest() -> None:
    cache = VerdictCache(2)
    for key in "ab":
        cache.put(key, YES)
    assert cache.get("a") == YES
    cache.put("c", YES)
    assert cache.get("b") is None
    assert cache.get("a") == cache.get("c") == YES


def test_a_file_outlives_the_run_and_is_shared(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "verdicts.sqlite"
    first, second = VerdictCache(0, path), VerdictCache(5, path)
    first.put("a", YES)
    kept = Verdict(0.75, "yes", "it is ? so")
    assert first.get("a") == second.get("a") == kept
    first.close()
    second.close()
    assert VerdictCache(1, path).get("a") == kept
    assert VerdictCache(1, path).get("b") is None


def test_what_is_no_cache_is_named(tmp_path: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("not a database, though long enough to be taken for the head of one\n" * 40)
    with pytest.raises(DataError, match=r"notes\.txt: cannot be used as a cache of verdicts"):
        VerdictCache(1, text)
    strange = tmp_path / "strange.sqlite"
    cache = VerdictCache(1, strange)
    with sqlite3.connect(strange) as other:
        other.execute("INSERT INTO verdicts VALUES ('a', 'high', 'yes', '')")
    with pytest.raises(DataError, match="verdict a has the score 'high'"):
        cache.get("a")
