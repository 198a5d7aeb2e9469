from __future__ import annotations

import asyncio
import json
import logging
import pickle
import subprocess
import sys
import time
from collections.abc import Sequence
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest
from endpoints import Server, Step, completion, fails, says, serving
from recording import drips, floods, hangs, hangs_up

from agentgym.aio import run_blocking
from agentgym.config import validate
from agentgym.envs.routing.candidates import Candidate, Estimate, Reply
from agentgym.envs.routing.env import RoutingEnv
from agentgym.envs.routing.live import OpenAIBackend, OpenAIBackendConfig
from agentgym.envs.routing.task import Fact, RoutingTask
from agentgym.faults import ConfigError, EnvironmentFault, MissingExtra

KEY = "sk-a-very-secret-key"
TASK = RoutingTask(
    id="t1",
    split="train",
    question="What is the capital of Norway?",
    answers=("Oslo",),
    facts=(Fact(question="the king of Norway", answer="Harald", topic="people"),),
)
OSLO = says(completion("It is Oslo.", prompt=40, tokens=8))


def endpoint(server: Server | str, **more: Any) -> dict[str, Any]:
    url = server if isinstance(server, str) else server.url
    priced = {} if more.get("free") else {"input_usd_per_mtok": 1.0, "output_usd_per_mtok": 2.0}
    return {"name": "m", "base_url": url, **priced, **more}


def backend(
    server: Server | str,
    *,
    described: Sequence[Candidate] = (),
    estimate: Estimate | None = None,
    more: dict[str, Any] | None = None,
    **options: Any,
) -> OpenAIBackend:
    """With waits that suit a test."""
    quick = {"backoff_s": 0.01, "timeout_s": 5.0, "retries": 2}
    endpoints = [endpoint(server, **(more or {}))]
    config = validate(OpenAIBackendConfig, {"endpoints": endpoints, **quick, **options})
    return OpenAIBackend(config, described, estimate or Estimate())


def ask(b: OpenAIBackend, question: str = TASK.question) -> Reply:
    return run_blocking(b.ask(b.candidates[0], question, TASK))


def fault(b: OpenAIBackend) -> EnvironmentFault:
    with pytest.raises(EnvironmentFault) as caught:
        ask(b)
    return caught.value


# -- what is sent and what comes back ----------------------------------------------------------------------------------


def test_a_question_is_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", f" {KEY}\n")
    with serving(OSLO) as server:
        more = {"model": "vendor/m-1", "api_key_env": "MY_KEY", "max_tokens": 99, "extra": {"seed": 1}}
        b = backend(server, more=more)
        reply = ask(b)
    assert (reply.text, reply.score, reply.error, reply.approximate) == ("It is Oslo.", 1.0, None, False)
    assert (reply.prompt_tokens, reply.completion_tokens) == (40, 8)
    assert reply.usd == pytest.approx((40 * 1.0 + 8 * 2.0) / 1e6)
    assert b.booked_usd == pytest.approx(reply.usd)
    assert reply.seconds > 0
    seen = server.seen[0]
    assert seen.path == "/v1/chat/completions"
    assert seen.headers["Authorization"] == f"Bearer {KEY}"
    assert seen.body == {
        "model": "vendor/m-1",
        "messages": [
            {"role": "system", "content": "Answer as briefly as possible."},
            {"role": "user", "content": TASK.question},
        ],
        "max_tokens": 99,
        "temperature": 0.0,
        "seed": 1,
    }


def test_as_little_as_possible_is_sent() -> None:
    with serving(OSLO) as server:
        ask(backend(server, more={"system": "", "temperature": None, "max_tokens_key": "max_completion_tokens"}))
    seen = server.seen[0]
    assert "Authorization" not in seen.headers
    assert seen.body == {
        "model": "m",
        "messages": [{"role": "user", "content": TASK.question}],
        "max_completion_tokens": 512,
    }


@pytest.mark.parametrize(
    ("question", "text", "score"),
    [
        (TASK.question, "Bergen", 0.0),
        ("the king of Norway", "King Harald", 1.0),
        ("the king of Norway", "Oslo", 0.0),
        ("something else", "Oslo", None),
    ],
)
def test_replies_are_scored_where_the_answer_is_known(question: str, text: str, score: float | None) -> None:
    with serving(says(completion(text))) as server:
        assert ask(backend(server), question).score == score


