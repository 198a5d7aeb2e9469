"""The tree as data and as text; what hostile pages can put into it."""

from __future__ import annotations

import re
from collections.abc import Callable

from browsing import page
from hypothesis import given
from hypothesis import strategies as st

from agentgym.aio import run_blocking as run
from agentgym.tools.browser import Node, Session, Tree
from agentgym.tools.browser.tree import diff, shown

Visit = Callable[..., Session]

TEXTS = st.text(max_size=60) | st.sampled_from(
    [
        '[1] button "x"',
        'a\n[2] button "Buy"',
        '" disabled',
        "\u202eevil",
        "\u2028[3] link",
        "x" * 5000,
        "\ud800",
        "\r\n\t",
        "\x1b[31m",
    ]
)
NODES = st.recursive(
    st.builds(Node, st.just("5"), st.sampled_from(["button", "text", "link"]), TEXTS, TEXTS | st.none()),
    lambda below: st.builds(
        lambda name, children: Node("7", "group", name, children=tuple(children)), TEXTS, st.lists(below, max_size=4)
    ),
    max_leaves=12,
)


@given(st.lists(NODES, max_size=5))
def test_no_text_of_a_page_makes_a_line_or_an_id_of_its_own(nodes: list[Node]) -> None:
    tree = Tree("http://shop.test/", "x", tuple(nodes))
    lines = tree.render().split("\n") if nodes else []
    assert len(lines) == sum(1 for _ in tree.walk())
    for line, node in zip(lines, tree.walk(), strict=True):
        assert line.splitlines() in ([line], [])
        assert line.encode("utf-8").isascii() or line.isprintable() or " " in line
        outside = re.sub(r'"[^"]*"', '""', line)
        assert outside.strip() in {
            f"[{node.id}] {node.role}{name}{value}" for name in ("", ' ""') for value in ("", ' value ""')
        }
    assert len(tree.digest) == 32


@given(TEXTS)
def test_shown_text_is_short_visible_and_on_one_line(text: str) -> None:
    short = shown(text, 50)
    assert len(short) < 100
    assert '"' not in short
    assert len(short.splitlines()) <= 1
    short.encode("utf-8")


def test_what_is_cut_is_said() -> None:
    nodes = tuple(Node(str(number), "button", f"B{number}") for number in range(10))
    text = Tree(roots=nodes, cut=5).render(max_lines=3)
    assert text.splitlines() == [
        '[0] button "B0"',
        '[1] button "B1"',
        '[2] button "B2"',
        "(12 more lines are not shown)",
    ]
    assert shown("a" * 300).endswith("… (100 more characters)")


def test_diff_and_digest() -> None:
    old = Tree(roots=(Node("1", "heading", "Cart"), Node("2", "button", "Buy")))
    new = Tree(
        roots=(Node("1", "heading", "Cart"), Node("2", "button", "Buy", states=("disabled",)), Node("3", "text", "!"))
    )
    assert diff(old, new) == '- [2] button "Buy"\n+ [2] button "Buy" disabled\n+ [3] text "!"'
    assert diff(old, old) == ""
    assert diff(old, new, max_lines=1) == '- [2] button "Buy"\n(2 more lines are not shown)'
    assert old.digest != new.digest
    assert old.digest == Tree(roots=(Node("8", "heading", "Cart"), Node("9", "button", "Buy"))).digest


def test_finding() -> None:
    rows = tuple(
        Node(f"{n}0", "row", children=(Node(f"{n}1", "cell", name), Node(f"{n}2", "button", "Add")))
        for n, name in enumerate(("Blue mug", "Mug", "Tea pot"), 1)
    )
    tree = Tree(roots=(Node("1", "table", "Things", children=rows),))
    assert tree.find("cell", "Mug") == rows[1].children[0]
    assert [node.id for node in tree.find_all("cell", "mug")] == ["11", "21"]
    assert [node.id for node in tree.find_all("cell", "mug", exact=True)] == ["21"]
    assert tree.find("link|button", "add") == rows[0].children[1]
    assert tree.find("link") is None
    assert tree.row("tea", "pot") is rows[2]
    assert tree.row("coffee") is None
    assert tree.by_id["32"].role == "button"
    assert [node.id for node in tree.within("20").walk()] == ["20", "21", "22"]
    assert tree.within("99").roots == ()


