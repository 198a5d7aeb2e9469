"""What the tests of the core share: the toy environment and made-up trajectories."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

from hypothesis import HealthCheck, settings

sys.path.insert(0, str(Path(__file__).parent / "support"))

import toy

toy.register()

# Its tests run in an environment of their own (`make test-vllm`).
collect_ignore = [] if find_spec("vllm") else ["engines/vllm"]

# Deadlines measure the machine, not the code.
settings.register_profile("agentgym", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("agentgym")
