"""One OpenAI-compatible endpoint: what is sent to it, and what its answers mean.

``POST {base_url}/chat/completions`` with one question. The answer is a stranger's: it is bounded while it is read,
checked before it is used, and a key that comes back in it is hidden. Nothing here waits or tries again: see `live`.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from pydantic import Field, field_validator

from agentgym.clients import (
    Secrets,
    TooMuch,
    base_address,
    check_extra,
    encodable,
    error_words,
    plain_line,
    read_body,
    read_json,
    retry_after,
)
from agentgym.envs.routing.candidates import Candidate, Estimate, Reply
from agentgym.envs.routing.prices import Price
from agentgym.faults import EnvironmentFault

if TYPE_CHECKING:
    import httpx

#: Kind of the `EnvironmentFault` of an endpoint that cannot be used.
FAULT: Final = "endpoint"
#: Tokens that a chat template puts around a system message and a question, at most.
TEMPLATE_TOKENS: Final = 128
#: More tokens than any call has; a count above it is no count.
MAX_TOKENS: Final = 100_000_000
#: Longest reason taken from an endpoint's error, in characters.
MAX_REASON_CHARS: Final = 200
#: Statuses after which trying again may help; 5xx besides.
_AGAIN: Final = frozenset({408, 409, 425, 429})
#: Says of a 4xx answer that the question is at fault and not the request: it is too long, or unwelcome.
_REFUSED = re.compile(
    r"content[ _-]?(filter|policy|management)|moderation|safety|flagged|\bharm|invalid_prompt"
    r"|context[ _-]?(length|window)|maximum context|too[ _]long|string_above_max_length",
    re.IGNORECASE,
)
#: Says of a 429 that money is short, not time.
_NO_MONEY = re.compile(r"insufficient_quota|billing|credit", re.IGNORECASE)


class Endpoint(Candidate):
    """A candidate, and where it is asked."""

    base_url: str
    """Up to and without ``/chat/completions``, e.g. ``https://host/v1``."""
    model: str | None = None
    """How the endpoint calls it; none: the candidate's name."""
    api_key_env: str | None = None
    """Environment variable that holds the key; none: no key is sent."""
    price_name: str | None = None
    """How the price table calls it; none: `model`. Unused without a table."""
    free: bool = False
    """It costs nothing (your own server): it needs no price, and no spend limit stops it."""
    system: str = "Answer as briefly as possible."
    """System message; empty: none."""
    max_tokens: int = Field(512, ge=1)
    """Tokens of a reply, thoughts included."""
    max_tokens_key: str = "max_tokens"
    """How the request says so; some models want ``max_completion_tokens``."""
    temperature: float | None = Field(0.0, ge=0)
    """None: as the endpoint likes."""
    extra: dict[str, Any] = Field(default_factory=dict)
    """Further keys of the request, e.g. ``{seed: 1}``."""
    requests_per_minute: float | None = Field(None, gt=0)
    """None: no limit."""
    tokens_per_minute: float | None = Field(None, gt=0)
    """Of prompts and replies, a call counting with its `max_tokens` until it ends; none: no limit."""
    max_concurrency: int = Field(16, ge=1)
    """Calls at once."""

    @field_validator("base_url")
    @classmethod
    def _address(cls, value: str) -> str:
        return base_address(value)

    @field_validator("extra")
    @classmethod
    def _extra(cls, value: dict[str, Any]) -> dict[str, Any]:
        check_extra(value, ("messages", "model", "n", "stream"))
        return value

    def candidate(self) -> Candidate:
        """What a router may know of it."""
        return Candidate(**{name: getattr(self, name) for name in Candidate.model_fields})


class Failed(Exception):
    """A try that brought no answer.

    Args:
        problem: In one line.
        again: Whether it may pass.
        charged: Whether it may have cost something: it was taken, and nobody knows what became of it.
        after_s: Seconds that the endpoint asks to wait before the next.
    """

    def __init__(self, problem: str, *, again: bool, charged: bool, after_s: float | None = None) -> None:
        super().__init__(problem)
        self.again, self.charged, self.after_s = again, charged, after_s


@dataclass(frozen=True, slots=True)
class Call:
    """A question on its way to an endpoint.

    Attributes:
        body: The request, as JSON.
        prompt_tokens: As estimated.
        most_tokens: Upper bound of its tokens, the reply's included.
        most_usd: Upper bound of its cost.
    """

    body: bytes
    prompt_tokens: int
    most_tokens: int
    most_usd: float


