"""The KubeRay manifests of `examples/cluster`, against a schema of the fields that they use."""

from __future__ import annotations

import copy
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from agentgym.trainers.config import load_config

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
CLUSTER = ROOT / "examples" / "cluster"
SCHEMA = yaml.safe_load((HERE / "kuberay.schema.yaml").read_text())
MANIFESTS = {name: yaml.safe_load((CLUSTER / f"{name}.yaml").read_text()) for name in ("raycluster", "rayjob")}

CONTAINER = ("spec", "workerGroupSpecs", 0, "template", "spec", "containers", 0)


def pods(manifest: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Specs of all its pods."""
    spec = manifest["spec"].get("rayClusterSpec", manifest["spec"])
    for group in (spec["headGroupSpec"], *spec["workerGroupSpecs"]):
        yield group["template"]["spec"]


@pytest.mark.parametrize("name", MANIFESTS)
def test_every_field_is_one_that_there_is(name: str) -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    jsonschema.Draft202012Validator(SCHEMA).validate(MANIFESTS[name])


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("spec", "headGroupSpecs"), {}),
        (("spec", "rayVersion"), 2.6),
        (("spec", "authOptions", "mode"), "password"),
        (("spec", "headGroupSpec", "rayStartParams", "num-cpus"), 0),
        (("spec", "workerGroupSpecs", 0, "replicas"), "8"),
        (
            ("spec", "workerGroupSpecs", 0, "template", "spec", "containers", 0, "resources", "limits", "memory"),
            "32 GB",
        ),
        (("spec", "workerGroupSpecs", 0, "template", "spec", "containers", 0, "readinesProbe"), {}),
    ],
)
def test_the_schema_sees_mistakes(path: tuple[str | int, ...], value: object) -> None:
    manifest: Any = copy.deepcopy(MANIFESTS["raycluster"])
    place = manifest
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(SCHEMA).validate(manifest)


def test_the_job_runs_on_the_same_cluster() -> None:
    assert MANIFESTS["rayjob"]["spec"]["rayClusterSpec"] == MANIFESTS["raycluster"]["spec"]


@pytest.mark.parametrize("name", MANIFESTS)
def test_pods_are_bounded_watched_and_walled_in(name: str) -> None:
    for pod in pods(MANIFESTS[name]):
        assert pod["securityContext"]["runAsNonRoot"]
        assert pod["automountServiceAccountToken"] is False
        volumes = {volume["name"] for volume in pod["volumes"]}
        for container in pod["containers"]:
            assert {"readinessProbe", "livenessProbe"} <= container.keys()
            assert {"cpu", "memory", "nvidia.com/gpu"} <= container["resources"]["limits"].keys()
            assert container["resources"]["limits"] == container["resources"]["requests"]
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "capabilities": {"drop": ["ALL"]},
            }
            assert {mount["name"] for mount in container["volumeMounts"]} == volumes


def test_the_cluster_is_private_and_has_the_ray_of_the_image() -> None:
    spec = MANIFESTS["raycluster"]["spec"]
    assert spec["authOptions"] == {"mode": "token"}
    assert spec["headGroupSpec"]["serviceType"] == "ClusterIP"
    (built,) = re.findall(r"^ARG RAY_VERSION=(.+)$", (CLUSTER / "Dockerfile").read_text(), re.MULTILINE)
    assert spec["rayVersion"] == built


def test_the_job_is_a_run_that_fits_the_cluster() -> None:
    """Its command is a valid configuration, with as many workers as there is room for."""
    program, verb, file, *keys = shlex.split(MANIFESTS["rayjob"]["spec"]["entrypoint"])
    assert (program, verb) == ("agentgym", "train")
    config = load_config(ROOT / Path(file).relative_to("/opt/agentgym"), keys)
    (group,) = MANIFESTS["raycluster"]["spec"]["workerGroupSpecs"]
    room = group["replicas"] * int(group["rayStartParams"]["num-cpus"])
    assert config.rollout.address == "auto"
    assert config.rollout.workers * config.rollout.threads == room
    mounts = next(pods(MANIFESTS["rayjob"]))["containers"][0]["volumeMounts"]
    assert config.runs in [mount["mountPath"] for mount in mounts]