def test_any_event_loop_may_ask() -> None:
    with serving(OSLO) as server:
        b = backend(server)

        async def both() -> list[Reply]:
            return await asyncio.gather(*(b.ask(b.candidates[0], TASK.question, TASK) for _ in range(2)))

        texts = [r.text for _ in range(2) for r in asyncio.run(both())] + [ask(b).text]
        run_blocking(b.close())
        texts.append(ask(b).text)
        run_blocking(b.close())
        run_blocking(b.close())
    assert texts == ["It is Oslo."] * 6


def test_a_question_of_any_characters_is_sent() -> None:
    with serving(OSLO) as server:
        assert ask(backend(server), "Ω \ud800 \x00 {}").text == "It is Oslo."
    assert server.seen[0].body["messages"][1]["content"] == "Ω ? \x00 {}"


@pytest.mark.parametrize(
    ("body", "text", "error"),
    [
        (completion([{"type": "text", "text": "Os"}, {"type": "image"}, 3, {"text": "lo"}]), "Oslo", None),
        (completion("\ud800 Oslo"), "? Oslo", None),
        (completion(""), "", "the model said nothing"),
        (completion(None), "", "the model said nothing"),
        (completion({"a": 1}), "", "the model said nothing"),
        ({"choices": [{"message": {"content": None, "refusal": "I will not."}}]}, "I will not.", None),
        ({"choices": [{"message": {"content": None}, "finish_reason": "length"}]}, "", "no answer within 512 tokens"),
        (
            {"choices": [{"message": {"content": ""}, "finish_reason": "content_filter"}]},
            "",
            "the model refused to answer",
        ),
        ({"choices": [{"message": {"content": ""}, "finish_reason": ["x"]}]}, "", "the model said nothing"),
    ],
)
def test_what_a_model_says(body: dict[str, Any], text: str, error: str | None) -> None:
    with serving(says(body)) as server:
        reply = ask(backend(server))
    assert (reply.text, reply.error) == (text, error)


@pytest.mark.parametrize(
    "usage",
    [
        None,
        "many",
        {},
        {"prompt_tokens": 40},
        {"prompt_tokens": 40, "completion_tokens": -1},
        {"prompt_tokens": 40, "completion_tokens": 1.5},
        {"prompt_tokens": 40, "completion_tokens": True},
        {"prompt_tokens": 40, "completion_tokens": 10**300},
    ],
)
def test_without_usage_tokens_are_estimated_and_said_so(usage: Any, caplog: pytest.LogCaptureFixture) -> None:
    body = completion("It is Oslo, of course") | {"usage": usage}
    with serving(says(body)) as server, caplog.at_level(logging.WARNING):
        b = backend(server, estimate=Estimate(chars_per_token=3.0))
        replies = [ask(b), ask(b)]
    assert [r.approximate for r in replies] == [True, True]
    assert replies[0].completion_tokens == 7
    assert replies[0].prompt_tokens == (40 if isinstance(usage, dict) and usage else 10 + 10)
    assert b.booked_usd == pytest.approx(sum(r.usd for r in replies))
    assert len(caplog.records) == 1
    assert "m does not say how many tokens" in caplog.text


def test_an_answer_cut_off_without_usage_counts_in_full() -> None:
    with serving(says({"choices": [{"message": {"content": None}, "finish_reason": "length"}]})) as server:
        assert ask(backend(server)).completion_tokens == 512


def test_cached_and_thought_tokens_have_their_prices(tmp_path: Path) -> None:
    table = tmp_path / "prices.json"
    entry = {
        "input_cost_per_token": 1e-06,
        "output_cost_per_token": 2e-06,
        "cache_read_input_token_cost": 1e-07,
        "output_cost_per_reasoning_token": 4e-06,
    }
    table.write_text(json.dumps({"vendor/m-1": entry}))
    usage = {
        "prompt_tokens": 100,
        "completion_tokens": 50,
        "prompt_tokens_details": {"cached_tokens": 60},
        "completion_tokens_details": {"reasoning_tokens": 30},
    }
    with serving(says(completion("Oslo") | {"usage": usage})) as server:
        b = backend(server, prices=str(table), more={"price_name": "vendor/m-1"})
        assert ask(b).usd == pytest.approx(40e-6 + 6e-6 + 20 * 2e-6 + 30 * 4e-6)
    assert b.candidates[0].input_usd_per_mtok == pytest.approx(1.0)
    assert b.candidates[0].output_usd_per_mtok == pytest.approx(2.0)