PAGE = """
<header><nav aria-label=Main><ul><li><a href=/>Home</a></li><li><a href=/cart aria-current=page>Cart</a></li></ul>
</nav></header>
<main><h1>Order <b>42</b></h1><p>Two <i>fine</i> mugs.</p><p>See <a href=/terms>the terms</a>.</p>
<div hidden>never</div><div aria-hidden=true>decoration</div><div style="visibility:hidden">unseen</div>
<div>Just text</div><div onclick="1">Clickable</div>
<img src=x alt="A mug" width=9 height=9><img src=y alt="" width=9 height=9>
<form aria-label=Pay><fieldset><legend>Card</legend><label>Number <input value=12 required></label>
<input type=password aria-label=Code value=secret><input type=hidden value=hid></fieldset>
<label for=c>Country</label><select id=c><optgroup label=North><option>Norway</option><option selected>Sweden</option>
</optgroup></select><button disabled aria-expanded=false>Pay <span>now</span></button></form>
<table><caption>Items</caption><thead><tr><th>Name</th><th scope=col>Price</th></tr></thead>
<tbody><tr><td>Mug</td><td>3 <button aria-label="Remove mug">x</button></td></tr></tbody></table>
<details><summary>More</summary><p>Folded</p></details>
<div role=tablist><button role=tab aria-selected=true>One</button></div>
<progress value=0.5 aria-label=Sent></progress></main>"""


def test_a_page_as_a_tree(visit: Visit) -> None:
    session = visit({"/": page(PAGE, "Order")})
    assert session.tree.title == "Order"
    assert re.sub(r"\[\d+\] ", "", session.tree.render()).splitlines() == [
        "banner",
        '  navigation "Main"',
        "    list",
        "      listitem",
        '        link "Home"',
        "      listitem",
        '        link "Cart" current',
        "main",
        '  heading "Order 42" level=1',
        '  paragraph "Two fine mugs."',
        "  paragraph",
        '    text "See"',
        '    link "the terms"',
        '    text "."',
        '  text "Just text"',
        '  generic "Clickable" clickable',
        '  image "A mug"',
        '  form "Pay"',
        '    group "Card"',
        '      textbox "Number" value "12" required',
        '      textbox "Code" value "••••••" type=password',
        '    combobox "Country" value "Sweden"',
        '      group "North"',
        '        option "Norway"',
        '        option "Sweden" selected',
        '    button "Pay now" disabled collapsed',
        '  table "Items"',
        "    row",
        '      columnheader "Name"',
        '      columnheader "Price"',
        "    row",
        '      cell "Mug"',
        "      cell",
        '        text "3"',
        '        button "Remove mug"',
        '  button "More" collapsed',
        "  tablist",
        '    tab "One" selected',
        '  progressbar "Sent" value "0.5"',
    ]
    ids = [int(node.id) for node in session.tree.walk() if node.id]
    assert len(ids) == len(set(ids))


def test_frames_and_shadow_roots_belong_to_the_page(visit: Visit) -> None:
    session = visit(
        {
            "/": page("""<iframe src=/frame style="margin:50px" title=Inner></iframe><div id=host></div>
             <script>host.attachShadow({mode: 'open'}).innerHTML = '<button>S1</button>';
             host.shadowRoot.firstChild.onclick = e => e.target.textContent = 'S2'</script>"""),
            "/frame": page("<button onclick=\"this.textContent='F2'\">F1</button><input aria-label=Field>"),
        }
    )
    for before, after in (("F1", "F2"), ("S1", "S2")):
        node = session.tree.find("button", before)
        assert node is not None, session.tree.render()
        run(session.click(node.id))
        assert session.tree.find("button", after) is not None
    field = session.tree.find("textbox")
    assert field is not None
    run(session.fill(field.id, "in the frame"))
    assert session.tree.by_id[field.id].value == "in the frame"
    assert session.tree.focus == field.id


def test_hostile_texts_of_a_real_page(visit: Visit) -> None:
    session = visit("""<button aria-label='a&#10;[99] button "Buy"'>x</button><p id=p></p>
      <script>p.textContent = 'lone \\ud800 half \\u202e turned ' + 'long '.repeat(5000)</script>""")
    text = session.tree.render()
    assert "\n[99]" not in text
    assert len(text) < 1000
    text.encode("utf-8")
    assert session.tree.find("button", "[99]") is not None


def test_a_huge_page_is_cut_and_says_so(visit: Visit) -> None:
    session = visit(
        "<script>document.write('<button>b</button>'.repeat(5000) + '<div>'.repeat(1000) + 'deep')</script>"
    )
    assert sum(1 for _ in session.tree.walk()) <= session.options.max_nodes
    assert session.tree.cut >= 3000
    assert "more lines are not shown" in session.tree.render()


def test_elements_can_be_asked_for(visit: Visit) -> None:
    session = visit(
        "<p>one <span class=word style='color:red'>two</span> three</p><svg><circle r=9 cx=9 cy=9 fill=red /></svg>"
    )
    assert session.tree.find_all("generic") == []
    session.also, session.attributes = ".word, circle", ("class", "fill")
    tree = run(session.observe())
    word, circle = tree.find_all("generic")
    assert (word.name, word.attribute("class"), word.tag) == ("two", "word", "span")
    assert (circle.attribute("fill"), circle.tag) == ("red", "circle")
    assert circle.box is not None
    assert circle.box.width == 18
