"""The engine against real servers on the loopback: of several kinds, and rude ones."""

from __future__ import annotations

import asyncio
import logging
import pickle
import re
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import pytest
import torch
from completions import ModelServer, gives, serving_model
from hypothesis import given
from hypothesis import strategies as st
from recording import floods, hangs, hangs_up
from safetensors.torch import load_file

from agentgym.engines.base import ENGINES, Completion, Doubtful, Engine, Sampling
from agentgym.engines.http import HttpEngine, vocabulary_of
from agentgym.engines.http_answers import Malformed, TextTokens, ended_text, read_answer
from agentgym.engines.http_asking import TRIAL_TOKENS
from agentgym.engines.http_wire import PromptTooLong
from agentgym.faults import ConfigError, EngineFault
from agentgym.trainers.config import TrainConfig
from agentgym.trainers.parts import check_engine
from agentgym.trainers.tiny import make_tokenizer

R = TypeVar("R")
PROMPT = [30, 31, 32]
KEY = "sk-very-secret-key"
#: No waiting between tries.
QUICK = {"backoff_s": 0.0, "retries": 2}


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return make_tokenizer([f"w{i}" for i in range(60)])


def engine_of(server: ModelServer, tokenizer: Any, **options: Any) -> HttpEngine:
    return HttpEngine(server.url, "policy", tokenizer=tokenizer, **{**QUICK, **options})


def run(engine: HttpEngine, work: Callable[[], Coroutine[Any, Any, R]], limit_s: float = 20.0) -> R:
    async def whole() -> R:
        try:
            return await asyncio.wait_for(work(), limit_s)
        finally:
            await engine.close()

    return asyncio.run(whole())


def once(engine: HttpEngine, prompt: list[int] = PROMPT, **sampling: Any) -> Completion:
    return run(engine, lambda: engine.generate(prompt, Sampling(**{"max_tokens": 5, **sampling})))


def counted(server: ModelServer, start: int, count: int) -> list[int]:
    low, high = server.words
    ids, last = [], start
    for _ in range(count):
        last = low + (last + 1 - low) % (high - low)
        ids.append(last)
    return ids


# -- what servers can do -----------------------------------------------------------------------------------------------


def test_it_is_an_engine(tokenizer: Any) -> None:
    engine = ENGINES.get("http")(url="http://127.0.0.1:1/v1", model="m", tokenizer=tokenizer)
    assert isinstance(engine, Engine)
    assert isinstance(engine, Doubtful)
    asyncio.run(engine.close())


@pytest.mark.parametrize("marked", [False, True])
def test_tokens_in_and_out(tokenizer: Any, marked: bool) -> None:
    with serving_model(tokenizer, marked=marked) as server:
        engine = engine_of(server, tokenizer)
        sampling = Sampling(0.7, 0.9, 4, 5, ("zzz",), (3,), seed=2**62 + 1)
        completion = run(engine, lambda: engine.generate(PROMPT, sampling, "episode"))
        engine.release("episode")
    assert completion.token_ids == counted(server, 32, 5)
    assert completion.logprobs == [-0.25, -0.5, -0.75, -0.25, -0.5]
    assert (completion.finish_reason, completion.version) == ("length", 0)
    body = server.bodies[-1]
    expected = {
        "model": "policy", "prompt": PROMPT, "max_tokens": 5, "temperature": 0.7, "top_p": 0.9, "top_k": 4,
        "seed": 2**62 + 1, "stop": ["zzz"], "stop_token_ids": [3], "include_stop_str_in_output": True,
        "return_token_ids": True, "repetition_penalty": 1.0, "min_p": 0.0, "skip_special_tokens": False,
    }  # fmt: skip
    assert {key: body[key] for key in expected} == expected
    assert (engine.stats.generated, engine.stats.read, engine.stats.forwards) == (5, 3, 1)
    assert engine.stats.busy_s > 0
    assert engine.stats.extra["requests"] == 3  # models, trial, completion


