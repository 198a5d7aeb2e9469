"""What the training loop knows of a run, as a source of `agentgym.trainers.status.StatusBoard`."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agentgym.trainers.run import Run


def run_facts(run: Run) -> dict[str, Any]:
    """Facts by the fields of `RunStatus`; quick, and read from another thread than the run's."""
    progress, clock, warm, streaming = run.progress, run.clock, run.parts.warm_start, run.streaming
    facts: dict[str, Any] = {
        "phase": clock.phase,
        "seconds": {phase: round(s, 3) for phase, s in clock.running().items()},
        "wall_s": round(run.wall_s, 1),
        "update": progress.update,
        "updates": run.config.updates,
        "episodes": {"done": progress.episodes},
        "tokens": {"learner": progress.tokens},
        "faults": run.journal.faults,
        "metrics": {name: round(float(value), 6) for name, value in run.row.items()},
    }
    if warm is not None:
        facts["warm_start"] = {"done": progress.warm_steps, "of": warm.steps}
    if run.evaluations:
        facts["evaluation"] = run.evaluations[-1].to_json()
    if streaming is not None:
        book = streaming.book
        facts["groups"] = {"finished": streaming.stream.waiting()}
        facts["staleness"] = {
            "versions": Counter(streaming.ages),
            "dropped": book.dropped,
            "corrected": book.corrected,
        }
    return facts