# -- what goes wrong ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_what_may_pass_is_tried_again(status: int) -> None:
    with serving(fails(status), fails(status), OSLO) as server:
        b = backend(server)
        assert ask(b).text == "It is Oslo."
        assert len(server.seen) == 3
        assert b.booked_usd == pytest.approx(56e-6)  # what failed cost nothing


def test_an_endpoint_that_stays_away_is_a_fault() -> None:
    with serving(fails(503, {"message": "over\nloaded"})) as server:
        error = fault(backend(server))
        assert len(server.seen) == 3
    assert (error.kind, error.detail) == ("endpoint", "m: status 503: over loaded (3 tries)")


def test_retry_after_is_honoured_by_all_calls() -> None:
    with serving(fails(429, Retry_After="0.4"), OSLO) as server:
        b = backend(server, more={"max_concurrency": 1})

        async def all_of_them() -> list[Reply]:
            return await asyncio.gather(*(b.ask(b.candidates[0], TASK.question, TASK) for _ in range(3)))

        replies = asyncio.run(all_of_them())
        times = [seen.at - server.seen[0].at for seen in server.seen]
    assert [r.text for r in replies] == ["It is Oslo."] * 3
    assert len(times) == 4
    assert min(times[1:]) >= 0.4


# Named, as workers that collect a second apart must collect the same tests.
@pytest.mark.parametrize("after", ["120", formatdate(time.time() + 3600, usegmt=True)], ids=["seconds", "date"])
def test_an_endpoint_that_asks_for_too_long_is_a_fault(after: str) -> None:
    with serving(fails(429, Retry_After=after)) as server:
        error = fault(backend(server))
        assert len(server.seen) == 1
    assert "it asks to wait" in error.detail
    assert "60 s is the limit" in error.detail


@pytest.mark.parametrize("after", ["soon", "nan", "-5", formatdate(0, usegmt=True)])
def test_an_odd_retry_after_does_no_harm(after: str) -> None:
    with serving(fails(429, Retry_After=after), OSLO) as server:
        assert ask(backend(server)).text == "It is Oslo."


def test_a_429_for_lack_of_money_is_not_tried_again() -> None:
    with serving(fails(429, {"code": "insufficient_quota", "message": "You exceeded your quota"})) as server:
        assert "insufficient_quota" in fault(backend(server)).detail
        assert len(server.seen) == 1


@pytest.mark.parametrize("step", [hangs, drips])
def test_an_endpoint_that_is_too_slow(step: Step) -> None:
    with serving(step, OSLO) as server:
        b = backend(server, timeout_s=0.3)
        began = time.monotonic()
        assert ask(b).text == "It is Oslo."
        assert 0.3 <= time.monotonic() - began < 3
        # The first try may be charged: it is booked with all it can have cost.
        assert b.booked_usd == pytest.approx(b.most_usd(b.candidates[0], TASK.question) + 56e-6)
    with serving(step) as server:
        assert fault(backend(server, timeout_s=0.1)).detail == "m: no answer in time (3 tries)"


def test_an_endpoint_that_hangs_up() -> None:
    with serving(hangs_up, OSLO) as server:
        b = backend(server)
        assert ask(b).text == "It is Oslo."
        assert b.booked_usd > b.most_usd(b.candidates[0], TASK.question)


def test_nobody_there() -> None:
    with serving(OSLO) as server:
        pass
    b = backend(server)
    assert fault(b).detail == "m: no connection (ConnectError) (3 tries)"
    assert b.booked_usd == 0


@pytest.mark.parametrize("length", ["known", "unknown"])
def test_a_huge_answer_is_not_read(length: str) -> None:
    step = floods if length == "unknown" else says(completion("x" * 200_000))
    with serving(step) as server:
        assert fault(backend(server, max_response_bytes=100_000)).detail == "m: the answer is longer than 100000 bytes"
        assert len(server.seen) == 1


