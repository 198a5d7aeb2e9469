"""Actions in the real browser: what they do, what they wait for, and the one line that says why they cannot be done."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable
from typing import Any

import pytest
from browsing import ORIGIN, page, site
from PIL import Image

from agentgym.aio import run_blocking as run
from agentgym.tools.browser import ActionFailed, BrowserPool, Session, Tree

Visit = Callable[..., Session]

FORM = """
<form action=/done method=post>
 <label>Name <input name=name required></label>
 <label for=kind>Kind</label><select id=kind name=kind><option value=a>Apple</option><option value=b>Pear</option>
   <option value=c disabled>Plum</option></select>
 <label><input type=checkbox name=yes> Yes</label>
 <label><input type=radio name=size value=s> Small</label><label><input type=radio name=size value=l> Large</label>
 <label>Day <input type=date name=day></label>
 <label>Much <input type=range name=much min=0 max=10 value=3></label>
 <label>Note <textarea name=note>old text</textarea></label>
 <div contenteditable=true aria-label=Story>once</div>
 <button>Send</button>
</form>"""


def find(session: Session, role: str, name: str | None = None) -> str:
    node = session.tree.find(role, name)
    assert node is not None, session.tree.render()
    return node.id


def value(session: Session, role: str, name: str) -> str | None:
    node = session.tree.find(role, name)
    assert node is not None, session.tree.render()
    return node.value


def why(work: Any) -> str:
    with pytest.raises(ActionFailed) as failed:
        run(work)
    assert "\n" not in str(failed.value)
    return failed.value.kind


def test_fields_take_what_they_are_given_and_the_form_is_sent(visit: Visit) -> None:
    sent: list[bytes] = []

    async def done(scope: Any, body: bytes) -> str:
        sent.append(body)
        return page("<h1>Thanks</h1>")

    session = visit({"/": page(FORM), "/done": done})
    run(session.fill(find(session, "textbox", "Name"), "Anna & Bob"))
    run(session.select(find(session, "combobox", "Kind"), ["Pear"]))
    run(session.check(find(session, "checkbox", "Yes")))
    run(session.check(find(session, "radio", "Large")))
    run(session.fill(find(session, "textbox", "Day"), "2026-03-04"))
    run(session.fill(find(session, "slider", "Much"), "7"))
    run(session.fill(find(session, "textbox", "Note"), "one\ntwo"))
    run(session.fill(find(session, "textbox", "Story"), "there was"))
    assert value(session, "textbox", "Story") == "there was"
    assert value(session, "combobox", "Kind") == "Pear"
    effect = run(session.click(find(session, "button", "Send")))
    assert (effect.navigated, effect.settled, session.url) == (True, True, f"{ORIGIN}/done")
    assert sent == [b"name=Anna+%26+Bob&kind=b&yes=on&size=l&day=2026-03-04&much=7&note=one%0D%0Atwo"]
    assert [node.name for node in session.tree.find_all("heading")] == ["Thanks"]


def test_a_field_is_emptied_and_a_ticked_box_stays_ticked(visit: Visit) -> None:
    session = visit(FORM)
    run(session.fill(find(session, "textbox", "Note"), ""))
    assert value(session, "textbox", "Note") == ""
    box = find(session, "checkbox", "Yes")
    for _ in range(2):
        run(session.check(box))
        assert "checked" in session.tree.by_id[box].states
    run(session.check(box, False))
    assert "checked" not in session.tree.by_id[box].states
    run(session.check(find(session, "radio", "Large")))
    assert why(session.check(find(session, "radio", "Large"), False)) == "radio"


REASONS = """
<button id=off disabled>Off</button>
<fieldset disabled><input aria-label=Fenced></fieldset>
<button id=later onclick="this.remove()">Later</button>
<div style="position:relative"><button>Under</button>
  <div role=dialog aria-label="Cookie banner" style="position:absolute;inset:0;background:white">We bake</div></div>
<button onclick="document.getElementById('shy').style.visibility='hidden'">Blink</button>
<button id=shy>Shy</button>
<select aria-label=Pick><option>One</option><option>Two</option><option>Two</option>
  <option disabled>Three</option></select>
