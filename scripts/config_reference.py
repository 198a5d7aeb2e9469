"""Writes the configuration reference in ``docs/training.md`` from the docstrings of the configuration's fields.

python scripts/config_reference.py            writes it
python scripts/config_reference.py --check    exits 1 when the file is not what would be written
"""

from __future__ import annotations

import json
import sys
import types
import typing
from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined, to_jsonable_python

from agentgym.trainers.companions import BUILT_IN, COMPANIONS
from agentgym.trainers.config import TrainConfig

PAGE = Path(__file__).resolve().parent.parent / "docs" / "training.md"
BEGIN = "<!-- configuration reference: made by scripts/config_reference.py -->"
END = "<!-- end of the configuration reference -->"


def nodes_of(annotation: object) -> tuple[list[type[BaseModel]], str]:
    """The configuration nodes an annotation names, bare or in ``Node | None`` or ``list[Node]``; the path's ending."""
    if typing.get_origin(annotation) is list and (inner := nodes_of(typing.get_args(annotation)[0])[0]):
        return inner, "[]"
    options = typing.get_args(annotation) if isinstance(annotation, types.UnionType) else (annotation,)
    return [o for o in options if isinstance(o, type) and issubclass(o, BaseModel)], ""


def type_name(annotation: object) -> str:
    """A type as a reader would write it."""
    if isinstance(annotation, types.UnionType) or typing.get_origin(annotation) is typing.Union:
        return " or ".join(type_name(a) for a in typing.get_args(annotation))
    origin, args = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Literal:
        return " or ".join(f"`{a}`" for a in args)
    if origin is not None:
        inner = ", ".join(type_name(a) for a in args if a is not Ellipsis)
        return f"{origin.__name__}[{inner}]"
    if annotation is type(None):
        return "none"
    return "any" if annotation is typing.Any else getattr(annotation, "__name__", str(annotation))


def default_of(field: FieldInfo) -> str:
    """A default as YAML would show it; empty for one that must be given."""
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if value is PydanticUndefined or value is None:
        return "none"
    return f"`{json.dumps(to_jsonable_python(value), ensure_ascii=False)}`"


def variant_of(node: type[BaseModel]) -> str:
    """What tells one of several nodes that a key can hold from the others, for its title."""
    (name,) = typing.get_args(node.model_fields["name"].annotation)
    return f", name: {name}"


def sections(model: type[BaseModel], prefix: str = "", variant: str = "") -> Iterator[str]:
    """One table a node, the root first."""
    about = " ".join((model.__doc__ or "").split("\n\n")[0].split())
    rows, inner = [], []
    for name, field in model.model_fields.items():
        meaning = " ".join((field.description or "").split()).replace("|", "\\|")
        nodes, ending = nodes_of(field.annotation)
        if nodes:
            path = f"{prefix}{name}{ending}"
            inner += [list(sections(node, f"{path}.", variant_of(node) if nodes[1:] else "")) for node in nodes]
            default = "none" if field.default is None and not field.is_required() else ""
            rows.append(f"| `{path}` | see below | {default} | {meaning} |")
        else:
            limits = ", ".join(_limits(field))
            kind = type_name(field.annotation) + (f", {limits}" if limits else "")
            rows.append(f"| `{prefix}{name}` | {kind} | {default_of(field)} | {meaning} |")
    title = f"`{prefix.rstrip('.')}`{variant}" if prefix else "The run"
    yield "\n".join([f"### {title}", "", about, "", "| key | type | default | meaning |", "|---|---|---|---|", *rows])
    for section in inner:
        yield from section


def _limits(field: FieldInfo) -> Iterator[str]:
    for item in field.metadata:
        for attribute, sign in (("ge", ">="), ("gt", ">"), ("le", "<="), ("lt", "<")):
            if (bound := getattr(item, attribute, None)) is not None:
                yield f"{sign} {bound}"
        if pattern := getattr(item, "pattern", None):
            yield f"matches `{pattern}`"


def reference() -> str:
    """The whole reference, markers included."""
    options = ((name, getattr(COMPANIONS.get(name), "Options")) for name in BUILT_IN)  # noqa: B009
    companions = (section for name, model in options for section in sections(model, f"companions.{name}."))
    return "\n\n".join([BEGIN, *sections(TrainConfig), *companions, END])


def renewed(page: str) -> str:
    """The page with its reference written anew.

    Raises:
        ValueError: The page lacks the two markers.
    """
    head, begin, rest = page.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{PAGE.name} lacks the markers of the reference")
    return head + reference() + tail


def main() -> int:
    page = PAGE.read_text(encoding="utf-8")
    fresh = renewed(page)
    if "--check" in sys.argv[1:]:
        if fresh != page:
            print(f"{PAGE} is out of date; run 'make docs'", file=sys.stderr)
            return 1
        return 0
    PAGE.write_text(fresh, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
