"""Models that only chat: as judges' chat, and as a policy that is evaluated."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from completions import ModelServer, gives, serving_model
from typer.testing import CliRunner

from agentgym.cli.main import app
from agentgym.engines.base import ENGINES, Doubtful, Engine, Listener, Sampling
from agentgym.engines.http_chat import ChatClient, ChatEngine, told
from agentgym.engines.http_wire import PromptTooLong
from agentgym.faults import ConfigError, EngineFault
from agentgym.making import make_env
from agentgym.rewards.judges import build_judge
from agentgym.rewards.judges.verdict import Request
from agentgym.rollout import Collector, EnvSpec, GroupRequest, Limits
from agentgym.trainers.tiny import TinyConfig, make_tiny

QUICK = {"backoff_s": 0.0, "retries": 1}
#: Trailing words that a stop string has to cut off.
CHATTER = " and then I shall see"


def plays(messages: Sequence[dict[str, str]]) -> str:
    """Searches first, answers then."""
    turns = sum(message["role"] == "assistant" for message in messages)
    return f"<answer> {turns} </answer>{CHATTER}" if turns else f"<search> Question </search>{CHATTER}"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A folder whose tokenizer knows the words of the game; nobody runs the model."""
    env = make_env("agentgym/Search-v0", {})
    config = TinyConfig(width=16, layers=1, heads=2, context=2048)
    tags = ("think", *env.parser.specs)
    words = [*env.vocabulary(), "0 1 2 3 Question", CHATTER]
    return str(make_tiny(tmp_path_factory.mktemp("model"), words, config, tags))


@pytest.fixture(scope="module")
def tokenizer(model: str) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(model)


def ask(client: ChatClient, *messages: tuple[str, str], **sampling: Any) -> tuple[str, str, bool]:
    async def whole() -> tuple[str, str, bool]:
        try:
            said = [{"role": role, "content": content} for role, content in messages or [("user", "Q?")]]
            return await asyncio.wait_for(client.ask(said, Sampling(**sampling)), 20)
        finally:
            await client.close()

    return asyncio.run(whole())


def client_of(server: ModelServer, **options: Any) -> ChatClient:
    return ChatClient(server.url, "policy", **{**QUICK, **options})


def test_messages_in_text_out(tokenizer: Any) -> None:
    with serving_model(tokenizer) as server:
        client = client_of(server, extra={"user": "me"})
        assert ask(client, temperature=0.5, max_tokens=9, seed=4) == ("yes", "stop", True)
        assert server.bodies[-1] == {
            "model": "policy", "messages": [{"role": "user", "content": "Q?"}], "max_tokens": 9,
            "temperature": 0.5, "top_p": 1.0, "seed": 4, "user": "me",
        }  # fmt: skip
        ask(client_of(server, max_tokens_key="max_completion_tokens", seeded=False, tempered=False))
        assert set(server.bodies[-1]) == {"model", "messages", "max_completion_tokens"}
    assert (client.stats.forwards, client.stats.read, client.stats.generated) == (1, 7, 3)


@pytest.mark.parametrize("tells", [True, False])
def test_stop_strings_are_part_of_a_reply(tokenizer: Any, tells: bool) -> None:
    with serving_model(tokenizer, tells_stop=tells, reply=plays) as server:
        client = client_of(server)

        async def two() -> list[tuple[str, str, bool]]:
            messages, sampling = [{"role": "user", "content": "Q?"}], Sampling(stop=("</answer>", "</search>"))
            return [await client.ask(messages, sampling) for _ in range(2)]

        assert asyncio.run(two()) == [("<search> Question </search>", "stop", False)] * 2
        assert ["stop" in body for body in server.bodies] == [False, tells]  # once it is known what becomes of them


def test_a_conversation_takes_the_form_that_every_server_takes() -> None:
    conversation = [("system", "S"), ("user", "a"), ("tool", "b \ud800"), ("assistant", "c"), ("tool", "d")]
    assert told([{"role": role, "content": content, "turn": 0} for role, content in conversation]) == [
        {"role": "system", "content": "S"},
        {"role": "user", "content": "a\n\nb ?"},
        {"role": "assistant", "content": "c"},
        {"role": "user", "content": "d"},
    ]


@pytest.mark.parametrize(
    ("rude", "error", "message"),
    [
        (gives(401, {"error": "no key"}), ConfigError, "401: no key"),
        (gives(404, {"error": {"message": "no model"}}), ConfigError, "404: no model"),
        (gives(400, {"error": {"code": "context_length_exceeded"}}), PromptTooLong, "context_length_exceeded"),
        (gives(451, b""), EngineFault, "status 451"),
        (gives(200, {"choices": [{"message": None, "finish_reason": "stop"}]}), EngineFault, "holds no text"),
        (gives(200, {"choices": [{"message": {"content": 3}, "finish_reason": "stop"}]}), EngineFault, "holds no text"),
        (gives(200, {"choices": [{"message": {}, "finish_reason": "tool_calls"}]}), EngineFault, "'tool_calls'"),
    ],
)
def test_what_can_go_wrong(tokenizer: Any, rude: Any, error: type[Exception], message: str) -> None:
    with serving_model(tokenizer) as server:
        server.rude = [rude]
        with pytest.raises(error, match=message):
            ask(client_of(server))
        with pytest.raises(ConfigError, match="top_k"):
            ask(client_of(server), top_k=3)


