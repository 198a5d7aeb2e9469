"""What several commands share: options from ``key=value``, environments by id, safe printing."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from agentgym.config import apply_overrides
from agentgym.faults import AgentGymError, ConfigError, DataError, MissingExtra

#: Exit statuses: it did not work out, and it cannot be done as it was asked for. A process that a signal ended leaves
#: with 128 plus the signal's number.
EXIT_FAILED, EXIT_USAGE, SIGNAL_EXIT = 1, 2, 128
#: Columns of tables that are written to a file or a pipe, where there is no terminal to ask.
PIPE_WIDTH = 160


def console(stderr: bool = False) -> Console:
    """A console on the stream as it is now (tests and pipes replace it)."""
    stream = sys.stderr if stderr else sys.stdout
    return Console(file=stream, width=None if stream.isatty() else PIPE_WIDTH, highlight=False)


def complain(error: AgentGymError) -> int:
    """Says in one line what went wrong; returns the exit status."""
    print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
    return EXIT_USAGE if isinstance(error, ConfigError | DataError | MissingExtra) else EXIT_FAILED


def safe(text: str) -> str:
    """Text of a model or a file without the control characters that a terminal would obey."""
    return "".join(c if c in "\n\t" or c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def emit_json(data: Any) -> None:
    """Writes one JSON document to standard output."""
    plain = not (sys.stdout.encoding or "utf-8").lower().startswith("utf")
    text = json.dumps(data, indent=2, ensure_ascii=plain, default=str)
    # A lone surrogate, which no encoding carries, becomes the escape that JSON has for it.
    sys.stdout.write(text.encode("utf-8", "backslashreplace").decode("utf-8") + "\n")


def table(columns: Sequence[str], rows: Iterable[Sequence[object]], right: Sequence[str] = ()) -> Table:
    """A table whose cells are taken as plain text.

    Args:
        columns: Headings.
        rows: Cells; None is shown as nothing.
        right: Headings of the columns that hold numbers.
    """
    made = Table(box=None, pad_edge=False, header_style="bold")
    for name in columns:
        made.add_column(name, justify="right" if name in right else "left", overflow="fold")
    for row in rows:
        made.add_row(*(Text("" if cell is None else safe(str(cell))) for cell in row))
    return made


def heading(out: Console, text: str) -> None:
    """A line that parts two turns."""
    out.print(f"--- {safe(text)}", style="bold cyan", markup=False)


def number(value: float | None) -> str:
    """At most four decimals, no trailing zeros; a dash where there is no value."""
    if value is None:
        return "-"
    text = f"{value:.4f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def parse_options(options: Sequence[str]) -> dict[str, Any]:
    """``key=value`` pairs, the values read as YAML.

    Raises:
        ConfigError: A pair without ``=``.
    """
    return apply_overrides({}, options)
