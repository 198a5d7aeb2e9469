from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentgym.envs.routing.candidates import Estimate
from agentgym.envs.routing.endpoint import TEMPLATE_TOKENS, Endpoint, Wire
from agentgym.envs.routing.prices import Price


def wire(**more: object) -> Wire:
    endpoint = Endpoint.model_validate({"name": "m", "base_url": "http://localhost/v1/", **more})
    return Wire(endpoint, None, Price.per_million(1.0, 2.0), Estimate(), 1000)


def test_the_address() -> None:
    assert wire().url == "http://localhost/v1/chat/completions"


@given(st.text(st.characters(), max_size=200))
def test_bounds_hold_for_any_question(question: str) -> None:
    call = wire(max_tokens=7, system="short").call(question)
    sent = json.loads(call.body)["messages"][1]["content"]
    assert sent == question.encode("utf-8", "replace").decode()
    size = len(sent.encode()) + len("short") + TEMPLATE_TOKENS
    assert call.most_usd == pytest.approx((size * 1.0 + 7 * 2.0) / 1e6)
    assert call.prompt_tokens <= size
    assert call.most_tokens == call.prompt_tokens + 7


def test_what_a_router_may_know() -> None:
    endpoint = Endpoint(name="m", base_url="https://host/v1", api_key_env="KEY", size_b=7, description="d")
    assert set(endpoint.candidate().model_dump()) == {
        *("name", "size_b", "input_usd_per_mtok", "output_usd_per_mtok", "description", "strengths")
    }
