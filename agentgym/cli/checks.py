"""``agentgym validate``: prints what `agentgym.validate.validate` finds."""

from __future__ import annotations

from collections.abc import Sequence

from agentgym.cli.common import console, emit_json, number, parse_options, safe, table
from agentgym.making import make_env
from agentgym.task import Split
from agentgym.validate import validate


def run_validation(
    env_id: str, options: Sequence[str], *, splits: Sequence[Split], limit: int | None, seed: int, as_json: bool
) -> bool:
    """Validates and prints.

    Args:
        env_id: The environment.
        options: Its keyword arguments, ``key=value`` each.
        splits: Which of its splits.
        limit: At most so many tasks a split; None: all.
        seed: Of the sample and of the episodes.
        as_json: Print the report as JSON.

    Returns:
        Whether every check passed.

    Raises:
        ConfigError: No such environment.
    """
    report = validate(make_env(env_id, parse_options(options)), splits, limit=limit, seed=seed)
    if as_json:
        emit_json({"id": env_id, **report.to_json()})
        return report.ok
    out = console()
    rows = [(split, report.checked[split], report.total[split]) for split in report.checked]
    out.print(table(("split", "tasks checked", "of"), rows, right=("tasks checked", "of")))
    for failure in report.failures:
        out.print(safe(str(failure)), markup=False)
    if report.ok:
        out.print(f"ok: the expert solves every task, in {number(round(report.expert_turns, 2))} turns on average")
    else:
        tasks = len({(f.split, f.task_id) for f in report.failures})
        out.print(f"{len(report.failures)} failures on {tasks} tasks")
    return report.ok
