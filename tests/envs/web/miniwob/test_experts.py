"""Experts in the real browser, page by page, and what guards a page's reward."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from agentgym.envs.web.env import WebEnv

Started = Callable[..., WebEnv]
#: Pages of every kind: buttons, tabs, menus, lists, forms, tables, dates, sliders, mail, drawings, dragging, selecting.
SAMPLE = (
    "click-button",
    "click-tab-2-hard",
    "click-menu",
    "click-scroll-list",
    "click-shape",
    "multi-layouts",
    "read-table",
    "choose-date",
    "use-slider",
    "email-inbox",
    "social-media",
    "sign-agreement",
    "find-midpoint",
    "drag-items",
    "highlight-text",
    "use-autocomplete",
)
#: Turns of an episode here.
TURNS = 30


def solve(env: WebEnv, task: str) -> tuple[float | None, list[str]]:
    _, info = env.reset(options={"task": task})
    keys = [info["state_key"]]
    for _ in range(TURNS):
        _, _, ended, truncated, info = env.step(env.expert())
        keys.append(info["state_key"])
        if ended or truncated:
            break
    return info["signal"].outcome, keys


@pytest.fixture
def miniwob(web: Started) -> Callable[..., WebEnv]:
    def start(*pages: str, **options: Any) -> WebEnv:
        return web(source="miniwob", pages=list(pages), seeds=3, max_turns=TURNS, **options)

    return start


def test_experts_solve_their_pages(miniwob: Callable[..., WebEnv]) -> None:
    env = miniwob(*SAMPLE)
    outcomes = {page: solve(env, f"miniwob/{page}/1")[0] for page in SAMPLE}
    assert outcomes == dict.fromkeys(SAMPLE, 1.0)


def test_the_same_seed_is_the_same_course(miniwob: Callable[..., WebEnv]) -> None:
    env = miniwob("choose-date", "click-menu")
    for page in ("choose-date", "click-menu"):
        first, again, other = (solve(env, f"miniwob/{page}/{seed}")[1] for seed in (1, 1, 2))
        assert first == again
        assert first != other


def test_a_wrong_click_ends_with_nothing(miniwob: Callable[..., WebEnv]) -> None:
    env = miniwob("click-button")
    for seed in range(3):
        env.reset(options={"task": f"miniwob/click-button/{seed}"})
        right = env.expert()
        tree = env._episode.view.tree
        goal = tree.by_id[right.split("'")[1]].name
        wrong = next((n for n in tree.find_all("button") if n.name != goal), None)
        if wrong is not None:
            _, reward, ended, _, info = env.step(f"click('{wrong.id}')")
            assert ended
            assert info["signal"].outcome == 0.0
            assert reward <= 0.0
            return
    pytest.fail("no page had a wrong button")


def test_what_is_typed_never_runs_as_script(miniwob: Callable[..., WebEnv]) -> None:
    """The terminal writes each command into its page as HTML."""
    env = miniwob("terminal", realtime=True)
    env.reset(options={"task": "miniwob/terminal/1"})
    field = next(n for n in env._episode.view.tree.walk() if n.tag == "input")
    env.step(f"focus('{field.id}')")
    env.step("keyboard_type('<img src=x onerror=core.endEpisode(1)>')")
    page, _, ended, _, info = env.step("keyboard_press('Enter')")
    assert "image" in page
    assert not ended
    assert info["signal"].outcome is None
    env.step("keyboard_type('exit')")
    _, _, ended, _, info = env.step("keyboard_press('Enter')")
    assert ended
    assert info["signal"].outcome == 0.0


def test_a_page_that_is_left_or_loaded_again_ends_with_nothing(miniwob: Callable[..., WebEnv]) -> None:
    env = miniwob("click-test", "click-button")
    for url in ("http://miniwob.test/miniwob/click-test.html", "http://miniwob.test/miniwob/click-button.html"):
        env.reset(options={"task": "miniwob/click-test/0"})
        _, _, ended, _, info = env.step(f"goto('{url}')")
        assert ended
        assert info["signal"].outcome == 0.0


def test_what_only_the_eye_sees_is_named(miniwob: Callable[..., WebEnv]) -> None:
    env = miniwob("click-shades", "email-inbox", "click-shape")
    shades, _ = env.reset(options={"task": "miniwob/click-shades/1"})
    assert 'generic "red"' in shades
    assert "Last reward" not in shades
    mail, _ = env.reset(options={"task": "miniwob/email-inbox/1"})
    assert 'generic "trash"' in mail
    shapes, _ = env.reset(options={"task": "miniwob/click-shape/1"})
    assert " px" in shapes


def test_a_page_without_an_expert_says_so(miniwob: Callable[..., WebEnv]) -> None:
    env = miniwob("count-sides")
    env.reset(options={"task": "miniwob/count-sides/0"})
    with pytest.raises(NotImplementedError, match="count-sides"):
        env.expert()
