"""Finds out what an OpenAI-compatible server can do, by asking it for a few tokens."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from agentgym.engines.base import Sampling
from agentgym.engines.http_answers import Answer, Malformed, TextTokens, read_answer
from agentgym.engines.http_wire import PromptTooLong, Refused, Wire
from agentgym.faults import ConfigError

log = logging.getLogger(__name__)

#: How an engine may be told to talk to its server.
Api = Literal["auto", "tokens", "text"]
#: Tokens of a trial; several, so that one that is certain by chance does not decide.
TRIAL_TOKENS = 4
#: What the trial reads, where there is a tokenizer to write it with.
TRIAL_TEXT = "Question: what is 1 + 2?"
#: Keys beyond OpenAI's that make an answer exact. A server has defaults of its own for what is left out.
EXACT: dict[str, Any] = {
    "logprobs": 0,
    "return_token_ids": True,
    "return_tokens_as_token_ids": True,
    "include_stop_str_in_output": True,
    "skip_special_tokens": False,
    "add_special_tokens": False,
    "min_p": 0.0,
    "repetition_penalty": 1.0,
    "presence_penalty": 0.0,
    "frequency_penalty": 0.0,
}
#: vLLM samples at this temperature where it is given a lower one that is not 0.
LEAST_TEMPERATURE = 0.01
#: Largest log-probability error of the one token that top_k = 1 leaves.
_CERTAIN = 1e-6


@dataclass(frozen=True, slots=True)
class Abilities:
    """What a server can do.

    Attributes:
        exact: It says which tokens it sampled, and their log-probabilities.
        reads_ids: It takes prompts as token ids.
        extended: It takes the keys in `EXACT`.
        tells_stop: It says which stop string ended a completion.
        processed: Its log-probabilities are those of the distribution sampled from, not of the one before temperature,
            top-p and top-k.
        max_context: Tokens of prompt and completion; None: it does not say.
    """

    exact: bool
    reads_ids: bool
    extended: bool
    tells_stop: bool
    processed: bool
    max_context: int | None


def request(
    model: str, prompt: Sequence[int] | str, sampling: Sampling, *, extended: bool, stops: bool, most: int
) -> dict[str, Any]:
    """The body of a request for one completion.

    Args:
        model: As the server calls it.
        prompt: Ids or text.
        sampling: How.
        extended: With the keys in `EXACT`.
        stops: With the stop strings; a server that does not say which one it found would cut it off for good.
        most: Tokens of the completion.

    Raises:
        ConfigError: The sampling cannot be had without further keys.
    """
    body: dict[str, Any] = {
        "model": model,
        "prompt": prompt if isinstance(prompt, str) else list(prompt),
        "max_tokens": most,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "seed": sampling.seed,
    }
    if stops and sampling.stop:
        body["stop"] = list(sampling.stop)
    if extended:
        if 0 < sampling.temperature < LEAST_TEMPERATURE:
            raise ConfigError(f"sampling.temperature must be 0 or at least {LEAST_TEMPERATURE} for this server")
        ends = list(sampling.stop_token_ids)
        body |= {**EXACT, "top_k": sampling.top_k or -1, "stop_token_ids": ends}
    elif sampling.top_k:
        raise ConfigError("sampling.top_k: the server does not take it")
    return body


async def ask_server(wire: Wire, model: str, api: Api, text: TextTokens | None, vocabulary: int | None) -> Abilities:
    """What the server can do.

    Args:
        wire: The way to it.
        model: As it calls the model.
        api: ``tokens``: only an exact server will do; ``text``: ask for text, whatever it can do.
        text: The policy's tokenizer.
        vocabulary: See `read_answer`.

    Raises:
        ConfigError: It does not serve the model, refuses the key, or cannot do what `api` says.
        EngineFault: There is no answer.
    """
    served, max_context = await _models(wire, model)
    ids = text.trial(TRIAL_TEXT) if text is not None else [0]
    ways: list[tuple[Sequence[int] | str, bool]] = []
    if api != "text":
        ways += [(ids, True), (ids, False)]
    if api != "tokens" and text is not None:
        ways.append((text.decode(ids), False))
    refusal: Exception | None = None
    for prompt, extended in ways:
        sampling = Sampling(top_k=1 if extended else 0, max_tokens=TRIAL_TOKENS)
        body = request(model, prompt, sampling, extended=extended, stops=False, most=TRIAL_TOKENS)
        try:
            answer = read_answer(
                await wire.post("completions", {**wire.config.extra, **body}), "completion", vocabulary
            )
        except Refused as error:
            if error.status in (401, 403):
                raise ConfigError(f"engine: {error.detail}") from None
            refusal = refusal or error
            continue
        except (Malformed, PromptTooLong) as error:
            refusal = refusal or error
            continue
        found = _judge(answer, prompt, extended, max_context)
        if api == "tokens" and not found.exact:
            raise ConfigError("engine: api is 'tokens', and the server gives no token ids with log-probabilities")
        if found.reads_ids or isinstance(prompt, str) or text is None:
            log.info("%s: %s", wire.where, found)
            return found
    if served and model not in served:
        raise ConfigError(f"engine: {wire.where} does not serve {model!r}, but {wire.line(', '.join(served))}")
    if isinstance(refusal, Refused) and refusal.status in (404, 405, 501):
        hint = "; where there is only a chat interface, evaluate with the engine 'chat'"
        raise ConfigError(f"engine: no completions at {wire.config.url} ({refusal.detail}){hint}")
    raise ConfigError(f"engine: {wire.where} gives no completion: {wire.line(refusal)}")


async def _models(wire: Wire, model: str) -> tuple[list[str], int | None]:
    """Names that the server lists, and the model's context where it says so."""
    try:
        body = await wire.get("models")
    except Refused as error:
        if error.status in (401, 403):
            raise ConfigError(f"engine: {error.detail}") from None
        return [], None
    listed = body.get("data") if isinstance(body, dict) else None
    entries = [entry for entry in listed if isinstance(entry, dict)] if isinstance(listed, list) else []
    names = [name for entry in entries if isinstance(name := entry.get("id"), str)]
    sizes = [entry.get("max_model_len") for entry in entries if entry.get("id") == model]
    return names, next((size for size in sizes if type(size) is int and size > 0), None)


def _judge(answer: Answer, prompt: Sequence[int] | str, extended: bool, max_context: int | None) -> Abilities:
    exact = answer.token_ids is not None and answer.logprobs is not None and not isinstance(prompt, str)
    return Abilities(
        exact=exact,
        # Some servers take a list of ids for a list of texts.
        reads_ids=exact or (not isinstance(prompt, str) and answer.prompt_tokens == len(prompt)),
        extended=extended,
        tells_stop=answer.tells_stop,
        # Of one token that is left to choose from the probability is 1, unless it is that from before the choice.
        processed=exact and all(value > -_CERTAIN for value in answer.logprobs or ()),
        max_context=max_context,
    )
