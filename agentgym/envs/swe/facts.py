"""The process parts that a repair episode emits, and what each is worth by default."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

SIGNALS: Final[Mapping[str, str]] = {
    "format": "-1 for a turn that is not well-formed",
    "file": "share of the files of the gold patch of which this turn showed something for the first time",
    "function": "share of the functions that the gold patch changes which this turn showed for the first time",
    "reproduced": "1 for the first run that shows the failure: a test of FAIL_TO_PASS, or the guilty function",
    "edit": "1 for the first edit after which the file can be parsed",
    "unparsable": "1 for an edit after which the file cannot be parsed (a cost)",
    "progress": "by how much the share of FAIL_TO_PASS that pass rose above its best so far; where measured",
    "broke": "by how much the share of PASS_TO_PASS that fail rose above its worst so far; where measured (a cost)",
    "fail_to_pass": "share of FAIL_TO_PASS that pass; where measured",
    "pass_to_pass": "share of PASS_TO_PASS that pass; where measured",
    "measure_s": "seconds that measuring took; where measured",
    "tests_s": "seconds in which tests ran: those asked for, and those of measuring",
    "lease_s": "seconds that the episode waited for its sandbox; on its first turn",
    "repeat": "1 for a view, search or test that was made before, with no change since (a cost)",
    "error": "1 for an action that could not be carried out (a cost)",
    "judge": "+1 for a right verdict on the last result, -1 for a wrong one",
    "submitted": "1 for a submission that is not empty once what may not be changed is left out",
    "dropped": "of the submission: files whose changes were left out (tests, settings of the runner; a cost)",
    "tampered": "of the submission: 1 where its run was caught altering results or tests (a cost)",
    "sound": "1 where `submitted` is and no test of PASS_TO_PASS is broken: opens the gate",
    "patch_similarity": "of the submission: likeness to the gold patch, 0..1; -1 for edits of a single turn that fail",
    "patch_size": "of the submission: lines that it adds or takes away",
    "patch_files": "of the submission: files that it changes",
    "forfeit": "what the default weights paid for earlier steps, on the turn that ends an episode without opening "
    "the gate",
}
# A verdict earns nothing by default (it would pay for looking in vain), nor does similarity (for copying). Together
# the steps stay below half of what the outcome is worth.
WEIGHTS: Final[Mapping[str, float]] = {
    "format": 0.1,
    "file": 0.05,
    "function": 0.1,
    "reproduced": 0.05,
    "edit": 0.05,
    "progress": 0.2,
    "unparsable": -0.05,
    "broke": -0.2,
    "repeat": -0.02,
    "error": -0.02,
    "tampered": -0.2,
    "forfeit": -1.0,
}
