"""WebArena's checks: what they take for right, what they refuse to run."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentgym.envs.web.webarena_checks import (
    Judging,
    Refused,
    Seen,
    Spec,
    includes,
    plain,
    read_check,
    read_locator,
    same_page,
)
from agentgym.rewards.judges.verdict import PlainJudge, Request, Verdict


async def _yes(request: Request) -> Verdict:
    right = request.references[0].lower() in request.text.lower()
    return Verdict(float(right), "yes" if right else "no")


def score(spec: dict[str, Any], answer: str = "", url: str = "http://a.test/", *, infeasible: bool = False) -> float:
    judge = PlainJudge(_yes)
    judging = Judging("?", Seen(url, answer, infeasible), cast(Any, None), judge, lambda text: text)
    return asyncio.run(read_check(Spec.model_validate(spec), judged=True)(judging))


def answers(**reference: Any) -> dict[str, Any]:
    return {"eval_types": ["string_match"], "reference_answers": reference}


@pytest.mark.parametrize(
    ("spec", "answer", "right"),
    [
        (answers(exact_match="Blue Mug"), " 'blue mug' ", 1.0),
        (answers(exact_match="Blue Mug"), "the blue mug", 0.0),
        (answers(must_include=["7"]), "there are 7 of them", 1.0),
        (answers(must_include=["7"]), "there are 17 of them", 0.0),
        (answers(must_include=["tea", "milk"]), "teapot and milk", 1.0),
        (answers(must_include=["tea |OR| coffee"]), "coffee", 1.0),
        (answers(must_include=["tea", "milk"]), "tea", 0.0),
        (answers(fuzzy_match=["tea"]), "some tea, please", 1.0),
        (answers(fuzzy_match=["tea", "milk"]), "some tea, please", 0.0),
        (answers(fuzzy_match="N/A"), "n/a", 1.0),
        (answers(fuzzy_match="N/A"), "tea", 0.0),
        (answers(exact_match="tea"), "", 0.0),
    ],
)
def test_answers(spec: dict[str, Any], answer: str, right: float) -> None:
    assert score(spec, answer) == right


def test_what_cannot_be_done_is_said_so() -> None:
    assert score(answers(fuzzy_match="N/A"), infeasible=True) == 1.0
    assert score(answers(must_include=["tea"]), "tea", infeasible=True) == 0.0


def test_all_kinds_must_hold() -> None:
    spec = {
        "eval_types": ["string_match", "url_match"],
        "reference_answers": {"exact_match": "tea"},
        "reference_url": "http://a.test/cart",
    }
    assert score(spec, "tea", "http://a.test/cart/") == 1.0
    assert score(spec, "tea", "http://a.test/") == score(spec, "milk", "http://a.test/cart") == 0.0


@pytest.mark.parametrize(
    ("right", "url", "same"),
    [
        ("http://a.test/cart", "http://a.test/cart/", True),
        ("http://a.test/cart", "http://a.test/cart/items?x=1", True),
        ("http://a.test/cart?x=1", "http://a.test/cart?y=2&x=1", True),
        ("http://a.test/cart?x=1", "http://a.test/cart?x=2", False),
        ("http://a.test/cart?x=1", "http://a.test/cart", False),
        ("http://a.test/cart", "http://b.test/cart", False),
    ],
)
def test_addresses(right: str, url: str, same: bool) -> None:
    assert same_page(right, url) is same


def test_addresses_may_be_compared_exactly() -> None:
    spec = {"eval_types": ["url_match"], "reference_url": "http://a.test/x |OR| http://a.test/y", "url_note": "EXACT"}
    assert score(spec, url="http://a.test/y/") == 1.0
    assert score(spec, url="http://a.test/y/z") == 0.0


@pytest.mark.parametrize(
    ("locator", "expression"),
    [
        ("", "document.documentElement.outerHTML"),
        (
            "document.querySelector('h1.a').outerText",
            'String(document.querySelectorAll("h1.a")[0]?.["outerText"] ?? \'\')',
        ),
        (
            'document.querySelectorAll("td")[12].innerText',
            'String(document.querySelectorAll("td")[12]?.["innerText"] ?? \'\')',
        ),
    ],
)
def test_locators_are_read(locator: str, expression: str) -> None:
    assert read_locator(locator) == expression


@pytest.mark.parametrize(
    "locator",
    [
        "func:get_query_text(__page__, 'h1')",
        "document.querySelector('h1').click()",
        "document.querySelector('h1').constructor",
        "document.querySelector('h1').outerText;fetch('/x')",
        "document.querySelector('h1' + x).outerText",
        "fetch('http://evil.test')",
        "document.cookie",
    ],
)
def test_foreign_script_is_refused(locator: str) -> None:
    with pytest.raises(Refused):
        read_locator(locator)


@given(st.text(max_size=200))
def test_no_locator_gets_out_of_its_quotes(text: str) -> None:
    for quote in "'\"":
        try:
            made = read_locator(f"document.querySelector({quote}{text}{quote}).outerText")
        except Refused:
            continue
        assert made.startswith('String(document.querySelectorAll("')
        assert made.endswith(")[0]?.[\"outerText\"] ?? '')")
        assert quote not in text


@pytest.mark.parametrize(
    "spec",
    [
        {"eval_types": ["string_match"], "reference_answers": {"fuzzy_match": ["tea"]}},
        {"eval_types": ["string_match"]},
        {"eval_types": ["url_match"], "reference_url": "http://a.test", "url_note": "SOMEHOW"},
        {"eval_types": ["program_html"], "program_html": [{"url": "func:last()", "required_contents": {}}]},
        {"eval_types": ["page_image_query"]},
        {"eval_types": []},
    ],
)
def test_checks_that_cannot_be_made_are_refused(spec: dict[str, Any]) -> None:
    with pytest.raises(Refused):
        read_check(Spec.model_validate(spec), judged=False)


@given(st.text(max_size=50), st.text(max_size=50))
def test_comparing_never_raises(wanted: str, answer: str) -> None:
    includes(wanted, plain(answer), alone=True)
    assert includes(answer, plain(answer), alone=False) or not plain(answer) or "|OR|" in answer
