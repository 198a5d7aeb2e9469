"""The pages as a site: what is served, what is not, and the policy that keeps foreign script out."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from typing import Any

import pytest

from agentgym.envs.web.miniwob import site
from agentgym.envs.web.miniwob.site import MiniwobSite, html_root, page_url
from agentgym.faults import MissingExtra


def get(page: str, path: str, method: str = "GET") -> tuple[int, dict[bytes, bytes], bytes]:
    sent: list[dict[str, Any]] = []

    async def send(message: Any) -> None:
        sent.append(dict(message))

    async def receive() -> dict[str, Any]:
        return {"type": "http.request"}

    asyncio.run(MiniwobSite(page)({"type": "http", "method": method, "path": path}, receive, send))
    return sent[0]["status"], dict(sent[0]["headers"]), sent[1]["body"]


def test_a_page_and_its_parts_are_served_as_they_are() -> None:
    for path in ("/miniwob/click-test.html", "/core/core.js", "/core/core.css"):
        status, headers, body = get("click-test", path)
        assert (status, body) == (200, (html_root() / path.lstrip("/")).read_bytes())
        assert int(headers[b"content-length"]) == len(body)


@pytest.mark.parametrize(
    "path",
    [
        "/miniwob/click-button.html",
        "/miniwob/../miniwob/click-button.html",
        "/core/../miniwob/click-button.html/../../../environment.py",
        "/core/../../environment.py",
        "/flight/AA/wrapper.html",
        "/core/none.js",
        "/core",
        "/",
    ],
)
def test_nothing_else_is_served(path: str) -> None:
    assert get("click-test", path)[0] == 404


def test_other_methods_change_nothing() -> None:
    assert get("click-test", "/miniwob/click-test.html", "POST")[0] == 404
    status, headers, body = get("click-test", "/miniwob/click-test.html", "HEAD")
    assert (status, body) == (200, b"")
    assert int(headers[b"content-length"]) > 0


def test_the_policy_names_the_pages_own_scripts_and_no_others() -> None:
    _, headers, body = get("click-test", "/miniwob/click-test.html")
    policy = headers[b"content-security-policy"].decode()
    script = body.split(b"<script>")[1].split(b"</script>")[0]
    assert base64.b64encode(hashlib.sha256(script).digest()).decode() in policy
    directives = dict(part.strip().split(" ", 1) for part in policy.split(";"))
    assert "unsafe" not in directives["script-src"]
    assert "*" not in policy
    assert "http" not in policy


def test_a_missing_wheel_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    html_root.cache_clear()
    monkeypatch.setattr(site, "find_spec", lambda _: None)
    with pytest.raises(MissingExtra, match="miniwob"):
        html_root()
    html_root.cache_clear()


def test_addresses() -> None:
    assert page_url("click-test") == "http://miniwob.test/miniwob/click-test.html"