class Wire:
    """Writes requests to one endpoint and reads its answers.

    Args:
        endpoint: Where.
        key: Its key; None: none is sent.
        price: What it costs.
        estimate: How tokens are counted that the endpoint does not count.
        max_bytes: A longer answer is not read.
    """

    def __init__(self, endpoint: Endpoint, key: str | None, price: Price, estimate: Estimate, max_bytes: int) -> None:
        self.endpoint, self.price, self.url = endpoint, price, f"{endpoint.base_url}/chat/completions"
        self._estimate, self._max_bytes = estimate, max_bytes
        self._secrets = Secrets([] if key is None else [key])
        self._headers = {"Content-Type": "application/json", "Accept-Encoding": "identity"}
        if key is not None:
            self._headers["Authorization"] = f"Bearer {key}"

    def call(self, question: str) -> Call:
        """The request for a question, and bounds of what it takes. A token has at least a byte of text."""
        said = [("system", self.endpoint.system)] if self.endpoint.system else []
        messages = [{"role": role, "content": encodable(text)} for role, text in (*said, ("user", question))]
        request = {
            **self.endpoint.extra,
            "model": self.endpoint.model or self.endpoint.name,
            "messages": messages,
            self.endpoint.max_tokens_key: self.endpoint.max_tokens,
        }
        if self.endpoint.temperature is not None:
            request["temperature"] = self.endpoint.temperature
        most_prompt = sum(len(m["content"].encode()) for m in messages) + TEMPLATE_TOKENS
        prompt = sum(self._estimate.prompt_tokens(m["content"]) for m in messages)
        most_usd = self.price.most_usd(most_prompt, self.endpoint.max_tokens)
        return Call(json.dumps(request).encode(), prompt, prompt + self.endpoint.max_tokens, most_usd)

    async def send(self, client: httpx.AsyncClient, call: Call) -> Reply:
        """Sends a call once.

        Raises:
            Failed: No answer came.
        """
        import httpx

        request = client.build_request("POST", self.url, content=call.body, headers=self._headers)
        try:
            response = await client.send(request, stream=True)
            try:
                data = await read_body(response, self._max_bytes)
            finally:
                await response.aclose()
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            raise Failed(f"no connection ({type(error).__name__})", again=True, charged=False) from None
        except TooMuch as error:
            raise Failed(str(error), again=False, charged=True) from None
        except httpx.TimeoutException:
            raise Failed("no answer in time", again=True, charged=True) from None
        except httpx.HTTPError as error:
            raise Failed(f"the connection broke ({type(error).__name__})", again=True, charged=True) from None
        if response.status_code != 200:
            return self._failed(response.status_code, response.headers, read_json(data))
        return self._reply(read_json(data), call)

    # -- what an answer means ----------------------------------------------------------------------------------------

    def _failed(self, status: int, headers: httpx.Headers, body: Any) -> Reply:
        reason = self._line(error_words(body))
        if status in (413, 451) or (400 <= status < 500 and status not in _AGAIN and _REFUSED.search(reason)):
            return Reply("", error=f"the question was refused ; {reason or f'status {status}'}")
        problem = f"status {status}{': ' + reason if reason else ''}"
        if status in (401, 403) and self.endpoint.api_key_env is not None:
            problem += f" (the key is that of {self.endpoint.api_key_env})"
        again = status >= 500 or (status in _AGAIN and not (status == 429 and _NO_MONEY.search(reason)))
        raise Failed(problem, again=again, charged=False, after_s=retry_after(headers.get("retry-after")))

    def _reply(self, body: Any, call: Call) -> Reply:
        try:
            choice = body["choices"][0]
            message = choice["message"]
            text = _content(message.get("content")) or _content(message.get("refusal"))
            ending = choice.get("finish_reason")
        except (TypeError, KeyError, IndexError, AttributeError):
            raise Failed("the answer is no chat completion", again=True, charged=True) from None
        text = self._secrets.hide(encodable(text)).strip()
        error = None
        if not text:
            error = {
                "length": f"no answer within {self.endpoint.max_tokens} tokens",
                "content_filter": "the model refused to answer",
            }.get(ending if isinstance(ending, str) else "", "the model said nothing")
        return self._counted(text, error, body.get("usage"), call)

    def _counted(self, text: str, error: str | None, usage: Any, call: Call) -> Reply:
        usage = usage if isinstance(usage, dict) else {}
        prompt, completion = _count(usage, "prompt_tokens"), _count(usage, "completion_tokens")
        approximate = prompt is None or completion is None
        if prompt is None:
            prompt = call.prompt_tokens
        if completion is None:  # a reply without text used tokens all the same, nobody knows how many
            completion = self._estimate.prompt_tokens(text) if text else self.endpoint.max_tokens
        cached = _count(usage.get("prompt_tokens_details"), "cached_tokens") or 0
        thought = _count(usage.get("completion_tokens_details"), "reasoning_tokens") or 0
        usd = self.price.usd(prompt, completion, cached, thought)
        return Reply(text, None, prompt, completion, usd, error=error, approximate=approximate)

    def fault(self, reason: str) -> EnvironmentFault:
        """The fault of this endpoint; tells its name, not its address."""
        return EnvironmentFault(FAULT, f"{self.endpoint.name}: {self._line(reason)}")

    def _line(self, text: str) -> str:
        return plain_line(self._secrets.hide(text), MAX_REASON_CHARS)


def _content(content: Any) -> str:
    """The text of a message: plain, or in parts."""
    if isinstance(content, list):
        parts = [part.get("text") for part in content if isinstance(part, dict)]
        return "".join(part for part in parts if isinstance(part, str))
    return content if isinstance(content, str) else ""


def _count(usage: Any, key: str) -> int | None:
    """A number of tokens; None where there is none, or one that cannot be."""
    value = usage.get(key) if isinstance(usage, dict) else None
    whole = isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_TOKENS
    return value if whole else None
