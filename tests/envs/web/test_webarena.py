"""A task file in WebArena's format, against a real server on loopback."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from agentgym.envs.web.env import WebEnv
from agentgym.envs.web.webarena import WebArenaSource
from agentgym.faults import ConfigError, DataError

Started = Callable[..., WebEnv]


class Shop(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        who = self.headers.get("Cookie", "nobody")
        body = f"<title>t</title><h1>Orders of {who}</h1><p>Total: 7</p><a href='/cart'>Cart</a>".encode()
        self.send_response(200)
        self.send_header("content-type", "text/html")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def shop() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), Shop)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def row(number: int, **more: Any) -> dict[str, Any]:
    return {
        "task_id": number,
        "sites": ["shopping"],
        "start_url": "__SHOPPING__/orders",
        "intent": "What is the total?",
        "require_login": False,
        "storage_state": "./.auth/shopping_state.json",
        "geolocation": None,
        "eval": {"eval_types": ["string_match"], "reference_answers": {"must_include": ["7"]}},
        **more,
    }


def write(folder: Path, *rows: dict[str, Any]) -> str:
    path = folder / "tasks.json"
    path.write_text(json.dumps(rows))
    return str(path)


def test_answers_addresses_and_pages_are_checked(web: Started, shop: str, tmp_path: Path) -> None:
    page = {
        "eval_types": ["url_match", "program_html"],
        "reference_url": "__SHOPPING__/cart",
        "program_html": [
            {
                "url": "__SHOPPING__/orders",
                "locator": "document.querySelector('h1').outerText",
                "required_contents": {"must_include": ["orders of"]},
            }
        ],
    }
    env = web(source="webarena", path=write(tmp_path, row(1), row(2, eval=page)), base_urls={"shopping": shop})
    ask = {"task": "webarena/1"}
    text, _ = env.reset(options=ask)
    assert "Orders of nobody" in text
    assert "What is the total?" in text
    *_, ended, _, info = env.step("send_msg_to_user('It is 7.')")
    assert ended
    assert info["signal"].outcome == 1.0
    env.reset(options=ask)
    *_, info = env.step("send_msg_to_user('It is 17.')")
    assert info["signal"].outcome == 0.0

    env.reset(options={"task": "webarena/2"})
    *_, info = env.step("stop('')")
    assert info["signal"].outcome == 0.0
    env.reset(options={"task": "webarena/2"})
    env.step(f"click('{next(n.id for n in env._episode.view.tree.find_all('link'))}')")
    *_, info = env.step("stop('')")
    assert info["signal"].outcome == 1.0


def test_nothing_else_can_be_reached(web: Started, shop: str, tmp_path: Path) -> None:
    env = web(source="webarena", path=write(tmp_path, row(1)), base_urls={"shopping": shop})
    env.reset(options={"task": "webarena/1"})
    _, _, ended, _, info = env.step("goto('http://example.org/')")
    assert not ended
    assert "example" not in env._episode.view.url.replace("http://example.org/", "")
    assert info["signal"].process["outside"] == 1.0 or info["signal"].process["invalid"] == 1.0


def test_who_is_signed_in(web: Started, shop: str, tmp_path: Path) -> None:
    cookie = {"name": "who", "value": "ann", "domain": "127.0.0.1", "path": "/", "expires": -1}
    state = {"cookies": [{**cookie, "httpOnly": False, "secure": False, "sameSite": "Lax"}], "origins": []}
    (tmp_path / "shopping_state.json").write_text(json.dumps(state))
    env = web(
        source="webarena",
        path=write(tmp_path, row(1, require_login=True)),
        base_urls={"shopping": shop},
        auth=str(tmp_path),
    )
    text, _ = env.reset(options={"task": "webarena/1"})
    assert "Orders of who=ann" in text


def test_tasks_that_cannot_be_offered_say_why(tmp_path: Path) -> None:
    program = {"eval_types": ["program_html"], "program_html": [{"url": "func:x()", "required_contents": {}}]}
    path = write(
        tmp_path,
        row(1),
        row(2, sites=["gitlab"]),
        row(3, require_login=True),
        row(4, eval=program),
        row(5, start_url="__MAP__/"),
    )
    tasks = WebArenaSource(path=path, base_urls={"shopping": "http://127.0.0.1:1"}).make()
    assert [*tasks.ids("train"), *tasks.ids("heldout")] == ["webarena/1"]
    assert set(tasks.refused) == {f"webarena/{n}" for n in (2, 3, 4, 5)}
    assert "gitlab" in tasks.refused["webarena/2"]
    assert "auth" in tasks.refused["webarena/3"]


def test_a_judge_makes_more_of_them(tmp_path: Path) -> None:
    fuzzy = {"eval_types": ["string_match"], "reference_answers": {"fuzzy_match": ["seven"]}}
    path = write(tmp_path, row(1), row(2, eval=fuzzy))
    bases = {"shopping": "http://127.0.0.1:1"}
    assert "judge" in WebArenaSource(path=path, base_urls=bases).make().refused["webarena/2"]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"task_id": 1}], "intent"),
        ([row(1), row(1)], "twice"),
        ([row(1, sites=["map"])], "no task of this file"),
        ([], "it has none"),
    ],
)
def test_damaged_files(tmp_path: Path, rows: list[dict[str, Any]], message: str) -> None:
    with pytest.raises(DataError, match=message):
        WebArenaSource(path=write(tmp_path, *rows), base_urls={"shopping": "http://127.0.0.1:1"}).make()


def test_wrong_options(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no address"):
        WebArenaSource(path="x", base_urls={"shopping": "file:///etc"})
    with pytest.raises(ConfigError, match="not a folder"):
        WebArenaSource(path=write(tmp_path, row(1)), base_urls={"shopping": "http://a.test"}, auth="/none").make()
