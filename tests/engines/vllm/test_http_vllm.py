"""The HTTP engine against a real vLLM server: exact tokens, weights through a folder, whole episodes, evaluation."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel
from typer.testing import CliRunner

from agentgym.cli.main import app
from agentgym.engines.base import Completion, Sampling
from agentgym.engines.http import HttpEngine
from agentgym.engines.http_wire import PromptTooLong
from agentgym.faults import ConfigError
from agentgym.making import make_env
from agentgym.rollout import EngineSpec, EnvSpec, GroupRequest, Limits, RolloutPool
from agentgym.trainers.tiny import TinyConfig, make_tiny

R = TypeVar("R")
ENV = "agentgym/Search-v0"
KEY = "sk-of-the-test-server"
CONTEXT = 512
#: Seconds a server may take to start on a busy machine.
START_S = 240.0
#: Largest difference between log-probabilities of the two float32 implementations.
CLOSE = 1e-4


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A policy that knows the words of the game, with heads wide enough for vLLM's CPU kernels."""
    env = make_env(ENV, {})
    config = TinyConfig(width=64, layers=2, heads=2, context=CONTEXT, init_std=0.12, embedding_std=0.3, seed=1)
    return str(make_tiny(tmp_path_factory.mktemp("model"), env.vocabulary(), config, ("think", *env.parser.specs)))


@pytest.fixture(scope="module")
def tokenizer(model: str) -> Any:
    return AutoTokenizer.from_pretrained(model)