def test_no_top_k_is_minus_one_and_further_keys_are_sent(tokenizer: Any) -> None:
    with serving_model(tokenizer) as server:
        once(engine_of(server, tokenizer, extra={"priority": 3}))
    assert server.bodies[-1]["top_k"] == -1
    assert server.bodies[-1]["priority"] == 3


def test_a_temperature_that_the_server_would_not_keep(tokenizer: Any) -> None:
    with serving_model(tokenizer) as server:
        assert len(once(engine_of(server, tokenizer), temperature=0.0).logprobs) == 5
        with pytest.raises(ConfigError, match=r"must be 0 or at least 0\.01"):
            once(engine_of(server, tokenizer), temperature=0.001)


def test_it_asks_what_the_server_can_do_once(tokenizer: Any) -> None:
    with serving_model(tokenizer) as server:
        engine = engine_of(server, tokenizer)

        async def many() -> list[Completion]:
            return await asyncio.gather(*(engine.generate(PROMPT, Sampling(max_tokens=2)) for _ in range(20)))

        completions = run(engine, many)
    assert len({tuple(c.token_ids) for c in completions}) == 1
    assert sum(body["max_tokens"] == TRIAL_TOKENS for body in server.bodies) == 1
    assert server.connections <= 22  # kept, not opened anew


@pytest.mark.parametrize(
    ("kind", "sends_text"),
    [
        ({"exact": False}, False),
        ({"exact": False, "strict": True}, False),
        ({"exact": True, "strict": True, "reads_ids": False}, True),
        ({"exact": False, "reads_ids": False}, True),
        ({"exact": False, "reads_ids": False, "confused": True}, True),
    ],
)
def test_a_server_that_gives_text(tokenizer: Any, kind: dict[str, Any], sends_text: bool) -> None:
    with serving_model(tokenizer, **kind) as server:
        engine = engine_of(server, tokenizer)
        completion = once(engine)
        reason = run(fresh := engine_of(server, tokenizer), lambda: fresh.untrainable(Sampling()))
    assert completion.token_ids == counted(server, 32, 5)
    assert completion.logprobs == []
    assert completion.finish_reason == "length"
    assert isinstance(server.bodies[-1]["prompt"], str) == sends_text
    assert reason is not None
    assert "evaluation only" in reason


def test_text_can_be_asked_for(tokenizer: Any) -> None:
    with serving_model(tokenizer) as server:
        assert once(engine_of(server, tokenizer, api="text")).logprobs == []
        assert {type(body["prompt"]) for body in server.bodies} == {str}
        with pytest.raises(ConfigError, match="top_k: the server does not take it"):
            once(engine_of(server, tokenizer, api="text"), top_k=3)


@pytest.mark.parametrize("exact", [True, False])
@pytest.mark.parametrize("tells", [True, False])
def test_stop_strings_are_part_of_the_completion(tokenizer: Any, exact: bool, tells: bool) -> None:
    with serving_model(tokenizer, exact=exact, tells_stop=tells, strict=not exact) as server:
        wanted = counted(server, 32, 9)
        stops = tuple(tokenizer.decode([wanted[i]]) for i in (6, 3))
        completion = once(engine_of(server, tokenizer), max_tokens=9, stop=stops)
    assert completion.token_ids == wanted[:4]
    assert completion.finish_reason == "stop"
    assert ("stop" in server.bodies[-1]) == (exact or tells)


def test_an_end_of_turn_is_part_of_the_completion(tokenizer: Any) -> None:
    with serving_model(tokenizer) as server:
        wanted = counted(server, 32, 4)
        completion = once(engine_of(server, tokenizer), max_tokens=9, stop_token_ids=(wanted[2],))
    assert (completion.token_ids, completion.finish_reason) == (wanted[:3], "stop")


