"""An episode of a MiniWoB++ page: seeded start, goal, and the page's own verdict (arXiv 1802.08802).

The protocol is that of the wheel's own environment: seed the page's generator, raise its time limit, start its episode,
read the raw reward (the one without the penalty of time). What the page shows of time and rewards is hidden, as is the
goal, which the environment gives. The page's globals can be read directly, because its security
policy lets no script but the page's own run in it (`agentgym.envs.web.miniwob.site`).
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from agentgym.envs.web.miniwob.elements import ELEMENTS_JS, Element, read_elements
from agentgym.faults import EnvironmentFault

#: Evaluates a JavaScript expression in the page's own world.
Evaluate = Callable[[str], Awaitable[Any]]

#: The pages' own limit of an episode, in ms, raised to where turn budgets decide; below 2^31, a timer's limit.
EPISODE_MS: Final = 1_000_000_000
#: Longest goal and longest reason that are taken from a page, in characters.
MAX_GOAL_CHARS, MAX_REASON_CHARS = 2_000, 200
#: Names the document in which the episode was started; a page that was loaded again lacks it.
_MARK = "agentgymEpisode"

#: Nothing waits or glides: what an action leads to would otherwise depend on how fast the next one comes.
_AT_ONCE_JS = """() => {
  const $ = window.jQuery;
  if (!$) return;
  $.fx.off = true;
  if ($.ui && $.ui.menu) $.ui.menu.prototype.delay = 0;
  if ($.ui && $.ui.autocomplete) {
    $.ui.autocomplete.prototype.options.delay = 0;
    $(':ui-autocomplete').autocomplete('option', 'delay', 0);
  }
}"""
_START_JS = f"""(([seed, limit]) => {{
  if (typeof core === 'undefined') return null;
  Math.seedrandom(seed);
  core.EPISODE_MAX_TIME = limit;
  const atOnce = {_AT_ONCE_JS};
  atOnce();
  core.startEpisodeReal();
  atOnce();
  core.clearTimer();
  window.{_MARK} = true;
  for (const id of ['reward-display', 'click-canvas']) document.getElementById(id).style.display = 'none';
  const query = document.getElementById('query');
  for (const icon of query.querySelectorAll('.ui-icon')) icon.textContent = icon.className;
  query.setAttribute('aria-hidden', 'true');
  const said = core.getUtterance();
  return typeof said === 'string' ? {{goal: said, fields: {{}}}} : {{goal: said.utterance, fields: said.fields}};
}})"""
_STATUS_JS = f"""(() => window.{_MARK} !== true ? null : {{
  done: WOB_DONE_GLOBAL === true,
  raw: Number(WOB_RAW_REWARD_GLOBAL) || 0,
  reason: WOB_REWARD_REASON === null ? '' : String(WOB_REWARD_REASON),
}})()"""
_LOOK_JS = f"({{status: {_STATUS_JS}, elements: ({ELEMENTS_JS})()}})"


@dataclass(frozen=True, slots=True)
class Asked:
    """What an episode asks for.

    Attributes:
        goal: As the page states it.
        fields: Its parts by name, where the page tells them; for experts.
    """

    goal: str
    fields: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Status:
    """The page's verdict.

    Attributes:
        done: The page ended the episode.
        raw: Raw reward, -1..1; 0 until it is done.
        reason: What the page gives as its reason, if anything.
        left: The agent left or reloaded the page; the episode cannot go on.
    """

    done: bool = False
    raw: float = 0.0
    reason: str = ""
    left: bool = False


async def start(evaluate: Evaluate, page: str, seed: int) -> Asked:
    """Starts the episode of a page that is open.

    Args:
        evaluate: Of that page.
        page: Its name, for messages.
        seed: Of the page's generator.

    Raises:
        EnvironmentFault: The page did not load.
    """
    said = await evaluate(f"{_START_JS}({json.dumps([seed, EPISODE_MS])})")
    if not isinstance(said, dict):
        raise EnvironmentFault("browser", f"MiniWoB page {page} did not load")
    return Asked(str(said["goal"])[:MAX_GOAL_CHARS], {str(k): str(v) for k, v in said["fields"].items()})


async def look(evaluate: Evaluate) -> tuple[Status, list[Element]]:
    """The verdict, and the elements for an expert, in one round trip."""
    data = await evaluate(_LOOK_JS)
    return _status(data["status"]), read_elements(data["elements"])


async def status(evaluate: Evaluate) -> Status:
    """The verdict alone."""
    return _status(await evaluate(_STATUS_JS))


def _status(data: Any) -> Status:
    if data is None:
        return Status(left=True)
    return Status(data["done"], float(data["raw"]), data["reason"][:MAX_REASON_CHARS])
