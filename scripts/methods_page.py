"""Writes ``docs/methods.md``, the page of every registered method, from the methods' own docstrings.

python scripts/methods_page.py            writes it
python scripts/methods_page.py --check    exits 1 when the file is not what would be written
"""

from __future__ import annotations

import inspect
import json
import re
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from agentgym.methods import KINDS, Method, catalogue

PAGE = Path(__file__).resolve().parent.parent / "docs" / "methods.md"

HEAD = """# Methods

Every reward function, judge, shaping stage, credit method and loss that a configuration can name. Made by
`scripts/methods_page.py` from the docstrings (`make docs`); `agentgym methods` prints the same as a list.
What the words mean is said in [rewards and credit](rewards-and-credit.md).

What an implementation rests on: **code**, the authors' public code; **summary**, somebody's summary of the paper;
**recalled**, general knowledge of it; **abstract**, the abstract alone; **own**, this package. FREE marks a choice that
the source leaves open.
"""

#: Kind -> its title and how a configuration names one.
TITLES = {
    "reward": ("Reward functions", "`rewards:` entry `score: {name: NAME}`"),
    "judge": ("Judges", "`rewards:` entry `judge: {name: NAME}`"),
    "shape": ("Shaping stages", "`rewards:` entry `NAME: {...}`"),
    "credit": ("Credit methods", "`credit: {name: NAME}`"),
    "loss": ("Losses", "`loss: {name: NAME}`"),
}
#: Sections of a docstring that the page shows otherwise, or that concern callers of the function alone.
LEFT_OUT = ("Args", "Returns", "Raises", "Yields")
#: Types of JSON schema by the names of Python, as the rest of the documentation has them.
TYPES = {"number": "float", "integer": "int", "boolean": "bool", "string": "str", "array": "list", "object": "mapping"}
#: What Markdown would read in plain text: a tag, emphasis next to a word, a link.
_SPECIAL = re.compile(r"<|\*(?=\S)|(?<=\S)\*|(?<!\w)_(?=\w)|(?<=\w)_(?![\w{])|(?<=\])(?=\()")
LIMITS = {"minimum": ">=", "exclusiveMinimum": ">", "maximum": "<=", "exclusiveMaximum": "<"}


def page() -> str:
    """The whole page."""
    kinds = {kind: [m for m in catalogue(kind) if _is_ours(m)] for kind in KINDS}
    parts, index, taken = [], [], Counter(["methods"])
    for kind, methods in kinds.items():
        title, how = TITLES[kind]
        parts.append(f"## {title}\n\nNamed by {how}.")
        line = f"- [{title}](#{_anchor(title, taken)}): "
        index.append(line + ", ".join(f"[{m.name}](#{_anchor(m.name, taken)})" for m in methods))
        parts += [section(method) for method in methods]
    return "\n\n".join([HEAD.rstrip(), "\n".join(index), *parts]) + "\n"


def _is_ours(method: Method[Any]) -> bool:
    """Not a plug-in that happens to be installed."""
    return str(method.function.__module__).partition(".")[0] == "agentgym"


def _anchor(title: str, taken: Counter[str]) -> str:
    """The name under which a heading is linked to; a second one of the same text gets a number."""
    anchor = re.sub(r"[^\w -]", "", title).lower().replace(" ", "-")
    taken[anchor] += 1
    return anchor if taken[anchor] == 1 else f"{anchor}-{taken[anchor] - 1}"


def section(method: Method[Any]) -> str:
    """One method: its name, source, text and parameters."""
    about = method.describe()
    paper = about["source"]
    if about["arxiv"]:
        paper += f", [arXiv {about['arxiv']}](https://arxiv.org/abs/{about['arxiv']})"
    facts = f"Source: {paper}. Rests on: {about['status']}."
    if about["needs"]:
        facts += f" Needs: {', '.join(about['needs'])}."
    if method.memory is not None:
        facts += " Remembers from batch to batch."
    parts = [f"### `{method.name}`", facts, *body(inspect.getdoc(method.function) or "")]
    if about["parameters"]:
        parts.append(parameters(about["parameters"]))
    return "\n\n".join(parts)


def body(docstring: str) -> Iterator[str]:
    """A docstring's paragraphs without the sections about arguments and results, safe as Markdown."""
    skipping = False
    for paragraph in re.split(r"\n\s*\n", docstring.strip()):
        if heading := re.match(r"(\w+):\n", paragraph + "\n"):
            skipping = heading[1] in LEFT_OUT
        elif not paragraph.startswith(" "):
            skipping = False
        if not skipping:
            yield _markdown(paragraph)


def parameters(found: Mapping[str, Mapping[str, Any]]) -> str:
    """The table of a method's parameters."""
    rows = ["| parameter | type | default | meaning |", "|---|---|---|---|"]
    for name, schema in found.items():
        meaning = _cell(_markdown(schema.get("description") or ""))
        rows.append(f"| `{name}` | {_cell(_type(schema))} | {_default(schema)} | {meaning} |")
    return "\n".join(rows)


def _default(schema: Mapping[str, Any]) -> str:
    if "default" not in schema:
        return "required"
    return "none" if schema["default"] is None else _cell(f"`{json.dumps(schema['default'], ensure_ascii=False)}`")


def _type(schema: Mapping[str, Any]) -> str:
    if "enum" in schema:
        return " or ".join(f"`{value}`" for value in schema["enum"])
    if "const" in schema:
        return f"`{schema['const']}`"
    if options := schema.get("anyOf") or schema.get("oneOf"):
        return " or ".join(_type(option) for option in options)
    if "$ref" in schema:
        return "mapping"
    kind = schema.get("type")
    name = "none" if kind == "null" else TYPES.get(str(kind), "any")
    if isinstance(items := schema.get("items"), dict):
        name += f"[{_type(items)}]"
    limits = [f"{sign} {schema[key]}" for key, sign in LIMITS.items() if key in schema]
    return ", ".join([name, *limits])


def _markdown(text: str) -> str:
    """Docstring text as Markdown: what stands outside of code is taken as it is written."""
    pieces = re.split(r"(`+[^`]*`+)", text)
    return "".join(p if i % 2 else _SPECIAL.sub(r"\\\g<0>", p) for i, p in enumerate(pieces))


def _cell(text: str) -> str:
    return " ".join(re.sub(r"(?<!\\)\|", r"\\|", text).split())


def main() -> int:
    fresh = page()
    if "--check" in sys.argv[1:]:
        if not PAGE.is_file() or fresh != PAGE.read_text(encoding="utf-8"):
            print(f"{PAGE} is out of date; run 'make docs'", file=sys.stderr)
            return 1
        return 0
    PAGE.write_text(fresh, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