def test_the_context_bounds_a_completion(tokenizer: Any) -> None:
    with serving_model(tokenizer, context=20) as server:
        engine = engine_of(server, tokenizer)
        completion = once(engine, max_tokens=500)
        assert len(completion.token_ids) == 17
        assert engine.max_context == 20
        with pytest.raises(ConfigError, match="has 20 tokens, max_context is 20"):
            once(engine_of(server, tokenizer), [30] * 20)
        with pytest.raises(PromptTooLong, match="maximum context length is 20 tokens"):
            once(engine_of(server, tokenizer, max_context=500), max_tokens=50)
    with serving_model(tokenizer) as server, pytest.raises(ConfigError, match="the prompt is empty"):
        once(engine_of(server, tokenizer), [])


# -- what may be trained on --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "options", "sampling", "reason"),
    [
        ({"dev": True}, {"sync": "folder"}, {}, None),
        ({"dev": True}, {"sync": "folder"}, {"temperature": 0.5, "top_p": 0.9}, None),
        ({"dev": True, "raw": True}, {"sync": "folder"}, {}, None),
        ({"dev": True, "raw": True}, {"sync": "folder"}, {"temperature": 0.5}, "processed_logprobs"),
        ({"dev": True, "raw": True}, {"sync": "folder"}, {"top_k": 5}, "processed_logprobs"),
        ({"dev": True}, {}, {}, "sync is 'none'"),
        ({"dev": False}, {"sync": "folder"}, {}, "VLLM_SERVER_DEV_MODE=1"),
        ({"exact": False, "dev": True}, {"sync": "folder"}, {}, "text, not sampled tokens"),
        ({"dev": True}, {"sync": "folder", "api": "text"}, {}, "text, not sampled tokens"),
    ],
)
def test_why_not_train(
    tokenizer: Any, tmp_path: Any, kind: Any, options: Any, sampling: Any, reason: str | None
) -> None:
    if "sync" in options:
        options = options | {"sync_folder": str(tmp_path)}
    with serving_model(tokenizer, **kind) as server:
        engine = engine_of(server, tokenizer, **options)
        said = run(engine, lambda: engine.untrainable(Sampling(**sampling)))
    assert (said is None) == (reason is None)
    assert (reason or "") in (said or "")
    assert "\n" not in (said or "")


def test_log_probabilities_of_another_distribution_are_unknown(tokenizer: Any) -> None:
    with serving_model(tokenizer, raw=True) as server:
        assert len(once(engine_of(server, tokenizer)).logprobs) == 5
        assert once(engine_of(server, tokenizer), temperature=0.5).logprobs == []


def train_config(url: str, **options: Any) -> TrainConfig:
    engine = {"name": "http", "kwargs": {"url": url, "model": "policy", **QUICK, **options}}
    return TrainConfig.model_validate({"name": "x", "env": {"id": "agentgym/Search-v0"}, "engine": engine})


def test_training_is_refused_at_once(tokenizer: Any, tmp_path: Any) -> None:
    with serving_model(tokenizer, dev=True) as server:
        with pytest.raises(ConfigError, match=r"engine 'http' cannot be trained: .*sync is 'none'"):
            check_engine(train_config(server.url))
        check_engine(train_config(server.url, sync="folder", sync_folder=str(tmp_path)))
    with pytest.raises(ConfigError, match=r"cannot be trained: 127\.0\.0\.1:1: no connection"):
        check_engine(train_config("http://127.0.0.1:1/v1", retries=0))
    check_engine(TrainConfig.model_validate({"name": "x", "env": {"id": "agentgym/Search-v0"}}))


# -- what cannot work --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        ({"completions": False}, {}, "no completions at .*the engine 'chat'"),
        ({"exact": False}, {"api": "tokens"}, "api is 'tokens'"),
        ({"key": KEY}, {}, "401"),
    ],
)
def test_a_server_that_cannot_be_used(tokenizer: Any, kind: Any, options: Any, message: str) -> None:
    with serving_model(tokenizer, **kind) as server, pytest.raises(ConfigError, match=message):
        once(engine_of(server, tokenizer, **options))


