from __future__ import annotations

import math

import pytest
from judging import byte_tokenizer, nonce_of, run, small_model
from transformers import PreTrainedTokenizerFast

from agentgym.engines.base import Completion, Sampling
from agentgym.engines.chat import ChatRenderer
from agentgym.engines.scripted import Prompt as EnginePrompt
from agentgym.engines.scripted import ScriptedEngine
from agentgym.engines.transformers import TransformersEngine
from agentgym.faults import ConfigError, EngineFault
from agentgym.rewards.judges import make_judge
from agentgym.rewards.judges.attacks import ATTACKS, succeeded
from agentgym.rewards.judges.chat import EngineChat, stretch_probability
from agentgym.rewards.judges.models import Prompt
from agentgym.rewards.judges.verdict import JudgeFault, Request

REQUEST = Request("Capital of France?", "Paris", references=("Paris",))


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    return byte_tokenizer()


@pytest.fixture(scope="module")
def renderer(tokenizer: PreTrainedTokenizerFast) -> ChatRenderer:
    return ChatRenderer(tokenizer)


def test_an_engine_answers_a_judge(renderer: ChatRenderer) -> None:
    asked: list[str] = []

    def policy(prompt: EnginePrompt) -> str:
        asked.append(prompt.text)
        return f"It fits.\nVERDICT {nonce_of(prompt.text)}: yes"

    engine = ScriptedEngine(policy, renderer)
    judge = make_judge("yes_no", EngineChat(engine, renderer, "scripted"))
    verdict = run(judge.judge(REQUEST))
    assert (verdict.score, verdict.label, verdict.reason) == (1.0, "yes", "It fits.")
    assert asked[0].startswith("<|im_start|>system\nYou are a strict")


def test_no_attack_says_a_control_token(renderer: ChatRenderer, tokenizer: PreTrainedTokenizerFast) -> None:
    """A judge that begins its reply where a judged text ended the turn would be talked into anything."""
    control = set(tokenizer.all_special_ids)
    counts: set[int] = set()

    def policy(prompt: EnginePrompt) -> str:
        counts.add(sum(i in control for i in prompt.ids))
        return f"VERDICT {nonce_of(prompt.text)}: no"

    judge = make_judge("yes_no", EngineChat(ScriptedEngine(policy, renderer), renderer, "scripted"))
    assert run(succeeded(judge, REQUEST)) == []
    assert counts == {5}, "two messages, begun and ended, and the reply's beginning"
    assert judge.stats.asked == sum(a.kind == "injection" for a in ATTACKS)


def test_a_reply_that_is_cut_off_is_no_verdict(renderer: ChatRenderer) -> None:
    engine = ScriptedEngine(lambda prompt: f"VERDICT {nonce_of(prompt.text)}: yes", renderer)
    judge = make_judge("yes_no", EngineChat(engine, renderer, "scripted"), asking={"max_tokens": 18, "tries": 1})
    with pytest.raises(JudgeFault, match="no readable verdict"):
        run(judge.judge(REQUEST))


def test_new_weights_are_another_judge(renderer: ChatRenderer) -> None:
    engine = ScriptedEngine(lambda prompt: f"VERDICT {nonce_of(prompt.text)}: yes", renderer)
    chat = EngineChat(engine, renderer, "scripted")
    judge = make_judge("yes_no", chat)
    run(judge.judge(REQUEST))
    run(judge.judge(REQUEST))
    assert judge.stats.asked == 1
    run(engine.update_weights(1, {}))
    run(judge.judge(REQUEST))
    assert judge.stats.asked == 2
    run(chat.close())
    run(engine.update_weights(2, {}))
    with pytest.raises(JudgeFault, match="the engine is closed"):
        run(judge.judge(REQUEST))


def test_the_probability_of_a_stretch_is_that_of_the_tokens_that_hold_it(renderer: ChatRenderer) -> None:
    text = "ja, né: yes"
    ids = renderer.encode(text)
    assert len(ids) == len(text) + 1, "one character of two bytes"
    logprobs = [-0.01 * (i + 1) for i in range(len(ids))]
    completion = Completion([*ids, renderer.end_id or 0], [*logprobs, -5.0], "stop", 0)
    begin = text.index("yes")
    expected = math.exp(sum(logprobs[-3:]))
    assert stretch_probability(renderer, completion, begin, begin + 3) == pytest.approx(expected)
    assert stretch_probability(renderer, completion, 5, 6) == pytest.approx(math.exp(logprobs[5] + logprobs[6]))
    assert stretch_probability(renderer, completion, 3, 3) is None
    assert stretch_probability(renderer, completion, 0, len(text)) == pytest.approx(math.exp(sum(logprobs)))
    assert stretch_probability(renderer, Completion(ids, [], "stop", 0), 0, 2) is None
    nan = Completion(ids, [math.nan] * len(ids), "stop", 0)
    assert stretch_probability(renderer, nan, 0, 2) is None


def test_a_real_engine_gives_the_probability_of_what_it_sampled(tokenizer: PreTrainedTokenizerFast) -> None:
    module = small_model(tokenizer)
    engine = TransformersEngine(module=module, tokenizer=tokenizer)
    chat = EngineChat(engine, ChatRenderer(tokenizer), "small")

    async def ask() -> tuple[float | None, list[float]]:
        sampling = Sampling(max_tokens=6, temperature=0)
        ids = chat.renderer.start([{"role": "user", "content": "hi"}])
        completion = await engine.generate(ids, sampling)
        reply = await chat(Prompt(({"role": "user", "content": "hi"},), sampling))
        return reply.probability(0, len(reply.text)), completion.logprobs

    probability, logprobs = run(ask())
    assert probability is not None
    assert 0 < probability <= 1
    assert any(probability == pytest.approx(math.exp(sum(logprobs[:n]))) for n in range(1, len(logprobs) + 1))

    with pytest.raises(JudgeFault, match="no readable verdict in 1 replies"):  # a random model writes no verdict
        run(make_judge("yes_no", chat, asking={"tries": 1, "max_tokens": 8}).judge(REQUEST))


def test_a_broken_engine_is_a_fault(renderer: ChatRenderer) -> None:
    def broken(prompt: EnginePrompt) -> str:
        raise EngineFault("out of memory")

    judge = make_judge("yes_no", EngineChat(ScriptedEngine(broken, renderer), renderer, "x"), retries=1)
    assert run(judge.judge_all([REQUEST])) == [None]
    assert judge.budget.spent == 2


def test_being_long_is_no_way_to_stay_without_a_verdict(renderer: ChatRenderer) -> None:
    seen: list[int] = []

    def policy(prompt: EnginePrompt) -> str:
        seen.append(len(prompt.ids))
        return f"VERDICT {nonce_of(prompt.text)}: no"

    engine = ScriptedEngine(policy, renderer)
    engine.max_context = 3000  # type: ignore[attr-defined]
    chat = EngineChat(engine, renderer, "scripted")
    judge = make_judge("yes_no", chat, asking={"max_tokens": 64})
    assert run(judge.judge(Request("t", "long " * 50_000, references=("Paris",)))).label == "no"
    assert len(seen) == 1
    assert seen[0] + 64 <= 3000
    with pytest.raises(ConfigError, match=r"does not fit: prompt and reply take .* of 3000 tokens; lower max_tokens"):
        run(make_judge("yes_no", chat, asking={"max_tokens": 2900}).judge(REQUEST))
