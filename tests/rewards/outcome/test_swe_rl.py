"""SWE-RL: similarity of patches, exact where it can be, bounded where it must be."""

from __future__ import annotations

import time
from difflib import SequenceMatcher

import pytest
from episodes import answer, episode, task
from hypothesis import given
from hypothesis import strategies as st

from agentgym.faults import ConfigError
from agentgym.rewards.outcome import measure
from agentgym.rewards.outcome.swe_rl import patch_similarity, split_patch, swe_rl

ONE, OTHER = "@@ -1 +1 @@\n-x=1\n+x=2", "@@ -1 +1 @@\n-x=1\n+x=3"
TEXTS = st.text("ab\n+-", max_size=60)
PATCHES = st.dictionaries(st.sampled_from(["f", "g", "h"]), TEXTS, max_size=3)


def test_worked_numbers() -> None:
    assert swe_rl({"f": ONE}, {"f": OTHER}) == pytest.approx(0.952381, abs=1e-6)
    assert swe_rl({"f": ONE}, {"f": OTHER, "g": ONE}) == pytest.approx(0.476190, abs=1e-6)
    assert swe_rl({"f": ONE, "g": ONE}, {"f": OTHER}) == pytest.approx(0.476190, abs=1e-6)
    assert swe_rl(None, {"f": ONE}) == -1.0
    assert swe_rl({}, {}) == 1.0
    assert swe_rl({"f": ""}, {"f": ""}) == 1.0
    assert swe_rl({}, {"f": ONE}) == swe_rl({"f": ONE}, {}) == 0.0


def test_empty_entries_do_not_raise_the_mean() -> None:
    padded = {"f": ONE, **{f"no{i}": "" for i in range(100)}}
    assert swe_rl(padded, {"f": OTHER, "g": ONE}) == swe_rl({"f": ONE}, {"f": OTHER, "g": ONE})


@given(TEXTS, TEXTS)
def test_similarity_is_the_sequence_matchers_ratio(a: str, b: str) -> None:
    assert patch_similarity(a, b) == pytest.approx(SequenceMatcher(None, a, b, autojunk=False).ratio())


@given(TEXTS, TEXTS, st.integers(1, 200))
def test_a_small_budget_bounds_and_never_flatters_beyond_the_texts(a: str, b: str, max_work: int) -> None:
    similarity = patch_similarity(a, b, max_work)
    assert 0 <= similarity <= 1
    assert (similarity == 1) == (a == b)


def test_beyond_the_budget_lines_are_compared() -> None:
    lines = [f"+line {i} of the patch\n" for i in range(1000)]
    a, b = "".join(lines), "".join(lines[:-1]) + "+other words\n"
    assert patch_similarity(a, b, max_work=10_000) == pytest.approx(2 * len("".join(lines[:-1])) / (len(a) + len(b)))
    assert patch_similarity(a, b, max_work=10) == 0.0


@pytest.mark.parametrize(
    ("hostile", "gold"),
    [
        ("-" * 1_000_000, "-- + -" * 2000),
        ("a-" * 500_000, "-" * 5000),
        ("\n" * 1_000_000, "\n".join("+-ab" * 5) * 500),
        ("".join(chr(33 + i % 90) for i in range(1_000_000)), "".join(chr(33 + (i * 7) % 90) for i in range(20_000))),
        ("z" * 1_000_000 + "-", "-x" * 5000),
    ],
)
def test_a_hostile_megabyte_finishes(hostile: str, gold: str) -> None:
    begin = time.process_time()
    assert 0 <= patch_similarity(hostile, gold, max_work=300_000) < 0.5
    assert time.process_time() - begin < 10


@given(PATCHES, PATCHES)
def test_patches_are_bounded_and_a_patch_is_like_itself(predicted: dict[str, str], gold: dict[str, str]) -> None:
    assert 0 <= swe_rl(predicted, gold) <= 1
    assert swe_rl(gold, gold) == 1.0


GIT = """diff --git a/src/x.py b/src/x.py
index 123..456 100644
--- a/src/x.py
+++ b/src/x.py
@@ -1,2 +1,2 @@
-x=1
+x=2
 y=3
diff --git a/gone.py b/gone.py
deleted file mode 100644
--- a/gone.py
+++ /dev/null
@@ -1 +0,0 @@
-old
diff --git a/run.sh b/run.sh
old mode 100644
new mode 100755
"""


def test_a_git_patch_is_split_by_file() -> None:
    assert split_patch(GIT) == {
        "src/x.py": "@@ -1,2 +1,2 @@\n-x=1\n+x=2\n y=3",
        "gone.py": "@@ -1 +0,0 @@\n-old",
        "run.sh": "",
    }


def test_a_plain_patch_is_split_by_file() -> None:
    plain = f"--- x.py\t2024-01-01\n+++ x.py\t2024-01-02\n{ONE}\n--- /dev/null\n+++ b/new.py\n{OTHER}\n"
    assert split_patch(plain) == {"x.py": ONE, "new.py": OTHER}
    twice = f"--- a/x\n+++ b/x\n{ONE}\n--- a/x\n+++ b/x\n{OTHER}"
    assert split_patch(twice) == {"x": f"{ONE}\n{OTHER}"}


@pytest.mark.parametrize(
    "text", ["", "x=2", "Here is the patch:\n" + GIT, "--- a/x\nno\n", "--- /dev/null\n+++ /dev/null"]
)
def test_what_is_no_patch(text: str) -> None:
    assert split_patch(text) is None


@given(st.text("ab-+@ \n/diff", max_size=80))
def test_any_text_is_split_or_refused(text: str) -> None:
    files = split_patch(text)
    assert files is None or all(isinstance(hunks, str) for hunks in files.values())


def test_a_megabyte_of_headings_is_read() -> None:
    assert split_patch("--- a\n+++ b\n" * 100_000) == {"b": ""}
    assert split_patch("--- a\n" * 200_000) is None


def test_of_an_episode() -> None:
    gold = task(patch=f"--- a/f\n+++ b/f\n{OTHER}")
    right = f"--- a/f\n+++ b/f\n{ONE}"
    assert measure("swe_rl", gold, episode(answer(right))) == pytest.approx(0.952381, abs=1e-6)
    assert measure("swe_rl", gold, episode(answer("I fixed it"))) == -1.0
    assert measure("swe_rl", gold, episode(answer(right), terminated=False)) == -1.0


def test_a_gold_patch_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigError, match="the patch of task 't0' is no unified diff"):
        measure("swe_rl", task(patch="x = 2"), episode(answer("--- a/f\n+++ b/f\n@@ -1 +1 @@\n-x\n+y")))
