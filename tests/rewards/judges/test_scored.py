from __future__ import annotations

import asyncio
import math
import sys
import types
from collections.abc import Sequence

import numpy as np
import pytest
from judging import run

from agentgym.faults import ConfigError, MissingExtra
from agentgym.rewards.judges import make_judge
from agentgym.rewards.judges.models import Pair
from agentgym.rewards.judges.scored import BatchedEncoder, find_encoder
from agentgym.rewards.judges.verdict import JudgeFault, Request


def letters(texts: Sequence[str]) -> list[list[float]]:
    return [[text.lower().count(c) for c in "abcdefghijklmnopqrstuvwxyz"] for text in texts]


class Length:
    identity = "length"

    async def __call__(self, item: Pair, /) -> float:
        return float(len(item.text))


def test_a_reward_model_is_squashed() -> None:
    judge = make_judge("reward_model", Length(), center=4.0, scale=2.0)
    assert run(judge.judge(Request("t", "four"))).score == 0.5
    assert run(judge.judge(Request("t", "sixsix"))).score == pytest.approx(1 / (1 + math.exp(-1)))
    pair = run(judge.judge(Request("t", "four", "sixsix")))
    assert (pair.score, pair.label) == (pytest.approx(1 / (1 + math.exp(1))), "second")
    assert run(judge.judge(Request("t", "four", "five"))).label == "tie"


def test_similarity_is_the_best_cosine() -> None:
    judge = make_judge("similarity", BatchedEncoder(letters, "letters"))
    assert run(judge.judge(Request("t", "siraP", references=("Rome", "Paris")))).score == pytest.approx(1.0)
    assert run(judge.judge(Request("t", "xyz", references=("Paris",)))).score == 0.0
    assert run(judge.judge(Request("t", "", references=("Paris",)))).label == "empty"
    with pytest.raises(ConfigError, match="the request has none"):
        run(judge.judge(Request("t", "Paris")))


def test_opposite_directions_count_as_0() -> None:
    judge = make_judge("similarity", BatchedEncoder(lambda texts: [[1.0] if t == "up" else [-1.0] for t in texts], "x"))
    assert run(judge.judge(Request("t", "down", references=("up",)))).score == 0.0


def test_texts_are_encoded_together_and_equal_ones_once() -> None:
    calls: list[list[str]] = []

    def encoder(texts: Sequence[str]) -> list[list[float]]:
        calls.append(list(texts))
        return letters(texts)

    judge = make_judge("similarity", BatchedEncoder(encoder, "letters"))
    run(judge.judge_all([Request("t", text, references=("Paris",)) for text in ("a", "b", "c")]))
    assert [sorted(c) for c in calls] == [["Paris", "a", "b", "c"]]


def test_a_failing_encoder_is_a_fault_and_a_wrong_one_a_mistake() -> None:
    def failing(texts: Sequence[str]) -> list[list[float]]:
        raise RuntimeError("CUDA error\nmore")

    with pytest.raises(JudgeFault, match="the encoder failed: CUDA error"):
        run(BatchedEncoder(failing, "x")("a"))
    with pytest.raises(ConfigError, match="one finite vector each"):
        run(BatchedEncoder(lambda texts: np.zeros(3), "x")("a"))


def test_encoders_are_found_by_import_path_or_as_a_model(monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("some_encoders")
    module.letters = letters  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "some_encoders", module)
    assert find_encoder("some_encoders:letters") is letters
    with pytest.raises(ConfigError, match="takes no options"):
        find_encoder("some_encoders:letters", device="cpu")

    class SentenceTransformer:
        def __init__(self, name: str, device: str | None = None) -> None:
            if name == "nothing":
                raise OSError("no such model\nmore")
            self.name = name

        def encode(self, texts: list[str], show_progress_bar: bool) -> np.ndarray:
            assert not show_progress_bar
            return np.array(letters(texts))

    library = types.ModuleType("sentence_transformers")
    library.SentenceTransformer = SentenceTransformer  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "sentence_transformers", library)
    embed = find_encoder("some/model-a", device="cpu")
    assert np.asarray(embed(["ab"]))[0, :3].tolist() == [1, 1, 0]
    with pytest.raises(ConfigError, match=r"encoder 'nothing': no such model$"):
        find_encoder("nothing")
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(MissingExtra, match=r"agentgym\[search\]"):
        find_encoder("some/model-b")


def test_many_event_loops_can_use_one_encoder() -> None:
    encoder = BatchedEncoder(letters, "letters")

    async def both() -> int:
        return len(await asyncio.gather(encoder("a"), encoder("b")))

    assert run(both()) == run(both()) == 2
