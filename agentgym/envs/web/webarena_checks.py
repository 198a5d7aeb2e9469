"""How WebArena (arXiv 2307.13854) checks an outcome: by the answer, by the address reached, by what pages show.

A page's part is named by a locator in JavaScript. Two shapes of it are read by a grammar: ``document.querySelector(
'SELECTOR').PROPERTY`` and the same with ``querySelectorAll(...)[N]``; what then runs is this module's own expression,
with the selector as data. Every other locator is refused when the file is loaded.
"""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Final
from urllib.parse import parse_qs, urlsplit

from pydantic import BeforeValidator

from agentgym.envs.files import Row
from agentgym.tools.browser.session import ActionFailed

if TYPE_CHECKING:
    from agentgym.rewards.judges.verdict import Judge
    from agentgym.tools.browser.session import Session

#: Between things of which any is right.
OR: Final = " |OR| "
#: What an answer says to a task that cannot be done.
NOTHING: Final = "n/a"
#: Score of a judge from which an answer is right.
JUDGED_RIGHT: Final = 0.5
#: Properties of an element that a locator may read.
PROPERTIES: Final = ("outerText", "innerText", "textContent", "value", "title", "href", "checked", "selectedIndex")
_LOCATOR: Final = re.compile(
    r"\(?document\.(?:querySelector\((?P<one>\"[^\"]*\"|'[^']*')\)"
    r"|querySelectorAll\((?P<many>\"[^\"]*\"|'[^']*')\)\[(?P<index>\d{1,3})\])\)?\??\.(?P<property>\w+);?"
)


class Refused(Exception):
    """A check that is not made here; says why."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What an episode ended with.

    Attributes:
        url: Address of the active tab.
        answer: What was answered.
        infeasible: The agent said that the goal cannot be reached.
    """

    url: str
    answer: str
    infeasible: bool


@dataclass(frozen=True, slots=True)
class Judging:
    """What a check goes by.

    Attributes:
        intent: What was asked.
        seen: What the episode ended with.
        session: To open the pages that are checked.
        judge: Of answers that need not be literal.
        fill: Puts addresses in place of ``__SITE__``.
    """

    intent: str
    seen: Seen
    session: Session
    judge: Judge | None
    fill: Callable[[str], str]


Check = Callable[[Judging], Awaitable[float]]


def _texts(value: object) -> object:
    return (value,) if isinstance(value, str) else value


_Texts = Annotated[tuple[str, ...], BeforeValidator(_texts)]


class Answers(Row):
    """Right answers: all that are given must be met."""

    exact_match: str | None = None
    must_include: _Texts = ()
    fuzzy_match: _Texts = ()


class Contents(Row):
    """What a page's part must say."""

    exact_match: str | None = None
    must_include: _Texts = ()


class Target(Row):
    """A part of a page that is looked at."""

    url: str
    locator: str = ""
    required_contents: Contents
    prep_actions: tuple[str, ...] = ()


class Spec(Row):
    """A task's ``eval``."""

    eval_types: tuple[str, ...]
    reference_answers: Answers | None = None
    reference_url: str | None = None
    url_note: str = "GOLD in PRED"
    program_html: tuple[Target, ...] | None = None


def read_check(spec: Spec, *, judged: bool) -> Check:
    """The check of a task: the product of its kinds.

    Args:
        spec: As the file has it.
        judged: There is a judge.

    Raises:
        Refused: It needs something that is not to be had.
    """
    checks = [_kind(kind, spec, judged) for kind in spec.eval_types]
    if not checks:
        raise Refused("it names no way to check it")

    async def every(judging: Judging) -> float:
        score = 1.0
        for check in checks:
            score *= await check(judging)
            if score == 0.0:
                return 0.0
        return score

    return every


def _kind(kind: str, spec: Spec, judged: bool) -> Check:
    if kind == "string_match" and spec.reference_answers is not None:
        return _answer_check(spec.reference_answers, judged)
    if kind == "url_match" and spec.reference_url:
        return _url_check(spec.reference_url, spec.url_note)
    if kind == "program_html" and spec.program_html:
        return _page_check(spec.program_html)
    raise Refused(f"its check {kind[:40]!r} is not known, or what it compares with is missing")


# -- answers --------------------------------------------------------------------------------------------------------


def plain(text: str) -> str:
    """An answer as it is compared: lower case, without quotes around it and spaces at its ends."""
    text = text.strip()
    if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
        text = text[1:-1]
    return text.strip().lower()


