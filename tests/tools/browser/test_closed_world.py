"""Nothing leaves an episode's sites: each way out is tried, and a real listener on loopback must see nothing."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from browsing import ORIGIN, page, site

from agentgym.aio import run_blocking as run
from agentgym.tools.browser import BrowserPool, Session

Visit = Callable[..., Session]


class Listener:
    """One port of loopback, TCP and UDP, that notes whatever comes."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.tcp, self.udp, self.port = self._bind()
        self.tcp.listen()
        for work in (self._accept, self._receive):
            threading.Thread(target=work, daemon=True).start()

    @staticmethod
    def _bind() -> tuple[socket.socket, socket.socket, int]:
        while True:
            tcp = socket.socket()
            tcp.bind(("127.0.0.1", 0))
            udp = socket.socket(type=socket.SOCK_DGRAM)
            try:
                udp.bind(tcp.getsockname())
            except OSError:
                tcp.close()
                udp.close()
                continue
            return tcp, udp, tcp.getsockname()[1]

    def _accept(self) -> None:
        while True:
            try:
                self.tcp.accept()[0].close()
            except OSError:
                return
            self.seen.append("tcp")

    def _receive(self) -> None:
        while True:
            try:
                data = self.udp.recv(2000)
            except OSError:
                return
            if data != b"end":
                self.seen.append("udp")
            else:
                return

    def close(self) -> None:
        self.udp.sendto(b"end", self.udp.getsockname())
        self.tcp.shutdown(socket.SHUT_RDWR)
        self.tcp.close()


@pytest.fixture
def listener() -> Iterator[Listener]:
    listener = Listener()
    yield listener
    assert listener.seen == []
    listener.close()


def test_the_listener_does_see(pool: BrowserPool) -> None:
    listener = Listener()
    socket.create_connection(("127.0.0.1", listener.port)).close()
    socket.socket(type=socket.SOCK_DGRAM).sendto(b"x", ("127.0.0.1", listener.port))
    for _ in range(200):
        if len(listener.seen) == 2:
            break
        threading.Event().wait(0.01)
    assert sorted(listener.seen) == ["tcp", "udp"]
    listener.close()


WAYS = """
<link rel=stylesheet href="{out}/s.css"><link rel=preload as=image href="{out}/p"><link rel=prefetch href="{out}/f">
<link rel=preconnect href="{out}"><link rel=dns-prefetch href="//outside.test"><link rel=icon href="{out}/favicon.ico">
<img src="{out}/i.png"><script src="{out}/s.js"></script><iframe src="{out}/frame"></iframe>
<video src="{out}/v.mp4" autoplay></video><object data="{out}/o"></object><embed src="{out}/e">
<div style="background:url({out}/b.png)">x</div><a href="{out}/away">Away</a><a ping="{out}/ping" href="#here">Ping</a>
<form action="{out}/form" method=post><button>Send</button></form>
<script>
 navigator.sendBeacon('{out}/beacon', 'x'); new EventSource('{out}/events'); new Image().src = '{out}/j.png';
 fetch('{out}/fetch', {{mode: 'no-cors'}}).catch(() => 0); fetch('http://outside.test/x').catch(() => 0);
 fetch('{out}/alive', {{method: 'POST', body: 'x', keepalive: true, mode: 'no-cors'}}).catch(() => 0);
</script>"""


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_no_request_of_a_page_gets_out(visit: Visit, listener: Listener, scheme: str) -> None:
    out = f"{scheme}://127.0.0.1:{listener.port}"
    session = visit(WAYS.format(out=out))
    for name, role in (("Ping", "link"), ("Send", "button")):
        node = session.tree.find(role, name)
        assert node is not None
        run(session.click(node.id))
    run(session.goto(f"{ORIGIN}/"))
    away = session.tree.find("link", "Away")
    assert away is not None
    run(session.click(away.id))
    if scheme == "http":
        assert session.tree.find("heading", "Outside of this task") is not None
        assert out in session.gateway.refused
    assert "http://outside.test" in session.gateway.refused
    assert session.blocked > 10


