"""Small sites for the tests of the browser: a dictionary of pages as an application."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

ORIGIN = "http://shop.test"
Answer = tuple[int, str, str | bytes]
Page = str | Answer | Callable[[Mapping[str, Any], bytes], Awaitable["str | Answer"]]


def site(pages: Mapping[str, Page]) -> Any:
    """An ASGI application: path -> HTML, or (status, content type, body), or a coroutine function that gives either."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        page = pages.get(scope["path"], (404, "text/html", "<h1>Not found</h1>"))
        answer = await page(scope, body) if callable(page) else page
        status, kind, content = (200, "text/html; charset=utf-8", answer) if isinstance(answer, str) else answer
        headers = [(b"content-type", kind.encode())]
        if 300 <= status < 400:
            headers, content = [(b"location", str(content).encode())], ""
        data = content.encode() if isinstance(content, str) else content
        headers.append((b"content-length", str(len(data)).encode()))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": data})

    return app


def page(body: str, title: str = "A page") -> str:
    """A whole document."""
    return f"<!doctype html><html lang=en><meta charset=utf-8><title>{title}</title><body>{body}</body></html>"
