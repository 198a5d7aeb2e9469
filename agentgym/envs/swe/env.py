"""`SweEnv`: find the fault of a repository and mend it, in a sandbox; tests decide.

Outcome by SWE-bench's rule; similarity of patches after SWE-RL (arXiv 2502.18449); gated accumulation after G-RA (arXiv
2508.10548).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

import numpy as np

from agentgym.actions import JUDGE, ActionSpec, ParsedTurn
from agentgym.env import FORMAT, AgentEnv, Instructions, Opening, Outcome
from agentgym.envs.sourcing import make_source, shared_taskset
from agentgym.envs.swe import prompts
from agentgym.envs.swe.actions import ACTIONS, REFUSALS, SINGLE_TURN, SUBMIT, offered, refusal
from agentgym.envs.swe.expert import Slips, next_actions
from agentgym.envs.swe.facts import SIGNALS, WEIGHTS
from agentgym.envs.swe.gold import Gold, gold_of
from agentgym.envs.swe.hands import Hands, Shown, Tracebacks
from agentgym.envs.swe.measuring import ask_tests, check_sandbox, patch_facts, sandbox_spec
from agentgym.envs.swe.progress import ExpertView, Progress, Verdict, request_key
from agentgym.envs.swe.prompts import Listing, Prompt
from agentgym.envs.swe.single import edited
from agentgym.envs.swe.sources import SOURCES
from agentgym.envs.swe.task import SweTask, SweTaskSet
from agentgym.envs.swe.tree import Tree, diff
from agentgym.envs.swe.workspace import Workspace, packed
from agentgym.faults import ConfigError, EnvironmentFault
from agentgym.formats import TagParser, XmlParser
from agentgym.rewards.outcome.re_seek import verdict_sign
from agentgym.signal import RewardSignal
from agentgym.task import Split
from agentgym.tools.base import ToolError
from agentgym.tools.sandbox.pool import shared_pool

#: Bytes of a command's output that are kept for each character that is shown.
_BYTES_PER_CHAR = 4


class SweEnv(AgentEnv[SweTask]):
    """Mend a repository so that its failing tests pass.

    **Actions** (one a turn, a verdict before it or alone): ``bash(command)``; ``view(path, lines)``: a file, some lines
    of it, one function, or a folder; ``search(text, path)``; ``edit(path, old, new)``: an exact replacement;
    ``create(path, text)``; ``test(ids)``; ``judge(verdict)`` on the last result (once); ``submit()``, which ends the
    episode.

    **Observations**: what was asked for, cut in the middle where it is long, with a note that says how much.

    **Outcome**: 1 where the submitted changes resolve the task by SWE-bench's rule, held-back tests included; else 0.
    Only the patch is graded, in another sandbox, with the tests copied in anew.

    **State key**: the task, what differs from the files at the beginning, and what was shown last.

    **Expert**: searches and views the functions that the gold patch changes, runs the tests, edits, tests, submits;
    works from any state. Mistakes: `expert.MISTAKES`.

    Args:
        source: Where tasks come from: a name of `sources.SOURCES`. Its options are given beside it.
        actions: Names of the actions that are offered; None: all.
        prompt: ``full``, or ``terse``: the problem and the list of files alone.
        listing: What the prompt lists of the repository: ``none``, ``files``, or ``functions`` (files with theirs).
        listed_files: How many files it lists.
        observation_lines: Most lines of an observation.
        observation_chars: Most characters of one.
        line_numbers: Whether ``view`` numbers lines.
        spacing: ``loose``: paths, searches and edits of one line do not mind white space, for policies whose tokenizer
            loses it; see `agentgym.envs.swe.spacing`.
        tracebacks: How much of a failing test is shown, as pytest's ``--tb`` takes it.
        measure_every: After so many changes of files the tests are asked how things stand; 0: only at the end.
        kept_verdicts: How many verdicts of the tests this process keeps, so that equal changes to a task are graded
            once; 0: none.
        sandbox: Options of the sandboxes (`agentgym.tools.sandbox`), e.g. ``{"limits": {"memory_mb": 2048}}``.
        pool_size: Sandboxes of one kind that agents of this process use at once, and so episodes that a collector plays
            at once.
        grading_size: As many again for grading.
        command_timeout_s: Seconds that a command of ``bash`` may take.
        extra_turns: Turns beyond those that the expert takes, where `max_turns` does not say.
        expert_judges: The expert judges every result.
        split, action_format, instructions, max_turns, max_action_chars, max_observation_chars, render_mode: See
            `AgentEnv`.
        **source_options: Options of the source.

    Raises:
        ConfigError: An option that cannot be used.
        DataError: A damaged file.
        MissingExtra: A library of the extra ``swe`` is not installed.
    """

    actions: ClassVar[Sequence[ActionSpec]] = ACTIONS
    signals: ClassVar[Mapping[str, str]] = SIGNALS
    weights: ClassVar[Mapping[str, float]] = WEIGHTS
    blocking: bool = True
    forkable: bool = True
    taskset: SweTaskSet

    def __init__(
        self,
        source: str = "shipped",
        *,
        actions: Sequence[str] | None = None,
        prompt: Prompt = "full",
        listing: Listing = "files",
        listed_files: int = 100,
        observation_lines: int = 100,
        observation_chars: int = 10_000,
        line_numbers: bool = True,
        spacing: Literal["exact", "loose"] = "exact",
        tracebacks: Tracebacks = "short",
        measure_every: int = 5,
        kept_verdicts: int = 1000,
        sandbox: Mapping[str, Any] | None = None,
        pool_size: int = 8,
        grading_size: int = 4,
        command_timeout_s: float = 60.0,
        extra_turns: int = 8,
        expert_judges: bool = False,
        split: Split = "train",
        action_format: str = "xml",
        instructions: Instructions = "full",
        max_turns: int | None = None,
        max_action_chars: int = 65_536,
        max_observation_chars: int = 65_536,
        render_mode: str | None = None,
        **source_options: Any,
    ) -> None:
        for key, given, known in (
            ("prompt", prompt, ("full", "terse")),
            ("listing", listing, ("none", "files", "functions")),
            ("spacing", spacing, ("exact", "loose")),
            ("tracebacks", tracebacks, ("long", "short", "line", "no")),
        ):
            if given not in known:
                raise ConfigError(f"{key} must be one of {', '.join(known)}, got {given!r}")
        for key, value, least in (
            ("listed_files", listed_files, 0),
            ("observation_lines", observation_lines, 1),
            ("observation_chars", observation_chars, 1),
            ("measure_every", measure_every, 0),
            ("kept_verdicts", kept_verdicts, 0),
            ("pool_size", pool_size, 1),
            ("grading_size", grading_size, 1),
            ("extra_turns", extra_turns, 0),
        ):
            if value < least:
                raise ConfigError(f"{key} must be at least {least}, got {value}")
        if not command_timeout_s > 0:
            raise ConfigError(f"command_timeout_s must be above 0, got {command_timeout_s:g}")
        self._offered = offered(actions)
        own = [name for name in SweEnv.__init__.__annotations__ if name not in ("return", "source_options")]
        made = make_source(SOURCES, source, source_options, own)
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
        self.prompt, self.listing, self.listed_files = prompt, listing, listed_files
        self.shown = Shown(observation_lines, observation_chars, line_numbers, tracebacks)
        self.loose, self.measure_every, self.kept_verdicts = spacing == "loose", measure_every, kept_verdicts
        self.sandbox = dict(sandbox or {})
        check_sandbox(self.sandbox)
        self.pool_size, self.grading_size = pool_size, grading_size
        first = next(iter((*self.taskset.ids("train"), *self.taskset.ids("heldout"))), None)
        single = first is not None and bool(self.taskset[first].files)
        self.capacity = None if single else pool_size
        self.command_timeout_s, self.extra_turns, self.expert_judges = command_timeout_s, extra_turns, expert_judges
        self._progress = Progress()
        self._workspace: Workspace | None = None
        self._waited_s = 0.0
        self._tree = Tree()
        self._held: tuple[str, Gold] | None = None

    def task_actions(self, task: SweTask) -> Sequence[ActionSpec]:
        return SINGLE_TURN if task.files else self._offered

    def vocabulary(self) -> list[str]:
        """Texts that hold every word this environment shows or its expert writes; tokenizers are made from them."""
        numbers = map(str, range(max(self.shown.lines, 200) + 1))
        tags = [f"<{name}> </{name}>" for spec in self._offered for name in spec.arguments.model_fields]
        return [*prompts.own_texts(), *REFUSALS.values(), *tags, *numbers, *self.taskset.texts()]

    # -- the episode -------------------------------------------------------------------------------------------------

    def turn_budget(self, task: SweTask) -> int:
        """What the expert takes at most (a search, a view and an edit for each passage, two test runs, the submission),
        and `extra_turns`; 1 where all is done in one turn."""
        return 1 if task.files else 3 * len(self._gold(task).hunks) + 3 + self.extra_turns

    def begin(self, task: SweTask) -> Opening:
        self.close()
        gold, self._waited_s = self._gold(task), 0.0
        self._progress, self._tree = Progress(), gold.base
        if task.files:
            return Opening(prompts.single_turn(task, gold.base, self.prompt), self._key(task))
        self._workspace = self._lease(task, gold.base)
        self._waited_s = self._workspace.lease.seconds
        turns = self.max_turns or self.turn_budget(task)
        text = prompts.opening(
            task, gold.base, prompt=self.prompt, listing=self.listing, files=self.listed_files, turns=turns
        )
        return Opening(text, self._key(task))

    def act(self, turn: ParsedTurn) -> Outcome:
        task, progress = self.task, self._progress
        single = bool(task.files)
        if reason := refusal(turn.actions, progress.useful is not None, single):
            return self._answer(f"Error: {reason}", {FORMAT: -1.0}, None)
        try:
            return self._single(turn) if single else self._play(turn)
        except EnvironmentFault:
            self._close(broken=True)
            raise

    def malformed(self, turn: ParsedTurn) -> Outcome:
        return self._answer(f"Error: {turn.error}", {}, None)

    def _play(self, turn: ParsedTurn) -> Outcome:
        task, progress, workspace = self.task, self._progress, self._open()
        hands = Hands(task, self._gold(task), workspace, progress, self.shown)
        parts: dict[str, float] = {}
        if self._waited_s:
            parts["lease_s"], self._waited_s = self._waited_s, 0.0
        observation, outcome = "", None
        for action in turn.actions:
            if action.name == JUDGE:
                parts["judge"] = verdict_sign(action.args["verdict"] == "yes", bool(progress.useful))
                progress.useful = None
                observation = prompts.NOTED
            elif action.name == SUBMIT:
                outcome = self._submit(parts)
                observation = prompts.RIGHT if outcome >= 1.0 else prompts.WRONG
            else:
                observation = hands.do(action.name, action.args, parts)
                self._tree = workspace.tree
                if self.measure_every and progress.edits >= self.measure_every and not workspace.unreadable:
                    self._measure(parts)
        return self._answer(observation, parts, outcome)

    def _single(self, turn: ParsedTurn) -> Outcome:
        gold, parts = self._gold(self.task), {"submitted": 0.0, "sound": 0.0}
        observation, outcome = prompts.WRONG, 0.0
        try:
            self._tree = edited(gold.base, turn.actions)
            patch = diff(gold.base, self._tree)
            parts |= patch_facts(patch, gold)
            outcome = parts["patch_similarity"]
            parts["submitted"] = parts["sound"] = float(bool(patch))
            observation = prompts.RIGHT if outcome >= 1.0 else prompts.WRONG
        except ToolError as error:
            parts["error"], parts["patch_similarity"] = 1.0, -1.0
            observation = f"Error: {error}"
        self._progress.submitted = True
        return self._answer(observation, parts, outcome)

    def _answer(self, observation: str, parts: dict[str, float], outcome: float | None) -> Outcome:
        """Keeps the account of the step rewards, which are given back where the gate stays closed."""
        progress = self._progress
        paid = {name: value for name, value in parts.items() if name != FORMAT}
        progress.earned += RewardSignal(process=paid).compose(self.weights)
        over = outcome is not None or self.turns_left <= 1
        if over and parts.get("sound", 0.0) < 1.0 and progress.earned > 0:
            parts["forfeit"] = progress.earned
        if over:
            self._close()
        return Outcome(observation, RewardSignal(outcome, parts), self._key(self.task), terminated=outcome is not None)

    # -- measuring ---------------------------------------------------------------------------------------------------

    def _submit(self, parts: dict[str, float]) -> float:
        progress, workspace, gold = self._progress, self._open(), self._gold(self.task)
        progress.submitted = True
        workspace.settle()
        self._tree = workspace.tree
        self._close()  # others may wait for it while the tests run
        parts.update(submitted=0.0, sound=0.0, fail_to_pass=0.0, pass_to_pass=1.0)
        if workspace.unreadable or self._tree == gold.base:
            parts.update(patch_facts("", gold))
            return 0.0
        verdict = self._measure(parts)
        parts.update(patch_facts(verdict.patch, gold))
        parts["dropped"], parts["tampered"] = float(verdict.dropped), float(verdict.tampered)
        parts["submitted"] = float(bool(verdict.patch))
        parts["sound"] = float(bool(verdict.patch) and verdict.kept >= 1.0)
        return float(verdict.resolved)

    def _measure(self, parts: dict[str, float]) -> Verdict:
        """Asks the tests about the files as they are now."""
        task, progress, tree = self.task, self._progress, self._tree
        progress.edits = 0
        if progress.verdict is not None and progress.verdict[0] == tree.digest:
            verdict = progress.verdict[1]
        else:
            pool = shared_pool(sandbox_spec(task, self.sandbox, "grading"), self.grading_size)
            verdict, parts["measure_s"], tests_s = ask_tests(task, self.taskset, tree, pool, self.kept_verdicts)
            parts["tests_s"] = parts.get("tests_s", 0.0) + tests_s
            progress.verdict = tree.digest, verdict
        parts["fail_to_pass"], parts["pass_to_pass"] = verdict.fixed, verdict.kept
        parts["progress"] = max(verdict.fixed - progress.fixed, 0.0)
        parts["broke"] = max(1.0 - verdict.kept - progress.broken, 0.0)
        progress.fixed = max(verdict.fixed, progress.fixed)
        progress.broken = max(1.0 - verdict.kept, progress.broken)
        return verdict

    # -- sandboxes ---------------------------------------------------------------------------------------------------

    def _lease(self, task: SweTask, tree: Tree, archive: bytes | None = None) -> Workspace:
        return Workspace(
            shared_pool(sandbox_spec(task, self.sandbox, "agents"), self.pool_size),
            task,
            tree,
            archive,
            timeout_s=self.command_timeout_s,
            output_bytes=_BYTES_PER_CHAR * self.shown.chars,
            loose=self.loose,
        )

    def _open(self) -> Workspace:
        if self._workspace is None:
            raise EnvironmentFault("sandbox", "the workspace is closed")
        return self._workspace

    def _close(self, *, broken: bool = False) -> None:
        workspace, self._workspace = self._workspace, None
        if workspace is not None:
            workspace.close(broken=broken)

    def close(self) -> None:
        """Gives the sandbox back."""
        self._close()

    def _gold(self, task: SweTask) -> Gold:
        if self._held is None or self._held[0] != task.id:
            self._held = task.id, gold_of(task, self.taskset.tree(task))
        return self._held[1]

    # -- state, expert -----------------------------------------------------------------------------------------------

    def _key(self, task: SweTask) -> str:
        progress, base = self._progress, self._gold(task).base
        changed = "" if self._tree == base else request_key(diff(base, self._tree))
        return "|".join([task.id, changed, progress.shown, *(["submitted"] if progress.submitted else [])])

    def fork_state(self) -> tuple[Progress, bytes, bytes | None]:
        """The progress, the files as they are known, and the workspace's archive where there is one."""
        return self._progress, packed(self._tree), self._workspace.archive() if self._workspace is not None else None

    def load_fork(self, task: SweTask, state: tuple[Progress, bytes, bytes | None]) -> None:
        self.close()
        self._progress, files, archive = state
        self._waited_s = 0.0
        self._tree = Tree.from_tar(files)
        self._workspace = None if archive is None else self._lease(task, self._tree, archive)

    def expert(self, mistakes: Mapping[str, float] | None = None, rng: np.random.Generator | None = None) -> str:
        """What the scripted solver writes now; see `agentgym.envs.swe.expert` for `mistakes`.

        Raises:
            ConfigError: An unknown kind of mistake, mistakes without `rng`, or an edit that the action format cannot
                carry.
        """
        task, progress, gold = self.task, self._progress, self._gold(self.task)
        names = [spec.name for spec in self.task_actions(task)]
        view = ExpertView(
            task=task,
            base=gold.base,
            gold=gold.tree,
            tree=self._tree,
            hunks=gold.hunks,
            viewed=frozenset(progress.functions),
            reproduced=progress.reproduced,
            passed=progress.passed,
            useful=progress.useful,
            done=frozenset(progress.done),
            last_path=progress.last_path,
            last_lines=progress.last_lines,
            actions=tuple(name for name in names if name != JUDGE or self.expert_judges),
            turns_left=self.turns_left,
            single_turn=bool(task.files),
            loose=self.loose,
        )
        actions = next_actions(view, Slips(mistakes, rng))
        try:
            return self.parser.render(actions)
        except ConfigError:
            if not isinstance(self.parser, TagParser):
                raise
            return XmlParser(self.task_actions(task)).render(actions)  # tags can be read in this form, too
