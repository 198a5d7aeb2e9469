"""A real HTTP server that answers chat completions as a script says."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from recording import RecordingHandler, RecordingServer, Seen, running

Step = Callable[[RecordingHandler], None]


class Handler(RecordingHandler):
    """Answers with the next step of the script, and with its last one ever after."""

    server: Server

    def answer(self, seen: Seen, number: int) -> None:
        steps = self.server.steps
        steps[min(number, len(steps) - 1)](self)


class Server(RecordingServer):
    """Plays a script."""

    def __init__(self, steps: list[Step]) -> None:
        super().__init__(Handler)
        self.steps = steps


@contextmanager
def serving(*steps: Step) -> Iterator[Server]:
    with running(Server(list(steps))) as server:
        yield server


def completion(text: Any, prompt: int = 10, tokens: int = 5, **more: Any) -> dict[str, Any]:
    """A chat completion with its usage."""
    return {
        "choices": [{"message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": prompt, "completion_tokens": tokens},
        **more,
    }


def says(body: Any, status: int = 200, after_s: float = 0.0, **headers: str) -> Step:
    """Answers with a JSON body (or raw bytes), after a while."""

    def step(handler: RecordingHandler) -> None:
        handler.server.over.wait(after_s)
        handler.give(status, body, **headers)

    return step


def fails(status: int, error: Any = "something", **headers: str) -> Step:
    """Answers with an error."""
    return says({"error": error}, status, **headers)