def test_a_model_that_is_not_served(tokenizer: Any) -> None:
    with serving_model(tokenizer) as server, pytest.raises(ConfigError, match="does not serve 'other', but policy"):
        once(HttpEngine(server.url, "other", tokenizer=tokenizer, **QUICK))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"url": "ftp://x"}, "url: an address must begin with http"),
        ({"url": "http://u:p@x/v1"}, "must not hold a password"),
        ({"url": "http://x/v1?a=b"}, "must have no"),
        ({"timeouts": 3}, "unknown key 'timeouts'; did you mean 'timeout_s'"),
        ({"concurrency": 0}, "concurrency"),
        ({"extra": {"prompt": "x"}}, "'prompt' is not to be changed"),
        ({"extra": {"x": float("nan")}}, "JSON"),
        ({"api": "grpc"}, "api must be one of"),
        ({"sync": "nccl"}, "sync must be one of"),
        ({"sync": "folder"}, "go together"),
        ({"max_context": 1}, "max_context"),
        ({"api_key_env": "NO_SUCH_KEY"}, "api_key_env: the environment variable 'NO_SUCH_KEY' is not set"),
    ],
)
def test_options_that_cannot_be_used(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        HttpEngine(**{"url": "http://127.0.0.1:1/v1", "model": "m", **options})


# -- what may pass -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "rude",
    [gives(500, {"error": "x"}), gives(429, b"slow down"), gives(503, b""), hangs_up],
    ids=["500", "429", "503", "cut off"],
)
def test_what_may_pass_is_tried_again(tokenizer: Any, rude: Any) -> None:
    with serving_model(tokenizer) as server:
        engine = engine_of(server, tokenizer)

        async def twice() -> Completion:
            await engine.generate(PROMPT, Sampling(max_tokens=2))
            server.rude = [rude, rude]
            return await engine.generate(PROMPT, Sampling(max_tokens=5))

        assert run(engine, twice).token_ids == counted(server, 32, 5)
    assert engine.stats.extra["retries"] == 2


def test_the_tries_end(tokenizer: Any) -> None:
    with serving_model(tokenizer) as server:
        engine = engine_of(server, tokenizer)

        async def work() -> None:
            await engine.generate(PROMPT, Sampling(max_tokens=2))
            server.rude = [gives(500, {"error": {"message": "out\nof memory"}})] * 3
            with pytest.raises(EngineFault, match=r"127.0.0.1:\d+: status 500: out of memory \(3 tries\)$") as caught:
                await engine.generate(PROMPT, Sampling())
            assert not isinstance(caught.value, ConfigError)
            assert len(await completion_ids(engine)) == 5  # the next one is fine

        run(engine, work)


async def completion_ids(engine: HttpEngine) -> list[int]:
    return (await engine.generate(PROMPT, Sampling(max_tokens=5))).token_ids


def test_it_waits_as_long_as_it_is_asked_to_and_so_do_the_others(tokenizer: Any) -> None:
    with serving_model(tokenizer) as server:
        engine = engine_of(server, tokenizer)

        async def work() -> None:
            await engine.generate(PROMPT, Sampling(max_tokens=2))
            server.rude = [gives(429, b"", Retry_After="0.5")]
            first = asyncio.create_task(completion_ids(engine))
            while "retries" not in engine.stats.extra:
                await asyncio.sleep(0.01)
            await asyncio.gather(first, completion_ids(engine))

        run(engine, work)
    refused, *later = (seen.at for seen in server.seen[-3:])
    assert min(later) - refused >= 0.5


def test_it_does_not_wait_for_ever(tokenizer: Any) -> None:
    with serving_model(tokenizer) as server:
        engine = engine_of(server, tokenizer, timeout_s=0.3, max_wait_s=5.0)

        async def work() -> None:
            await engine.generate(PROMPT, Sampling(max_tokens=2))
            server.rude = [gives(503, b"", Retry_After="3600")]
            with pytest.raises(EngineFault, match="it asks to wait 3600 s, and 5 s is the limit"):
                await engine.generate(PROMPT, Sampling())
            server.rude = [hangs] * 3
            with pytest.raises(EngineFault, match=r"no answer within 0.3 s \(3 tries\)"):
                await engine.generate(PROMPT, Sampling())

        run(engine, work)