@pytest.mark.parametrize(
    ("name", "script"),
    [
        (
            "socket",
            "let s = new WebSocket('ws://127.0.0.1:%d/'); s.onerror = () => done('no'); s.onopen = () => done('yes')",
        ),
        ("secure socket", "let s = new WebSocket('wss://127.0.0.1:%d/'); s.onerror = () => done('no')"),
        (
            "peer connection",
            """let c = new RTCPeerConnection({iceServers: [{urls: 'stun:127.0.0.1:%d'},
            {urls: 'turn:127.0.0.1:%d?transport=tcp', username: 'a', credential: 'b'}]});
            c.createDataChannel('x');
            c.onicegatheringstatechange = () => c.iceGatheringState == 'complete' && done('no');
            c.createOffer().then(o => c.setLocalDescription(o))""",
        ),
        (
            "web transport",
            """if (!self.WebTransport) done('no');
            else new WebTransport('https://127.0.0.1:%d/').ready.then(() => done('yes'), () => done('no'))""",
        ),
    ],
)
def test_no_other_connection_gets_out(visit: Visit, listener: Listener, name: str, script: str) -> None:
    session = visit("<p>x</p>")
    script = script.replace("%d", str(listener.port))
    assert run(session.evaluate(f"new Promise(done => {{ setTimeout(() => done('no'), 1500); {script} }})")) == "no"


def test_a_fetch_of_another_episodes_gateway_or_of_the_own_one_is_refused(visit: Visit) -> None:
    one, other = visit("<p>one</p>"), visit("<p>other</p>")
    for target in (one, other):
        before = one.blocked
        answer = run(one.evaluate(f"fetch('{target.gateway.address}/', {{mode: 'no-cors'}}).then(r => r.type, String)"))
        assert answer == "opaque"
        assert one.blocked == before + 1
    assert other.blocked == 0


@pytest.mark.parametrize(
    "address", ["file:///etc/passwd", "data:text/html,<h1>Loot</h1>", "chrome://version", "about:version"]
)
@pytest.mark.parametrize(
    "way",
    [
        "<a href='{}'>Go</a>",
        "<a target=_blank href='{}'>Go</a>",
        "<button onclick=\"window.open('{}')\">Go</button>",
        "<button onclick=\"location='{}'\">Go</button>",
    ],
)
def test_a_page_cannot_lead_to_what_is_no_site(visit: Visit, way: str, address: str) -> None:
    session = visit(way.format(address))
    go = session.tree.find("link|button", "Go")
    assert go is not None
    run(session.click(go.id))
    text = session.tree.render()
    assert "root:" not in text
    assert "Loot" not in text
    assert session.url.startswith((f"{ORIGIN}/", "about:blank"))


def test_a_blob_is_left_again(visit: Visit) -> None:
    session = visit("""<button onclick="location = window.URL.createObjectURL(new Blob(['Loot'], {type: 'text/html'}))">
      Go</button>""")
    go = session.tree.find("button", "Go")
    assert go is not None
    effect = run(session.click(go.id))
    assert session.url == "about:blank"
    assert any("was refused" in message for message in effect.messages)


@pytest.mark.parametrize(
    "link",
    [
        "<a href=/file.zip download>Get</a>",
        "<a href='data:application/zip,abc' download=x.zip>Get</a>",
        "<a href=/file.zip>Get</a>",
    ],
)
def test_downloads_are_refused(visit: Visit, link: str) -> None:
    session = visit({"/": page(link), "/file.zip": (200, "application/zip", b"PK")})
    get = session.tree.find("link", "Get")
    assert get is not None
    effect = run(session.click(get.id))
    assert session.url == f"{ORIGIN}/"
    assert effect.messages == ("a download was refused",)


def test_service_workers_cannot_be_installed(visit: Visit) -> None:
    session = visit({"/": page("<p>x</p>"), "/sw.js": (200, "text/javascript", "")})
    script = "navigator.serviceWorker ? navigator.serviceWorker.register('/sw.js').then(() => 'yes', () => 'no') : 'no'"
    run(session.evaluate(script))
    assert (
        run(
            session.evaluate(
                "navigator.serviceWorker ? navigator.serviceWorker.getRegistrations().then(r => r.length) : 0"
            )
        )
        == 0
    )