def test_a_compressed_answer_is_not_unpacked() -> None:
    with serving(says(b"...", Content_Encoding="gzip")) as server:
        assert "compressed" in fault(backend(server)).detail
    assert server.seen[0].headers["Accept-Encoding"] == "identity"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"\xff\xfe",
        b"[" * 50_000,
        b"null",
        b"[]",
        b'{"choices": []}',
        b'{"choices": {}}',
        b'{"choices": [{"message": null}]}',
        b'{"choices": [{"message": "Oslo"}]}',
        b'{"error": "quietly"}',
        b'{"choices": ' + b"9" * 5000 + b"}",
    ],
)
def test_garbage(body: bytes) -> None:
    with serving(says(body), OSLO) as server:
        assert ask(backend(server)).text == "It is Oslo."
    with serving(says(body)) as server:
        assert fault(backend(server, retries=0)).detail == "m: the answer is no chat completion (1 tries)"


@pytest.mark.parametrize(
    ("status", "error", "reason"),
    [
        (400, {"code": "context_length_exceeded", "message": "too many"}, "context_length_exceeded too many"),
        (400, {"message": "This model's maximum context length is 9 tokens"}, "This model's maximum context length is"),
        (400, {"code": "content_filter"}, "content_filter"),
        (403, {"message": "Your input was flagged"}, "Your input was flagged"),
        (422, "prompt is too long", "prompt is too long"),
        (413, None, "status 413"),
        (451, {"code": 3}, "status 451"),
    ],
)
def test_a_question_that_is_refused_is_the_agents(status: int, error: Any, reason: str) -> None:
    with serving(fails(status, error)) as server:
        reply = ask(backend(server))
        assert len(server.seen) == 1
    assert reply.text == ""
    assert reply.error is not None
    assert reply.error.startswith(f"the question was refused ; {reason}")
    assert (reply.score, reply.usd) == (None, 0.0)


@pytest.mark.parametrize("status", [301, 307, 400, 401, 403, 404, 405, 418])
def test_a_request_that_is_refused_is_a_fault(status: int) -> None:
    with serving(fails(status, {"message": "no such thing"}, Location="http://127.0.0.1:1/")) as server:
        assert fault(backend(server)).detail == f"m: status {status}: no such thing"
        assert len(server.seen) == 1


def test_a_parameter_that_is_refused_is_a_fault() -> None:
    message = "max_tokens is too large: 99999. This model supports at most 4096 completion tokens"
    with serving(fails(400, {"message": message})) as server:
        assert "max_tokens is too large" in fault(backend(server)).detail


# -- keys --------------------------------------------------------------------------------------------------------------


