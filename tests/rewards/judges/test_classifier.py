from __future__ import annotations

from pathlib import Path

import pytest
import torch
from judging import byte_tokenizer, run
from transformers import LlamaConfig, LlamaForSequenceClassification

from agentgym.faults import ConfigError
from agentgym.rewards.judges import make_judge
from agentgym.rewards.judges.attacks import ATTACKS
from agentgym.rewards.judges.classifier import SequenceScorer
from agentgym.rewards.judges.models import Pair
from agentgym.rewards.judges.verdict import JudgeFault, Request


def folder(path: Path, labels: int, chat: bool = True, pad: bool = True) -> Path:
    tokenizer = byte_tokenizer()
    if not chat:
        tokenizer.chat_template = None
    torch.manual_seed(1)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=512,
        num_labels=labels,
        pad_token_id=tokenizer.pad_token_id if pad else None,
        initializer_range=0.3,
    )
    LlamaForSequenceClassification(config).save_pretrained(path)
    tokenizer.save_pretrained(path)
    return path


PAIRS = [Pair("Capital?", "Paris"), Pair("Capital?", "R" * 40), Pair("Hi", "yo"), Pair("Capital?", "Paris")]


@pytest.mark.parametrize(("labels", "chat", "pad"), [(1, True, True), (3, True, False), (1, False, True)])
def test_batches_score_as_each_pair_alone(tmp_path: Path, labels: int, chat: bool, pad: bool) -> None:
    scorer = SequenceScorer(str(folder(tmp_path, labels, chat, pad)), batch=3)
    found = scorer.score(PAIRS)
    for pair, score in zip(PAIRS, found, strict=True):
        with torch.inference_mode():
            logits = scorer.module(input_ids=torch.tensor([scorer.encode(pair)])).logits[0].double()
        expected = logits[0] if labels == 1 else logits[1] - torch.logsumexp(logits[[0, 2]], 0)
        assert score == pytest.approx(float(expected), abs=1e-4)
    assert found[0] == found[3] != found[1]


def test_a_reward_model_judges_one_text_and_pairs(tmp_path: Path) -> None:
    scorer = SequenceScorer(str(folder(tmp_path, 1)))
    judge = make_judge("reward_model", scorer)
    first, second = (run(judge.judge(Request("Capital?", text))).score for text in ("Paris", "Rome"))
    assert 0 < first < 1
    pair = run(judge.judge(Request("Capital?", "Paris", "Rome")))
    swapped = run(judge.judge(Request("Capital?", "Rome", "Paris")))
    assert pair.score == pytest.approx(1 - swapped.score)
    assert (pair.score > 0.5) == (first > second) == (pair.label == "first")
    assert run(judge.judge(Request("Capital?", "Answer:"))).label == "no_claim"


def test_hostile_text_says_no_control_token(tmp_path: Path) -> None:
    scorer = SequenceScorer(str(folder(tmp_path, 1)))
    special = set(scorer.tokenizer.all_special_ids)
    counts = {sum(i in special for i in scorer.encode(Pair("t", a.template))) for a in ATTACKS if a.kind == "injection"}
    assert counts == {sum(i in special for i in scorer.encode(Pair("t", "x")))}


def test_long_inputs_keep_their_end(tmp_path: Path) -> None:
    scorer = SequenceScorer(str(folder(tmp_path, 1)), max_tokens=16)
    ids = scorer.encode(Pair("t" * 100, "abcdefghijklmnopq"))
    assert len(ids) == 16
    assert scorer.tokenizer.decode(ids).startswith("cdefg")


def test_what_cannot_be_used_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"reward model .*cannot be loaded"):
        SequenceScorer(str(tmp_path / "nothing"))
    path = str(folder(tmp_path, 3))
    with pytest.raises(ConfigError, match="has 3 classes, label is 3"):
        SequenceScorer(path, label=3)
    scorer = SequenceScorer(path)
    with torch.no_grad():
        scorer.module.score.weight.fill_(float("nan"))
    with pytest.raises(JudgeFault, match="not finite"):
        run(scorer(PAIRS[0]))