@pytest.fixture(scope="module")
def url(model: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serving(model, tmp_path_factory.mktemp("server") / "log.txt") as address:
        yield address


@contextmanager
def serving(model: str, log: Path) -> Iterator[str]:
    """A server process; ended with all its children."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    # The module behind `vllm serve`: the command looks for a package named vllm, and the CPU build has another name.
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", model]
    options = {
        "served-model-name": "policy", "host": "127.0.0.1", "port": port, "dtype": "float32", "api-key": KEY,
        "logprobs-mode": "processed_logprobs", "max-model-len": CONTEXT, "max-num-seqs": 32,
        "distributed-executor-backend": "uni",
    }  # fmt: skip
    command += [part for name, value in options.items() for part in (f"--{name}", str(value))]
    # One process less to start: the model runs in the engine's.
    environment = os.environ | {
        "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
        "VLLM_SERVER_DEV_MODE": "1", "VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_NO_USAGE_STATS": "1", "HF_HUB_OFFLINE": "1",
        "VLLM_CPU_OMP_THREADS_BIND": "nobind", "OMP_NUM_THREADS": "1", "TORCH_COMPILE_DISABLE": "1",
    }  # fmt: skip
    with log.open("w") as out:
        process = subprocess.Popen(
            [*command, "--enforce-eager"], stdout=out, stderr=out, env=environment, start_new_session=True
        )
    try:
        wait_for(f"http://127.0.0.1:{port}/health", process, log)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.terminate()  # it ends its children
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def wait_for(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    ends = time.monotonic() + START_S
    while time.monotonic() < ends:
        assert process.poll() is None, log.read_text()[-3000:]
        try:
            with urllib.request.urlopen(address, timeout=1):  # noqa: S310 - a server of ours
                return
        except OSError:
            time.sleep(0.2)
    raise AssertionError(f"the server did not start: {log.read_text()[-3000:]}")


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SERVER_KEY", KEY)


@pytest.fixture
def ask(url: str, tokenizer: Any) -> Callable[..., Any]:
    """``ask(work, **options)``: what ``work(engine)`` gives, the engine closed afterwards."""

    def finish(work: Callable[[HttpEngine], Awaitable[R]], **options: Any) -> R:
        async def whole() -> R:
            engine = HttpEngine(
                **{"url": url, "model": "policy", "tokenizer": tokenizer, "api_key_env": "SERVER_KEY", **options}
            )
            try:
                return await asyncio.wait_for(work(engine), 120)
            finally:
                await engine.close()

        return asyncio.run(whole())

    return finish


def difference(network: PreTrainedModel, prompt: list[int], completion: Completion, sampling: Sampling) -> float:
    """Largest difference of the log-probabilities to those of a plain forward pass, top-k and top-p applied."""
    ids = completion.token_ids
    with torch.inference_mode():
        logits = network(input_ids=torch.tensor([prompt + ids])).logits[0, len(prompt) - 1 : -1].double()
    logits = logits / (sampling.temperature or 1.0)
    if sampling.top_k:
        logits[logits < logits.topk(sampling.top_k).values[:, -1:]] = -torch.inf
    if sampling.top_p < 1:
        ordered, places = logits.sort(descending=True)
        mass = ordered.softmax(-1).cumsum(-1) - ordered.softmax(-1)
        logits = logits.scatter(-1, places, ordered.masked_fill(mass >= sampling.top_p, -torch.inf))
    expected = logits.log_softmax(-1).gather(-1, torch.tensor(ids)[:, None])[:, 0]
    return float((expected - torch.tensor(completion.logprobs, dtype=torch.float64)).abs().max())


WAYS = [
    Sampling(max_tokens=24),
    Sampling(temperature=0.6, max_tokens=24, seed=2**62 + 3),
    Sampling(top_k=5, max_tokens=24, seed=4),
    Sampling(top_p=0.7, max_tokens=24, seed=5),
    Sampling(temperature=0.0, max_tokens=24),
]
PROMPT = list(range(20, 60))


@pytest.mark.parametrize("sampling", WAYS)
def test_tokens_are_exact(model: str, ask: Any, sampling: Sampling) -> None:
    async def work(engine: HttpEngine) -> list[Completion]:
        noise = [engine.generate([7, 8, 9 + i], Sampling(max_tokens=20, seed=i)) for i in range(6)]
        first, *_ = await asyncio.gather(engine.generate(PROMPT, sampling), *noise)
        return [first, await engine.generate(PROMPT, sampling)]

    first, again = ask(work)
    assert first.token_ids == again.token_ids  # whatever else the server is doing
    assert first.logprobs == pytest.approx(again.logprobs, abs=CLOSE)
    assert difference(AutoModelForCausalLM.from_pretrained(model), PROMPT, first, sampling) < CLOSE


def test_endings_are_part_of_a_completion(tokenizer: Any, ask: Any) -> None:
    async def work(engine: HttpEngine) -> None:
        free = (await engine.generate(PROMPT, WAYS[0])).token_ids
        word = tokenizer.decode([free[5]])
        place = next(i for i, token in enumerate(free) if word in tokenizer.decode([token])) + 1
        for how in ({"stop": (word,)}, {"stop_token_ids": (free[5],)}):
            cut = await engine.generate(PROMPT, Sampling(max_tokens=24, **how))
            assert (cut.token_ids, cut.finish_reason) == (free[:place], "stop")
        with pytest.raises(ConfigError, match=f"max_context is {CONTEXT}"):
            await engine.generate([7] * CONTEXT, Sampling())
        assert len((await engine.generate([7] * (CONTEXT - 3), Sampling(max_tokens=9))).token_ids) <= 3
        engine.max_context = 10 * CONTEXT
        with pytest.raises(PromptTooLong, match="maximum context length"):
            await engine.generate([7] * (CONTEXT + 1), Sampling())

    ask(work)


def test_text_is_the_same_text(tokenizer: Any, ask: Any) -> None:
    async def work(engine: HttpEngine) -> Completion:
        return await engine.generate(PROMPT, WAYS[0])

    exact, text = ask(work), ask(work, api="text")
    assert tokenizer.decode(text.token_ids) == tokenizer.decode(exact.token_ids)
    assert text.logprobs == []


@pytest.mark.parametrize(
    ("options", "message"),
    [({"model": "other"}, "does not serve 'other', but policy"), ({"api_key_env": None}, "401")],
)
def test_what_the_server_refuses(ask: Any, options: Mapping[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        ask(lambda engine: engine.generate(PROMPT, Sampling()), **options)


def test_weights_reach_the_server(model: str, url: str, ask: Any, tmp_path: Path) -> None:
    network = AutoModelForCausalLM.from_pretrained(model)
    original = {name: value.clone() for name, value in network.state_dict().items()}
    shared = {"sync": "folder", "sync_folder": str(tmp_path)}

    def changed(seed: int) -> dict[str, torch.Tensor]:
        noise = torch.Generator().manual_seed(seed)
        state = {k: v * (1 + 0.3 * torch.randn(v.shape, generator=noise)) for k, v in original.items()}
        return state | {"lm_head.weight": state["model.embed_tokens.weight"]}

    async def work(engine: HttpEngine) -> list[float]:
        assert await engine.untrainable(Sampling()) is None
        found = []
        for version in (1, 2):
            state = changed(version)
            busy = [asyncio.create_task(engine.generate([9, i], Sampling(max_tokens=40, seed=i))) for i in range(8)]
            await asyncio.sleep(0.05)
            await engine.update_weights(version, state)
            assert {c.version for c in await asyncio.gather(*busy)} == {version - 1}  # they ended under the old ones
            network.load_state_dict(state)
            completion = await engine.generate(PROMPT, WAYS[0])  # a prompt that was read under the old weights
            assert completion.version == version
            found.append(difference(network, PROMPT, completion, WAYS[0]))
        return found

    async def restore(engine: HttpEngine) -> None:
        await engine.update_weights(3, original)
        network.load_state_dict(original)
        assert difference(network, PROMPT, await engine.generate(PROMPT, WAYS[0]), WAYS[0]) < CLOSE

    differences = ask(work, **shared)
    print(f"largest differences after a sync: {differences}")
    assert max(differences) < CLOSE
    ask(restore, **shared)
    assert len(list(tmp_path.glob("*/model.safetensors"))) == 2  # the last of each engine


def test_whole_episodes_through_the_pool(model: str, url: str) -> None:
    engine = EngineSpec("http", {"url": url, "model": "policy", "api_key_env": "SERVER_KEY"})
    tasks = make_env(ENV, {}).taskset.ids("train")[:3]
    requests = [GroupRequest(f"g{i}", task, (1, 2), Sampling(max_tokens=16)) for i, task in enumerate(tasks)]
    with RolloutPool(EnvSpec(ENV, {"max_turns": 4}), engine, model, limits=Limits(episode_tokens=CONTEXT)) as pool:
        groups = list(pool.collect(requests, ordered=True))
        again = list(pool.collect(requests, ordered=True))
        counters = pool.stats()
    network = AutoModelForCausalLM.from_pretrained(model)
    for group, repeated in zip(groups, again, strict=True):
        for trajectory, other in zip(group.trajectories, repeated.trajectories, strict=True):
            assert trajectory.fault is None
            assert trajectory.tokens.tolist() == other.tokens.tolist()
            ids = torch.tensor(trajectory.tokens, dtype=torch.long)[None]
            with torch.inference_mode():
                logprobs = torch.log_softmax(network(ids).logits[0, :-1].float(), -1)
            expected = logprobs.gather(-1, ids[0, 1:, None])[:, 0]
            written = torch.tensor(trajectory.turn[1:] >= 0)
            assert torch.allclose(expected[written], torch.tensor(trajectory.logprobs[1:])[written], atol=CLOSE)
    assert max(len(t.turns) for g in groups for t in g.trajectories) > 1
    assert counters["engine.generated"] == counters["policy_tokens"]


def test_evaluation_and_training_from_the_command_line(model: str, url: str, tmp_path: Path) -> None:
    config = tmp_path / "http.yaml"
    kwargs = {"url": url, "model": "policy", "api_key_env": "SERVER_KEY"}
    config.write_text(
        json.dumps(
            {
                "name": "served", "model": model, "env": {"id": ENV, "kwargs": {"max_turns": 2}}, "updates": 2,
                "engine": {"name": "http", "kwargs": kwargs}, "rollout": {"workers": 0}, "rewards": [],
                "sampling": {"max_tokens": 16}, "eval": {"sampled": False, "every": 0, "tasks": 1, "final_tasks": 1},
                "tasks_per_update": 2, "samples_per_task": 2, "credit": {"name": "grpo"}, "store_episodes": False,
            }
        )
    )  # fmt: skip
    scores = json.loads(agentgym("eval", config, "--tasks", "1", "--json"))["scores"]
    assert scores
    assert all(score["faults"] == 0 and score["n"] == 1 for score in scores)
    assert "sync is 'none'" in agentgym("train", config, f"runs={tmp_path}", fails=True)
    assert not (tmp_path / "served").exists()
    folder = tmp_path / "weights"
    sync = ("engine.kwargs.sync=folder", f"engine.kwargs.sync_folder={folder}")
    agentgym("train", config, f"runs={tmp_path}", *sync)
    report = json.loads((tmp_path / "served" / "report.json").read_text())
    assert report["episodes"] == 8
    rows = [json.loads(line) for line in (tmp_path / "served" / "metrics.jsonl").read_text().splitlines()]
    assert [row["update"] for row in rows] == [1, 2]
    assert len(list(folder.glob("*/model.safetensors"))) == 1


def agentgym(*args: object, fails: bool = False) -> str:
    """What the command prints, to standard error where it is to fail."""
    done = CliRunner().invoke(app, list(map(str, args)))
    assert (done.exit_code != 0) == fails, done.stderr
    return done.stderr if fails else done.stdout
