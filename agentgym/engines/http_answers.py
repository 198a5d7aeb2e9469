"""Reads what a server answered to a request for a completion. Nothing of it is believed before it is checked."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from agentgym.clients import encodable
from agentgym.engines.base import FinishReason, Sampling
from agentgym.faults import ConfigError, EngineFault

#: How servers call an ending -> what it is. Every other one (a content filter, an abort, a tool call) is a fault.
FINISHES: dict[str, FinishReason] = {
    "stop": "stop",
    "eos": "stop",
    "eos_token": "stop",
    "stop_sequence": "stop",
    "length": "length",
    "max_tokens": "length",
}
#: Where servers say which stop string ended a completion.
STOP_KEYS = ("stop_reason", "matched_stop")
#: A log-probability may be this much above 0 by rounding.
LOGPROB_SLACK = 1e-3
#: More tokens than any call has; a count above it is no count.
MAX_TOKENS = 100_000_000
#: How a server writes an id where a token's text is expected.
_ID_MARK = "token_id:"


class Malformed(Exception):
    """An answer that is not what it should be; says how, in a few words."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One choice of an answer.

    Attributes:
        text: What was written; without special tokens where the server leaves them out.
        finish: How it ended.
        stop: The stop string that ended it, where the server says so.
        tells_stop: The server says whether one did.
        token_ids, logprobs: What was sampled; None where the server does not give both.
        prompt_ids: What the server read, where it says so.
        prompt_tokens, cached_tokens, completion_tokens: As the server counts; None where it does not.
    """

    text: str
    finish: FinishReason
    stop: str | None
    tells_stop: bool
    token_ids: list[int] | None
    logprobs: list[float] | None
    prompt_ids: list[int] | None
    prompt_tokens: int | None
    cached_tokens: int
    completion_tokens: int | None


def read_answer(body: Any, form: Literal["completion", "chat"], vocabulary: int | None = None) -> Answer:
    """The first choice of an answer.

    Args:
        body: As it came, parsed.
        form: Which of the two interfaces it came from.
        vocabulary: Token ids must be below it; None: not known.

    Raises:
        Malformed: It is none.
    """
    choices = body.get("choices") if isinstance(body, dict) else None
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        raise Malformed("the answer holds no completion")
    choice: dict[str, Any] = choices[0]
    if form == "chat":
        message = choice.get("message")
        text = _content(message.get("content")) if isinstance(message, dict) else None
    else:
        text = choice.get("text")
    if not isinstance(text, str):
        raise Malformed("the answer holds no text")
    ending = choice.get("finish_reason")
    if not isinstance(ending, str) or ending not in FINISHES:
        raise Malformed(f"the completion ended with {ending!r:.80}")
    reasons = [choice[key] for key in STOP_KEYS if key in choice]
    usage = body.get("usage")
    ids, logprobs = _sampled(choice, vocabulary)
    prompt = choice.get("prompt_token_ids")
    return Answer(
        text=encodable(text),
        finish=FINISHES[ending],
        stop=next((reason for reason in reasons if isinstance(reason, str)), None),
        tells_stop=bool(reasons),
        token_ids=ids,
        logprobs=logprobs,
        prompt_ids=prompt if isinstance(prompt, list) else None,
        prompt_tokens=_count(usage, "prompt_tokens"),
        cached_tokens=_count(_sub(usage, "prompt_tokens_details"), "cached_tokens") or 0,
        completion_tokens=_count(usage, "completion_tokens"),
    )


def _sampled(choice: dict[str, Any], vocabulary: int | None) -> tuple[list[int] | None, list[float] | None]:
    """Ids and log-probabilities of the sampled tokens; None, None where the server does not give both."""
    detail = choice.get("logprobs")
    values = detail.get("token_logprobs") if isinstance(detail, dict) else None
    ids = choice.get("token_ids")
    if ids is None and isinstance(detail, dict):
        ids = _marked(detail.get("tokens"))
    if ids is None or values is None:
        return None, None
    if not isinstance(ids, list) or not isinstance(values, list):
        raise Malformed("token ids and log-probabilities are no lists")
    for token in ids:
        if type(token) is not int or token < 0 or token >= (MAX_TOKENS if vocabulary is None else vocabulary):
            raise Malformed(f"{token!r:.40} is no token of the model")
    if len(values) != len(ids):
        raise Malformed(f"{len(ids)} tokens came with {len(values)} log-probabilities")
    for value in values:
        if type(value) not in (int, float) or not math.isfinite(value) or value > LOGPROB_SLACK:
            raise Malformed(f"{value!r:.40} is no log-probability")
    return ids, [min(float(value), 0.0) for value in values]


def _marked(tokens: Any) -> list[int] | None:
    """The ids in ``["token_id:7", ...]``; None where it is not of that kind."""
    if not isinstance(tokens, list):
        return None
    ids = []
    for token in tokens:
        digits = token.removeprefix(_ID_MARK) if isinstance(token, str) else ""
        if digits == token or not digits.isdecimal() or len(digits) > len(str(MAX_TOKENS)):
            return None
        ids.append(int(digits))
    return ids


def _content(content: Any) -> str | None:
    """The text of a message: plain, or in parts; a message without any (null) is an empty one."""
    if content is None:
        return ""
    if isinstance(content, list):
        parts = [part.get("text") for part in content if isinstance(part, dict)]
        return "".join(part for part in parts if isinstance(part, str))
    return content if isinstance(content, str) else None


def _sub(value: Any, key: str) -> Any:
    return value.get(key) if isinstance(value, dict) else None


def _count(usage: Any, key: str) -> int | None:
    value = _sub(usage, key)
    return value if type(value) is int and 0 <= value <= MAX_TOKENS else None


def ended_text(answer: Answer, stops: Sequence[str]) -> tuple[str, FinishReason]:
    """The text up to and with the first stop string, and how it ended.

    A server that cuts the stop string off and says which one it was gets it back; one that was not told of stop
    strings wrote on, and what comes after the first is cut off here.
    """
    ends = [place + len(stop) for stop in stops if (place := answer.text.find(stop)) >= 0]
    if ends:
        return answer.text[: min(ends)], "stop"
    if answer.stop in stops and answer.finish == "stop":
        return f"{answer.text}{answer.stop}", "stop"
    return answer.text, answer.finish


class TextTokens:
    """A tokenizer for servers that read and write text: what they write is stored as its tokens.

    Args:
        tokenizer: Of the policy; a transformers tokenizer.

    Raises:
        ConfigError: There is none.
    """

    def __init__(self, tokenizer: Any) -> None:
        if tokenizer is None:
            raise ConfigError("an engine that exchanges text with its server needs a tokenizer")
        self._tokenizer = tokenizer
        self._unknown: int | None = getattr(tokenizer, "unk_token_id", None)

    def decode(self, ids: Sequence[int]) -> str:
        """The text of a prompt, special tokens included."""
        text = self._tokenizer.decode(list(ids), skip_special_tokens=False, clean_up_tokenization_spaces=False)
        return str(text)

    def trial(self, text: str) -> list[int]:
        """Ids of a text of ours that any tokenizer has some tokens for."""
        end = getattr(self._tokenizer, "eos_token_id", None)
        ids = [int(i) for i in self._tokenizer.encode(text, add_special_tokens=False)]
        return ids or [end if isinstance(end, int) else 0]

    def encode(self, text: str, sampling: Sampling, ended: bool) -> list[int]:
        """The tokens of a completion.

        Args:
            text: As it was written.
            sampling: What it was asked for with.
            ended: It ended by itself, not at a stop string: the token that says so is added, where it is known.

        Raises:
            EngineFault: The tokenizer cannot say what was written.
        """
        ids = [int(i) for i in self._tokenizer.encode(text, add_special_tokens=False)]
        if self._unknown in ids and str(self._tokenizer.unk_token) not in text:
            raise EngineFault("the tokenizer has no tokens for what the server wrote; name another one as the model")
        end = getattr(self._tokenizer, "eos_token_id", None)
        if isinstance(end, int) and (not ids or (ended and ids[-1] not in sampling.stop_token_ids)):
            ids.append(end)
        if not ids:
            raise EngineFault("the server wrote nothing")
        return ids
