from __future__ import annotations

import asyncio

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from agentgym.envs.web.words import crawl

SEEN: list[str] = []


async def page(request: Request) -> Response:
    SEEN.append(f"{request.method} {request.url.path}")
    if request.url.path == "/data":
        return JSONResponse(["hidden"])
    number = int(request.path_params["number"])
    return HTMLResponse(
        f"<p title=tip>page {number} &amp; more</p><a href='/{number + 1}?q=red+ink'>on</a><a href=/data>data</a>"
        f"<a href='http://else.test/'>out</a><form method=post action=/gone><input value=given></form><a name=x>y</a>"
    )


def read(most: int) -> list[str]:
    app = Starlette(routes=[Route("/data", page), Route("/{number}", page)])
    SEEN.clear()
    return list(asyncio.run(crawl({"http://a.test": app}, "http://a.test/1", most)))


def test_it_follows_links_within_the_sites() -> None:
    texts = read(4)
    assert {"page 1 & more", "page 2 & more", "tip", "given", "on", "red ink", "http://a.test/1"} <= set(texts)
    assert "hidden" not in texts
    assert SEEN == ["GET /1", "GET /2", "GET /data", "GET /3"]
    assert len(read(1)) < len(texts)
