"""Text-to-SQL: the right result, and partial rewards on the way to it.

Of Reasoning-SQL only the abstract is known here (execution, schema linking, n-gram similarity, syntax and a judge's
opinion, for GRPO), as of contrastive SQL rewards (embedding similarity of question and query): measures and weights
are free choices. SQL is never run here: whoever runs it hands in two result sets.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Sequence
from typing import Annotated, Protocol

from numpy.typing import ArrayLike
from pydantic import Field

from agentgym.rewards.outcome.embedding import cosine, encode, load_encoder
from agentgym.rewards.outcome.episode import part
from agentgym.rewards.outcome.registry import reward
from agentgym.rewards.outcome.sql_text import schema, tokenize, well_formed
from agentgym.rewards.table import final_answer
from agentgym.trajectory import Trajectory

#: Decimal places to which numbers of two results are compared.
DIGITS = 6
Weight = Annotated[float, Field(ge=0)]
Row = Sequence[object]


def execution_match(
    predicted: Sequence[Row] | None,
    gold: Sequence[Row],
    *,
    ordered: bool = False,
    duplicates: bool = True,
    digits: int = DIGITS,
) -> float:
    """1.0 where two results hold the same rows, else 0.0.

    Args:
        predicted: Rows that the predicted query gave; None where it failed.
        gold: Rows that the gold query gave.
        ordered: The order of rows counts (where the gold query sorts).
        duplicates: How often a row comes counts; False compares sets, as some benchmarks do. Nothing to an ordered
            comparison.
        digits: Decimal places to which numbers are compared.
    """
    if predicted is None:
        return 0.0
    said, meant = ([tuple(_cell(value, digits) for value in row) for row in rows] for rows in (predicted, gold))
    if ordered:
        return float(said == meant)
    return float(Counter(said) == Counter(meant) if duplicates else set(said) == set(meant))


def schema_linking(predicted: str, gold: str) -> float:
    """Jaccard similarity of the tables and columns that two queries name, 0..1; 0 where neither names any."""
    said, meant = (schema(tokenize(sql)).items for sql in (predicted, gold))
    return len(said & meant) / len(said | meant) if said or meant else 0.0


def ngram_similarity(predicted: str, gold: str, n: int = 2) -> float:
    """Jaccard similarity of the sets of n-grams of two queries' tokens, 0..1; a shorter query is one gram."""
    said, meant = (_grams([token.text for token in tokenize(sql)], n) for sql in (predicted, gold))
    return len(said & meant) / len(said | meant) if said or meant else 0.0


def syntax(predicted: str) -> float:
    """1.0 where a text looks like one SQL statement (`sql_text.well_formed`), else 0.0."""
    return float(well_formed(tokenize(predicted)))


def partial_rewards(
    predicted: str,
    gold: str,
    execution: float,
    judged: float = 0.0,
    *,
    execution_weight: float = 0.5,
    schema_weight: float = 0.2,
    ngram_weight: float = 0.15,
    syntax_weight: float = 0.15,
    judge_weight: float = 0.0,
    n: int = 2,
) -> float:
    """Weighted sum of execution, schema linking, n-gram similarity, syntax and a judge's opinion; 0 for no query.

    A query with the right result gets the similarities in full: it need not be written as the gold one is.

    Args:
        predicted: The predicted SQL.
        gold: The gold SQL.
        execution: 1 for the right result (`execution_match`), else 0.
        judged: A judge's opinion, 0..1.
        execution_weight: Of the right result (FREE).
        schema_weight: Of schema linking (FREE).
        ngram_weight: Of n-gram similarity (FREE).
        syntax_weight: Of the syntax (FREE).
        judge_weight: Of the judge (FREE).
        n: Order of the n-grams (FREE).
    """
    if not predicted.strip():
        return 0.0
    right = execution >= 1.0
    return (
        execution_weight * execution
        + schema_weight * (1.0 if right else schema_linking(predicted, gold))
        + ngram_weight * (1.0 if right else ngram_similarity(predicted, gold, n))
        + syntax_weight * (1.0 if right else syntax(predicted))
        + judge_weight * judged
    )


