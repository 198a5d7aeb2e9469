"""``agentgym show``: the episodes of a run as text, turn by turn, with signals, rewards and advantages."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

from agentgym.cli.common import console, emit_json, heading, number, safe, table
from agentgym.config import load_yaml
from agentgym.faults import ConfigError
from agentgym.store import Episode, episode_files, read_episodes

#: How much of a message is shown unless the whole is asked for, in characters.
MESSAGE_CHARS = 1200


def find_files(run: Path, update: int | None) -> list[Path]:
    """The episode files of a run's folder (or of an episodes folder, or one file).

    Raises:
        ConfigError: No such run, or no episodes of that update.
        DataError: No Parquet file there.
    """
    if not run.exists():
        raise ConfigError(f"no run {str(run)!r}; give its folder, e.g. runs/search")
    files = episode_files(run / "episodes" if (run / "episodes").is_dir() else run)
    if update is None:
        return files
    # Names are KIND-UPDATE.parquet; a file by another name is searched by its rows.
    chosen = [f for f in files if not f.stem.rpartition("-")[2].isdigit() or int(f.stem.rpartition("-")[2]) == update]
    if not chosen:
        known = sorted({int(f.stem.rpartition("-")[2]) for f in files if f.stem.rpartition("-")[2].isdigit()})
        raise ConfigError(f"{run} holds no episodes of update {update}; it has updates {known[0]} to {known[-1]}")
    return chosen


def show_run(
    run: Path,
    *,
    episode: str | None,
    update: int | None,
    limit: int,
    full: bool,
    as_json: bool,
    page: Path | None = None,
    pictures: Path | None = None,
) -> None:
    """Lists a run's episodes, or shows one.

    Args:
        run: Folder of the run, of its episodes, or one Parquet file.
        episode: An episode's id, or its number in the list; None lists.
        update: Only episodes of this update.
        limit: At most so many in the list; 0: all.
        full: Messages in full length.
        as_json: JSON instead of text.
        page: Write the episode to this file as an HTML page instead.
        pictures: Folder of the pictures that belong on it; None: where the run's environment put them, if it took any.

    Raises:
        ConfigError: No such run, update or episode; a page of no episode, or that cannot be written.
        DataError: A damaged file.
    """
    if page is not None and episode is None:
        raise ConfigError("--html needs --episode: a page shows one episode")
    found = _matching(find_files(run, update), update)
    if episode is not None:
        chosen = _pick(found, episode, run)
        if page is not None:
            _write_page(page, chosen, pictures or _recorded(run))
            console().print(f"wrote {page}")
            return
        emit_json(to_json(chosen)) if as_json else _print(chosen, full)
        return
    listed = list(islice(found, limit + 1 if limit else None))
    more = bool(limit) and len(listed) > limit
    listed = listed[:limit] if limit else listed
    if as_json:
        emit_json([{"k": k, **_headline(e)} for k, e in enumerate(listed)])
        return
    columns = ("k", "episode", "update", "split", "task", "difficulty", "turns", "tokens", "outcome", "ending")
    rows = [(k, *_headline(e).values()) for k, e in enumerate(listed)]
    out = console()
    out.print(table(columns, rows, right=("k", "update", "difficulty", "turns", "tokens", "outcome")))
    if more:
        out.print(f"... the first {limit}; --limit 0 lists all")


def _write_page(path: Path, episode: Episode, pictures: Path | None) -> None:
    from agentgym.cli.pages import episode_page

    text = episode_page(to_json(episode), pictures)
    try:
        path.write_text(text, encoding="utf-8", errors="replace")
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}") from None


def _recorded(run: Path) -> Path | None:
    """The folder of the pictures that the run's environment took, as its configuration names it."""
    config = run / "config.yaml"
    if not config.is_file():
        return None
    env = load_yaml(config).get("env")
    record = env.get("kwargs", {}).get("record") if isinstance(env, dict) else None
    return Path(record) if isinstance(record, str) else None


def _matching(files: Iterable[Path], update: int | None) -> Iterator[Episode]:
    for file in files:
        for episode in read_episodes(file):
            if update is None or episode.update == update:
                yield episode


def _pick(found: Iterable[Episode], wanted: str, run: Path) -> Episode:
    count = 0
    for count, episode in enumerate(found, 1):
        if episode.trajectory.episode_id == wanted or str(count - 1) == wanted:
            return episode
    raise ConfigError(f"no episode {wanted!r} among the {count} of {run}; 'agentgym show {run}' lists them")


def _ending(episode: Episode) -> str:
    t = episode.trajectory
    if t.fault is not None:
        return f"fault: {t.fault}"
    return "terminated" if t.terminated else "truncated" if t.truncated else "unfinished"


def _headline(episode: Episode) -> dict[str, Any]:
    t = episode.trajectory
    return {
        "episode": t.episode_id,
        "update": episode.update,
        "split": t.split,
        "task": t.task_id,
        "difficulty": t.difficulty,
        "turns": len(t.turns),
        "tokens": len(t),
        "outcome": t.outcome,
        "ending": _ending(episode),
    }


def to_json(episode: Episode) -> dict[str, Any]:
    """Everything about an episode but its tokens."""
    t = episode.trajectory
    return {
        **_headline(episode),
        "env": t.env,
        "group": t.group_id,
        "seed": t.seed,
        "final_state_key": t.final_state_key,
        "messages": t.messages,
        "turns": [
            {
                **asdict(turn),
                "signal": {"outcome": turn.signal.outcome, "process": dict(turn.signal.process)},
                "shaped_reward": None if episode.rewards is None else episode.rewards[i],
                "advantage": None if episode.advantages is None else episode.advantages[i],
            }
            for i, turn in enumerate(t.turns)
        ],
    }


def _print(episode: Episode, full: bool) -> None:
    out, t = console(), episode.trajectory
    heading(out, f"{t.env} · episode {t.episode_id} · task {t.task_id} ({t.split})")
    facts = f"difficulty {t.difficulty} · seed {t.seed} · {len(t)} tokens, {t.policy_tokens} of the policy"
    out.print(facts if episode.update is None else f"update {episode.update} · {facts}")
    shown = -1
    for message in t.messages:
        if message["turn"] > shown and message["role"] == "assistant":
            shown = message["turn"]
            heading(out, f"turn {shown + 1}")
        content = safe(message["content"])
        if not full and len(content) > MESSAGE_CHARS:
            content = content[:MESSAGE_CHARS] + f" ... ({len(content) - MESSAGE_CHARS} more characters; --full)"
        out.print(f"[{message['role']}] {content}", markup=False)
        if message["role"] == "assistant" and 0 <= message["turn"] < len(t.turns):
            out.print(_earned(episode, message["turn"]), style="bold", markup=False)
    heading(out, f"{_ending(episode)} · outcome {number(t.outcome)}")


def _earned(episode: Episode, i: int) -> str:
    turn = episode.trajectory.turns[i]
    parts = [f"{name} {number(value)}" for name, value in sorted(turn.signal.process.items())]
    if turn.signal.outcome is not None:
        parts.append(f"outcome {number(turn.signal.outcome)}")
    line = f"=> signal: {', '.join(parts) or 'nothing'} | reward {number(turn.reward)}"
    if episode.rewards is not None:
        line += f" | shaped {number(episode.rewards[i])}"
    if episode.advantages is not None:
        line += f" | advantage {number(episode.advantages[i])}"
    return line