<input aria-label=Fixed readonly value=x><input aria-label=Number type=number><input aria-label=Day type=date>
<input aria-label=File type=file><h1>Title</h1>"""


def test_an_action_that_cannot_be_done_says_why(visit: Visit) -> None:
    session = visit(REASONS)
    tree = session.tree

    def id_of(role: str, name: str) -> str:
        node = tree.find(role, name)
        assert node is not None, tree.render()
        return node.id

    assert why(session.click("999")) == "gone"
    assert why(session.click("'); alert(1); ('")) == "gone"
    assert why(session.click(id_of("button", "Off"))) == "disabled"
    assert why(session.fill(id_of("textbox", "Fenced"), "x")) == "disabled"
    with pytest.raises(ActionFailed, match=r'is covered by \[\d+\] dialog "Cookie banner"'):
        run(session.click(id_of("button", "Under")))
    assert why(session.fill(id_of("heading", "Title"), "x")) == "not-a-field"
    assert why(session.fill(id_of("textbox", "Fixed"), "y")) == "readonly"
    assert why(session.fill(id_of("spinbutton", "Number"), "many")) == "malformed"
    assert why(session.fill(id_of("textbox", "Day"), "tomorrow")) == "malformed"
    assert why(session.click(id_of("file", "File"))) == "file"
    pick = id_of("combobox", "Pick")
    assert why(session.select(pick, ["Four"])) == "no-option"
    assert why(session.select(pick, ["Two"])) == "ambiguous"
    assert why(session.select(pick, ["Three"])) == "disabled"
    assert why(session.select(pick, ["One", "Two"])) == "one-option"
    assert why(session.select(id_of("heading", "Title"), ["x"])) == "not-a-list"
    assert why(session.click(id_of("option", "One"))) == "option"
    assert why(session.check(id_of("heading", "Title"))) == "not-a-box"
    assert why(session.press("Hyper+x")) == "key"
    assert why(session.mouse_click(5000, 1)) == "place"
    assert why(session.tab_focus(7)) == "tab"
    assert why(session.back()) == "history"
    run(session.click(id_of("button", "Later")))
    assert why(session.click(id_of("button", "Later"))) == "gone"
    run(session.click(id_of("button", "Blink")))
    assert why(session.click(id_of("button", "Shy"))) == "hidden"
    for address in ("http://other.test/", "file:///etc/passwd", "data:text/html,x", "javascript:alert(1)", "chrome://version",
                    "view-source:http://shop.test/", "shop.test", "http://[", "\ud800", "//shop.test/"):  # fmt: skip
        assert why(session.goto(address)) == "address", address


def test_an_element_below_the_fold_is_scrolled_to(visit: Visit) -> None:
    session = visit("<div style='height:4000px'>tall</div><button onclick='this.textContent=1+1'>Far</button>")
    run(session.click(find(session, "button", "Far")))
    assert session.tree.find("button", "2") is not None
    assert session.tree.scroll[1] > 0
    run(session.scroll(0, -100_000))
    assert session.tree.scroll[1] == 0
    run(session.scroll(0, 300))
    assert session.tree.scroll[1] == 300


def test_keys_focus_hover_and_drag(visit: Visit) -> None:
    session = visit("""
      <input aria-label=Text><div id=out role=status>none</div>
      <button onmouseenter="out.textContent='over'">Hover</button>
      <div draggable=true aria-label=Card role=listitem
        ondragstart="event.dataTransfer.setData('text/plain','c')">Card</div>
      <div role=group aria-label=Box style="width:200px;height:100px" ondragover="event.preventDefault()"
        ondrop="event.preventDefault(); out.textContent='dropped ' + event.dataTransfer.getData('text/plain')">
        Box</div>""")
    run(session.focus(find(session, "textbox")))
    assert session.tree.focus == find(session, "textbox")
    run(session.type_text("abc"))
    run(session.press("Control+a"))
    run(session.type_text("Hé 😀"))
    run(session.press("Shift+x"))
    assert value(session, "textbox", "Text") == "Hé 😀X"
    run(session.press("Backspace", find(session, "textbox")))
    assert value(session, "textbox", "Text") == "Hé 😀"
    run(session.hover(find(session, "button", "Hover")))
    assert session.tree.find("status", "over") is not None
    run(session.drag(find(session, "listitem", "Card"), find(session, "group", "Box")))
    assert session.tree.find("status", "dropped c") is not None, session.tree.render()


def test_the_mouse_by_coordinates(visit: Visit) -> None:
    session = visit("""<button style="position:absolute;left:100px;top:50px;width:80px;height:30px"
      onclick="this.textContent='hit'" ondblclick="this.textContent='twice'">Here</button>""")
    run(session.mouse_click(140, 65))
    assert session.tree.find("button", "hit") is not None
    run(session.mouse_click(140, 65, count=2))
    assert session.tree.find("button", "twice") is not None
    node = session.tree.find("button")
    assert node is not None
    assert node.box is not None
    assert node.box.centre == (140, 65)


def test_history_reload_and_tabs(visit: Visit) -> None:
    session = visit(
        {"/": page("<a href=/two>Two</a><a href=/two target=_blank>Blank</a>"), "/two": page("<h1>Two</h1>", "Second")}
    )
    run(session.click(find(session, "link", "Two")))
    assert session.url == f"{ORIGIN}/two"
    run(session.back())
    assert session.url == f"{ORIGIN}/"
    run(session.forward())
    assert session.tree.title == "Second"
    assert run(session.reload()).navigated
    run(session.back())
    run(session.tab_new())
    run(session.tab_close())
    effect = run(session.click(find(session, "link", "Blank")))
    assert effect.messages == ("tab 1 was opened",)
    assert [(tab.url, tab.active) for tab in session.tabs] == [(f"{ORIGIN}/", False), (f"{ORIGIN}/two", True)]
    assert session.tree.find("heading", "Two") is not None
    run(session.tab_focus(0))
    assert session.tree.find("link", "Blank") is not None
    run(session.tab_new())
    assert (session.url, len(session.tabs)) == ("about:blank", 3)
    run(session.goto("http://shop.test/two"))
    run(session.tab_close())
    assert len(session.tabs) == 2
    run(session.tab_close())
    run(session.tab_close())
    assert [tab.url for tab in session.tabs] == ["about:blank"]


def test_a_step_waits_for_what_it_caused(visit: Visit) -> None:
    async def slow(scope: Any, body: bytes) -> tuple[int, str, str]:
        await asyncio.sleep(0.25)
        return 200, "text/plain", "slow answer"

    async def moved(scope: Any, body: bytes) -> str:
        await asyncio.sleep(0.15)
        return page("<h1>Slow page</h1>")

    session = visit(
        {
            "/": page("""<button onclick="fetch('/slow').then(r => r.text()).then(t => out.innerText = t)">Ask</button>
             <button onclick="setTimeout(() => location = '/moved', 0)">Move</button><p id=out>-</p>"""),
            "/slow": slow,
            "/moved": moved,
        }
    )
    effect = run(session.click(find(session, "button", "Ask")))
    assert session.tree.find("paragraph", "slow answer") is not None
    assert effect.settled
    assert 0.25 < effect.seconds < 2
    run(session.click(find(session, "button", "Move")))
    assert session.tree.find("heading", "Slow page") is not None


def test_a_page_that_is_never_still_is_left_at_the_bound(visit: Visit) -> None:
    session = visit(
        """<p id=out>0</p><button onclick="let c = new MessageChannel();
          c.port1.onmessage = () => { out.textContent = Math.random(); c.port2.postMessage(0) };
          c.port2.postMessage(0)">Go</button>"""
    )
    effect = run(session.click(find(session, "button", "Go")))
    assert not effect.settled
    assert effect.seconds < session.options.settle_ms / 1000 + 1.5


