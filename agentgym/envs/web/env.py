"""`WebEnv`: reach goals in a real browser; what the site's databases hold decides, never what a page looks like.

The action language is BrowserGym's (arXiv 2412.05467).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any, ClassVar, Literal, get_args

import numpy as np

from agentgym.actions import JUDGE, Action, ActionSpec, ParsedTurn
from agentgym.aio import on_shared_loop, start_on_shared_loop
from agentgym.env import FORMAT, AgentEnv, Instructions, Opening, Outcome
from agentgym.envs.sourcing import make_source, shared_taskset
from agentgym.envs.verdicts import refusal
from agentgym.envs.web import gold, language, observing, prompts
from agentgym.envs.web.actions import ACTION_SETS, ACTIONS, FIELDS, REFUSALS, ActionSet
from agentgym.envs.web.doing import IN_BROWSER
from agentgym.envs.web.episode import NOTHING, Did, Episode
from agentgym.envs.web.expert import Slips, slipped
from agentgym.envs.web.forks import Fork
from agentgym.envs.web.gold import GoldWorld
from agentgym.envs.web.observing import Showing
from agentgym.envs.web.options import browser_options, check_choices, check_least
from agentgym.envs.web.sources import SOURCES
from agentgym.envs.web.stepping import step_judge as make_step_judge
from agentgym.envs.web.task import WebTask, WebTaskSet
from agentgym.exchange import picture_name
from agentgym.faults import ConfigError, EnvironmentFault
from agentgym.rewards.outcome.re_seek import verdict_sign
from agentgym.signal import RewardSignal
from agentgym.task import Split
from agentgym.tools.browser import shared_pool
from agentgym.tools.browser.tree import Tree

#: How long `close` waits for a session to be given back, in seconds.
CLOSE_S = 10.0
# How a judge is told of an action, whatever the agent's format.
_NOTATION = language.BrowserGymParser(ACTIONS)
Shots = Literal["none", "plain", "marks"]


class WebEnv(AgentEnv[WebTask]):
    """Reach a goal on websites, in Chromium.

    **Actions** (one a turn, a verdict before it or alone): BrowserGym's, see `actions`: ``click(id)``, ``fill(id,
    text)``, ``select_option(id, options)``, ``press``, ``scroll``, ``goto``, ``go_back``, tabs, ...; with
    ``action_set="points"`` the mouse by coordinates; ``judge(verdict)`` on whether the last action brought the goal
    nearer; ``send_msg_to_user(text)``, which answers goals that ask something; ``report_infeasible(reason)`` and
    ``stop(answer)``, which end the episode. Nothing that is written is ever run as script.

    **Observations**: the error of the last action, dialogs that were answered, the page's title and URL, tabs, focus,
    and the page as an accessibility tree whose ids stay with their elements.

    **Outcome**: 1 where the goal is reached when the episode ends (the facts hold in the databases, the answer is
    right, nothing else was changed), else 0; MiniWoB pages give their raw reward.

    **State key**: the page as it reads, the tabs, and the contents of the databases.

    **Expert**: every task set brings its own; it works from any state. Mistakes, each with probability p a turn, in
    the order of `expert.MISTAKES`: ``element`` acts on another element; ``early`` stops before the goal is reached;
    ``text`` writes or answers another text; ``judge`` turns a verdict round (with `expert_judges`).

    **Snapshots**: exact; see `forks` for how and for what they cost. Pages outside (WebArena) cannot be brought back.

    Args:
        source: Where tasks come from: a name of `sources.SOURCES`. Its options are given beside it, e.g.
            ``source="miniwob", pages=["click-button"]``.
        action_set: What the agent points with: ``elements`` by their numbers, ``points`` of the screen, or ``both``.
        showing: ``tree`` shows the whole page after every action, ``changes`` what changed in it (``noop`` all of it).
        max_lines: Elements shown of a page.
        max_text: Characters shown of an element's name or value.
        screenshots: Take a picture at every turn (`screenshot`), ``marks``: with the elements' numbers drawn on it.
        record: Folder to which the pictures are written, named by the state key; None: none.
        browser: How browsers are run: see `agentgym.tools.browser.BrowserOptions`; its ``size`` is how many episodes a
            process plays at once.
        headed: Show the browser's window; for people who watch.
        extra_turns: Turns beyond twice those that the expert takes, where `max_turns` does not say.
        step_judge: A judge of every action, for the part ``step_judge``: see `stepping.step_judge`; None: none.
        expert_judges: The expert judges every action.
        split, action_format, instructions, max_turns, max_action_chars, max_observation_chars, render_mode: See
            `AgentEnv`; besides its formats there is ``browsergym``.
        **source_options: Options of the source.

    Raises:
        ConfigError: An option that cannot be used.
        DataError: A damaged file.
        MissingExtra: The extra ``web`` is not installed.
    """

    actions: ClassVar[Sequence[ActionSpec]] = ACTIONS
    signals: ClassVar[Mapping[str, str]] = {
        "format": "-1 for a turn that is not well-formed",
        "invalid": "1 for an action that could not be carried out: its element is gone, hidden, disabled, ... (a cost)",
        "effect": "1 where the page, the tabs or a database changed",
        "repeat": "1 where the action led to a state that the episode had been in before (a cost)",
        "subgoals": "change of the share of the goal's facts that hold in the databases (undoing one costs)",
        "navigation": "share of the pages on the way to the goal that this action reached for the first time",
        "violation": "number of things changed that had to stay: orders nobody asked for, data given away (a cost)",
        "outside": "1 where the action asked for something outside of the task's sites (a cost)",
        "judge": "+1 for a right verdict on the last action, -1 for a wrong one; useful = it brought the goal nearer",
        "step_judge": "how much a judge thinks the action to bring the goal nearer, 0..1 (only with step_judge)",
        **gold.SIGNALS,
    }
    # Effects and verdicts earn nothing by default: both can be had without end by going to and fro.
    weights: ClassVar[Mapping[str, float]] = {
        "format": 0.1,
        "invalid": -0.05,
        "repeat": -0.02,
        "subgoals": 0.3,
        "navigation": 0.1,
        "violation": -0.3,
        "outside": -0.05,
    }
    blocking: bool = False
    forkable: bool = True
    taskset: WebTaskSet

    def __init__(
        self,
        source: str = "bundled",
        *,
        action_set: ActionSet = "elements",
        showing: Showing = "tree",
        max_lines: int = 200,
        max_text: int = 200,
        screenshots: Shots = "none",
        record: str | None = None,
        browser: Mapping[str, Any] | None = None,
        headed: bool = False,
        extra_turns: int = 3,
        step_judge: Mapping[str, Any] | None = None,
        expert_judges: bool = False,
        split: Split = "train",
        action_format: str = "tags",
        instructions: Instructions = "full",
        max_turns: int | None = None,
        max_action_chars: int = 16_384,
        max_observation_chars: int = 65_536,
        render_mode: str | None = None,
        **source_options: Any,
    ) -> None:
        check_choices(
            action_set=(action_set, tuple(ACTION_SETS)),
            showing=(showing, get_args(Showing)),
            screenshots=(screenshots, get_args(Shots)),
        )
        check_least(max_lines=(max_lines, 1), max_text=(max_text, 1), extra_turns=(extra_turns, 0))
        if record is not None and screenshots == "none":
            raise ConfigError("record needs screenshots: plain or marks")
        own = [name for name in WebEnv.__init__.__annotations__ if name not in ("return", "source_options")]
        made = make_source(SOURCES, source, source_options, own)
        self.browser = browser_options(browser or {}, headed)
        self.step_judge = None if step_judge is None else make_step_judge(step_judge)
        super().__init__(
            shared_taskset(made),
            split=split,
            action_format=action_format,
            instructions=instructions,
            max_turns=max_turns,
            max_action_chars=max_action_chars,
            max_observation_chars=max_observation_chars,
            render_mode=render_mode,
        )
        self.action_set, self.showing = action_set, showing
        self.max_lines, self.max_text = max_lines, max_text
        self.screenshots, self.record = screenshots, None if record is None else Path(record)
        self.extra_turns, self.expert_judges = extra_turns, expert_judges
        #: The page as PNG after the last turn, with `screenshots`.
        self.screenshot: bytes | None = None
        self.forkable = self.taskset.forkable
        first = next(iter((*self.taskset.ids("train"), *self.taskset.ids("heldout"))), None)
        self.capacity = self.browser.size if first is not None and self.taskset[first].origins else None
        self._specs = ACTION_SETS[action_set]
        self.offer(self._specs)
        self._playing: Episode | None = None

    def vocabulary(self) -> list[str]:
        """Texts that hold every word this environment shows or its expert writes; tokenizers are made from them."""
        names = [spec.name for spec in ACTIONS] + sorted({name for names in FIELDS.values() for name in names})
        tags = [word for name in names for word in (f"<{name}>", f"</{name}>")]
        numbers = [str(number) for number in range(self.max_lines + 1)]
        return [*prompts.WORDS, *observing.WORDS, *tags, *numbers, *self.taskset.texts()]

    # -- the episode -------------------------------------------------------------------------------------------------

    def task_actions(self, task: WebTask) -> Sequence[ActionSpec]:
        if task.points and self.action_set == "elements":
            return ACTION_SETS["both"]
        return self._specs if task.origins else ACTIONS

    def turn_budget(self, task: WebTask) -> int:
        """Twice what the expert takes, and `extra_turns`; the number of steps where each has a right action."""
        return 2 * task.length + self.extra_turns if task.origins else len(task.steps)

    async def begin_async(self, task: WebTask) -> Opening:
        return await on_shared_loop(self._begin(task))

    async def act_async(self, turn: ParsedTurn) -> Outcome:
        return await on_shared_loop(self._act(turn))

    def malformed(self, turn: ParsedTurn) -> Outcome:
        if self.turns_left <= 1:
            self._release()
        return super().malformed(turn)

    async def _begin(self, task: WebTask) -> Opening:
        await self._end()
        self.screenshot = None
        episode = self._playing = Episode(self.taskset, task, shared_pool(self.browser))
        if task.origins:
            try:
                await episode.open()
            except BaseException:
                await self._end()
                raise
        key = self._key(task, episode)
        episode.progress.states.add(key)
        await self._picture(episode, key)
        budget = self.max_turns or self.turn_budget(task)
        how = prompts.opening(task, budget) if self.instructions == "full" else ""
        lines = [how, self._shown(episode, None), f"{prompts.GOAL} {episode.goal}"]
        return Opening("\n\n".join(line for line in lines if line), key)

    async def _act(self, turn: ParsedTurn) -> Outcome:
        episode, over = self._episode, True
        try:
            out = await self._turn(episode, turn)
            over = out.terminated or self.turns_left <= 1
        finally:
            # Also where the browser broke, or nobody waits any more; a session that is kept is one that others lack.
            if over:
                self._release()
        return out

    async def _turn(self, episode: Episode, turn: ParsedTurn) -> Outcome:
        task, progress = self.task, episode.progress
        before = self._key(task, episode)
        if reason := refusal(turn.actions, progress.useful is not None, REFUSALS):
            return Outcome(f"Error: {reason}", RewardSignal(process={FORMAT: -1.0}), before)
        parts: dict[str, float] = {}
        observation, outcome = prompts.NOTED, None
        for action in turn.actions:
            if action.name == JUDGE:
                parts["judge"] = verdict_sign(action.args["verdict"] == "yes", bool(progress.useful))
                progress.useful = None
            elif isinstance(episode.world, GoldWorld):
                observation, outcome = self._take(episode.world, action, parts)
            elif action.name in IN_BROWSER:
                observation, outcome = await self._browse(episode, action, before, parts)
            else:
                observation, outcome = await self._say(episode, action)
        progress.over = outcome is not None
        key = self._key(task, episode)
        if not progress.over:
            await self._picture(episode, key)
        return Outcome(observation, RewardSignal(outcome, parts), key, terminated=progress.over)

    async def _browse(
        self, episode: Episode, action: Action, before: str, parts: dict[str, float]
    ) -> tuple[str, float | None]:
        seen, progress = episode.view.tree, episode.progress
        did = await episode.do(action)
        parts["invalid"] = float(bool(did.error))
        parts["outside"] = float(did.outside > 0)
        progress.look(episode.world, episode.view, parts)
        key = self._key(self.task, episode)
        parts["effect"], parts["repeat"] = float(key != before), float(key in progress.states)
        progress.states.add(key)
        if self.step_judge is not None:
            page, changed = self._shown(episode, None, tree=seen), self._shown(episode, seen, did)
            written = _NOTATION.render([action])
            parts["step_judge"] = await self.step_judge.score(episode.goal, page, written, changed)
        if episode.ended is not None:
            return prompts.ended(episode.ended), episode.ended
        whole = self.showing == "tree" or action.name == "noop"
        return self._shown(episode, None if whole else seen, did), None

    async def _say(self, episode: Episode, action: Action) -> tuple[str, float | None]:
        progress, infeasible = episode.progress, action.name == "report_infeasible"
        text = action.args.get("text") or action.args.get("answer") or ""
        if text:
            progress.messages.append(text)
        if action.name == "send_msg_to_user" and not self.task.asks:
            progress.useful = False
            return prompts.SAID, None
        outcome = await episode.world.judged(episode.session, progress.answer, infeasible)
        return prompts.ended(outcome), outcome

    def _take(self, world: GoldWorld, action: Action, parts: dict[str, float]) -> tuple[str, float | None]:
        world.take(action, parts)
        self._episode.progress.useful = parts["exact"] > 0
        return (prompts.OVER, world.outcome(None, False)) if world.over else (world.page, None)

    def _shown(self, episode: Episode, before: Tree | None, did: Did = NOTHING, tree: Tree | None = None) -> str:
        if isinstance(episode.world, GoldWorld):
            return episode.world.page
        return observing.show(
            tree or episode.view.tree,
            before,
            tabs=episode.tabs,
            notes=did.notes,
            error=did.error,
            max_lines=self.max_lines,
            max_text=self.max_text,
        )

    async def _picture(self, episode: Episode, key: str) -> None:
        if self.screenshots == "none" or not episode.task.origins:
            return
        self.screenshot = await episode.screenshot(marks=self.screenshots == "marks")
        if self.record is not None:
            path = self.record / picture_name(key)
            picture = self.screenshot
            await asyncio.to_thread(_write, path, picture)

    # -- state, forks, expert ----------------------------------------------------------------------------------------

    @property
    def _episode(self) -> Episode:
        if self._playing is None:
            raise EnvironmentFault("browser", "the episode is over")
        return self._playing

    def _key(self, task: WebTask, episode: Episode) -> str:
        view, progress = episode.view, episode.progress
        state = (
            view.tree.digest,
            view.tree.scroll,
            view.tabs,
            view.active,
            episode.world.digest(),
            progress.messages,
            progress.over,
        )
        return f"{task.id}|{blake2b(repr(state).encode('utf-8', 'surrogatepass'), digest_size=12).hexdigest()}"

    def fork_state(self) -> Fork:
        return self._episode.fork()

    def load_fork(self, task: WebTask, state: Fork) -> None:
        self._release()
        self._playing = Episode(self.taskset, task, shared_pool(self.browser))
        self._playing.load(state)

    def expert(self, mistakes: Mapping[str, float] | None = None, rng: np.random.Generator | None = None) -> str:
        """What the task's solver writes now; see the class's docstring for `mistakes`.

        Raises:
            ConfigError: An unknown kind of mistake, or mistakes without `rng`.
        """
        episode, slips = self._episode, Slips(mistakes, rng)
        useful, actions = episode.progress.useful, list[Action]()
        if self.expert_judges and useful is not None:
            actions.append(Action(JUDGE, {"verdict": "yes" if useful != ("judge" in slips) else "no"}))
        actions.append(slipped(episode.world.next_action(episode.view), episode.view, slips))
        return self.parser.render(actions)

    def close(self) -> None:
        """Gives the browser session back, and lets go of the databases."""
        ended = start_on_shared_loop(self._end())
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            ended.result(CLOSE_S)

    async def _end(self) -> None:
        episode, self._playing = self._playing, None
        if episode is not None:
            await episode.close()
            episode.world.close()

    def _release(self) -> None:
        """Starts to give the session back; what was seen last, and the databases, stay for `snapshot` and `expert`."""
        if self._playing is not None:
            start_on_shared_loop(self._playing.close())


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
