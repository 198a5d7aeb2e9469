"""A real HTTP server that speaks the completions protocol as servers of several kinds do, and misbehaves on demand.

Its model is a rule: it goes on counting from the last token it read, so that what it should have said is known.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from recording import RecordingHandler, RecordingServer, Seen, running

#: What a rude server does instead of answering.
Rude = Callable[[RecordingHandler], None]


@dataclass
class Kind:
    """What the server can do.

    Attributes:
        exact: Gives token ids with log-probabilities; as ``token_id:`` marks where `marked`.
        reads_ids: Takes prompts of ids; otherwise it refuses them, or where `confused` reads each as a text.
        strict: Refuses keys that OpenAI's interface does not have.
        tells_stop: Says which stop string it found.
        raw: Reports log-probabilities from before top-k.
        key: Wanted of every request below ``/v1``.
        dev: Takes weights.
        chat: Answers chats, with what `reply` makes of the messages.
    """

    exact: bool = True
    marked: bool = False
    reads_ids: bool = True
    confused: bool = False
    strict: bool = False
    tells_stop: bool = True
    raw: bool = False
    key: str | None = None
    context: int | None = 100
    completions: bool = True
    dev: bool = False
    finish: str | None = None
    reply: Callable[[Sequence[dict[str, str]]], str] = lambda messages: "yes"


@dataclass
class State:
    """What a vLLM server knows of its weights."""

    version: str = "default"
    paused: bool = False
    path: str | None = None
    calls: list[str] = field(default_factory=list)
    loads: bool = True


class Handler(RecordingHandler):
    server: ModelServer

    def setup(self) -> None:
        super().setup()
        with self.server.lock:
            self.server.connections += 1

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        if path == "/v1/models":
            if self._locked():
                return
            entry: dict[str, Any] = {"id": "policy"}
            if self.server.kind.context is not None:
                entry["max_model_len"] = self.server.kind.context
            self.give(200, {"data": [entry]})
        elif self.server.kind.dev and path == "/weight_info":
            self.give(200, {"weight_version": self.server.state.version})
        elif self.server.kind.dev and path == "/is_paused":
            self.give(200, {"is_paused": self.server.state.paused})
        else:
            self.give(404, {"detail": "Not Found"})

    def answer(self, seen: Seen, number: int) -> None:
        server, path = self.server, urlsplit(self.path).path
        with server.lock:
            rude = server.rude.pop(0) if server.rude and path.startswith("/v1") else None
        if rude is not None:
            rude(self)
        elif path == "/v1/completions" and server.kind.completions:
            self._complete(seen.body)
        elif path == "/v1/chat/completions":
            self._chat(seen.body)
        elif server.kind.dev:
            self._dev(path, seen.body)
        else:
            self.give(404, {"detail": "Not Found"})

    # -- the model ---------------------------------------------------------------------------------------------------

    def _locked(self) -> bool:
        key = self.server.kind.key
        if key is None or self.headers.get("Authorization") == f"Bearer {key}":
            return False
        self.give(401, {"error": {"message": f"no such key: {self.headers.get('Authorization')}"}})
        return True

    def _refuse(self, message: str, status: int = 400) -> None:
        self.give(status, {"error": {"message": message, "type": "BadRequestError", "code": status}})

    def _complete(self, body: dict[str, Any]) -> None:
        kind, tokenizer = self.server.kind, self.server.tokenizer
        self.server.over.wait(self.server.slow_s)
        if self._locked():
            return None
        if body["model"] != "policy":
            return self._refuse(f"The model `{body['model']}` does not exist.", 404)
        beyond = set(body) - {"model", "prompt", "max_tokens", "temperature", "top_p", "seed", "stop", "user"}
        if kind.strict and beyond:
            return self._refuse(f"Unrecognized request argument: {sorted(beyond)[0]}")
        prompt, count = body["prompt"], None
        if isinstance(prompt, str):
            ids = tokenizer.encode(prompt, add_special_tokens=False)
        elif kind.reads_ids:
            ids = prompt
        elif kind.confused:
            ids, count = prompt[:1], 2 * len(prompt)
        else:
            return self._refuse("prompt must be a string", 422)
        if kind.context is not None and len(ids) + body["max_tokens"] > kind.context:
            return self._refuse(f"This model's maximum context length is {kind.context} tokens.")
        said, finish, stop = self._sample(ids, body)
        text = tokenizer.decode(said, skip_special_tokens=False)
        if stop is not None and not body.get("include_stop_str_in_output"):
            text = text[: text.index(stop)]
        choice: dict[str, Any] = {"text": text, "finish_reason": kind.finish or finish}
        if kind.tells_stop:
            choice["stop_reason"] = stop
        if kind.exact:
            sure = body.get("top_k") == 1 and not kind.raw
            values = [0.0 if sure else -0.25 * (1 + i % 3) for i in range(len(said))]
            choice["logprobs"] = {"token_logprobs": values, "tokens": [tokenizer.decode([i]) for i in said]}
            if kind.marked:
                choice["logprobs"]["tokens"] = [f"token_id:{i}" for i in said]
            else:
                choice |= {"token_ids": said, "prompt_token_ids": ids}
        usage = {"prompt_tokens": count or len(ids), "completion_tokens": len(said)}
        return self.give(200, {"choices": [choice], "usage": usage})

    def _sample(self, ids: list[int], body: dict[str, Any]) -> tuple[list[int], str, str | None]:
        said: list[int] = []
        low, high = self.server.words
        for _ in range(body["max_tokens"]):
            last = (said or ids)[-1]
            said.append(low + (last + 1 - low) % (high - low))
            text = self.server.tokenizer.decode(said, skip_special_tokens=False)
            for stop in body.get("stop", ()):
                if stop in text:
                    return said, "stop", stop
            if said[-1] in body.get("stop_token_ids", ()):
                return said, "stop", None
        return said, "length", None

    def _chat(self, body: dict[str, Any]) -> None:
        if self._locked():
            return
        kind = self.server.kind
        text, stop = kind.reply(body["messages"]), None
        ends = [(text.index(s), s) for s in body.get("stop", ()) if s in text]
        if ends:
            place, stop = min(ends)
            text = text[:place]
        choice: dict[str, Any] = {
            "message": {"role": "assistant", "content": text},
            "finish_reason": kind.finish or "stop",
        }
        if kind.tells_stop:
            choice["stop_reason"] = stop
        self.give(200, {"choices": [choice], "usage": {"prompt_tokens": 7, "completion_tokens": 3}})

    # -- weights -----------------------------------------------------------------------------------------------------

    def _dev(self, path: str, body: dict[str, Any]) -> None:
        state = self.server.state
        state.calls.append(path)
        if path == "/pause":
            while self.server.inside > 1 and not self.server.over.wait(0.01):
                pass  # as mode=wait does
            state.paused = True
            self.give(200, {"status": "paused"})
        elif path == "/resume":
            state.paused = False
            self.give(200, {"status": "resumed"})
        elif path == "/collective_rpc":
            if not state.loads:
                self.give(500, {"error": {"message": "shape mismatch"}})
                return
            state.path = body["kwargs"]["weights_path"]
            self.give(200, {"results": [None]})
        elif path == "/reset_prefix_cache":
            self.give(200, {"success": True})
        elif path == "/update_weight_version":
            state.version = body["new_version"]
            self.give(200, {"success": True})
        else:
            self.give(404, {"detail": "Not Found"})


class ModelServer(RecordingServer):
    """`rude`: what it does, once each, instead of answering."""

    def __init__(self, kind: Kind, tokenizer: Any, port: int = 0) -> None:
        super().__init__(Handler, port)
        self.kind, self.tokenizer, self.state = kind, tokenizer, State()
        self.words = (len(tokenizer) // 2, len(tokenizer))
        self.rude: list[Rude] = []
        self.slow_s = 0.0
        self.connections = 0

    @property
    def bodies(self) -> list[Any]:
        """Of the requests for completions, trials included."""
        return [seen.body for seen in self.seen if seen.path.endswith("completions")]


@contextmanager
def serving_model(tokenizer: Any, port: int = 0, **kind: Any) -> Iterator[ModelServer]:
    with running(ModelServer(Kind(**kind), tokenizer, port)) as server:
        yield server


def gives(status: int, body: Any, **headers: str) -> Rude:
    """Answers with this."""
    return lambda handler: handler.give(status, body, **headers)