def includes(wanted: str, answer: str, *, alone: bool) -> bool:
    """Whether an answer has a text in it, or any of those between ``|OR|``; a single word that stands alone, as a word.

    Args:
        wanted: The text.
        answer: What is searched, as `plain` gives it.
        alone: It is the only text that is asked for.
    """
    for option in map(plain, wanted.split(OR.strip())):
        if alone and re.fullmatch(r"\w+", option):
            if option in re.findall(r"\w+", answer):
                return True
        elif option in answer:
            return True
    return False


def _answer_check(answers: Answers, judged: bool) -> Check:
    nothing = any(plain(text) == NOTHING for text in (*answers.fuzzy_match, answers.exact_match or ""))
    if answers.fuzzy_match and not judged and not nothing:
        raise Refused("its answer need not be literal; give a judge")

    async def check(judging: Judging) -> float:
        seen = judging.seen
        if nothing:
            return float(seen.infeasible or plain(seen.answer) == NOTHING)
        answer = plain(seen.answer)
        if seen.infeasible or not answer:
            return 0.0
        if answers.exact_match is not None and plain(answers.exact_match) != answer:
            return 0.0
        alone = len(answers.must_include) == 1
        if not all(includes(text, answer, alone=alone) for text in answers.must_include):
            return 0.0
        return await _judged(answers.fuzzy_match, judging)

    return check


async def _judged(references: Sequence[str], judging: Judging) -> float:
    from agentgym.rewards.judges.verdict import Request

    for reference in references:
        if judging.judge is None:
            return 0.0
        request = Request(judging.intent, judging.seen.answer, references=(reference,))
        if (await judging.judge.judge(request)).score < JUDGED_RIGHT:
            return 0.0
    return 1.0


# -- addresses ------------------------------------------------------------------------------------------------------


def same_page(right: str, url: str) -> bool:
    """Whether an address has the place of another in its own, and for each of its parameters one of its values."""
    gold, seen = urlsplit(right.rstrip("/")), urlsplit(url.rstrip("/"))
    if f"{gold.netloc}{gold.path}" not in f"{seen.netloc}{seen.path}":
        return False
    asked, given = parse_qs(gold.query), parse_qs(seen.query)
    return all(any(value in given.get(key, ()) for value in values) for key, values in asked.items())


def _url_check(reference: str, note: str) -> Check:
    if note.upper() not in ("GOLD IN PRED", "EXACT"):
        raise Refused(f"its way to compare addresses, {note[:40]!r}, is not known")

    async def check(judging: Judging) -> float:
        rights, url = judging.fill(reference).split(OR), judging.seen.url
        if note.upper() == "EXACT":
            return float(url.rstrip("/") in {right.rstrip("/") for right in rights})
        return float(any(same_page(right, url) for right in rights))

    return check


# -- pages ----------------------------------------------------------------------------------------------------------


def read_locator(locator: str) -> str:
    """This module's expression for a locator; the whole page's text for none.

    Raises:
        Refused: It is none of the shapes that are read.
    """
    if not locator.strip():
        return "document.documentElement.outerHTML"
    found = _LOCATOR.fullmatch(locator.strip())
    if found is None or found["property"] not in PROPERTIES:
        raise Refused("it looks at a page with a program of its own")
    selector = json.dumps((found["one"] or found["many"])[1:-1])
    index, name = int(found["index"] or 0), json.dumps(found["property"])
    return f"String(document.querySelectorAll({selector})[{index}]?.[{name}] ?? '')"


def _page_check(targets: Sequence[Target]) -> Check:
    if any(target.prep_actions for target in targets):
        raise Refused("it prepares a page with a program of its own")
    if any(target.url.startswith("func:") for target in targets):
        raise Refused("it finds a page with a program of its own")
    looks = [(target, read_locator(target.locator)) for target in targets]

    async def check(judging: Judging) -> float:
        for target, expression in looks:
            if target.url != "last":
                try:
                    await judging.session.goto(judging.fill(target.url))
                except ActionFailed:
                    return 0.0
            if not _says(target.required_contents, plain(str(await judging.session.evaluate(expression)))):
                return 0.0
        return 1.0

    return check


def _says(wanted: Contents, text: str) -> bool:
    if wanted.exact_match is not None and plain(wanted.exact_match) != text:
        return False
    return all(includes(part, text, alone=False) for part in wanted.must_include)
