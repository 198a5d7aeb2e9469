from __future__ import annotations

import asyncio
import itertools
import pickle
import random
import string
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from judging import saying

from agentgym.actions import PARSERS
from agentgym.aio import run_blocking
from agentgym.envs.web.actions import ACTIONS, FIELDS, called
from agentgym.envs.web.env import WebEnv
from agentgym.envs.web.stepping import StepJudge
from agentgym.exchange import picture_name
from agentgym.faults import ConfigError, EnvironmentFault
from agentgym.rewards.judges.build import make_judge
from agentgym.tools.browser import shared_pool
from agentgym.trainers.tiny import words
from agentgym.validate import validate

Started = Callable[..., WebEnv]
EASY = "calendar/accept/0"
FORM = "calendar/rename/0"
SHOP = "http://calendar.test"


def open_task(env: WebEnv, task: str = EASY) -> str:
    return env.reset(seed=0, options={"task": task})[0]


def step(env: WebEnv, text: str) -> tuple[str, dict[str, float], float | None]:
    """(observation, process parts, outcome) of one turn."""
    observation, *_, info = env.step(text)
    return observation, dict(info["signal"].process), info["signal"].outcome


def play(env: WebEnv, write: Callable[[], str]) -> float:
    """The outcome of an episode; 0 where it is cut off."""
    while True:
        _, _, terminated, truncated, info = env.step(write())
        if terminated or truncated:
            return info["signal"].outcome or 0.0


def settled(env: WebEnv) -> int:
    """Sessions that are leased, once those that are given back have arrived."""

    async def wait() -> int:
        pool = shared_pool(env.browser)
        for _ in range(200):
            if not pool.stats().leased:
                break
            await asyncio.sleep(0.02)
        return pool.stats().leased

    return run_blocking(wait())


# -- Gymnasium ---------------------------------------------------------------------------------------------------------


