"""Schemas that strangers wrote: made portable, and arguments checked against them."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from agentgym.actions import PARSERS, ActionSpec
from agentgym.clients import MAX_LINE_CHARS, plain_line
from agentgym.tools.json_schema import SchemaArguments, SchemaProblem, arguments_from, portable

ORDER: dict[str, Any] = {
    "type": "object",
    "title": "order",
    "$schema": "http://json-schema.org/draft-07/schema#",
    "properties": {
        "item": {"type": "string", "description": "What\nto\x00 buy."},
        "count": {"type": "integer", "minimum": 1, "default": 1},
        "size": {"enum": ["S", "M"]},
        "ship-to": {"allOf": [{"$ref": "#/definitions/Place"}], "description": "Where."},
        "note": {"type": ["string", "null"]},
        "pay": {"oneOf": [{"type": "string"}, {"type": "object", "required": ["card"]}]},
        "$filter": {"type": "string"},
        "model_dump": {"type": "array", "items": {"type": "number"}},
    },
    "required": ["item"],
    "definitions": {
        "Place": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "near": {"$ref": "#/definitions/Place"}},
            "required": ["city"],
        }
    },
}


def model(schema: Any) -> type[SchemaArguments]:
    return arguments_from("order", "Orders.", portable(schema))


def problem(arguments: Any, schema: Any = ORDER) -> str:
    with pytest.raises(ValidationError) as caught:
        model(schema).model_validate(arguments)
    return str(caught.value.errors()[0]["msg"])


def test_what_the_agent_is_shown() -> None:
    shown = model(ORDER).model_json_schema()
    assert shown["properties"]["item"]["description"] == "What to buy."
    assert shown["properties"]["ship-to"] == {"$ref": "#/$defs/Place", "description": "Where."}
    assert shown["properties"]["note"] == {"anyOf": [{"type": "string"}, {"type": "null"}]}
    assert shown["$defs"]["Place"]["properties"]["near"] == {"$ref": "#/$defs/Place"}
    assert shown["additionalProperties"] is False
    assert "title" not in shown
    assert list(shown["properties"])[-2:] == ["filter", "model_dump_"]


def test_arguments_are_kept_as_they_were_given() -> None:
    given_ = {"item": "hat", "note": None, "filter": "x", "ship-to": {"city": "Ulm", "near": {"city": "Bonn"}}}
    checked = model(ORDER).model_validate(given_)
    assert checked.model_dump(mode="json") == given_
    assert checked.raw() == {**{k: v for k, v in given_.items() if k != "filter"}, "$filter": "x"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "item: Field required"),
        ({"item": 3}, "item: must be string"),
        ({"item": "a", "count": 0}, "count: does not meet minimum 1"),
        ({"item": "a", "count": True}, "count: must be integer"),
        ({"item": "a", "size": "L"}, 'size: must be one of "S", "M"'),
        ({"item": "a", "cuont": 3}, "cuont: unknown argument; did you mean 'count'?"),
        ({"item": "a", "ship-to": {"near": {}}}, "ship-to"),
        ({"item": "a", "pay": 3}, "pay: "),
        ({"item": "a", "filter": 3}, "filter: must be string"),
        ({"item": "a", "model_dump_": [1, "x"]}, "model_dump_.1: must be number"),
        (3, "the arguments must be a JSON object"),
    ],
)
def test_what_is_wrong_is_named_without_being_quoted(arguments: Any, message: str) -> None:
    assert problem(arguments).startswith(message)


def test_nested_requirements_are_named_by_their_path() -> None:
    schema = {"properties": {"a": {"properties": {"b": {"type": "array", "items": {"required": ["c"]}}}}}}
    assert problem({"a": {"b": [{"c": 1}, {}]}}, schema) == "a.b.1.c: Field required"


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.sampled_from(list(ORDER["properties"])), inner),
    )
)
def test_any_arguments_are_checked_without_another_error(arguments: Any) -> None:
    try:
        checked = MODEL.model_validate(arguments)
    except ValidationError:
        return
    assert checked.model_dump(mode="json") == arguments


MODEL = model(ORDER)


@pytest.mark.parametrize("name", ["tags", "xml", "hermes", "json"])
def test_every_action_format_reads_it(name: str) -> None:
    parser = PARSERS.get(name)([ActionSpec("order", MODEL, "item" if name in ("tags", "xml") else None)])
    texts = {
        "tags": '<order count="2" filter="x">hat</order>',
        "xml": "<order> <count> 2 </count> <filter> x </filter> hat </order>",
        "hermes": '<tool_call>{"name": "order", "arguments": {"count": 2, "filter": "x", "item": "hat"}}</tool_call>',
        "json": '{"name": "order", "parameters": {"count": 2, "filter": "x", "item": "hat"}}',
    }
    turn = parser.parse(texts[name])
    assert turn.error is None
    assert turn.actions[0].args == {"count": 2, "filter": "x", "item": "hat"}
    assert MODEL.model_validate(turn.actions[0].args).raw() == {"count": 2, "$filter": "x", "item": "hat"}


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        ({"properties": {"a": {"$ref": "http://example.org/x.json"}}}, "refers to 'http://example.org/x.json'"),
        ({"properties": {"a": {"$ref": "file:///etc/passwd"}}}, "which is not a part of it"),
        ({"properties": {"a": {"$ref": "#/definitions/B"}}}, "which does not exist"),
        ({"properties": {"a": {"$ref": "#/$defs/B"}}, "$defs": {"B": {"$ref": "#/$defs/B"}}}, "in a circle"),
        (
            {
                "properties": {"a": {"$ref": "#/$defs/B"}},
                "$defs": {"B": {"$ref": "#/$defs/C"}, "C": {"$ref": "#/$defs/B"}},
            },
            "in a circle",
        ),
        ({"type": "array"}, "the arguments are not an object"),
        ({"properties": {"a": {"type": "nothing"}}}, "not a JSON schema: properties/a"),
        ({"properties": {"a": {"$dynamicRef": "#x"}}}, "dynamic references"),
        ({"properties": {"a": {"description": "x", "enum": ["y" * 40_000]}}}, "larger than"),
        ([], "not a JSON schema"),
        ({"properties": {"a": {"const": float("nan")}}}, "not plain JSON"),
    ],
)
def test_schemas_that_cannot_be_used(schema: Any, message: str) -> None:
    with pytest.raises(SchemaProblem, match=message):
        portable(schema)


def test_deep_and_wide_schemas_are_refused() -> None:
    deep: dict[str, Any] = {"type": "object"}
    for _ in range(500):
        deep = {"type": "object", "properties": {"a": deep}}
    with pytest.raises(SchemaProblem, match="nested too deeply"):
        portable(deep)
    wide: dict[str, Any] = {"properties": {"a": {"anyOf": [True] * 40_000}}}
    with pytest.raises(SchemaProblem, match="too deeply or too large"):
        portable(wide)


def test_a_schema_that_makes_checking_endless_ends() -> None:
    levels = {f"a{i}": {"allOf": [{"$ref": f"#/$defs/a{i + 1}"}, {"$ref": f"#/$defs/a{i + 1}"}]} for i in range(15)}
    bomb = {"properties": {"x": {"$ref": "#/$defs/a0"}}, "$defs": {**levels, "a15": {"type": "integer"}}}
    slow = {"properties": {"x": {"type": "string", "pattern": "(a+)+$"}}}
    began = time.perf_counter()
    assert problem({"x": 1}, bomb) == "the arguments are nested too deeply or too long"
    model(slow).model_validate({"x": "a" * 50 + "!"})  # the server's to check
    assert time.perf_counter() - began < 5


def test_deeply_nested_arguments_are_answered() -> None:
    schema = {"properties": {"x": {"$ref": "#/$defs/T"}}, "$defs": {"T": {"properties": {"x": {"$ref": "#/$defs/T"}}}}}
    value: dict[str, Any] = {}
    for _ in range(3_000):
        value = {"x": value}
    assert problem(value, schema) == "the arguments are nested too deeply or too long"


def test_arguments_beyond_the_schema_are_kept_where_it_allows_them() -> None:
    free = model({"properties": {"a": {"type": "integer"}}, "additionalProperties": {"type": "string"}})
    assert free.model_validate({"a": 1, "b": "x"}).raw() == {"a": 1, "b": "x"}
    assert problem({"b": 2}, {"additionalProperties": {"type": "string"}}) == "b: must be string"
    patterned = model({"patternProperties": {"^x": {}}, "additionalProperties": False})
    assert patterned.model_validate({"x1": 1}).raw() == {"x1": 1}


def test_what_is_required_but_not_described_can_be_given() -> None:
    assert model({"required": ["a"]}).model_validate({"a": [1]}).raw() == {"a": [1]}


def test_references_lead_into_the_document_they_came_from() -> None:
    document = {"components": {"schemas": {"a/b c": {"type": "integer"}, "list": [{"type": "string"}]}}}
    schema = {
        "properties": {
            "a": {"$ref": "#/components/schemas/a~1b%20c"},
            "b": {"$ref": "#/components/schemas/list/0"},
        }
    }
    made = portable(schema, document)
    assert made["properties"] == {"a": {"$ref": "#/$defs/a_1b_20c"}, "b": {"$ref": "#/$defs/0"}}
    assert made["$defs"] == {"a_1b_20c": {"type": "integer"}, "0": {"type": "string"}}


def test_a_schema_can_refer_to_itself_as_a_whole() -> None:
    schema = {"properties": {"next": {"$ref": "#"}, "value": {"type": "integer"}}, "additionalProperties": False}
    assert problem({"next": {"next": {"value": "x"}}}, schema) == "next.next.value: must be integer"


@given(st.text())
def test_texts_become_one_short_printable_line(text: str) -> None:
    line = plain_line(text * 300)
    assert len(line) <= MAX_LINE_CHARS
    assert "\n" not in line
    assert line.isprintable()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["type", "properties", "$ref", "items", "anyOf", "allOf", "enum", "required", "not", "a", "$defs"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(JSON)
def test_any_schema_is_used_or_refused(schema: Any) -> None:
    try:
        made = portable(schema)
    except SchemaProblem:
        return
    json.dumps(made)
    checked = arguments_from("t", "d", made)
    for arguments in ({}, {"a": 1}, {"a": {"a": "x"}}):
        with suppress(ValidationError):
            assert checked.model_validate(arguments).raw() == arguments
