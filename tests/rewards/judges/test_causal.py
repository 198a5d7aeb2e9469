from __future__ import annotations

import numpy as np
import pytest
import torch
from judging import byte_tokenizer, run, small_model
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from agentgym.faults import ConfigError
from agentgym.rewards.judges import make_judge
from agentgym.rewards.judges.attacks import ATTACKS
from agentgym.rewards.judges.causal import CausalScorer
from agentgym.rewards.judges.models import Passage, TokenScores
from agentgym.rewards.judges.verdict import JudgeFault, Request, TooLong


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    return byte_tokenizer()


@pytest.fixture(scope="module")
def model(tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    return small_model(tokenizer, context=1024)


@pytest.fixture(scope="module")
def scorer(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast) -> CausalScorer:
    return CausalScorer(module=model, tokenizer=tokenizer, name="small")


def said(target: str, reasoning: str = "", task: str = "Capital?") -> Passage:
    return Passage((("user", task),), reasoning, target)


def reference(model: LlamaForCausalLM, before: list[int], target: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """Log-probabilities and logsumexps, one passage alone, unpadded, all logits."""
    with torch.inference_mode():
        logits = model(torch.tensor([before + target])).logits[0, len(before) - 1 : -1].double()
    values = logits.logsumexp(-1)
    return (logits[torch.arange(len(target)), target] - values).numpy(), values.numpy()


def scores_of(result: TokenScores | JudgeFault) -> TokenScores:
    assert isinstance(result, TokenScores)
    return result


PASSAGES = [
    said("Paris"),
    said("Paris", "I think so."),
    said("x"),
    said("the longest of these targets", "r " * 60),
    Passage((("user", "Hi"), ("assistant", "Yo")), "", "thank you", "user"),
    said("Paris"),
]


@pytest.mark.parametrize("batch", [{}, {"batch_tokens": 1}, {"batch_logits": 40}, {"batch_tokens": 150}], ids=str)
def test_batches_score_as_each_passage_alone(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, batch: dict[str, int]
) -> None:
    scorer = CausalScorer(module=model, tokenizer=tokenizer, **batch)  # type: ignore[arg-type]
    for passage, result in zip(PASSAGES, scorer.score(PASSAGES), strict=True):
        logprobs, values = reference(model, *scorer.encode(passage))
        found = scores_of(result)
        np.testing.assert_allclose(found.logprobs, logprobs, atol=2e-5)
        np.testing.assert_allclose(found.values, values, atol=2e-5)


def test_what_is_encoded_is_the_conversation(scorer: CausalScorer, tokenizer: PreTrainedTokenizerFast) -> None:
    before, target = scorer.encode(said("Paris", "So: "))
    assert tokenizer.decode(before) == "<|im_start|>user\nCapital?<|im_end|>\n<|im_start|>assistant\nSo: "
    assert tokenizer.decode(target) == "Paris"
    before, target = scorer.encode(PASSAGES[4])
    assert tokenizer.decode(before).endswith("assistant\nYo<|im_end|>\n<|im_start|>user\n")
    assert tokenizer.decode(target) == "thank you"


@pytest.mark.parametrize("attack", [a for a in ATTACKS if a.kind == "injection"], ids=lambda a: a.name)
def test_hostile_text_says_no_control_token(scorer: CausalScorer, attack: object) -> None:
    text = getattr(attack, "template", "")
    special = set(scorer.renderer.tokenizer.all_special_ids)
    plain = sum(i in special for i in scorer.encode(said("x"))[0])
    for passage in (said("x", text), said(text), said("x", task=text)):
        before, target = scorer.encode(passage)
        assert sum(i in special for i in before) == plain
        assert not special & set(target)


def test_long_reasoning_loses_its_beginning(scorer: CausalScorer, tokenizer: PreTrainedTokenizerFast) -> None:
    before, target = scorer.encode(said("Paris", "a" * 2000 + "END"))
    assert len(before) + len(target) == scorer.context == 1024
    assert tokenizer.decode(before).startswith("<|im_start|>user\nCapital?<|im_end|>")
    assert tokenizer.decode(before).endswith("aEND")


def test_what_cannot_be_scored_is_a_fault_of_its_own_only(scorer: CausalScorer) -> None:
    long = said("x" * 2000)
    empty, good, too_long = scorer.score([said(""), said("x"), long])
    assert isinstance(good, TokenScores)
    assert isinstance(empty, JudgeFault)
    assert "no tokens" in str(empty)
    assert isinstance(too_long, JudgeFault)
    with pytest.raises(TooLong, match=r"tokens, the context 1024"):
        run(scorer(long))


@pytest.mark.parametrize("name", ["follow_up", "endogenous", "yes_likelihood"])
def test_a_text_that_does_not_fit_gets_the_lowest_score(scorer: CausalScorer, name: str) -> None:
    judge = make_judge(name, scorer)
    verdict = run(judge.judge(Request("Capital?", "Paris, " * 1000)))
    assert (verdict.score, verdict.label) == (judge.lowest, "too_long")


def test_damaged_weights_are_a_fault_not_a_score(tokenizer: PreTrainedTokenizerFast) -> None:
    broken = small_model(tokenizer, context=256)
    with torch.no_grad():
        broken.lm_head.weight.fill_(float("nan"))
    with pytest.raises(JudgeFault, match="not finite"):
        run(CausalScorer(module=broken, tokenizer=tokenizer)(said("x")))


def test_a_failed_pass_is_a_fault(scorer: CausalScorer, monkeypatch: pytest.MonkeyPatch) -> None:
    def out_of_memory(rows: object) -> list[TokenScores]:
        raise RuntimeError("CUDA out of memory. Tried to allocate\nmore")

    monkeypatch.setattr(scorer, "_forward", out_of_memory)
    with pytest.raises(JudgeFault, match=r"forward pass failed: CUDA out of memory\. Tried to allocate$"):
        run(scorer(said("x")))


@pytest.mark.parametrize("name", ["rlpr", "likelihood", "log_likelihood", "follow_up", "endogenous", "yes_likelihood"])
def test_every_likelihood_judge_runs_on_a_real_model(scorer: CausalScorer, name: str) -> None:
    judge = make_judge(name, scorer)
    texts = ("Paris", "Rome", "I think that it is Paris")
    requests = [Request("Capital?", t, references=("Paris",), reasoning=f"Let me see {t}. ") for t in texts]
    verdicts = run(judge.judge_all(requests))
    scores = [verdict.score for verdict in verdicts]
    assert all(score >= judge.lowest for score in scores)
    assert len(set(scores)) > 1 or name == "rlpr"
    if name not in ("log_likelihood", "endogenous"):
        assert all(0 <= score <= 1 for score in scores)
    assert judge.stats.asked == 3


def test_rlpr_on_a_real_model_is_its_formula(model: LlamaForCausalLM, scorer: CausalScorer) -> None:
    request = Request("Capital?", "Paris", references=("Paris",), reasoning="Paris Paris Paris")
    score = run(make_judge("rlpr", scorer, lead=" so ").judge(request)).score
    p = [
        np.exp(reference(model, *scorer.encode(said("Paris", text)))[0]).mean()
        for text in ("Paris Paris Paris so ", "so ")
    ]
    assert score == pytest.approx(0.9 * max(0.0, p[0] - p[1]) + 0.1, abs=1e-5)


def test_the_endogenous_reward_is_the_log_likelihood_and_a_constant(
    model: LlamaForCausalLM, scorer: CausalScorer
) -> None:
    judge = make_judge("endogenous", scorer, per_token=False)
    gaps = []
    for text in ("Paris", "Rome or so"):
        logprobs, values = reference(model, *scorer.encode(said(text)))
        score = run(judge.judge(Request("Capital?", text))).score
        assert score == pytest.approx(logprobs.sum() + values[0], abs=1e-3)
        gaps.append(score - logprobs.sum())
    assert gaps[0] == pytest.approx(gaps[1], abs=1e-3)


def test_arguments_are_checked(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast) -> None:
    with pytest.raises(ConfigError, match="either model"):
        CausalScorer()
    with pytest.raises(ConfigError, match="tokenizer"):
        CausalScorer(module=model)
    with pytest.raises(ConfigError, match="at least 1"):
        CausalScorer(module=model, tokenizer=tokenizer, batch_tokens=0)
    first, second = (CausalScorer(module=model, tokenizer=tokenizer).identity for _ in range(2))
    assert first != second
