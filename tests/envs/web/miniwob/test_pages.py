"""The list of pages holds all that the wheel has, and says of each what can be done with it."""

from __future__ import annotations

from agentgym.envs.web.miniwob.experts import EXPERTS
from agentgym.envs.web.miniwob.pages import NOT_OFFERED, PAGES, REALTIME, UNSOLVED
from agentgym.envs.web.miniwob.site import html_root


def test_every_page_of_the_wheel_is_listed() -> None:
    assert set(PAGES) == {path.stem for path in (html_root() / "miniwob").glob("*.html")}
    others = {path.name for path in html_root().iterdir() if path.is_dir()} - {"miniwob", "core", "common"}
    assert set(NOT_OFFERED) == others


def test_every_page_has_an_expert_or_a_reason_for_none() -> None:
    assert len(EXPERTS) >= 100
    assert set(EXPERTS) | set(UNSOLVED) | set(REALTIME) == set(PAGES)
    assert not set(EXPERTS) & (set(UNSOLVED) | set(REALTIME))


def test_numbers() -> None:
    for page in PAGES.values():
        assert page.turns >= 1
        assert 1 <= page.difficulty <= 5
        assert 0.5 < page.solved_at <= 1.0
