"""``examples/cluster/compose.yaml`` brought up for a test, on this machine's own Python instead of a built image.

No image registry is needed: the nodes are made from the sandbox's image, and read interpreter, packages and checkout
from this machine.
"""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import sys
import sysconfig
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from sandboxes import need

from agentgym.tools.sandbox.image import IMAGE

ROOT = Path(__file__).resolve().parents[2]
CLUSTER = ROOT / "examples" / "cluster"
#: Seconds until all nodes must be healthy.
HEALTHY_S = 120.0
#: Where newer versions of docker-compose are.
PLUGIN = "/usr/libexec/docker/cli-plugins/docker-compose"
#: Where the nodes see this machine's interpreter, packages and checkout.
PYTHON, SITE, CHECKOUT, COMMANDS = "/opt/python", "/opt/site", "/opt/agentgym", "/opt/commands"


def compose_command() -> str:
    """The program. Where there is none the test is left out; in CI that is a failure."""
    need("docker")
    found = shutil.which("docker-compose") or shutil.which(PLUGIN)
    if found is None:
        reason = "there is no docker-compose"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    return found


def override(folder: Path) -> dict[str, Any]:
    """What differs from the shipped file: the nodes' software comes from this machine."""
    python = Path(sys.base_prefix)
    program = f"{PYTHON}/bin/python{sys.version_info.major}.{sys.version_info.minor}"
    for name, module in (("ray", "ray.scripts.scripts"), ("agentgym", "agentgym"), ("python", "")):
        script = folder / name
        run = f"-m {module} " if module else ""
        script.write_text(f'#!/bin/sh\nexec {program} {run}"$@"\n')
        script.chmod(0o755)
    folder.chmod(0o755)
    places = {python: PYTHON, Path(sysconfig.get_path("purelib")): SITE, ROOT: CHECKOUT, folder: COMMANDS}
    node = {
        "build": {"context": str(CLUSTER), "dockerfile": "Dockerfile", "target": "node", "args": {"BASE": IMAGE}},
        "volumes": [f"{place}:{inside}:ro" for place, inside in places.items()],
        "environment": {
            "PATH": f"{COMMANDS}:/usr/bin:/bin",
            "PYTHONPATH": f"{CHECKOUT}:{SITE}",
            "LD_LIBRARY_PATH": f"{PYTHON}/lib",
            "OMP_NUM_THREADS": "1",
        },
        "healthcheck": {"interval": "1s"},
    }
    return {"services": {"head": node, "worker": node}}


class Cluster:
    """The two nodes, under a project name of their own."""

    def __init__(self, folder: Path, node_cpus: int) -> None:
        self.project = f"agentgym-test-{os.getpid()}"
        changes = folder / "override.yaml"
        commands = folder / "commands"
        commands.mkdir()
        changes.write_text(yaml.safe_dump(override(commands)))
        self._command = [compose_command(), "--project-name", self.project]
        self._command += ["--file", str(CLUSTER / "compose.yaml"), "--file", str(changes)]
        self._variables = {
            **os.environ,
            "RAY_AUTH_TOKEN": secrets.token_hex(32),
            "AGENTGYM_IMAGE": f"{self.project}:latest",
            "NODE_CPUS": str(node_cpus),
            "NODE_MEMORY": "2g",
            "NODE_SHM": "256m",
        }

    def run(self, *arguments: str, timeout_s: float = 200.0, check: bool = True) -> str:
        """What a docker-compose command prints."""
        done = subprocess.run(
            [*self._command, *arguments],
            env=self._variables,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
        assert done.returncode == 0 or not check, f"{arguments}: {done.stdout}\n{done.stderr}"
        return done.stdout

    def inside(self, service: str, *command: str) -> str:
        """What a command prints in a node."""
        return self.run("exec", "-T", service, *command)

    def up(self) -> None:
        """Starts both nodes and waits until they are healthy."""
        self.run("up", "--detach", "--build")
        deadline = time.monotonic() + HEALTHY_S
        while (states := self.health()) != {"healthy"}:
            assert time.monotonic() < deadline, f"{states}: {self.run('logs', '--tail', '30')}"
            time.sleep(0.5)

    def containers(self) -> list[Any]:
        from agentgym.tools.sandbox.docker import connect

        found: list[Any] = connect().containers.list(all=True, filters=self._mine)
        return found

    def health(self) -> set[str]:
        """States of the nodes."""
        return {container.attrs["State"].get("Health", {}).get("Status", "none") for container in self.containers()}

    def left(self) -> list[str]:
        """What there still is of it: containers, networks, volumes."""
        from agentgym.tools.sandbox.docker import connect

        client = connect()
        kinds = (client.networks.list(filters=self._mine), client.volumes.list(filters=self._mine))
        return [thing.name for found in (self.containers(), *kinds) for thing in found]

    @property
    def _mine(self) -> dict[str, str]:
        return {"label": f"com.docker.compose.project={self.project}"}

    def down(self) -> None:
        """Removes everything that was made."""
        self.run("down", "--volumes", "--rmi", "all", "--timeout", "2", check=False)
