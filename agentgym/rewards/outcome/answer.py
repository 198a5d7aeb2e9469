"""Does a short answer match the gold: exact match, token F1, cover match, and Search-R1's format-aware reward.

Normalisation and exact match are SQuAD's, as HotpotQA, MuSiQue and Search-R1 (arXiv 2503.09516, public code) use them:
lower case, no punctuation, no articles, single spaces; the best gold answer counts. Every function is pure.

In an episode, the answer is what ended it (`agentgym.rewards.table.final_answer`).
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Annotated, Literal, Protocol

from pydantic import Field

from agentgym.rewards.outcome.episode import observations, well_formed
from agentgym.rewards.outcome.registry import reward
from agentgym.rewards.table import final_answer
from agentgym.rewards.table import said as policy_texts
from agentgym.trajectory import Trajectory

_ARTICLES = re.compile(r"\b(?:a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)
_OPEN, _CLOSE = "<answer>", "</answer>"
SQUAD = "SQuAD: 100,000+ Questions for Machine Comprehension of Text"
SEARCH_R1 = "Search-R1: Training LLMs to Reason and Leverage Search Engines with Reinforcement Learning"


def normalize_answer(text: str) -> str:
    """Lower case, ASCII punctuation dropped, articles dropped, white space squeezed.

    An answer that consists of nothing else ("The The", "!") keeps what would be dropped: an empty string would match
    every other empty one.
    """
    lowered = text.lower()
    bare = lowered.translate(_PUNCTUATION)
    return " ".join(_ARTICLES.sub(" ", bare).split()) or " ".join(bare.split()) or " ".join(lowered.split())


def exact_match(prediction: str, golds: Iterable[str]) -> float:
    """1.0 where the normalised prediction equals any normalised gold answer, else 0.0; an empty one never matches."""
    said = normalize_answer(prediction)
    return float(bool(said) and any(said == normalize_answer(gold) for gold in golds))


def f1_score(prediction: str, golds: Iterable[str]) -> float:
    """Best token F1 of the prediction over the gold answers, 0..1 (multisets of normalised tokens)."""
    said = Counter(normalize_answer(prediction).split())
    best = 0.0
    for gold in golds:
        meant = Counter(normalize_answer(gold).split())
        common = (said & meant).total()
        if common:
            best = max(best, 2 * common / (said.total() + meant.total()))
    return best


def cover_match(prediction: str, golds: Iterable[str], whole_words: bool = True) -> float:
    """1.0 where any gold answer occurs inside the prediction, both normalised.

    Args:
        prediction: What was answered.
        golds: The accepted answers.
        whole_words: Count whole words only; False is the plain substring of Search-R1's code, in which "nothing" covers
            the gold answer "no".
    """
    edge = " " if whole_words else ""
    said = f"{edge}{normalize_answer(prediction)}{edge}"
    return float(any(meant and f"{edge}{meant}{edge}" in said for meant in map(normalize_answer, golds)))


def last_answer(text: str) -> str | None:
    """Body of the LAST complete ``<answer>…</answer>`` of a text, stripped; None where there is none."""
    # Not a regular expression: one tries every opening tag against the whole rest of the text.
    body, at = None, text.find(_OPEN)
    while at >= 0:
        begin = at + len(_OPEN)
        if (end := text.find(_CLOSE, begin)) < 0:
            break
        body = text[begin:end].strip()
        at = text.find(_OPEN, end)
    return body


def search_r1_reward(
    *,
    correct: bool,
    valid: bool,
    retrieved: bool = False,
    answered: bool = True,
    structure: float = 0.2,
    retrieval: float = 0.1,
    final: float = 0.1,
) -> float:
    """Search-R1's format-aware outcome (arXiv 2503.09516, public code, ``qa_em_format``).

    Args:
        correct: The answer matches a gold one.
        valid: The whole episode is well-formed.
        retrieved: The gold answer's text occurs in what was retrieved.
        answered: An answer was given at all.
        structure: Worth of the format: lost by a right answer in a wrong one, kept by a wrong answer in a right one.
        retrieval: Added to `structure` where the gold text was retrieved.
        final: What a wrong answer in a wrong format still earns.

    Returns:
        correct and valid 1; correct and invalid 1 - structure; valid but wrong (or without an answer) structure, plus
        retrieval where retrieved; wrong and invalid final; neither answer nor format 0.
    """
    if answered and correct:
        return 1.0 if valid else 1.0 - structure
    if valid:
        return structure + (retrieval if retrieved else 0.0)
    return final if answered else 0.0


Match = Literal["em", "f1", "cover"]
#: Ways to compare an answer with the gold ones.
MATCHES: Mapping[Match, Callable[[str, Sequence[str]], float]] = {
    "em": exact_match,
    "f1": f1_score,
    "cover": cover_match,
}


class HasAnswers(Protocol):
    """A task with gold answers, any of which counts."""

    @property
    def answers(self) -> Sequence[str]: ...


def match_answer(task: HasAnswers, trajectory: Trajectory, match: Match) -> float:
    """How well an episode's answer matches the task's gold ones, 0..1; 0 without an answer."""
    answer = final_answer(trajectory)
    return 0.0 if answer is None else MATCHES[match](answer, task.answers)


@reward("exact_match", source=SQUAD, status="recalled")
def score_exact_match(task: HasAnswers, trajectory: Trajectory) -> float:
    """1 where the episode's answer equals a gold one after normalisation, else 0.

    Args:
        task: With `answers`.
        trajectory: The episode.
    """
    return match_answer(task, trajectory, "em")


@reward("f1", source=SQUAD, status="recalled")
def score_f1(task: HasAnswers, trajectory: Trajectory) -> float:
    """Best token F1 of the episode's answer with the gold ones.

    Formula: 2 common / (tokens said + tokens of the gold answer), multisets of normalised tokens.

    Args:
        task: With `answers`.
        trajectory: The episode.
    """
    return match_answer(task, trajectory, "f1")


@reward("cover_match", source=SEARCH_R1, arxiv="2503.09516", status="code")
def score_cover_match(task: HasAnswers, trajectory: Trajectory, *, whole_words: bool = True) -> float:
    """1 where a gold answer occurs inside the episode's answer, else 0.

    Args:
        task: With `answers`.
        trajectory: The episode.
        whole_words: Count whole words only; False is the plain substring of the authors' code.
    """
    answer = final_answer(trajectory)
    return 0.0 if answer is None else cover_match(answer, task.answers, whole_words)


@reward("search_r1", source=SEARCH_R1, arxiv="2503.09516", status="code")
def score_search_r1(
    task: HasAnswers,
    trajectory: Trajectory,
    *,
    match: Match = "em",
    at_least: Annotated[float, Field(gt=0, le=1)] = 1.0,
    structure: float = 0.2,
    retrieval: float = 0.1,
    final: float = 0.1,
    whole_words: bool = True,
) -> float:
    """Search-R1's format-aware outcome of an episode; see `search_r1_reward` for the table.

    A right answer in an ill-formed turn still counts as given: the last complete ``<answer>`` of the policy's text
    stands in for it.

    Args:
        task: With `answers`.
        trajectory: The episode; it is well-formed where every turn is, and it ends with an answer.
        match: How an answer is compared with the gold ones.
        at_least: From which match on it is correct.
        structure: Worth of the format.
        retrieval: Added to `structure` where an observation contains a gold answer.
        final: What a wrong answer in a wrong format still earns.
        whole_words: Of a gold answer in an observation; False is the plain substring of the authors' code.
    """
    ended = final_answer(trajectory)
    answer = last_answer("\n".join(policy_texts(trajectory))) if ended is None else ended
    return search_r1_reward(
        correct=answer is not None and MATCHES[match](answer, task.answers) >= at_least,
        valid=ended is not None and well_formed(trajectory),
        retrieved=any(cover_match(text, task.answers, whole_words) for text in observations(trajectory)),
        answered=answer is not None,
        structure=structure,
        retrieval=retrieval,
        final=final,
    )
