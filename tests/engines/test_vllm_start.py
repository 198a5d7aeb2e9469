from __future__ import annotations

import sys

import pytest

from agentgym.engines.base import ENGINES
from agentgym.engines.vllm_start import Setup, start
from agentgym.faults import MissingExtra


def test_without_vllm_the_line_that_mends_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "vllm" in ENGINES
    monkeypatch.setitem(sys.modules, "vllm", None)
    setup = Setup("model", "auto", 1, 8, None, None, 0.9, 1, True, None, {})
    with pytest.raises(MissingExtra, match=r"pip install 'agentgym\[vllm\]'"):
        start(setup)