def test_a_server_that_is_not_there(tokenizer: Any) -> None:
    engine = HttpEngine("http://127.0.0.1:9/v1", "policy", tokenizer=tokenizer, **QUICK)

    async def many() -> list[Any]:
        asks = (engine.generate(PROMPT, Sampling()) for _ in range(50))
        return await asyncio.gather(*asks, return_exceptions=True)

    faults = run(engine, many)
    assert {type(fault) for fault in faults} == {EngineFault}
    assert "no connection (ConnectError) (3 tries)" in str(faults[0])
    assert engine.stats.extra["requests"] == 3  # all fifty waited for one answer


def test_so_many_at_once_and_no_more(tokenizer: Any) -> None:
    with serving_model(tokenizer) as server:
        server.slow_s = 0.02
        engine = engine_of(server, tokenizer, concurrency=3)

        async def many() -> list[list[int]]:
            return await asyncio.gather(*(completion_ids(engine) for _ in range(12)))

        assert len(run(engine, many)) == 12
    assert server.most_inside == 3
    assert server.connections <= 4


def test_it_lives_through_several_event_loops(tokenizer: Any) -> None:
    with serving_model(tokenizer) as server:
        engine = engine_of(server, tokenizer)
        for _ in range(3):
            assert len(asyncio.run(completion_ids(engine))) == 5
        asyncio.run(engine.close())


def test_closing_ends_what_is_pending_and_cancelling_only_itself(tokenizer: Any) -> None:
    with serving_model(tokenizer) as server:
        engine = engine_of(server, tokenizer)

        async def work() -> None:
            await engine.generate(PROMPT, Sampling(max_tokens=2))
            server.rude = [hangs, hangs]
            cancelled = asyncio.create_task(completion_ids(engine))
            pending = asyncio.create_task(completion_ids(engine))
            await asyncio.sleep(0.2)
            cancelled.cancel()
            with pytest.raises(asyncio.CancelledError):
                await cancelled
            assert len(await completion_ids(engine)) == 5
            await engine.close()
            await engine.close()
            for task in (pending, asyncio.create_task(completion_ids(engine))):
                with pytest.raises(EngineFault, match="the engine is closed"):
                    await task

        run(engine, work)


# -- what strangers say ------------------------------------------------------------------------------------------------

GOOD: dict[str, Any] = {
    "text": "w1 w2",
    "finish_reason": "stop",
    "stop_reason": None,
    "token_ids": [20, 21],
    "logprobs": {"token_logprobs": [-0.1, -0.2]},
}