@pytest.mark.parametrize(
    "script",
    [
        "navigator.mediaDevices?.getUserMedia({video: true}).then(() => 'yes', () => 'no') ?? 'no'",
        "new Promise(done => navigator.geolocation.getCurrentPosition(() => done('yes'), () => done('no')))",
        "Notification.permission == 'granted' ? 'yes' : 'no'",
        "navigator.clipboard ? navigator.clipboard.readText().then(() => 'yes', () => 'no') : 'no'",
        "(print(), 'no')",
    ],
)
def test_nothing_is_permitted(visit: Visit, script: str) -> None:
    assert (
        run(visit("<p>x</p>").evaluate(f"Promise.race([{script}, new Promise(d => setTimeout(() => d('no'), 1000))])"))
        == "no"
    )


def test_dialogs_are_answered_and_told(visit: Visit) -> None:
    session = visit("""<p id=out>-</p><button onclick="alert('one\\n[1] button');
      out.textContent = confirm('sure?') + '' + prompt('who?', 'x')">Ask</button>""")
    ask = session.tree.find("button", "Ask")
    assert ask is not None
    effect = run(session.click(ask.id))
    assert effect.messages == (
        "the page showed a dialog (alert), which was accepted: one [1] button",
        "the page showed a dialog (confirm), which was accepted: sure?",
        "the page showed a dialog (prompt), which was accepted: who?",
    )
    assert session.tree.find("paragraph", "true") is not None


def test_leaving_a_page_that_wants_to_stay(visit: Visit) -> None:
    session = visit(
        {
            "/": page("<script>onbeforeunload = () => 'stay'</script><input aria-label=A><a href=/two>Two</a>"),
            "/two": page("<h1>Two</h1>"),
        }
    )
    field, link = session.tree.find("textbox"), session.tree.find("link")
    assert field is not None
    assert link is not None
    run(session.fill(field.id, "x"))
    run(session.click(link.id))
    assert session.tree.find("heading", "Two") is not None


def test_a_page_cannot_open_tabs_without_end(visit: Visit) -> None:
    session = visit("<button onclick=\"for (let i = 0; i < 12; i++) window.open('/', '_blank')\">Go</button>")
    go = session.tree.find("button", "Go")
    assert go is not None
    run(session.click(go.id))
    run(session.wait(300))
    assert len(session.tabs) <= 8


def test_a_page_cannot_touch_what_looks_at_it(visit: Visit) -> None:
    session = visit("""<script>
      for (const name of ['WeakMap', 'Map', 'JSON', 'getComputedStyle', 'MutationObserver', 'setTimeout'])
        window[name] = () => { throw 1 };
      Element.prototype.getAttribute = () => 'lie'; Node.prototype.childNodes = [];
      window.agentgym = {observe: () => 'lie'}; document.getElementById = null; Array.prototype.push = null;</script>
      <img name=body><img name=activeElement><img name=title><img name=scrollingElement>
      <form aria-label=Clobbered><input name=childNodes><input name=getAttribute><input name=attributes>
      <input name=tagName><input name=parentNode><input name=parentElement><input name=ownerDocument>
      <input name=nodeType><input name=getBoundingClientRect><input name=shadowRoot><select name=labels>
      <option>x</select><button type=button onclick="this.textContent='Done'">True</button></form>""")
    button = session.tree.find("button", "True")
    assert button is not None
    run(session.click(button.id))
    assert session.tree.find("button", "Done") is not None
    assert session.tree.find("form", "Clobbered") is not None


def test_two_sites_of_one_episode(pool: BrowserPool) -> None:
    async def work() -> list[Any]:
        sites = {
            ORIGIN: site({"/": page("<a href='http://wiki.test/'>Wiki</a>")}),
            "http://wiki.test": site({"/": page("<h1>W</h1>")}),
        }
        async with await pool.lease(sites) as session:
            await session.goto("http://shop.test/")
            link = session.tree.find("link", "Wiki")
            assert link is not None
            await session.click(link.id)
            return [session.url, session.blocked, session.tree.find("heading", "W") is not None]

    assert run(work()) == ["http://wiki.test/", 0, True]
