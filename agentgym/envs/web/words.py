"""The words of web pages without a browser, for tokenizers that are made for a task set."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html.parser import HTMLParser
from typing import Any
from urllib.parse import parse_qsl, urljoin, urlsplit

#: Attributes whose values an accessibility tree can show.
SHOWN = frozenset({"alt", "aria-label", "href", "placeholder", "title", "value"})


class _Reader(HTMLParser):
    """Collects a page's texts and links."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.texts: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if value and name in SHOWN:
                self.texts.append(value)
            if value and tag == "a" and name == "href":
                self.links.append(value)

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.texts.append(data)


async def crawl(sites: Mapping[str, Any], start: str, most: int) -> Iterator[str]:
    """The texts and addresses of the pages that links lead to, nearest first; only GET requests are made.

    Args:
        sites: Origin -> ASGI application.
        start: First page.
        most: Pages read.
    """
    known, queue, texts = {start}, [start], list[str]()
    while queue and most > 0:
        url, most = queue.pop(0), most - 1
        reader = _Reader()
        reader.feed(await _get(sites, url))
        texts += [url, *(value for _, value in parse_qsl(urlsplit(url).query)), *reader.texts]
        for link in reader.links:
            target = urljoin(url, link).partition("#")[0]
            if target not in known and _origin(target) in sites:
                known.add(target)
                queue.append(target)
    return iter(texts)


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


async def _get(sites: Mapping[str, Any], url: str) -> str:
    """The body of an answer, as text; empty for anything but an HTML page."""
    parts, body, page = urlsplit(url), bytearray(), False
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": parts.scheme,
        "path": parts.path or "/",
        "raw_path": (parts.path or "/").encode(),
        "query_string": parts.query.encode(),
        "root_path": "",
        "headers": [(b"host", parts.netloc.encode())],
        "server": (parts.hostname, 80),
        "client": None,
    }

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Mapping[str, Any]) -> None:
        nonlocal page
        if message["type"] == "http.response.start":
            page = any(key == b"content-type" and value.startswith(b"text/html") for key, value in message["headers"])
        else:
            body.extend(message.get("body", b""))

    await sites[_origin(url)](scope, receive, send)
    return body.decode("utf-8", "replace") if page else ""