def answer(**changes: Any) -> dict[str, Any]:
    return {"choices": [{**GOOD, **changes}], "usage": {"prompt_tokens": 3}}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"<html>", "the answer is no JSON"),
        (b"", "the answer holds no completion"),
        ([], "the answer holds no completion"),
        ({"choices": []}, "the answer holds no completion"),
        ({"choices": ["x"]}, "the answer holds no completion"),
        (answer(text=None), "the answer holds no text"),
        (answer(finish_reason="content_filter"), "ended with 'content_filter'"),
        (answer(finish_reason="abort"), "ended with 'abort'"),
        (answer(finish_reason=None), "ended with None"),
        (answer(finish_reason=["stop"]), "ended with"),
        (answer(token_ids=None), "no token ids with log-probabilities"),
        (answer(logprobs=None), "no token ids with log-probabilities"),
        (answer(token_ids=7), "are no lists"),
        (answer(token_ids=[20, 10**7]), "10000000 is no token of the model"),
        (answer(token_ids=[20, -1]), "-1 is no token of the model"),
        (answer(token_ids=[20, True]), "True is no token of the model"),
        (answer(token_ids=[20, "21"]), "'21' is no token of the model"),
        (answer(token_ids=[20, 21, 22]), "3 tokens came with 2 log-probabilities"),
        (answer(token_ids=[], logprobs={"token_logprobs": []}), "0 tokens were sampled"),
        (answer(token_ids=[20] * 9, logprobs={"token_logprobs": [-1] * 9}), "9 tokens were sampled, and 1 to 5"),
        (answer(logprobs={"token_logprobs": [-0.1, float("nan")]}), "nan is no log-probability"),
        (answer(logprobs={"token_logprobs": [-0.1, float("-inf")]}), "-inf is no log-probability"),
        (answer(logprobs={"token_logprobs": [-0.1, 0.5]}), "0.5 is no log-probability"),
        (answer(logprobs={"token_logprobs": [-0.1, None]}), "None is no log-probability"),
        (answer(prompt_token_ids=[1, 2]), "read another prompt"),
        (b"[" * 100_000, "the answer is no JSON"),
    ],
)
def test_a_malformed_answer_is_a_fault(tokenizer: Any, body: Any, message: str) -> None:
    with serving_model(tokenizer) as server:
        engine = engine_of(server, tokenizer)

        async def work() -> None:
            await engine.generate(PROMPT, Sampling(max_tokens=2))
            server.rude = [gives(200, body)]
            with pytest.raises(EngineFault, match=message) as caught:
                await completion_ids(engine)
            assert "\n" not in str(caught.value)
            assert len(await completion_ids(engine)) == 5

        run(engine, work)


def test_an_answer_without_an_end_or_in_disguise_is_not_read(tokenizer: Any) -> None:
    with serving_model(tokenizer) as server:
        engine = engine_of(server, tokenizer, max_response_bytes=100_000)

        async def work() -> None:
            await engine.generate(PROMPT, Sampling(max_tokens=2))
            for rude, message in (
                (floods, "longer than 100000 bytes"),
                (gives(200, b"x", Content_Encoding="gzip"), "compressed"),
            ):
                server.rude = [rude]
                with pytest.raises(EngineFault, match=message):
                    await completion_ids(engine)

        run(engine, work)


