"""The pages of MiniWoB++ (arXiv 1802.08802) as a site: files of the installed ``miniwob`` wheel, over ASGI, in process.

Every page comes with a content security policy that names its own scripts by their digests. What an agent types into a
page can therefore never become script there, so the page's own reward can be trusted.
"""

from __future__ import annotations

import base64
import hashlib
import mimetypes
import re
from collections.abc import Awaitable, Callable, MutableMapping
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from agentgym.faults import MissingExtra

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Asset = tuple[bytes, tuple[tuple[bytes, bytes], ...]]

ORIGIN: Final = "http://miniwob.test"
#: Folders of the wheel that pages load their parts from.
SHARED: Final = ("core", "common")
#: A library that reads its options, written by the page's author, with `eval`.
EVALUATES: Final = b"jscolor.min.js"
_INLINE = re.compile(rb"<script>(.*?)</script>", re.S | re.I)


@lru_cache(1)
def html_root() -> Path:
    """Where the wheel keeps its pages.

    Raises:
        MissingExtra: The wheel is not installed.
    """
    spec = find_spec("miniwob")  # not imported: that would start Selenium's machinery
    for location in () if spec is None else spec.submodule_search_locations or ():
        if (Path(location) / "html" / "core" / "core.js").is_file():
            return Path(location) / "html"
    raise MissingExtra("miniwob", "web")


def page_url(page: str) -> str:
    """Address of a page by its name, e.g. ``click-test``."""
    return f"{ORIGIN}/miniwob/{page}.html"


@lru_cache(1024)
def _asset(path: str) -> Asset | None:
    """Content and headers of a file of the wheel; None: there is no such file."""
    root = html_root()
    file = (root / path).resolve()
    if not file.is_relative_to(root) or not file.is_file():
        return None
    content = file.read_bytes()
    kind = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
    if kind.startswith("text/") or kind.endswith("javascript"):
        kind += "; charset=utf-8"
    headers = [(b"content-type", kind.encode()), (b"content-length", str(len(content)).encode())]
    headers.append((b"cache-control", b"max-age=86400"))
    if file.suffix == ".html":
        headers.append((b"content-security-policy", _policy(content)))
    return content, tuple(headers)


def _policy(content: bytes) -> bytes:
    """Only this page's own scripts, and nothing from elsewhere."""
    # A browser hands scripts to the policy with line ends as \n.
    scripts = [script.replace(b"\r\n", b"\n") for script in _INLINE.findall(content)]
    digests = (base64.b64encode(hashlib.sha256(script).digest()).decode() for script in scripts)
    allowed = " ".join(f"'sha256-{digest}'" for digest in digests)
    if EVALUATES in content:
        allowed += " 'unsafe-eval'"
    return (
        f"default-src 'self'; script-src 'self' {allowed}; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data:; form-action 'self'; frame-src 'none'; object-src 'none'; base-uri 'none'"
    ).encode()


class MiniwobSite:
    """ASGI application of one page and the parts it loads; every other page is not found, so none can stand in for it.

    Args:
        page: Name of the page.
    """

    def __init__(self, page: str) -> None:
        self.page = page

    def served(self, path: str) -> str | None:
        """The file for a request's path; None: not part of this page."""
        name = path.lstrip("/")
        return name if name == f"miniwob/{self.page}.html" or name.split("/", 1)[0] in SHARED else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
        elif scope["type"] == "http":
            name = self.served(scope["path"])
            asset = None if name is None or scope["method"] not in ("GET", "HEAD") else _asset(name)
            body, headers = asset or (b"not found", ((b"content-type", b"text/plain"), (b"content-length", b"9")))
            await send({"type": "http.response.start", "status": 404 if asset is None else 200, "headers": headers})
            await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})


async def _lifespan(receive: Receive, send: Send) -> None:
    while (await receive())["type"] != "lifespan.shutdown":
        await send({"type": "lifespan.startup.complete"})
    await send({"type": "lifespan.shutdown.complete"})