def test_check_env_and_make(chromium: str) -> None:
    env = gymnasium.make("agentgym/Web-v0", seeds=1, heldout_seeds=1, render_mode="ansi")
    assert isinstance(env.unwrapped, WebEnv)
    check_env(env.unwrapped, skip_render_check=False)
    env.close()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"action_set": "eyes"}, "action_set must be one of elements, points, both"),
        ({"showing": "all"}, "showing must be one of tree, changes"),
        ({"screenshots": "yes"}, "screenshots must be one of"),
        ({"record": "here"}, "record needs screenshots"),
        ({"max_lines": 0}, "max_lines must be at least 1"),
        ({"extra_turns": -1}, "extra_turns must be at least 0"),
        ({"browser": {"sizes": 2}}, "did you mean 'size'"),
        ({"browser": {"size": 0}}, "size must be above 0"),
        ({"sources": "bundled"}, "did you mean 'source'"),
        ({"sites": ["shops"]}, "did you mean 'shop'"),
        ({"templates": ["shop/nothing"]}, "no template 'shop/nothing'"),
        ({"difficulties": [9]}, "no template is left"),
    ],
)
def test_options(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        WebEnv(**options)


# -- an episode --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("action_format", ["tags", "xml", "hermes", "json", "browsergym"])
def test_every_format_plays(web: Started, action_format: str) -> None:
    env = web(action_format=action_format)
    open_task(env)
    assert play(env, env.expert) == 1.0


def test_what_the_agent_reads(web: Started) -> None:
    env = web()
    opened = open_task(env)
    assert opened.endswith(f"\n\nGoal: {env.task.goal}")
    assert 'page "' in opened
    assert "click(id, button='left'" in opened
    assert "You have" in opened
    bare = web(instructions="none")
    assert open_task(bare).startswith('page "')


def test_an_action_that_cannot_be_done_is_answered(web: Started) -> None:
    env = web()
    open_task(env)
    for text, outside in (("click('9999')", 0.0), ("goto('http://example.com/')", 1.0), ("goto('file:///etc/')", 1.0)):
        observation, parts, outcome = step(env, text)
        assert observation.startswith("error : ")
        assert (parts["invalid"], parts["outside"], outcome) == (1.0, outside, None)
    observation, parts, _ = step(env, "click('1')\nclick('1')")
    assert observation == "Error: write one action a turn, besides a verdict"
    assert parts == {"format": -1.0}
    assert step(env, "judge('yes')")[1] == {"judge": -1.0}
    assert step(env, "judge('yes')")[0] == "Error: there is no action to judge"


def test_effect_and_repeat(web: Started) -> None:
    env = web()
    open_task(env)
    assert step(env, "noop()")[1]["effect"] == 0.0
    there = step(env, f"goto('{SHOP}/people')")[1]
    assert (there["effect"], there["repeat"]) == (1.0, 0.0)
    back = step(env, "go_back()")[1]
    assert (back["effect"], back["repeat"]) == (1.0, 1.0)


def test_equal_states_have_equal_keys(web: Started) -> None:
    env, other = web(), web()
    keys = []
    for made, texts in ((env, ["goto('/people')"]), (other, ["goto('/rooms')", "noop()", "goto('/people')"])):
        open_task(made)
        for text in texts:
            step(made, text)
        keys.append(made.state_key)
    assert keys[0] == keys[1]
    step(env, "goto('/rooms')")
    assert env.state_key != keys[0]


def test_episodes_do_not_see_each_other(web: Started) -> None:
    env, other = web(), web()
    open_task(env)
    before = open_task(other)
    assert play(env, env.expert) == 1.0
    assert other._episode.world.digest() != env._episode.world.digest()
    assert step(other, "noop()")[0] in before
    assert open_task(env) == before


def test_changes_only(web: Started) -> None:
    env = web(showing="changes")
    open_task(env, FORM)
    assert "( nothing changed )" in step(env, "scroll(0, 0)")[0]
    searchbox = env._episode.view.tree.find("searchbox")
    assert searchbox is not None
    observation = step(env, f"fill('{searchbox.id}', 'xyz')")[0]
    assert f"+ [{searchbox.id}] searchbox" in observation
    assert len(observation) < len(step(env, "noop()")[0]) / 2


def test_messages_and_endings(web: Started) -> None:
    env = web()
    open_task(env)
    assert not env.task.asks
    observation, parts, outcome = step(env, "send_msg_to_user('I have a question')")
    assert (observation, parts, outcome) == ("The user has read it.", {}, None)
    assert step(env, "stop()") == ("The goal is not reached.", {}, 0.0)
    asking = next(i for i in env.taskset.ids("train") if env.taskset[i].asks)
    open_task(env, asking)
    assert step(env, "send_msg_to_user('I do not know')")[2] == 0.0
    open_task(env, asking)
    assert step(env, "report_infeasible('there is none')")[2] == 0.0
    open_task(env, asking)
    assert "reason" in step(env, "report_infeasible(' ')")[0]


def test_points(web: Started) -> None:
    env = web(action_set="points")
    open_task(env)
    link = env._episode.view.tree.find("link", "People")
    assert link is not None
    assert link.box is not None
    x, y = link.box.centre
    assert "page " in step(env, f"mouse_click({x}, {y})")[0]
    assert env._episode.view.url.startswith(f"{SHOP}/people")
    assert step(env, "click('1')")[0].startswith("Error: unknown action 'click'")


def test_a_long_text_is_no_fault(web: Started) -> None:
    env = web()
    open_task(env)
    search = env._episode.view.tree.find("searchbox")
    assert search is not None
    step(env, f"focus('{search.id}')")
    step(env, "keyboard_type('abc ')")
    step(env, f"keyboard_type('{'word ' * 700}')")
    found = env._episode.view.tree.by_id[search.id]
    assert (found.value or "").startswith("abc word word")


def test_pictures(web: Started, tmp_path: Path) -> None:
    env = web(screenshots="marks", record=str(tmp_path))
    open_task(env)
    assert env.screenshot is not None
    assert (tmp_path / picture_name(env.state_key)).read_bytes() == env.screenshot
    assert env.screenshot.startswith(b"\x89PNG")
    step(env, "goto('/people')")
    assert len(list(tmp_path.iterdir())) == 2


def test_sessions_are_given_back(web: Started) -> None:
    env = web(max_turns=2)
    open_task(env)
    step(env, "stop()")
    assert settled(env) == 0
    open_task(env)
    step(env, "hm")
    step(env, "hm")
    assert settled(env) == 0
    open_task(env)
    env.close()
    assert settled(env) == 0


def test_a_broken_browser_is_a_fault(web: Started) -> None:
    env = web()
    open_task(env)
    session = env._episode.session
    assert session is not None
    run_blocking(session.context.close())
    with pytest.raises(EnvironmentFault):
        step(env, "goto('/people')")
    open_task(env)
    assert play(env, env.expert) == 1.0


def test_many_at_once(web: Started) -> None:
    envs = [web() for _ in range(6)]
    tasks = itertools.cycle([EASY, FORM])

    async def one(env: WebEnv, task: str) -> float:
        await env.reset_async(seed=0, options={"task": task})
        while True:
            _, _, terminated, truncated, info = await env.step_async(env.expert())
            if terminated or truncated:
                return info["signal"].outcome or 0.0

    async def everybody() -> Sequence[float]:
        return await asyncio.gather(*(one(env, task) for env, task in zip(envs, tasks, strict=False)))

    assert asyncio.run(everybody()) == [1.0] * 6


def test_a_judge_of_steps(web: Started) -> None:
    env, chat = web(action_format="tags"), saying("no")
    env.step_judge = StepJudge(make_judge("yes_no", model=chat, probability=False))
    open_task(env)
    assert step(env, "<click> 1 </click>")[1]["step_judge"] == 0.0
    told = chat.asked[0].messages[-1]["content"]
    assert env.task.goal in told
    assert "click('1')" in told


# -- snapshots ---------------------------------------------------------------------------------------------------------


def rest(env: WebEnv, texts: Sequence[str]) -> list[tuple[Any, ...]]:
    seen = []
    for text in texts:
        observation, reward, terminated, truncated, info = env.step(text)
        seen.append((observation, reward, terminated, truncated, info["state_key"]))
    return seen


@pytest.mark.parametrize(
    ("before", "after", "copied"),
    [
        (["goto('/people')"], ["goto('/rooms')", "noop()"], True),
        (["goto('/people')", "fill('2', 'x')"], ["press('2', 'Enter')", "go_back()"], False),
        (["goto('/people')", "goto('/rooms')"], ["go_back()", "go_forward()"], False),
        (["goto('/people')", "goto('/rooms')"], ["noop()", "go_back()", "noop()"], False),
        (["new_tab()", "goto('http://calendar.test/rooms')"], ["tab_focus(0)", "tab_close()"], False),
        ([], ["stop()"], False),
    ],
)
def test_a_snapshot_goes_on_in_the_same_way(web: Started, before: list[str], after: list[str], copied: bool) -> None:
    env, other = web(), web()
    open_task(env)
    rest(env, before)
    snapshot = pickle.dumps(env.snapshot())
    expected = rest(env, after)
    for made in (other, env, other):
        made.restore(pickle.loads(snapshot))
        assert pickle.dumps(made.snapshot().state.view.tree.lines()) == pickle.dumps(
            pickle.loads(snapshot).state.view.tree.lines()
        )
        assert made.expert()
        assert rest(made, after) == expected
        assert made._episode._copied == copied


def test_a_snapshot_holds_the_databases(web: Started) -> None:
    env, other = web(), web()
    open_task(env)
    texts = []
    while env._episode.world.outcome("", False) < 1.0:
        texts.append(env.expert())
        step(env, texts[-1])
    other.restore(env.snapshot())
    assert step(other, "noop()")[0] == step(env, "noop()")[0]
    assert step(other, "stop()")[2] == 1.0


# -- experts -----------------------------------------------------------------------------------------------------------


def test_the_expert_mends_mistakes(web: Started) -> None:
    env, rng = web(max_turns=60), np.random.default_rng(0)
    for task in (EASY, FORM):
        open_task(env, task)
        for _ in range(6):
            if env._playing is None or step(env, env.expert({"element": 0.7}, rng))[2] is not None:
                break
        else:
            assert play(env, env.expert) == 1.0


def test_the_expert_judges(web: Started) -> None:
    env = web(expert_judges=True)
    open_task(env)
    total = 0.0
    while True:
        _, parts, outcome = step(env, env.expert())
        total += parts.get("judge", 0.0)
        assert parts.get("judge", 1.0) == 1.0
        if outcome is not None:
            break
    assert outcome == 1.0
    assert total >= 1.0


def test_validate(web: Started) -> None:
    env = web(templates=[EASY.rpartition("/")[0]], max_turns=4)
    report = validate(env, splits=("train",), limit=1)
    assert report.ok, [str(f) for f in report.failures]


def test_the_vocabulary_holds_what_is_shown(web: Started) -> None:
    env = web(action_format="xml", instructions="none", templates=[EASY.rpartition("/")[0]], seeds=1)
    known = {word for text in env.vocabulary() for word in words(text)}
    seen = [open_task(env)]
    while True:
        seen.append(env.expert())
        observation, _, terminated, *_ = env.step(seen[-1])
        seen.append(observation)
        if terminated:
            break
    assert {word for text in seen for word in words(text)} - known == set()


# -- hostile actions ---------------------------------------------------------------------------------------------------

#: How many strings are tried, and how many of them may be well-formed and so reach the browser.
STRINGS, IN_BROWSER = 10_000, 120
_HOSTILE = (
    "javascript:alert(1)", "file:///etc/passwd", "data:text/html,<script>alert(1)</script>", "http://127.0.0.1:22/",
    "http://calendar.test@evil.test/", "//evil.test/", "/\\evil.test", "about:blank", "chrome://crash", "view-source:/",
    "'; DROP TABLE meta; --", "{{7*7}}", "${jndi:ldap://x}", "__import__('os').system('id')", "\0", "\u202e", "💥" * 50,
    "Control+w", "Alt+F4", "Enter+Enter+", "F12", "a" * 3_000, "-1", "1e400", "NaN", "[1]", "1", "7", "12", "30", "",
)  # fmt: skip


def hostile(rng: random.Random) -> str:
    """A string that nobody should send: noise, a broken call, or a call with an argument of ill will."""
    kind = rng.random()
    if kind < 0.3:
        return "".join(rng.choices(string.printable + "\0\u202e\ud800é💥", k=rng.randrange(200)))
    spec = rng.choice(ACTIONS)
    if kind < 0.8:
        args = ", ".join(rng.choice((repr, str))(rng.choice(_HOSTILE)) for _ in range(rng.randrange(4)))
        text = f"{rng.choice(['', spec.name, spec.name, 'eval', '<click>'])}({args})"
        cut = rng.randrange(len(text) + 1)
        return text[:cut] + rng.choice(("", "(", "'", "\\", "```", "\n")) + text[cut + rng.randrange(3) :]
    args_ = {name: rng.choice((rng.choice(_HOSTILE), rng.randrange(60))) for name in FIELDS[spec.name]}
    name = rng.choice(("tags", "xml", "hermes", "json", "browsergym"))
    try:
        return PARSERS.get(name)(ACTIONS).render([called(spec.name, *args_.values())])
    except ConfigError:
        return str(args_)


def children() -> int:
    """Processes of this one, direct ones."""
    return sum(len(path.read_text().split()) for path in Path("/proc/self/task").glob("*/children"))


def test_ten_thousand_hostile_actions(web: Started) -> None:
    rng, env = random.Random(0), web(max_turns=STRINGS, action_set="both")
    open_task(env)
    before, in_browser, done = children(), 0, False
    for _ in range(STRINGS):
        text = hostile(rng)
        if env.parser.parse(text).error is None:
            if in_browser >= IN_BROWSER:
                continue
            in_browser += 1
        if done:
            open_task(env)
        observation, reward, terminated, truncated, info = env.step(text)
        done = terminated or truncated
        assert np.isfinite(reward)
        assert observation in env.observation_space
        assert info["signal"].outcome in (None, 0.0)
        if info["action"].get("error"):
            assert "\n" not in observation
    assert in_browser == IN_BROWSER
    assert children() <= before
    open_task(env)
    assert play(env, env.expert) == 1.0