def contrastive_sql(question: ArrayLike, predicted: ArrayLike, gold: ArrayLike) -> float:
    """How near a predicted query is to the question, against the gold query, 0..1.

    Formula: 1 - clip(cos(question, gold) - cos(question, predicted), 0, 1); 1 where it is at least as near.

    Args:
        question: [d], embedding of the question.
        predicted: [d], of the predicted query.
        gold: [d], of the gold query.
    """
    return 1.0 - min(max(cosine(question, gold) - cosine(question, predicted), 0.0), 1.0)


def _cell(value: object, digits: int) -> Hashable:
    if isinstance(value, float):
        return round(value, digits) if math.isfinite(value) else str(value)  # nan would differ from itself
    return value if isinstance(value, int | str | bytes | None) else repr(value)


def _grams(tokens: Sequence[str], n: int) -> frozenset[tuple[str, ...]]:
    if not tokens:
        return frozenset()
    return frozenset(zip(*(tokens[i:] for i in range(n)), strict=False)) or frozenset({tuple(tokens)})


class HasQuery(Protocol):
    """A task whose answer is an SQL query."""

    @property
    def query(self) -> str: ...


class HasQuestionAndQuery(HasQuery, Protocol):
    """A question whose answer is an SQL query."""

    @property
    def question(self) -> str: ...


@reward(
    "sql",
    source="Reasoning-SQL: Reinforcement Learning with SQL Tailored Partial Rewards",
    arxiv="2503.23157",
    status="abstract",
    signals=lambda p: [p["execution"], *([p["judged"]] if p["judge_weight"] else [])],
)
def score_sql(
    task: HasQuery,
    trajectory: Trajectory,
    *,
    execution_weight: Weight = 0.5,
    schema_weight: Weight = 0.2,
    ngram_weight: Weight = 0.15,
    syntax_weight: Weight = 0.15,
    judge_weight: Weight = 0.0,
    n: Annotated[int, Field(ge=1)] = 2,
    execution: str = "execution",
    judged: str = "judged",
) -> float:
    """Reasoning-SQL: the right result, schema linking, n-gram similarity, syntax and a judge's opinion; 0 for no query.

    Formula: the weighted sum; a query with the right result gets the three similarities in full.

    Args:
        task: With `query`, the gold SQL.
        trajectory: The episode; its answer is the SQL.
        execution_weight: Of the right result (FREE).
        schema_weight: Of schema linking, the Jaccard similarity of tables and columns (FREE).
        ngram_weight: Of the Jaccard similarity of n-grams of tokens (FREE).
        syntax_weight: Of looking like one SQL statement (FREE).
        judge_weight: Of a judge's opinion, where there is one (FREE).
        n: Order of the n-grams (FREE).
        execution: Process part that is 1 on the last turn for the right result (`execution_match`).
        judged: Process part that holds the judge's opinion, 0..1, on the last turn.
    """
    answer = final_answer(trajectory)
    if answer is None:
        return 0.0
    return partial_rewards(
        answer,
        task.query,
        float(part(trajectory, execution)[-1]),
        float(part(trajectory, judged)[-1]),
        execution_weight=execution_weight,
        schema_weight=schema_weight,
        ngram_weight=ngram_weight,
        syntax_weight=syntax_weight,
        judge_weight=judge_weight,
        n=n,
    )


@reward("contrastive_sql", source="contrastive similarity of question and SQL", status="abstract")
def score_contrastive_sql(task: HasQuestionAndQuery, trajectory: Trajectory, *, encoder: str) -> float:
    """How near the predicted query is to the question, against the gold query, by embeddings; 0 without a query.

    Formula: 1 - clip(cos(question, gold) - cos(question, predicted), 0, 1).

    Args:
        task: With `question` and `query`, the gold SQL.
        trajectory: The episode; its answer is the SQL.
        encoder: Import path ``package.module:callable`` of what turns a list of texts into vectors.
    """
    answer = final_answer(trajectory)
    if answer is None or not answer.strip():
        return 0.0
    return contrastive_sql(*encode([task.question, answer, task.query], load_encoder(encoder)))