def test_later_refusals_are_faults(tokenizer: Any) -> None:
    with serving_model(tokenizer) as server:
        client = client_of(server)

        async def work() -> None:
            messages = [{"role": "user", "content": "Q?"}]
            await client.ask(messages, Sampling())
            server.rude = [gives(401, {"error": "revoked"})]
            with pytest.raises(EngineFault, match="401: revoked"):
                await client.ask(messages, Sampling())
            await client.close()

        asyncio.run(work())


def test_it_is_an_engine_that_listens(tokenizer: Any) -> None:
    engine = ENGINES.get("chat")(url="http://127.0.0.1:1/v1", model="m")
    assert isinstance(engine, Engine)
    assert isinstance(engine, Doubtful)
    assert isinstance(engine, Listener)

    async def work() -> None:
        assert "evaluation only" in (await engine.untrainable(Sampling()) or "")
        with pytest.raises(ConfigError, match="only given tokens"):
            await engine.generate([1], Sampling(), "episode")
        with pytest.raises(EngineFault, match="takes no weights"):
            await engine.update_weights(1, {})
        await engine.close()

    asyncio.run(work())


def test_it_plays_whole_episodes(tokenizer: Any) -> None:
    spec = EnvSpec("agentgym/Search-v0", {})
    with serving_model(tokenizer, reply=plays) as server:

        async def work() -> Any:
            engine = ChatEngine(server.url, "policy", tokenizer=tokenizer, **QUICK)
            collector = await Collector.open(spec, engine, tokenizer, Limits(concurrency=8))
            tasks = make_env(spec.id, {}).taskset.ids("heldout")[:3]
            requests = [GroupRequest(f"g{i}", task, (1, 2), Sampling(max_tokens=40)) for i, task in enumerate(tasks)]
            groups = [group async for group in collector.collect(requests)]
            counters = collector.counters()
            await collector.close()
            return groups, counters, engine

        groups, counters, engine = asyncio.run(work())
    episodes = [t for group in groups for t in group.trajectories]
    assert len(episodes) == 6
    for episode in episodes:
        assert episode.fault is None
        episode.check()
        said = [m["content"] for m in episode.messages if m["role"] == "assistant"]
        assert said == ["<search> Question </search>", "<answer> 1 </answer>"]
        assert not episode.logprobs.any()
    assert counters["engine.forwards"] == 12
    # What the server was told is what the environment said, not what a template made of it.
    last = [body["messages"] for body in server.bodies if len(body["messages"]) > 2][-1]
    assert [m["role"] for m in last][-3:] == ["user", "assistant", "user"]
    assert not [m for m in last if "<|" in m["content"]]
    assert not engine._heard


def test_an_action_format_that_needs_a_template_is_refused(tokenizer: Any) -> None:
    engine = ChatEngine("http://127.0.0.1:1/v1", "policy", tokenizer=tokenizer)
    with pytest.raises(ConfigError, match="shows tools through a chat template"):
        engine.attach("episode", make_env("agentgym/Search-v0", {"action_format": "hermes"}))


def test_it_is_evaluated_from_the_command_line(model: str, tokenizer: Any, tmp_path: Path) -> None:
    with serving_model(tokenizer, reply=plays) as server:
        config = tmp_path / "chat.yaml"
        engine = {"name": "chat", "kwargs": {"url": server.url, "model": "policy", **QUICK}}
        config.write_text(
            json.dumps(
                {"name": "x", "model": model, "env": {"id": "agentgym/Search-v0"}, "engine": engine}
                | {"rollout": {"workers": 0}, "sampling": {"max_tokens": 40}, "rewards": [], "eval": {"sampled": False}}
            )
        )
        done = CliRunner().invoke(app, ["eval", str(config), "--tasks", "1", "--json"])
        assert done.exit_code == 0, done.stderr
        scores = json.loads(done.stdout)["scores"]
        refused = CliRunner().invoke(app, ["train", str(config), f"runs={tmp_path}"])
    assert scores
    assert all((score["faults"], score["turns"]) == (0, 2.0) for score in scores)
    assert refused.exit_code != 0
    assert "engine 'chat' cannot be trained: a chat interface gives text" in refused.stderr
    assert not (tmp_path / "x").exists()


def test_it_judges(tokenizer: Any) -> None:
    def judges(messages: Sequence[dict[str, str]]) -> str:
        words = messages[-1]["content"].split()
        return f"It is so.\nVERDICT {words[words.index('`VERDICT') + 1]} yes"

    options = {"engine": "chat", "name": "policy"}
    with serving_model(tokenizer, reply=judges) as server:
        model = {**options, "options": {"url": server.url, **QUICK}}

        async def work() -> Any:
            judge = build_judge({"name": "yes_no", "model": model}, "judge")
            try:
                return await judge.judge(Request("Capital of France?", "Paris is the capital.", references=("Paris",)))
            finally:
                await judge.close()

        verdict = asyncio.run(work())
        assert (verdict.label, verdict.score) == ("yes", 1.0)
        with pytest.raises(ConfigError, match="chat template of its own"):
            build_judge({"name": "yes_no", "model": {**model, "template": "x"}}, "judge")
        with pytest.raises(ConfigError, match="url"):
            build_judge({"name": "yes_no", "model": options}, "judge")
