from __future__ import annotations

import json

import gymnasium
import pytest

from agentgym.cli import listing
from agentgym.cli.listing import describe_env
from agentgym.methods import KINDS


def test_environments_say_what_they_are(run):
    [search] = [e for e in json.loads(run("envs", "--json").stdout) if e["id"] == "agentgym/Search-v0"]
    assert "search" in search["actions"]
    assert "evidence" in search["signals"]
    assert search["about"].endswith(".")
    text = run("envs").stdout
    assert "agentgym/Search-v0" in text
    assert "actions: search, judge, answer; forkable" in text


@pytest.mark.parametrize("entry", ["no_such_module:Env", "agentgym.env:Snapshot"])
def test_an_environment_that_cannot_be_loaded_is_listed_as_such(run, monkeypatch, entry):
    gymnasium.register("broken/Env-v0", entry_point=entry)
    try:
        assert describe_env("broken/Env-v0")["error"]
        monkeypatch.setattr(listing, "env_ids", lambda: ["broken/Env-v0", "agentgym/Search-v0"])
        text = run("envs").stdout
        assert "cannot be loaded" in text
        assert "agentgym/Search-v0" in text
    finally:
        gymnasium.registry.pop("broken/Env-v0")


def test_methods_of_every_kind_with_parameters_and_source(run):
    found = {m["name"]: m for m in json.loads(run("methods", "--json").stdout)["methods"]}
    assert found["grpo"]["arxiv"] == "2402.03300"
    assert found["gigpo"]["parameters"]["gamma"]["default"] == 0.95
    assert {m["kind"] for m in found.values()} == set(KINDS)
    text = run("methods").stdout
    assert all(name in text for name in found)


def test_methods_of_one_kind(run):
    assert {m["kind"] for m in json.loads(run("methods", "shape", "--json").stdout)["methods"]} == {"shape"}
    assert "grpo" not in run("methods", "shape").stdout


def test_a_kind_whose_library_is_missing_does_not_hide_the_others(run, monkeypatch):
    real = listing.catalogue

    def without_torch(kind: str) -> object:
        if kind == "loss":
            raise ImportError("No module named 'torch'")
        return real(kind)

    monkeypatch.setattr(listing, "catalogue", without_torch)
    text = run("methods").stdout
    assert "loss: cannot be listed: No module named 'torch'" in text
    assert "gigpo" in text
