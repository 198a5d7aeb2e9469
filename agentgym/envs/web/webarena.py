"""Tasks of WebArena's format (arXiv 2307.13854) against servers that a user runs: sites, intents, checks.

Checks are read, never run: a check that needs foreign script (a locator that is a program, a helper function of the
benchmark's own code) makes its task one that is not offered, with the reason in `WebArenaTaskSet.refused`. Checks by a
language model need a judge.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final, cast

from pydantic import Field, field_validator

from agentgym.actions import Action
from agentgym.envs.files import Row, split_by_hash, typed_rows
from agentgym.envs.web.sources import WebSource
from agentgym.envs.web.task import ListedTaskSet, View, WebTask, World
from agentgym.envs.web.webarena_checks import Check, Judging, Refused, Seen, Spec, read_check
from agentgym.faults import ConfigError, DataError
from agentgym.tools.browser.gateway import Upstream, origin_of

if TYPE_CHECKING:
    from agentgym.rewards.judges.verdict import Judge
    from agentgym.tools.browser.session import Session

#: Turns that a task may take, halved: nobody has measured an expert.
LENGTH: Final = 15
#: Between the addresses of tabs that are open at the start, and between right addresses.
AND: Final = " |AND| "
_PLACE: Final = re.compile(r"__([A-Z_]+?)__")


class WebArenaRow(Row):
    """A task as the file has it."""

    task_id: int | str
    intent: str
    sites: tuple[str, ...] = ()
    start_url: str = ""
    require_login: bool = False
    storage_state: str | None = None
    eval: Spec


class WebArenaWorld(World):
    """One episode on servers outside; they keep what it did.

    Args:
        row: The task.
        check: Of its outcome.
        bases: Address of each site.
        storage: Cookies of who is signed in.
        judge: For checks by a language model.
    """

    copyable: ClassVar[bool] = False

    def __init__(
        self,
        row: WebArenaRow,
        check: Check,
        bases: Mapping[str, str],
        storage: Mapping[str, Any] | None,
        judge: Judge | None,
    ) -> None:
        self.row, self.check, self.bases, self.storage, self.judge = row, check, bases, storage, judge

    def sites(self) -> Mapping[str, Any]:
        return {origin: Upstream(origin) for origin in map(origin_of, self.bases.values())}

    async def prepare(self, session: Session) -> None:
        if self.storage is not None:
            await session.restore_storage(self.storage)

    async def opened(self, session: Session) -> None:
        for url in filled(self.row.start_url, self.bases).split(AND)[1:]:
            await session.tab_new()
            await session.goto(url)

    async def judged(self, session: Session | None, answer: str | None, infeasible: bool) -> float:
        """The product of the checks, on the answer and on the pages as they are now."""
        if session is None:
            return 0.0
        seen = Seen(session.url, answer or "", infeasible)
        judging = Judging(self.row.intent, seen, session, self.judge, lambda text: filled(text, self.bases))
        return await self.check(judging)

    def outcome(self, answer: str | None, infeasible: bool) -> float:
        return 0.0

    def next_action(self, view: View) -> Action:
        raise NotImplementedError("WebArena tasks have no expert")


class WebArenaTaskSet(ListedTaskSet):
    """Tasks of a file.

    Args:
        path: The file.
        bases: Address of each site, by its name in lower case.
        heldout: Fraction of the tasks that is held out.
        auth: Folder of the storage states of who is signed in; None: there are none.
        judge: For checks by a language model.

    Raises:
        DataError: A damaged file, or one without any task that can be offered.
    """

    forkable: ClassVar[bool] = False

    def __init__(
        self, path: Path, bases: Mapping[str, str], heldout: float, auth: Path | None, judge: Judge | None
    ) -> None:
        self.bases, self.judge = bases, judge
        #: Why each task of the file that is not offered is not, by its id.
        self.refused: dict[str, str] = {}
        self._rows: dict[str, tuple[WebArenaRow, Check, Mapping[str, Any] | None]] = {}
        split, tasks = split_by_hash(heldout), []
        for line, row in typed_rows(path, WebArenaRow):
            name = f"webarena/{row.task_id}"
            if name in self._rows or name in self.refused:
                raise DataError(path, f"task_id: {row.task_id!r} comes twice", line)
            try:
                check = read_check(row.eval, judged=judge is not None)
                start = filled(row.start_url, self._of(row)).split(AND)[0]
                storage = _storage(row, auth)
            except Refused as reason:
                self.refused[name] = str(reason)
                continue
            self._rows[name] = row, check, storage
            tasks.append(
                WebTask(
                    id=name,
                    split=split(name),
                    goal=row.intent,
                    start=start,
                    origins=tuple(dict.fromkeys(map(origin_of, self._of(row).values()))),
                    length=LENGTH,
                    asks="string_match" in row.eval.eval_types,
                )
            )
        if not tasks:
            why = next(iter(self.refused.values()), "it has none")
            raise DataError(path, f"no task of this file can be offered: {why}")
        super().__init__(tasks)

    def world(self, task: WebTask) -> WebArenaWorld:
        row, check, storage = self._rows[task.id]
        return WebArenaWorld(row, check, self._of(row), storage, self.judge)

    def _of(self, row: WebArenaRow) -> dict[str, str]:
        missing = [site for site in row.sites if site not in self.bases]
        if missing:
            raise Refused(f"site {missing[0]!r} has no base URL")
        return {site: self.bases[site] for site in row.sites}


def filled(text: str, bases: Mapping[str, str]) -> str:
    """Addresses with the sites' own in place of ``__SHOPPING__`` and the like.

    Raises:
        Refused: A site without an address.
    """

    def base(found: re.Match[str]) -> str:
        name = found[1].lower()
        if name not in bases:
            raise Refused(f"site {name!r} has no base URL")
        return bases[name].rstrip("/")

    return _PLACE.sub(base, text)


def _storage(row: WebArenaRow, auth: Path | None) -> Mapping[str, Any] | None:
    """The storage state of a task; of the path that the file gives, the last part alone counts."""
    if not row.require_login or row.storage_state is None:
        return None
    if auth is None:
        raise Refused("it needs somebody to be signed in; give the folder of the storage states as auth")
    file = auth / Path(row.storage_state).name
    try:
        state = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise Refused(f"no storage state can be read from {file}") from None
    if not isinstance(state, dict):
        raise Refused(f"{file} holds no storage state")
    return cast("Mapping[str, Any]", state)


class WebArenaSource(WebSource):
    """A task file in WebArena's format."""

    path: str
    """The file: a JSON list."""
    base_urls: Mapping[str, str]
    """Address of each site by its name, e.g. ``{"shopping": "http://127.0.0.1:7770"}``."""
    auth: str | None = None
    """Folder of Playwright storage states, for tasks that need somebody to be signed in."""
    judge: Mapping[str, Any] | None = None
    """Judge of answers that need not be literal; none: such tasks are not offered."""
    heldout: float = Field(0.2, ge=0, le=1)
    """Fraction of the tasks that is held out, by a stable hash of the id."""

    @field_validator("base_urls")
    @classmethod
    def _addresses(cls, urls: Mapping[str, str]) -> Mapping[str, str]:
        for site, url in urls.items():
            if not origin_of(url):
                raise ValueError(f"{site}: {url[:80]!r} is no address of a web server")
        return {site.lower(): url for site, url in urls.items()}

    def __hash__(self) -> int:
        return hash(self.model_dump_json())  # task sets are cached by their source, and mappings have no hash

    def files(self) -> list[Path]:
        return [Path(self.path)]

    def make(self) -> WebArenaTaskSet:
        judge: Judge | None = None
        if self.judge is not None:
            from agentgym.rewards.judges.build import build_judge

            judge = build_judge(self.judge, "judge")
        auth = None if self.auth is None else Path(self.auth)
        if auth is not None and not auth.is_dir():
            raise ConfigError(f"auth: {auth} is not a folder")
        return WebArenaTaskSet(Path(self.path), self.base_urls, self.heldout, auth, judge)
