"""Requests to the application of a bundled site, without a browser."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Mapping
from typing import Any

import httpx

from agentgym.envs.web.sites.base import Site, open_database


def ask(site: Site, db: sqlite3.Connection, method: str, path: str, **form: Any) -> httpx.Response:
    """One request, redirects followed; `form` is the body."""

    async def send() -> httpx.Response:
        transport = httpx.ASGITransport(site.app(db))
        async with httpx.AsyncClient(transport=transport, base_url=site.origin, follow_redirects=True) as client:
            return await client.request(method, path, data=form or None)

    return asyncio.run(send())


def answers(site: Site, method: str, path: str, fields: Mapping[str, str]) -> None:
    """Asserts that a fresh site answers a request with these fields, in its query (GET) or its body."""
    db = open_database(site.build(1, False))

    async def send() -> int:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(site.app(db)), base_url=site.origin) as client:
            sent = {"params": fields} if method == "GET" else {"data": fields}
            return (await client.request(method, path, **sent)).status_code

    assert asyncio.run(send()) in (200, 303, 404, 405, 422)
    assert not db.in_transaction
    db.close()