def test_redirects_are_not_followed(tokenizer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", KEY)
    with serving_model(tokenizer) as elsewhere, serving_model(tokenizer, key=KEY) as server:
        engine = engine_of(server, tokenizer, api_key_env="MY_KEY")

        async def work() -> None:
            await engine.generate(PROMPT, Sampling(max_tokens=2))
            for status in (301, 302, 307, 308):
                server.rude = [gives(status, b"", Location=f"{elsewhere.url}/completions")]
                with pytest.raises(EngineFault, match=f"status {status} .redirects are not followed"):
                    await completion_ids(engine)

        run(engine, work)
    assert not elsewhere.seen


def test_the_key_is_sent_and_told_to_nobody(
    tokenizer: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("MY_KEY", KEY)
    caplog.set_level(logging.DEBUG)
    with serving_model(tokenizer, key=KEY) as server:
        engine = engine_of(server, tokenizer, api_key_env="MY_KEY")

        async def work() -> list[BaseException]:
            await engine.generate(PROMPT, Sampling(max_tokens=2))
            caught: list[BaseException] = []
            for status in (400, 401, 403, 500):
                server.rude = [gives(status, {"error": {"message": f"bad key {KEY}, Bearer {KEY}"}})] * 3
                with pytest.raises(EngineFault) as error:
                    await completion_ids(engine)
                server.rude = []
                caught.append(error.value)
            return caught

        caught = run(engine, work)
        refused = engine_of(server, tokenizer, api_key_env="MY_KEY")
        server.kind.key = "another"
        with pytest.raises(ConfigError, match=r"401: no such key: .*the key is that of MY_KEY") as error:
            once(refused)
    assert server.seen[0].headers["Authorization"] == f"Bearer {KEY}"
    told = [*map(str, caught), *map(repr, caught), str(error.value), repr(engine), repr(engine.stats), caplog.text]
    assert not [text for text in told if KEY in text]
    assert [str(pickle.loads(pickle.dumps(fault))) for fault in caught] == [*map(str, caught)]
    assert all(re.search(r"\*\*\*", str(fault)) for fault in caught)


KEYS = ["choices", "text", "finish_reason", "token_ids", "logprobs", "token_logprobs", "tokens", "usage"]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["choices", "text", "finish_reason", "token_ids", "logprobs", "token_logprobs", "tokens", "usage"]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=12,
)


@given(changes=st.dictionaries(st.sampled_from(sorted(GOOD)), JSON, max_size=3), usage=JSON, whole=JSON)
def test_any_answer_is_read_or_refused(changes: dict[str, Any], usage: Any, whole: Any) -> None:
    for body in (whole, {"choices": [{**GOOD, **changes}], "usage": usage}):
        for form in ("completion", "chat"):
            try:
                read = read_answer(body, form, 100)  # type: ignore[arg-type]
            except Malformed:
                continue
            assert read.finish in ("stop", "length")
            assert (read.token_ids is None) == (read.logprobs is None)
            assert all(0 <= i < 100 for i in read.token_ids or ())
            assert all(-1e308 < p <= 0 for p in read.logprobs or ())


@given(text=st.text("ab<>/", max_size=12), stops=st.lists(st.text("ab<>/", min_size=1, max_size=3), max_size=3))
def test_a_text_ends_at_the_first_stop_string(text: str, stops: list[str]) -> None:
    body = {"choices": [{"text": text, "finish_reason": "length"}]}
    cut, finish = ended_text(read_answer(body, "completion"), stops)
    assert text.startswith(cut)
    assert (finish == "stop") == any(stop in text for stop in stops)
    assert not any(stop in cut[:-1] for stop in stops)
    assert cut == text or cut.endswith(tuple(stops))


def test_a_stop_string_that_was_cut_off_comes_back() -> None:
    body = {"choices": [{"text": "<search>x", "finish_reason": "stop", "matched_stop": "</search>"}]}
    assert ended_text(read_answer(body, "completion"), ["</search>"]) == ("<search>x</search>", "stop")
    assert ended_text(read_answer(body, "completion"), ["</answer>"]) == ("<search>x", "stop")


def test_texts_that_the_tokenizer_cannot_write(tokenizer: Any) -> None:
    text = TextTokens(tokenizer)
    with pytest.raises(EngineFault, match="has no tokens for what the server wrote"):
        text.encode("w1 Überraschung", Sampling(), ended=True)
    end = tokenizer.eos_token_id
    assert text.encode("", Sampling(), ended=True) == [end]
    assert text.encode("w1 <|end|>", Sampling(stop_token_ids=(end,)), ended=True)[-2:] != [end, end]
    with pytest.raises(ConfigError, match="needs a tokenizer"):
        TextTokens(None)
    assert vocabulary_of(tokenizer) == len(tokenizer)


# -- weights -----------------------------------------------------------------------------------------------------------


def state(value: float) -> dict[str, torch.Tensor]:
    embedding = torch.full((4, 3), value)
    return {"embed.weight": embedding, "norm.weight": torch.ones(3, dtype=torch.bfloat16), "lm_head.weight": embedding}


def test_weights_go_through_the_folder(tokenizer: Any, tmp_path: Any) -> None:
    folder = tmp_path / "sync"
    with serving_model(tokenizer, dev=True) as server:
        engine, other = (engine_of(server, tokenizer, sync="folder", sync_folder=str(folder)) for _ in range(2))

        async def work() -> None:
            await engine.update_weights(1, state(1.0))
            first = server.state.path
            assert first is not None
            loaded = load_file(f"{first}/model.safetensors")
            assert {k: v.tolist() for k, v in loaded.items()} == {k: v.tolist() for k, v in state(1.0).items()}
            assert loaded["norm.weight"].dtype == torch.bfloat16
            await other.update_weights(1, state(1.0))
            await engine.update_weights(2, state(2.0))
            assert server.state.path != first
            assert [path.name for path in folder.iterdir()] == [str(server.state.path).rpartition("/")[2]]
            assert (await engine.generate(PROMPT, Sampling(max_tokens=2))).version == 2
            await other.close()

        run(engine, work)
    cycle = ["/pause", "/collective_rpc", "/reset_prefix_cache", "/update_weight_version", "/resume"]
    assert server.state.calls == cycle * 2  # the second engine found its weights there
    assert not server.state.paused


def test_a_completion_has_the_version_that_sampled_it(tokenizer: Any, tmp_path: Any) -> None:
    with serving_model(tokenizer, dev=True) as server:
        engine = engine_of(server, tokenizer, concurrency=1, sync="folder", sync_folder=str(tmp_path))

        async def work() -> list[int]:
            await engine.update_weights(1, state(1.0))
            await completion_ids(engine)
            server.slow_s = 0.3
            asked = [asyncio.create_task(engine.generate(PROMPT, Sampling(max_tokens=5))) for _ in range(2)]
            while not server.inside:
                await asyncio.sleep(0.01)
            await engine.update_weights(2, state(2.0))  # one is under way, the other waits for its place
            return [completion.version for completion in await asyncio.gather(*asked)]

        assert run(engine, work) == [1, 2]
    order = [seen.path.partition("?")[0].rpartition("/")[2] for seen in server.seen[-7:]]
    assert order == [
        "completions",
        "pause",
        "collective_rpc",
        "reset_prefix_cache",
        "update_weight_version",
        "resume",
        "completions",
    ]


def test_a_server_that_was_started_anew_gets_its_weights_again(tokenizer: Any, tmp_path: Any) -> None:
    with serving_model(tokenizer, dev=True) as server:
        port = server.server_address[1]
        options = {"sync": "folder", "sync_folder": str(tmp_path), "retries": 50, "backoff_s": 0.1, "max_wait_s": 0.1}
        engine = engine_of(server, tokenizer, **options)

        async def before() -> None:
            await engine.update_weights(3, state(3.0))
            assert len(await completion_ids(engine)) == 5

        asyncio.run(before())
        tag = server.state.version
    with serving_model(tokenizer, port, dev=True) as server:
        completion = run(engine, lambda: engine.generate(PROMPT, Sampling(max_tokens=5)))
        assert completion.version == 3
        assert server.state.version == tag
        assert server.state.calls.count("/collective_rpc") == 1
        # What was answered before that, on a connection that was made without a word, was not believed.
        paths = [seen.path.rpartition("/")[2] for seen in server.seen]
        assert paths[0] == paths[-1] == "completions"
        assert paths.count("completions") == 2


def test_a_failed_sync_is_a_dead_engine(tokenizer: Any, tmp_path: Any) -> None:
    with serving_model(tokenizer, dev=True) as server:
        server.state.loads = False
        engine = engine_of(server, tokenizer, sync="folder", sync_folder=str(tmp_path))

        async def work() -> None:
            for _ in range(2):
                with pytest.raises(EngineFault, match="500: shape mismatch"):
                    await engine.update_weights(1, state(1.0))
            with pytest.raises(EngineFault, match="500: shape mismatch"):
                await completion_ids(engine)

        run(engine, work)
        assert server.state.calls[-1] == "/resume"  # the server is left usable
        plain = engine_of(server, tokenizer)
        with pytest.raises(EngineFault, match="sync is 'none'"):
            run(plain, lambda: plain.update_weights(1, state(1.0)))


@pytest.mark.parametrize("weights", [{"a": "no tensor"}, {"a": object()}])
def test_weights_that_cannot_be_written(tokenizer: Any, tmp_path: Any, weights: Any) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    with serving_model(tokenizer, dev=True) as server:
        for folder, sent in ((tmp_path, weights), (blocked, state(1.0))):
            engine = engine_of(server, tokenizer, sync="folder", sync_folder=str(folder))
            with pytest.raises(EngineFault):
                run(engine, lambda engine=engine, sent=sent: engine.update_weights(1, sent))  # type: ignore[misc]
    assert not server.state.calls
