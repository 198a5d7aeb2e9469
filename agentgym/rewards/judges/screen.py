"""What a rule can decide before any model is asked: nothing is said, no word is, nothing is claimed, or it is declined.

Judges by language models give empty texts, lone punctuation and openings such as "Solution:" full marks surprisingly
often (One Token to Fool LLM-as-a-Judge, arXiv 2507.08794). None of these needs a model to be refused. A text that
equals a right answer always passes: "Step by Step" is also the name of a song.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable
from functools import cache
from typing import Literal

from agentgym.rewards.judges.verdict import FIRST, SECOND, TIE, Request, Verdict
from agentgym.rewards.judges.words import CORE, CORE_PHRASES, GLUE, GLUE_PHRASES, REFUSALS

Emptiness = Literal["empty", "no_words", "no_claim", "refusal"]
#: Label of a screened text -> the reason that is given.
REASONS: dict[Emptiness, str] = {
    "empty": "nothing is said",
    "no_words": "no word or number is said",
    "no_claim": "an answer is announced, none is given",
    "refusal": "an answer is declined",
}
#: A text of more words than this is no mere announcement, and is not looked through for one.
MAX_OPENER_WORDS = 64
#: A numbered step ("Step 1:") claims nothing.
_NUMBERED = re.compile(r"\b(step|schritt|paso|étape|ステップ|步骤|第)\s*\d+")
# What is shown as nothing at all.
_INVISIBLE = frozenset({"Cf", "Cc", "Cn", "Co", "Cs", "Zs", "Zl", "Zp"})
_UNSPACED = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]")


class _Table(dict[int, int | None]):
    """A table for `str.translate` that is filled as characters come."""

    def __init__(self, rule: Callable[[str], int | None], **fixed: str) -> None:
        super().__init__({ord(c): ord(to) for to, chars in fixed.items() for c in chars})
        self._rule = rule

    def __missing__(self, code: int) -> int | None:
        self[code] = self._rule(chr(code))
        return self[code]


# Words are letters, numbers and the marks that belong to letters.
_SPACED = _Table(lambda c: ord(c) if unicodedata.category(c)[0] in "LNM" else ord(" "))
_SHOWN = _Table(lambda c: None if unicodedata.category(c) == "Cf" else ord(c), **{"'": "’ʼ`"})


def emptiness(
    text: str, references: Iterable[str] = (), *, openers: bool = True, refusals: bool = True
) -> Emptiness | None:
    """Why a text claims nothing; None where that is for a judge to say.

    Args:
        text: What was said.
        references: Right answers; a text that equals one of them passes.
        openers: Whether texts that only announce an answer are found.
        refusals: Whether texts that decline to answer are found; off for texts longer than an answer, which may well
            say on the way that something is not known yet.
    """
    if all(unicodedata.category(c) in _INVISIBLE or unicodedata.name(c, "").endswith("FILLER") for c in text):
        return "empty"
    said = words(text)
    if any(said == words(gold) if said else text.strip() == gold.strip() for gold in references):
        return None
    if not any(unicodedata.category(c)[0] in "LN" for c in text):  # as written: a trade mark sign is no "tm"
        return "no_words"
    if openers and _announces(text):
        return "no_claim"
    if refusals:
        plain = _plain(text)
        if any(pattern.search(plain) for pattern in REFUSALS):
            return "refusal"
    return None


def screen(request: Request, lowest: float, *, openers: bool = True, refusals: bool = True) -> Verdict | None:
    """The verdict on a request that a rule can decide; None where the judge must.

    One text that claims nothing gets the lowest score. In a comparison the other text wins; where both claim nothing,
    or say the same, it is a tie.

    Args:
        request: What is to be judged.
        lowest: See `Judge`.
        openers, refusals: See `emptiness`.
    """

    def why(text: str) -> Emptiness | None:
        return emptiness(text, request.references, openers=openers, refusals=refusals)

    first = why(request.text)
    if request.other is None:
        return None if first is None else Verdict(lowest, first, REASONS[first])
    second = why(request.other)
    if (first and second) or request.text.split() == request.other.split():
        return Verdict(TIE, "tie", "both claim nothing" if first else "both say the same")
    if first:
        return Verdict(SECOND, "second", f"first: {REASONS[first]}")
    return Verdict(FIRST, "first", f"second: {REASONS[second]}") if second else None


def words(text: str) -> list[str]:
    """The words and numbers of a text, lower case, whatever stands between them."""
    return _plain(text).translate(_SPACED).split()


def _plain(text: str) -> str:
    return unicodedata.normalize("NFKC", text).translate(_SHOWN).casefold()


def _announces(text: str) -> bool:
    said = words(_NUMBERED.sub(r" \1 ", _plain(text)))
    if not said or len(said) > MAX_OPENER_WORDS:
        return False
    found = [_kind(word) for word in said]
    return None not in found and "core" in found


def _kind(word: str) -> Literal["core", "glue"] | None:
    """Whether a word announces, joins, or says something."""
    if word in CORE:
        return "core"
    if word in GLUE:
        return "glue"
    if len(word) > MAX_OPENER_WORDS or not _UNSPACED.search(word):
        return None
    rest = _phrases().sub("", word)
    return None if rest else "core" if any(phrase in word for phrase in CORE_PHRASES) else "glue"


@cache
def _phrases() -> re.Pattern[str]:
    return re.compile("|".join(sorted({*CORE_PHRASES, *GLUE_PHRASES}, key=len, reverse=True)))