def test_ids_stay_with_their_element(visit: Visit) -> None:
    session = visit(
        """<ul id=list><li>b</li></ul>
        <button onclick="list.insertAdjacentHTML('afterbegin','<li>a</li>')">Add</button>"""
    )
    before = {node.text: node.id for node in session.tree.find_all("listitem")}
    run(session.click(find(session, "button", "Add")))
    after = {node.text: node.id for node in session.tree.find_all("listitem")}
    assert after["b"] == before["b"]
    assert after["a"] not in before.values()


def test_scripts_of_the_environment(visit: Visit) -> None:
    session = visit("<p>x</p>")
    run(session.add_script("window.given = 41"))
    run(session.goto(f"{ORIGIN}/"))
    assert run(session.evaluate("given + 1")) == 42
    assert run(session.evaluate("typeof given", isolated=True)) == "undefined"
    assert run(session.evaluate("typeof agentgym")) == "undefined"


def test_storage_is_carried_to_another_session(pool: BrowserPool) -> None:
    async def work() -> tuple[str, str]:
        app = site({"/": page("<p>x</p>")})
        async with await pool.lease({ORIGIN: app}) as first:
            await first.goto(f"{ORIGIN}/")
            await first.evaluate("(localStorage.setItem('cart', '3'), document.cookie = 'user=anna')")
            storage = await first.storage()
        async with await pool.lease({ORIGIN: app}, storage=storage) as second:
            await second.goto(f"{ORIGIN}/")
            kept = await second.evaluate("localStorage.getItem('cart') + document.cookie")
        async with await pool.lease({ORIGIN: app}) as third:
            await third.goto(f"{ORIGIN}/")
            return kept, await third.evaluate("localStorage.getItem('cart') + document.cookie")

    assert run(work()) == ("3user=anna", "null")


def test_screenshots(visit: Visit) -> None:
    session = visit("<button>One</button>", viewport=(400, 300))
    plain, marked = run(session.screenshot()), run(session.screenshot(marks=True))
    assert Image.open(io.BytesIO(plain)).size == Image.open(io.BytesIO(marked)).size == (400, 300)
    assert plain != marked


def test_observing_twice_gives_the_same(visit: Visit) -> None:
    session = visit(FORM)
    first: Tree = run(session.observe())
    assert run(session.observe()).digest == first.digest