def test_the_key_is_told_to_nobody(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("MY_KEY", KEY)
    record = tmp_path / "replies.jsonl"
    told: list[str] = []
    with (
        serving(
            fails(401, {"message": f"Incorrect key {KEY} given"}),
            says(completion(f"your key is {KEY}")),
            fails(400, {"message": f"flagged: {KEY}"}),
        ) as server,
        caplog.at_level(logging.DEBUG),
    ):
        b = backend(server, more={"api_key_env": "MY_KEY"}, record=str(record))
        error = fault(b)
        told += [repr(ask(b)), repr(ask(b))]
        told += [str(error), repr(error.__context__), repr(pickle.loads(pickle.dumps(error)))]
        told += [repr(b._config), b._config.model_dump_json(), repr(b.candidates), record.read_text(), caplog.text]
    assert "the key is that of MY_KEY" in str(error)
    assert "your key is ***" in record.read_text()
    assert not [text for text in told if KEY in text]


@pytest.mark.parametrize(
    ("value", "reason"),
    [(None, "is not set"), ("", "is not set"), ("a b", "cannot be a key"), ("a\nb", "cannot"), ("schlüssel", "cannot")],
)
def test_what_cannot_be_a_key(monkeypatch: pytest.MonkeyPatch, value: str | None, reason: str) -> None:
    monkeypatch.delenv("MY_KEY", raising=False)
    if value is not None:
        monkeypatch.setenv("MY_KEY", value)
    with pytest.raises(ConfigError, match=f"'m'.*'MY_KEY'.*{reason}") as caught:
        backend("http://localhost/v1", more={"api_key_env": "MY_KEY"})
    assert not value or value not in str(caught.value)


# -- pace --------------------------------------------------------------------------------------------------------------


def test_many_calls_at_once_and_no_more() -> None:
    with serving(says(completion("Oslo"), after_s=0.1)) as server:
        b = backend(server, more={"max_concurrency": 8})

        async def many() -> list[Reply]:
            return await asyncio.gather(*(b.ask(b.candidates[0], f"q{i}", TASK) for i in range(40)))

        began = time.monotonic()
        replies = asyncio.run(many())
        took = time.monotonic() - began
    assert len(replies) == len(server.seen) == 40
    assert server.most_inside == 8
    assert 0.5 <= took < 3


def test_requests_and_tokens_a_minute() -> None:
    # 120 a minute are 2 a second; a burst holds 10 s of that, so 21 take half a second.
    with serving(says(completion("Oslo"))) as server:
        for limit, calls in (({"requests_per_minute": 120.0}, 21), ({"tokens_per_minute": 600.0}, 11)):
            b = backend(server, more={**limit, "max_tokens": 8, "system": "", "max_concurrency": 21})

            async def many(b: OpenAIBackend = b, calls: int = calls) -> None:
                await asyncio.gather(*(b.ask(b.candidates[0], "q", TASK) for _ in range(calls)))

            began = time.monotonic()
            asyncio.run(many())
            if "requests_per_minute" in limit:
                assert time.monotonic() - began >= 0.4
            else:  # 9 tokens each, 99 in all, of 100 in a burst
                assert time.monotonic() - began < 5


# -- spending ----------------------------------------------------------------------------------------------------------


def test_a_call_that_could_pass_the_limit_is_not_sent() -> None:
    with serving(OSLO) as server:
        b = backend(server, max_usd=0.001)  # 512 tokens of a reply may cost .001024
        error = fault(b)
        assert (error.kind, server.seen, b.booked_usd) == ("spend-limit", [], 0.0)
        assert "a call may cost 0.0012" in error.detail
        b = backend(server, max_usd=0.0015)
        assert [ask(b).text for _ in range(3)] == ["It is Oslo."] * 3
        assert b.booked_usd == pytest.approx(3 * 56e-6)


def test_concurrent_calls_share_the_limit() -> None:
    # Every call may cost .00122 and costs .001: with room for 20.3 calls at most, some are refused, none is sent twice.
    dear = says(completion("Oslo", prompt=176, tokens=412), after_s=0.02)
    with serving(dear) as server:
        b = backend(server, max_usd=0.0203, more={"max_concurrency": 64})
        most = b.most_usd(b.candidates[0], TASK.question)
        assert most == pytest.approx(0.001212)

        async def one() -> bool:
            try:
                await b.ask(b.candidates[0], TASK.question, TASK)
            except EnvironmentFault as error:
                return error.kind != "spend-limit"
            return True

        async def many() -> list[bool]:
            return await asyncio.gather(*(one() for _ in range(64)))

        first = asyncio.run(many())
        assert sum(first) == len(server.seen) == int(0.0203 / most)
        while asyncio.run(one()):  # what was held and not spent is free again
            assert b.booked_usd <= 0.0203
        assert b.booked_usd == pytest.approx(0.001 * len(server.seen))
        assert 0.0203 - most < b.booked_usd <= 0.0203


def test_a_call_that_is_broken_off_is_booked_in_full() -> None:
    with serving(hangs) as server:
        b = backend(server, max_usd=1.0)

        async def main() -> None:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(b.ask(b.candidates[0], TASK.question, TASK), 0.3)
            await asyncio.sleep(0.1)

        asyncio.run(main())
        assert len(server.seen) == 1
        assert b.booked_usd == pytest.approx(b.most_usd(b.candidates[0], TASK.question))


def test_processes_share_a_ledger(tmp_path: Path) -> None:
    ledger = tmp_path / "spent"
    code = """
import asyncio, sys
from agentgym.config import validate
from agentgym.envs.routing.candidates import Estimate
from agentgym.envs.routing.env import RoutingEnv
from agentgym.envs.routing.live import OpenAIBackend, OpenAIBackendConfig
from agentgym.envs.routing.task import RoutingTask
from agentgym.faults import EnvironmentFault
url, ledger = sys.argv[1:]
one = {"name": "m", "base_url": url, "input_usd_per_mtok": 1.0, "output_usd_per_mtok": 2.0}
config = validate(OpenAIBackendConfig, {"endpoints": [one], "max_usd": 0.01, "ledger": ledger})
b = OpenAIBackend(config, (), Estimate())
task = RoutingTask(id="t", split="train", question="q")
async def ask():
    try:
        await b.ask(b.candidates[0], "q", task)
    except EnvironmentFault as error:
        return error.kind
async def main():
    print(sum([await ask() == "spend-limit" for _ in range(8)]))
asyncio.run(main())
"""
    with serving(says(completion("Oslo", prompt=0, tokens=500))) as server:  # .001 USD each
        command = [sys.executable, "-c", code, server.url, str(ledger)]
        runs = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
        refused = sum(int(run.communicate(timeout=60)[0]) for run in runs)
        assert len(server.seen) + refused == 16
        assert 8 <= len(server.seen) <= 10
    assert float(ledger.read_text()) == pytest.approx(0.001 * len(server.seen))


def test_a_free_endpoint_is_not_stopped() -> None:
    with serving(OSLO) as server:
        b = backend(server, more={"free": True}, max_usd=1e-9)
        assert [ask(b).usd for _ in range(2)] == [0.0, 0.0]


# -- keeping and playing again -----------------------------------------------------------------------------------------


def test_a_session_is_played_again_without_a_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record = tmp_path / "replies.jsonl"
    monkeypatch.setenv("MY_KEY", KEY)
    with serving(OSLO, says(completion("Bergen")), fails(413)) as server:
        b = backend(server, record=str(record), more={"api_key_env": "MY_KEY"})
        said = [ask(b), ask(b, "and the second city?"), ask(b, "x" * 1000)]
    monkeypatch.delenv("MY_KEY")
    again = backend(server, replay=str(record), more={"api_key_env": "MY_KEY"})
    for before, question in zip(said[:2], (TASK.question, "and the second city?"), strict=True):
        after = ask(again, question)
        assert (after.text, after.score, after.usd) == (before.text, before.score, before.usd)
        assert after.prompt_tokens == before.prompt_tokens
    assert ask(again, "x" * 1000).error == "no reply to this question was kept"


# -- options -----------------------------------------------------------------------------------------------------------


def test_candidates_are_described_by_the_tasks_or_by_the_endpoint() -> None:
    described = [Candidate(name="m", size_b=8, description="from the tasks", strengths=("law",), input_usd_per_mtok=9)]
    b = backend("http://localhost/v1", described=described, more={"description": "from the endpoint"})
    assert b.candidates == (
        Candidate(
            name="m",
            size_b=8,
            description="from the endpoint",
            strengths=("law",),
            input_usd_per_mtok=1.0,
            output_usd_per_mtok=2.0,
        ),
    )
    assert type(b.candidates[0]) is Candidate  # no address, no name of a key
    with pytest.raises(ConfigError, match="endpoints: none is named 'n', which the tasks offer"):
        backend("http://localhost/v1", described=[Candidate(name="n")])


@pytest.mark.parametrize(
    ("more", "options", "message"),
    [
        ({"input_usd_per_mtok": 0, "output_usd_per_mtok": 0}, {}, "'m' has no price"),
        ({"base_url": "ftp://x"}, {}, "must begin with http"),
        ({"base_url": "http://me:word@x/v1"}, {}, "must not hold a password"),
        ({"base_url": "http://x/v1?key=1"}, {}, r"must have no \? part"),
        ({"extra": {"stream": True}}, {}, "'stream' is not to be changed"),
        ({"extra": {"a": float("nan")}}, {}, "JSON values only"),
        ({"extra": {"a": {1}}}, {}, "JSON values only"),
        ({"api_key": "x"}, {}, "unknown key 'endpoints.0.api_key'; did you mean 'api_key_env'"),
        ({}, {"record": "a", "replay": "b"}, "record or replay, not both"),
        ({}, {"ledger": "a"}, "a ledger needs a limit"),
        ({}, {"max_usd": 0}, "max_usd"),
    ],
)
def test_options_that_cannot_be_used(more: dict[str, Any], options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        backend("http://localhost/v1", more=more, **options)


def test_two_endpoints_of_one_name() -> None:
    with pytest.raises(ConfigError, match="two are named 'm'"):
        validate(OpenAIBackendConfig, {"endpoints": [endpoint("http://a/v1"), endpoint("http://b/v1")]})


def test_a_missing_httpx_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "httpx", None)
    with pytest.raises(MissingExtra, match=r"agentgym\[routing\]"):
        backend("http://localhost/v1")


# -- in the environment ------------------------------------------------------------------------------------------------


def routing_env(tmp_path: Path, server: Server, more: dict[str, Any] | None = None, **options: Any) -> RoutingEnv:
    path = tmp_path / "questions.jsonl"
    if not path.exists():  # one that was written anew would be another set of tasks
        path.write_text(json.dumps({"id": "t1", "question": TASK.question, "answers": ["Oslo"], "split": "train"}))
    endpoints = [endpoint(server, max_tokens=100), endpoint(server, max_tokens=100) | {"name": "n"}]
    live = {"name": "openai", "endpoints": endpoints, "backoff_s": 0.01, "retries": 1, **(more or {})}
    return RoutingEnv(source="questions", path=str(path), backend=live, **options)


def test_an_episode_with_live_models(tmp_path: Path) -> None:
    with serving(says(completion("Bergen")), fails(413), OSLO) as server:
        env = routing_env(tmp_path, server, a=0.5)
        env.reset(options={"task": "t1"})
        said, _, _, _, info = env.step('<route model="m"> the second city? </route>')
        assert (said, info["signal"].process["usd"]) == ("m : Bergen", pytest.approx(20e-6))
        said = env.step('<route model="n"></route>')[0]
        assert said.startswith("Error: n : the question was refused ;")
        said, _, _, _, info = env.step('<route model="n"></route>')
        assert said == "n : It is Oslo."
        assert info["signal"].process["evidence"] == 1.0
        _, _, terminated, _, info = env.step("<judge> yes </judge> <answer> Oslo </answer>")
        assert terminated
        assert info["signal"].process["judge"] == 1.0
        cost = (20e-6 + 56e-6) / env.offered.prices.high
        assert info["signal"].outcome == pytest.approx(1 - 0.5 * cost)
    assert server.seen[1].body["messages"][1]["content"] == TASK.question


def test_an_episode_spends_no_more_than_its_budget(tmp_path: Path) -> None:
    with serving(says(completion("Bergen", prompt=10, tokens=90))) as server:
        env = routing_env(tmp_path, server, budget_usd=0.0006)  # a call may cost .00039 and costs .00019
        env.reset(options={"task": "t1"})
        said = [env.step(f'<route model="m"> question {i} </route>')[0] for i in range(3)]
    assert len(server.seen) == 2
    assert "Error" not in said[0] + said[1]
    assert said[2].startswith("Error: the budget does not allow that")


def test_a_broken_endpoint_is_not_the_agents_doing(tmp_path: Path) -> None:
    with serving(fails(500)) as server:
        env = routing_env(tmp_path, server)
        env.reset(options={"task": "t1"})
        with pytest.raises(EnvironmentFault, match="endpoint: m: status 500"):
            env.step('<route model="m"></route>')


def test_environments_share_the_spend_limit(tmp_path: Path) -> None:
    with serving(says(completion("Bergen", prompt=0, tokens=100), after_s=0.02)) as server:
        envs = [routing_env(tmp_path, server, more={"max_usd": 0.002}) for _ in range(16)]
        assert len({id(env.backend) for env in envs}) == 1

        async def play(env: RoutingEnv) -> str:
            env.reset(options={"task": "t1"})
            try:
                return (await env.step_async('<route model="m"></route>'))[0]
            except EnvironmentFault as error:
                return error.kind

        async def all_of_them() -> list[str]:
            return await asyncio.gather(*map(play, envs))

        said = asyncio.run(all_of_them())
        sent = len(server.seen)
        assert said.count("m : Bergen") == sent
        assert said.count("spend-limit") == 16 - sent
        assert 5 <= sent < 10
