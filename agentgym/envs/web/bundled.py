"""The bundled sites as a source of tasks: a template and a seed make a task, its databases make an episode's world."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field, field_validator

from agentgym.actions import Action
from agentgym.aio import run_blocking
from agentgym.envs.web.actions import called
from agentgym.envs.web.sites import all_sites, all_templates, base
from agentgym.envs.web.sources import WebSource
from agentgym.envs.web.task import View, WebTask, WebTaskSet, World
from agentgym.envs.web.words import crawl
from agentgym.faults import ConfigError, did_you_mean
from agentgym.task import SPLITS, Split

#: Tasks whose databases and goals are kept; the episodes of a group play the same task.
KEPT = 64
#: Pages of a site that are read for its words.
CRAWLED = 60
#: Marks the seed of a held-out task in its id.
HELDOUT_MARK = "h"
_WORDS_OF_SOURCE = re.compile(r"{[%#].*?[%#]}|<(?:script|style).*?</(?:script|style)>|<[^>]*>|{{.*?}}", re.DOTALL)
_SAID = re.compile(r"\"([^\"\n]*)\"|'([^'\n]*)'")


class BundledTaskSet(WebTaskSet):
    """Tasks on the bundled sites; ids are ``site/template/seed``, the seeds of held-out tasks ``h0, h1, ...``.

    Held-out tasks have contents (names, products, people) that no training task has, and the templates that are held
    out are only among them.

    Args:
        templates: Ids of the templates.
        seeds: Training tasks of each template.
        heldout_seeds: Held-out tasks of each.
    """

    def __init__(self, templates: Sequence[str], seeds: int, heldout_seeds: int) -> None:
        known = all_templates()
        self.templates = {name: known[name] for name in templates}
        train = [name for name, template in self.templates.items() if not template.heldout]
        # Seeds first: the beginning of the list holds every template.
        self._ids: dict[Split, tuple[str, ...]] = {
            "train": tuple(f"{t}/{seed}" for seed in range(seeds) for t in train),
            "heldout": tuple(
                f"{name}/{HELDOUT_MARK}{seed}" for seed in range(heldout_seeds) for name in self.templates
            ),
        }
        self._known = {split: frozenset(ids) for split, ids in self._ids.items()}

    def ids(self, split: Split) -> Sequence[str]:
        return self._ids[split]

    def difficulty(self, task_id: str) -> int:
        return self._template(task_id).difficulty

    def __getitem__(self, task_id: str) -> WebTask:
        template = self._template(task_id)
        _, goal = _instance(*_parts(task_id))
        sites = all_sites()
        return WebTask(
            id=task_id,
            split="heldout" if task_id in self._known["heldout"] else "train",
            difficulty=template.difficulty,
            goal=goal.text,
            start=goal.start,
            origins=tuple(sites[name].origin for name in goal.sites),
            length=max(goal.steps, 1),
            asks=goal.answer is not None,
        )

    def world(self, task: WebTask) -> SiteWorld:
        return SiteWorld(self._template(task.id), *_instance(*_parts(task.id)))

    def _template(self, task_id: str) -> base.Template:
        if not any(task_id in known for known in self._known.values()):
            raise self.unknown(task_id)
        return self.templates[_parts(task_id)[0]]

    def texts(self) -> Iterable[str]:
        """Goals, answers and pages of all tasks (so choose few seeds), and what the sites say besides."""
        names = sorted({site for template in self.templates.values() for site in template.sites})
        crawled: set[tuple[Any, ...]] = set()
        for task_id in itertools.chain.from_iterable(self._ids[split] for split in SPLITS):
            name, seed, heldout = _parts(task_id)
            databases, goal = _instance(name, seed, heldout)
            yield from (goal.text, goal.start, goal.answer.value if goal.answer is not None else "")
            yield from map(str, goal.params.values())
            for content in databases.values():
                yield from _cells(content)
            contents = (*sorted(databases), seed, heldout, goal.start)
            if contents not in crawled:
                crawled.add(contents)
                world = SiteWorld(self.templates[name], databases, goal)
                yield from run_blocking(crawl(world.sites(), goal.start, CRAWLED))
                world.close()
        folder = Path(base.__file__).parent
        for part in ("pages", "assets", *names):
            yield from _page_words(folder / part)


@lru_cache(maxsize=KEPT)
def _instance(template: str, seed: int, heldout: bool) -> tuple[dict[str, bytes], base.Goal]:
    return base.instance(all_templates()[template], seed, heldout, all_sites())


def _parts(task_id: str) -> tuple[str, int, bool]:
    """(template, seed, held out) of a known id."""
    name, _, seed = task_id.rpartition("/")
    return name, int(seed.removeprefix(HELDOUT_MARK)), seed.startswith(HELDOUT_MARK)


def _cells(content: bytes) -> Iterator[str]:
    db = base.open_database(content)
    try:
        for table in base.tables(db):
            for row in db.execute(f'SELECT * FROM "{table}"'):  # noqa: S608 - a name from the schema
                yield " ".join(str(cell) for cell in row if cell is not None)
    finally:
        db.close()


def _page_words(folder: Path) -> Iterator[str]:
    """What a site's pages say besides what is in its database."""
    for path in sorted(folder.rglob("*")):
        if path.suffix in (".html", ".js"):
            text = path.read_text(encoding="utf-8")
            yield _WORDS_OF_SOURCE.sub(" ", text)
        if path.suffix in (".html", ".js", ".py"):
            text = path.read_text(encoding="utf-8")
            for said in (one or other for one, other in _SAID.findall(text)):
                yield said
                if said.isidentifier():
                    yield f"notice={said}"  # notices travel as codes in URLs


