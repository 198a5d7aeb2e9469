"""Arguments of tools that come with a JSON schema instead of a Python function: MCP servers, OpenAPI files.

A stranger wrote the schema, so it is made portable first (`portable`): self-contained, of known keywords and bounded
size, its texts one line each. Then it becomes a pydantic model (`arguments_from`), since that is what an action has.
Checking arguments takes a bounded number of steps. What a schema could make endless (patterns, unique items), and that
exactly one of several forms fits, is left for the server to check.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, cast
from urllib.parse import unquote

from pydantic import BaseModel, ConfigDict, create_model, model_serializer, model_validator
from pydantic_core import PydanticCustomError

from agentgym.clients import plain_line
from agentgym.faults import MissingExtra, did_you_mean

#: Largest schema of one tool, in characters of JSON; a policy has to read it.
MAX_SCHEMA_CHARS = 32_768
#: Deepest nesting of a schema.
MAX_DEPTH = 32
#: Keyword checks that one validation may take.
MAX_STEPS = 50_000
#: Allowed values that an error message lists.
MAX_LISTED = 10

_ONE = ("items", "additionalProperties", "not", "if", "then", "else", "contains", "propertyNames")
_MANY = ("anyOf", "allOf", "prefixItems")
_NAMED = ("properties", "dependentSchemas")
_PLAIN = (
    *("type", "enum", "const", "default", "format", "pattern", "required", "dependentRequired", "minimum", "maximum"),
    *("exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minLength", "maxLength", "minItems", "maxItems"),
    *("minProperties", "maxProperties", "minContains", "maxContains"),
)


class SchemaProblem(ValueError):
    """Why a schema cannot be used, in one line."""


def portable(schema: Any, document: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """A self-contained copy of a schema, without what an agent has no use for.

    Args:
        schema: As it was received.
        document: What its local references (``#/...``) point into; by default itself.

    Returns:
        Schema of an object; every reference leads to ``$defs``.

    Raises:
        SchemaProblem: A reference that leads elsewhere, too large, too deep, or not the schema of an object.
    """
    found = _Walk(schema if document is None else document)
    top = found.copy(schema, 0)
    if "$ref" in top:
        top = dict(found.definitions[top["$ref"].rpartition("/")[2]])
    if top.setdefault("type", "object") != "object":
        raise SchemaProblem("the arguments are not an object")
    properties = top.setdefault("properties", {})
    for name in names if isinstance(names := top.get("required"), list) else ():
        properties.setdefault(str(name), {})
    if not any(key in top for key in ("anyOf", "oneOf", "allOf", "if", "dependentSchemas")) and not found.patterns:
        top.setdefault("additionalProperties", False)  # so that a misspelt argument is not passed over
    if found.definitions:
        top["$defs"] = found.definitions
    try:
        size = len(json.dumps(top, allow_nan=False))
    except (ValueError, TypeError, RecursionError):
        raise SchemaProblem("its schema is not plain JSON") from None
    if size > MAX_SCHEMA_CHARS:
        raise SchemaProblem(f"its schema is larger than {MAX_SCHEMA_CHARS} characters")
    _check_form(top)
    return top


class _Walk:
    """Copies a schema and gathers what it refers to."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self.document = document
        self.definitions: dict[str, Any] = {}
        self.patterns = False
        self._names: dict[str, str] = {}
        self._nodes = 0

    def copy(self, schema: Any, depth: int) -> dict[str, Any]:
        self._nodes += 1
        if depth > MAX_DEPTH or self._nodes > MAX_SCHEMA_CHARS:
            raise SchemaProblem("its schema is nested too deeply or too large")
        if isinstance(schema, bool):
            return {} if schema else {"not": {}}
        if not isinstance(schema, Mapping):
            raise SchemaProblem("its schema is not a JSON schema")
        if "$dynamicRef" in schema or "$recursiveRef" in schema:
            raise SchemaProblem("its schema has dynamic references")
        made: dict[str, Any] = {}
        if "description" in schema:
            made["description"] = plain_line(schema["description"])
        if "$ref" in schema:
            return {"$ref": f"#/$defs/{self._definition(schema['$ref'], depth)}", **made}
        if isinstance(alone := schema.get("allOf"), list) and len(alone) == 1 and not set(_PLAIN) & set(schema):
            return {**self.copy(alone[0], depth + 1), **made}  # as older generators describe a reference
        made |= {key: schema[key] for key in _PLAIN if key in schema}
        if isinstance(schema.get("oneOf"), list) and "anyOf" not in schema:
            schema = {**schema, "anyOf": schema["oneOf"]}
        if isinstance(types := made.get("type"), list) and "anyOf" not in schema:
            del made["type"]
            made["anyOf"] = [{"type": one} for one in types]
        for key in _ONE:
            if key in schema and not isinstance(schema[key], list):
                made[key] = self.copy(schema[key], depth + 1) if not isinstance(schema[key], bool) else schema[key]
        for key in _MANY:
            if isinstance(schema.get(key), list):
                made[key] = [self.copy(one, depth + 1) for one in schema[key]]
        if isinstance(schema.get("items"), list):  # as drafts before 2020-12 write it
            made["prefixItems"] = [self.copy(one, depth + 1) for one in schema["items"]]
        for key in _NAMED:
            if isinstance(schema.get(key), Mapping):
                made[key] = {str(name): self.copy(one, depth + 1) for name, one in schema[key].items()}
        if "patternProperties" in schema:
            self.patterns = True
            made.pop("additionalProperties", None)
        return made

    def _definition(self, reference: Any, depth: int) -> str:
        """Name of the definition that holds what a reference leads to."""
        if not isinstance(reference, str) or not (reference == "#" or reference.startswith("#/")):
            raise SchemaProblem(f"its schema refers to {plain_line(reference, 80)!r}, which is not a part of it")
        if reference not in self._names:
            target: Any = self.document
            for part in reference[1:].split("/")[1:]:
                key = unquote(part).replace("~1", "/").replace("~0", "~")
                if isinstance(target, list) and key.isdecimal() and int(key) < len(target):
                    target = target[int(key)]
                elif isinstance(target, Mapping) and key in target:
                    target = target[key]
                else:
                    raise SchemaProblem(f"its schema refers to {plain_line(reference, 80)!r}, which does not exist")
            stem = re.sub(r"\W", "_", reference.rpartition("/")[2], flags=re.ASCII)[:40] or "Self"
            taken = set(self._names.values())
            name = next(n for n in numbered(stem) if n not in taken)
            self._names[reference] = name
            self.definitions[name] = {}
            self.definitions[name].update(self.copy(target, depth + 1))
            if self._circle(name):
                raise SchemaProblem("its schema refers to itself in a circle")
        return self._names[reference]

    def _circle(self, name: str) -> bool:
        seen = {name}
        while "$ref" in self.definitions[name]:
            name = self.definitions[name]["$ref"].rpartition("/")[2]
            if name in seen:
                return True
            seen.add(name)
        return False


def numbered(stem: str) -> Iterator[str]:
    """The name itself, then ``name_2``, ``name_3``, ..."""
    yield stem
    number = 2
    while True:
        yield f"{stem}_{number}"
        number += 1


class SchemaArguments(BaseModel):
    """Base of the models made from JSON schemas: checked by the schema, kept as they were given."""

    model_config = ConfigDict(extra="allow", protected_namespaces=())
    agentgym_schema: ClassVar[dict[str, Any]]
    agentgym_raw: ClassVar[dict[str, str]]
    agentgym_checker: ClassVar[Any]

    @model_validator(mode="before")
    @classmethod
    def _by_schema(cls, given: Any) -> Any:
        if not isinstance(given, Mapping):
            raise PydanticCustomError("schema", "the arguments must be a JSON object")
        raw = {cls.agentgym_raw.get(str(name), str(name)): value for name, value in given.items()}
        if (why := _problem(cls, raw)) is not None:
            raise PydanticCustomError("schema", "{why}", {"why": why})
        return given

    @model_serializer(mode="plain")
    def _given(self) -> dict[str, Any]:
        fields = {name: getattr(self, name) for name in type(self).model_fields if name in self.model_fields_set}
        return {**fields, **(self.model_extra or {})}

    @classmethod
    def model_json_schema(cls, *args: Any, **kwargs: Any) -> dict[str, Any]:
        return cast(dict[str, Any], json.loads(json.dumps(cls.agentgym_schema)))

    def raw(self) -> dict[str, Any]:
        """The arguments under the names that the schema gave them."""
        return {self.agentgym_raw.get(name, name): value for name, value in self._given().items()}


def arguments_from(name: str, description: str, schema: Mapping[str, Any]) -> type[SchemaArguments]:
    """A model of the arguments that a portable schema describes.

    An argument whose name no text format could write gets another one for the agent; `SchemaArguments.raw` undoes it.

    Args:
        name: Of the tool.
        description: What the agent is told of it.
        schema: As `portable` gives it.
    """
    required = set(schema.get("required", ()))
    safe: dict[str, str] = {}
    fields: dict[str, Any] = {}
    for raw, part in schema["properties"].items():
        safe[raw] = next(n for n in numbered(_field_name(raw)) if n not in fields)
        text = part.get("type") == "string" and raw in required
        fields[safe[raw]] = (str if text else Any, ... if raw in required else None)
    shown = dict(schema)
    shown["properties"] = {safe[raw]: part for raw, part in schema["properties"].items()}
    if required:
        shown["required"] = [safe.get(raw, raw) for raw in schema["required"]]
    model = create_model(name, __base__=SchemaArguments, __doc__=description, **fields)
    model.agentgym_schema = shown
    model.agentgym_raw = {field: raw for raw, field in safe.items() if raw != field}
    model.agentgym_checker = _checker(schema)
    return model


def _field_name(raw: str) -> str:
    """A name that every action format can write and no attribute of a model has."""
    name = re.sub(r"[^A-Za-z0-9_-]", "_", raw)[:64].lstrip("_-")
    if not name or not name[0].isalpha():
        name = f"arg_{name}"
    return f"{name}_" if hasattr(SchemaArguments, name) else name


class _TooMuch(Exception):
    """A validation has used its steps up."""


def _check_form(schema: Mapping[str, Any]) -> None:
    """Refuses what is not a JSON schema."""
    library = _jsonschema()
    try:
        library.Draft202012Validator.check_schema(schema)
    except library.SchemaError as problem:
        where = "/".join(map(str, problem.absolute_path))
        raise SchemaProblem(f"its schema is not a JSON schema: {plain_line(where, 80)}") from None
    except RecursionError:
        raise SchemaProblem("its schema is nested too deeply") from None


def _checker(schema: Mapping[str, Any]) -> Any:
    """A validator of bounded effort that fetches nothing."""
    import referencing

    library = _jsonschema()
    steps = threading.local()

    def counted(check: Any) -> Any:
        def counting(*call: Any) -> Iterator[Any]:
            steps.taken += 1
            if steps.taken > MAX_STEPS:
                raise _TooMuch
            yield from check(*call) or ()

        return counting

    left_out = ("pattern", "patternProperties", "uniqueItems", "format")
    keywords = {k: counted(c) for k, c in library.Draft202012Validator.VALIDATORS.items() if k not in left_out}
    draft = library.Draft202012Validator
    cls = library.validators.create(draft.META_SCHEMA, keywords, type_checker=draft.TYPE_CHECKER)
    validator = cls(schema, registry=referencing.Registry())

    def problems(instance: Any) -> Any:
        steps.taken = 0
        return library.exceptions.best_match(validator.iter_errors(instance))

    return problems


def _jsonschema() -> Any:
    try:
        import jsonschema
    except ImportError as error:
        raise MissingExtra("jsonschema", "tools") from error
    return jsonschema


def _problem(model: type[SchemaArguments], raw: dict[str, Any]) -> str | None:
    """What is wrong with arguments, without quoting them; None when nothing is."""
    try:
        error = model.agentgym_checker(raw)
    except (RecursionError, _TooMuch):
        return "the arguments are nested too deeply or too long"
    if error is None:
        return None
    safe = {raw_name: name for name, raw_name in model.agentgym_raw.items()}
    path = [safe.get(part, part) if i == 0 else part for i, part in enumerate(error.absolute_path)]
    rule, value = error.validator, error.validator_value
    if rule == "required":
        missing = next(name for name in value if name not in error.instance)
        return f"{_joined([*path, safe.get(missing, missing) if not path else missing])}: Field required"
    if rule == "additionalProperties" and isinstance(error.instance, Mapping):
        known = error.schema.get("properties", {})
        extra = next((str(name) for name in error.instance if name not in known), "")
        near = did_you_mean(extra[:80], [safe.get(k, k) if not path else k for k in known])
        return f"{_joined([*path, extra[:40]])}: unknown argument; {near}"
    if rule in ("enum", "const"):
        values = (value if rule == "enum" else [value])[:MAX_LISTED]
        what = f"must be one of {', '.join(json.dumps(v) for v in values)}"
    elif rule == "type":
        what = f"must be {value}"
    elif isinstance(value, int | float | str):
        what = f"does not meet {rule} {value}"
    else:
        what = f"does not meet {rule}"
    return f"{_joined(path)}: {what}" if path else what


def _joined(path: list[Any]) -> str:
    return ".".join(str(part) for part in path)
