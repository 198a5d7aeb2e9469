"""Methods: parameters read from signatures, listing, plug-ins."""

from __future__ import annotations

import json
import sys
import types
from importlib.metadata import EntryPoint
from typing import Annotated, Any, Literal

import pytest
from pydantic import Field

import agentgym.registry
from agentgym.config import Config
from agentgym.faults import ConfigError
from agentgym.methods import KINDS, Methods, catalogue


def make() -> Methods[Any]:
    methods: Methods[Any] = Methods("credit", "credit method", "agentgym.credit")

    @methods.register("half", source="A Paper", arxiv="2501.00001", status="code")
    def half(
        table: list[float], *, share: Annotated[float, Field(ge=0)] = 0.5, mode: Literal["a", "b"] = "a"
    ) -> list[float]:
        """Takes a share of everything.

        Args:
            table: Numbers.
            share: Which share,
                said on two lines.
            mode: Not used.

        Returns:
            Numbers.
        """
        return [share * v for v in table]

    return methods


def test_parameters_are_read_from_the_signature() -> None:
    method, parameters = make().select({"name": "half", "share": 0.25}, "credit")
    assert dict(parameters) == {"share": 0.25, "mode": "a"}
    assert method.bind(parameters)([4.0]) == [1.0]
    assert method.describe() == {
        "name": "half",
        "kind": "credit",
        "summary": "Takes a share of everything.",
        "source": "A Paper",
        "arxiv": "2501.00001",
        "status": "code",
        "needs": [],
        "parameters": {
            "share": {
                "default": 0.5,
                "description": "Which share, said on two lines.",
                "minimum": 0,
                "type": "number",
            },
            "mode": {"default": "a", "description": "Not used.", "enum": ["a", "b"], "type": "string"},
        },
    }


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({}, "credit: needs a name; known: half"),
        ({"name": 3}, "credit: needs a name"),
        ({"name": "halv"}, r"credit\.name: no credit method 'halv'; did you mean 'half'"),
        ({"name": "half", "shar": 1}, r"credit \(half\): unknown key 'shar'; did you mean 'share'"),
        ({"name": "half", "share": -1}, r"credit \(half\): share: .*greater than or equal to 0, got -1"),
        ({"name": "os:sep"}, "is not a function but a str"),
        ({"name": "os:environ"}, "is not a function"),
    ],
)
def test_mistakes_are_named(config: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make().select(config, "credit")


def test_a_name_can_be_given_once_and_common_parameters_are_kept_apart() -> None:
    class Common(Config):
        scale: float = 1.0

    methods: Methods[Any] = Methods("loss", "loss", "agentgym.losses", Common)

    @methods.register("f", source="", status="own")
    def f(x: float, *, power: float = 2.0) -> float:
        return float(x**power)

    method, parameters = methods.select({"name": "f", "scale": 3.0}, "loss")
    assert dict(parameters) == {"scale": 3.0, "power": 2.0}
    assert method.bind(parameters)(3.0) == 9.0
    with pytest.raises(ConfigError, match="registered already"):
        methods.register("f", source="", status="own")(lambda x: x)
    with pytest.raises(ConfigError, match="'scale' is one that every method of the kind has"):

        @methods.register("g", source="", status="own")
        def g(x: float, *, scale: float = 2.0) -> float:
            return x


def test_any_further_keys_are_checked_by_their_type() -> None:
    methods: Methods[Any] = Methods("shape", "shaping stage", "agentgym.shaping")

    @methods.register("f", source="", status="own")
    def f(x: float, **weights: float) -> dict[str, float]:
        return weights

    method = methods.get("f")
    assert method.bind(method.check({"a": 1, "b": 2.5}, "here"))(0) == {"a": 1.0, "b": 2.5}
    assert method.describe()["parameters"] == {"<name>": {"type": "number"}}
    with pytest.raises(ConfigError, match=r"here: a: .*number"):
        method.check({"a": "x"}, "here")


def test_plug_ins_are_found_by_entry_point_registered_or_not(monkeypatch: pytest.MonkeyPatch) -> None:
    methods = make()
    module: Any = types.ModuleType("some_plugin")

    def plain(table: list[float], *, power: float = 2.0) -> list[float]:
        """Raises to a power."""
        return [v**power for v in table]

    module.plain = plain
    module.named = methods.register("named", source="B", status="abstract")(lambda table: table)
    monkeypatch.setitem(sys.modules, "some_plugin", module)
    points = [EntryPoint(n, f"some_plugin:{a}", "agentgym.credit") for n, a in (("plain", "plain"), ("alias", "named"))]

    def entry_points(group: str, name: str | None = None) -> list[EntryPoint]:
        return [p for p in points if p.group == group and name in (None, p.name)]

    monkeypatch.setattr(agentgym.registry, "entry_points", entry_points)
    assert methods.names() == ["alias", "half", "named", "plain"]
    assert methods.get("plain").summary == "Raises to a power."
    assert methods.get("plain") is methods.get("plain")
    assert methods.get("alias") is methods.get("named")
    method, parameters = methods.select({"name": "some_plugin:plain", "power": 3}, "credit")
    assert method.bind(parameters)([2.0]) == [8.0]


def test_the_catalogue_lists_every_kind_with_its_source() -> None:
    found = catalogue()
    assert {m.kind for m in found} == set(KINDS)
    names = {m.name for m in found}
    credit = {"grpo", "dr_grpo", "rloo", "mt_grpo", "gigpo", "return_to_go", "step_grpo"}
    assert {"weigh", "gate", "clipped"} | credit <= names
    for method in found:
        about = method.describe()
        json.dumps(about)
        assert about["summary"].endswith("."), about["name"]
        assert about["source"], about["name"]
        assert all(p.get("description") or k == "<name>" for k, p in about["parameters"].items()), about["name"]
    assert {m.kind for m in catalogue("credit")} == {"credit"}
    with pytest.raises(ConfigError, match="did you mean 'credit'"):
        catalogue("credits")
