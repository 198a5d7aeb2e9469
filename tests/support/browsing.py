"""Small sites for the tests of the browser: a dictionary of pages as an application. And whether there is a browser."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import pytest

from agentgym.tools.browser import BrowserOptions, find_chromium

ORIGIN = "http://shop.test"
Answer = tuple[int, str, str | bytes]
Page = str | Answer | Callable[[Mapping[str, Any], bytes], Awaitable["str | Answer"]]


def need_chromium() -> str:
    """The program; a machine without one skips, except where everything must run."""
    path = find_chromium(BrowserOptions())
    if path is None and not os.environ.get("CI"):
        pytest.skip("there is no Chromium on PATH")
    return path or ""


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