class SiteWorld(World):
    """An episode's databases and the applications over them.

    Args:
        template: The kind of task; also its expert.
        databases: Contents by site.
        goal: What the episode is about.
    """

    copyable: ClassVar[bool] = True

    def __init__(self, template: base.Template, databases: Mapping[str, bytes], goal: base.Goal) -> None:
        self.template, self.goal = template, goal
        self.dbs = {name: base.open_database(content) for name, content in databases.items()}
        self._changes: dict[str, int] = {}
        self._digests: dict[str, str] = {}

    def sites(self) -> Mapping[str, Any]:
        known = all_sites()
        return {known[name].origin: known[name].app(db) for name, db in self.dbs.items()}

    def facts(self) -> Sequence[bool]:
        return self.goal.progress(self.dbs)

    def broken(self) -> int:
        return len(self.goal.broken(self.dbs))

    def pages(self) -> Sequence[str]:
        return self.goal.pages

    def digest(self) -> str:
        for name, db in self.dbs.items():
            if self._changes.get(name) != db.total_changes:  # a digest reads every row
                self._changes[name], self._digests[name] = db.total_changes, base.digest(db)
        return ".".join(self._digests[name] for name in sorted(self.dbs))

    def outcome(self, answer: str | None, infeasible: bool) -> float:
        return float(self.goal.done(self.dbs, answer, infeasible))

    def next_action(self, view: View) -> Action:
        said = view.messages[-1] if view.messages else None
        call = self.template.next_action(self.goal, base.View(view.tree, view.url, self.dbs, view.tabs, said))
        return called(call.name, *call.args)

    def save(self) -> dict[str, bytes]:
        return {name: db.serialize() for name, db in self.dbs.items()}

    def load(self, state: Mapping[str, bytes]) -> None:
        self._changes.clear()
        for name, content in state.items():
            self.dbs[name].deserialize(content)

    def close(self) -> None:
        for db in self.dbs.values():
            db.close()


class BundledSource(WebSource):
    """Generated tasks on the bundled sites."""

    sites: tuple[str, ...] | None = Field(None, min_length=1)
    """Only templates of these sites; none: all."""
    templates: tuple[str, ...] | None = Field(None, min_length=1)
    """Only these templates, by their ids ``site/name``; none: all."""
    difficulties: tuple[int, ...] | None = Field(None, min_length=1)
    """Only templates of these difficulties, 1 to 5; none: all."""
    seeds: int = Field(64, ge=1, le=100_000)
    """Training tasks of each template."""
    heldout_seeds: int = Field(8, ge=1, le=100_000)
    """Held-out tasks of each template."""

    @field_validator("sites")
    @classmethod
    def _known_sites(cls, value: tuple[str, ...] | None) -> tuple[str, ...] | None:
        return _known(value, all_sites(), "site")

    @field_validator("templates")
    @classmethod
    def _known_templates(cls, value: tuple[str, ...] | None) -> tuple[str, ...] | None:
        return _known(value, all_templates(), "template")

    def make(self) -> BundledTaskSet:
        chosen = [
            name
            for name, template in all_templates().items()
            if (self.sites is None or set(template.sites) <= set(self.sites))
            and (self.templates is None or name in self.templates)
            and (self.difficulties is None or template.difficulty in self.difficulties)
        ]
        if not chosen:
            raise ConfigError("no template is left by sites, templates and difficulties")
        return BundledTaskSet(chosen, self.seeds, self.heldout_seeds)


def _known(value: tuple[str, ...] | None, known: Mapping[str, Any], kind: str) -> tuple[str, ...] | None:
    for name in value or ():
        if name not in known:
            raise ValueError(f"no {kind} {name!r}; {did_you_mean(name, known)}")
    return value
