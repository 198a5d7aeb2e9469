"""Tools as data sets describe them, made into actions: names that can be written, types of JSON schema.

Data sets name types in their own ways (``dict``, ``float``, ``List[int]``), and what they expect does not always keep
to what they document: an argument then takes the expected type as well, so that every row can be solved.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from agentgym.actions import THINK, ActionSpec

#: Longest name of a tool, in characters.
MAX_NAME_CHARS = 64

#: Names of types in data sets -> those of JSON schema; any other name takes anything.
TYPES = {
    **dict.fromkeys(("integer", "int", "long", "short", "byte", "Bigint"), "integer"),
    **dict.fromkeys(("float", "number", "double"), "number"),
    **dict.fromkeys(("string", "str", "char", "String"), "string"),
    **dict.fromkeys(("boolean", "bool"), "boolean"),
    **dict.fromkeys(("array", "list", "List", "tuple", "Tuple", "ArrayList", "Array", "Queue", "Stack"), "array"),
    **dict.fromkeys(("object", "dict", "Dict", "HashMap", "Hashtable"), "object"),
}
_OF_PYTHON = {str: "string", bool: "boolean", int: "integer", float: "number", list: "array", dict: "object"}


def json_schema(doc: Mapping[str, Any]) -> dict[str, Any]:
    """A documented value as a JSON schema; what cannot be read of it is left open."""
    made: dict[str, Any] = {}
    if isinstance(doc.get("description"), str):
        made["description"] = doc["description"]
    said = re.match(r"\w+", str(doc.get("type", ""))[:MAX_NAME_CHARS])  # "int, optional", "List[str]"
    kind = TYPES.get(said[0]) if said else None
    if kind is None:
        return made
    made["type"] = kind
    if isinstance(doc.get("enum"), list) and doc["enum"]:
        made["enum"] = doc["enum"]
    if kind == "array" and isinstance(doc.get("items"), Mapping):
        made["items"] = json_schema(doc["items"])
    if kind == "object" and isinstance(doc.get("properties"), Mapping):
        made["properties"] = {str(name): json_schema(part) for name, part in doc["properties"].items()}
        if isinstance(doc.get("required"), list):
            made["required"] = [name for name in doc["required"] if name in doc["properties"]]
    return made


def type_of(value: Any) -> str:
    """The type of plain data, as JSON schema names it."""
    return _OF_PYTHON.get(type(value), "null")


def fits(value: Any, kind: str | None) -> bool:
    """Whether plain data is of a type; None: any."""
    said = type_of(value)
    return kind is None or said == kind or (said, kind) == ("integer", "number")


def widened(schema: Mapping[str, Any], arguments: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """The schema of an object, changed to take some arguments that a data set expects.

    Args:
        schema: With ``properties``, each of one type or open.
        arguments: (name, value) that must be taken.
    """
    properties = dict(schema.get("properties", {}))
    for name, value in arguments:
        part = dict(properties.get(name, {}))
        kinds = part.get("type")
        listed = kinds if isinstance(kinds, list) else [kinds]
        if not any(fits(value, kind) for kind in listed):
            part["type"] = [*listed, type_of(value)]
            properties[name] = part
        if "enum" in part and value not in part["enum"]:
            properties[name] = {key: other for key, other in part.items() if key != "enum"}
        properties.setdefault(name, part)
    return {**schema, "type": "object", "properties": properties}


def make_spec(name: str, description: str, schema: Mapping[str, Any]) -> ActionSpec:
    """A tool as an action; a tag's body is its only required text argument.

    Args:
        name: As `safe_names` gives it.
        description: One line for the agent.
        schema: JSON schema of the arguments.

    Raises:
        SchemaProblem: The schema cannot be used.
        MissingExtra: The library that checks arguments is not installed.
    """
    from agentgym.clients import plain_line
    from agentgym.tools.json_schema import arguments_from, portable

    model = arguments_from(name, plain_line(description) or name, portable(schema))
    required = [n for n, field in model.model_fields.items() if field.is_required()]
    text = len(required) == 1 and model.model_fields[required[0]].annotation is str
    return ActionSpec(name, model, required[0] if text else None)


def safe_names(names: Iterable[str], taken: Iterable[str] = ()) -> dict[str, str]:
    """Every name of a tool -> one that all action formats can write, each a different one.

    Args:
        names: As the data set has them.
        taken: Names of the environment's own actions.
    """
    used = {*taken, THINK}
    made: dict[str, str] = {}
    for name in dict.fromkeys(names):
        stem = re.sub(r"[^A-Za-z0-9_-]+", "_", name)[:MAX_NAME_CHARS].lstrip("-") or "tool"
        if not re.match(r"[A-Za-z_]", stem):
            stem = f"tool_{stem}"
        made[name] = next(candidate for candidate in _numbered(stem) if candidate not in used)
        used.add(made[name])
    return made


def _numbered(stem: str) -> Iterator[str]:
    yield stem
    number = 2
    while True:
        yield f"{stem}_{number}"
        number += 1


def raw_arguments(spec: ActionSpec, args: Mapping[str, Any]) -> dict[str, Any]:
    """An action's arguments under the names that the tool gave them."""
    raw: Mapping[str, str] = getattr(spec.arguments, "agentgym_raw", {})
    return {raw.get(name, name): value for name, value in args.items()}


def action_arguments(spec: ActionSpec, raw: Mapping[str, Any]) -> dict[str, Any]:
    """A tool's arguments under the names that the action gives them."""
    names: Mapping[str, str] = getattr(spec.arguments, "agentgym_raw", {})
    safe = {original: name for name, original in names.items()}
    return {safe.get(name, name): value for name, value in raw.items()}
