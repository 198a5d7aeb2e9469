from __future__ import annotations

from pathlib import Path

import pytest

from agentgym.faults import ConfigError
from agentgym.tools.browser import BrowserOptions, find_chromium


@pytest.mark.parametrize(
    "wrong", [{"size": 0}, {"ready": -1}, {"settle_ms": 0}, {"viewport": (0, 5)}, {"browsers": -1}]
)
def test_wrong_options_are_named(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        BrowserOptions(**wrong)  # type: ignore[arg-type]


def test_where_chromium_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("AGENTGYM_CHROMIUM", raising=False)
    assert find_chromium(BrowserOptions()) is None
    for name in ("google-chrome", "chromium", "chromium-headless-shell", "other"):
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
    assert find_chromium(BrowserOptions()) == str(tmp_path / "chromium-headless-shell")
    assert find_chromium(BrowserOptions(headed=True)) == str(tmp_path / "chromium")
    monkeypatch.setenv("AGENTGYM_CHROMIUM", str(tmp_path / "other"))
    assert find_chromium(BrowserOptions()) == str(tmp_path / "other")
    assert find_chromium(BrowserOptions(executable_path="chromium")) == str(tmp_path / "chromium")
    with pytest.raises(ConfigError, match="executable_path"):
        find_chromium(BrowserOptions(executable_path="/nowhere"))
    monkeypatch.setenv("AGENTGYM_CHROMIUM", "/nowhere")
    with pytest.raises(ConfigError, match="AGENTGYM_CHROMIUM"):
        find_chromium(BrowserOptions())
