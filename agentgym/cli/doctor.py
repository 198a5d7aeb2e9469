"""``agentgym doctor``: what works on this machine, tried out rather than looked up, and what mends the rest.

Each library is tried in a process of its own with a time limit, so that one that crashes or hangs at import is reported
like any other.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from enum import StrEnum
from functools import partial

import agentgym
from agentgym.cli.common import console, emit_json, table
from agentgym.faults import ConfigError
from agentgym.tools.browser.options import BrowserOptions, find_chromium

#: Seconds one check may take.
CHECK_S = 90.0


class Status(StrEnum):
    """How a part is."""

    OK = "ok"
    MISSING = "missing"  #: Not installed.
    BROKEN = "broken"  #: Installed, but it does not work.


@dataclass(frozen=True, slots=True)
class Finding:
    """One part.

    Attributes:
        part: Its name.
        purpose: What it is needed for.
        required: Whether training on the shipped examples needs it.
        status: How it is.
        detail: Version, or what went wrong.
        mend: The command that mends it; empty when it is fine or nothing here can.
    """

    part: str
    purpose: str
    required: bool
    status: Status
    detail: str
    mend: str = ""


@dataclass(frozen=True, slots=True)
class Library:
    """A Python library that is checked by running a few lines.

    Attributes:
        part, purpose, required, mend: As in `Finding`.
        module: Its import name.
        trial: Python statements that set ``detail``; the module is imported before.
        starts: Whether the trial starts processes (left out when asked to be quick).
    """

    part: str
    module: str
    purpose: str
    mend: str
    required: bool = False
    trial: str = ""
    starts: bool = False


_TORCH = """
assert float((torch.ones(4, 4) @ torch.ones(4)).sum()) == 16
detail += f", {torch.get_num_threads()} CPU threads"
"""
NO_GPU = "no CUDA device is visible to torch"
_GPU = f"""
assert torch.cuda.is_available(), {NO_GPU!r}
"""
_GPU += """
p = torch.cuda.get_device_properties(0)
torch.ones(8, 8, device="cuda").sum().item()
bf16 = torch.cuda.is_bf16_supported()
detail = f"{torch.cuda.device_count()} x {p.name}, {p.total_memory / 2**30:.0f} GiB, bf16 {'yes' if bf16 else 'no'}"
"""
_RAY = """
ray.init(address="local", num_cpus=1, include_dashboard=False, object_store_memory=100 * 2**20, log_to_driver=False)
assert ray.get(ray.remote(lambda: 1).remote()) == 1
ray.shutdown()
detail += ", a local cluster starts"
"""
_PIP = "pip install -c constraints.txt 'agentgym[{}]'"

LIBRARIES: tuple[Library, ...] = (
    Library("torch", "torch", "training, the transformers engine", _PIP.format("train"), True, _TORCH),
    Library("transformers", "transformers", "models and tokenizers", _PIP.format("train"), True),
    Library("ray", "ray", "rollout workers", _PIP.format("train"), True, _RAY, starts=True),
    Library("tensorboard", "torch.utils.tensorboard", "training logs", _PIP.format("train"), True),
    Library("gpu", "torch", "faster training and generation", "", False, _GPU),
    Library("peft", "peft", "LoRA", _PIP.format("train")),
    Library("vllm", "vllm", "fast generation on a GPU", _PIP.format("vllm")),
    Library("bm25s", "bm25s", "search in large corpora", _PIP.format("search")),
    Library("sentence-transformers", "sentence_transformers", "dense retrieval", _PIP.format("search")),
    Library("playwright", "playwright", "web environments", _PIP.format("web")),
    Library("mcp", "mcp", "tools of MCP servers, serve-tools", _PIP.format("tools"), False, "m.Client"),
    Library("httpx", "httpx", "tools of web services, fetch", _PIP.format("tools")),
    Library("jsonschema", "jsonschema", "arguments of tools from elsewhere", _PIP.format("tools")),
    Library("docker (python)", "docker", "software environments", _PIP.format("swe")),
)

#: Sandbox, and what it is needed for.
SANDBOXES = (("bwrap", "tools that run code"), ("docker", "software environments, tools that run code"))


def check_library(library: Library, quick: bool = False) -> Finding:
    """Imports and tries a library in a process of its own."""
    trial = "" if quick and library.starts else library.trial
    code = (
        f"import importlib, sys; m = importlib.import_module({library.module!r})\n"
        f"{library.module.split('.')[0]} = sys.modules[{library.module.split('.')[0]!r}]\n"
        f"detail = str(getattr({library.module.split('.')[0]}, '__version__', 'installed'))\n{trial}\n"
        "print('\\n' + detail)"
    )
    rc, out, err = _run([sys.executable, "-c", code])
    last = (out.strip().splitlines() or [""])[-1]
    if rc == 0:
        return Finding(library.part, library.purpose, library.required, Status.OK, last)
    problem = (err.strip().splitlines() or [f"exit status {rc}"])[-1]
    problem = problem.removeprefix("AssertionError: ")
    if problem.startswith("ModuleNotFoundError") and repr(library.module.split(".")[0]) in problem:
        status, detail = Status.MISSING, "not installed"
    elif problem == NO_GPU:
        status, detail = Status.MISSING, problem
    else:
        status, detail = Status.BROKEN, problem[:200]
    return Finding(library.part, library.purpose, library.required, status, detail, library.mend)


def check_python() -> Finding:
    """The interpreter."""
    fine = sys.version_info >= (3, 11)
    detail = f"{platform.python_version()}, agentgym {agentgym.__version__}, {os.cpu_count()} CPU cores"
    mend = "" if fine else "apt-get install python3.11"
    return Finding("python", "everything", True, Status.OK if fine else Status.BROKEN, detail, mend)


def check_sandbox(name: str, purpose: str) -> Finding:
    """Starts a sandbox, runs a command in it, and removes what ended runs have left of theirs."""
    code = f"from agentgym.cli.sandboxes import try_sandbox; try_sandbox({name!r})"
    rc, out, err = _run([sys.executable, "-c", code])
    part = f"sandbox {name}"
    if rc != 0:
        problem = (err.strip().splitlines() or [f"exit status {rc}"])[-1]
        return Finding(part, purpose, False, Status.BROKEN, problem[:200])
    found = json.loads(out.strip().splitlines()[-1])
    status = Status.OK if found["ok"] else Status.MISSING if found["missing"] else Status.BROKEN
    return Finding(part, purpose, False, status, found["detail"][:200], found["mend"])


def check_chromium() -> Finding:
    """The browser that Playwright drives."""
    purpose, install = "web environments", "apt-get install -y chromium"
    try:
        path = find_chromium(BrowserOptions())
    except ConfigError as error:
        return Finding("chromium", purpose, False, Status.BROKEN, str(error)[:200], install)
    if path is None:
        return Finding("chromium", purpose, False, Status.MISSING, "no browser found", install)
    rc, out, err = _run([path, "--version"])
    if rc != 0:
        problem = (err.strip().splitlines() or [f"exit status {rc}"])[-1]
        return Finding("chromium", purpose, False, Status.BROKEN, problem[:200], install)
    return Finding("chromium", purpose, False, Status.OK, out.strip())


def examine(quick: bool = False) -> list[Finding]:
    """All checks; two at a time, since each imports large libraries."""
    checks: list[Callable[[], Finding]] = [check_python]
    checks += [partial(check_library, library, quick) for library in LIBRARIES]
    checks += [partial(check_sandbox, name, purpose) for name, purpose in SANDBOXES if not quick]
    checks.append(check_chromium)
    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(lambda check: check(), checks))


def run_doctor(*, quick: bool, as_json: bool) -> bool:
    """Prints all findings; returns whether everything that training needs works."""
    findings = examine(quick)
    ready = all(f.status is Status.OK for f in findings if f.required)
    if as_json:
        emit_json({"ready": ready, "parts": [asdict(f) for f in findings]})
        return ready
    out = console()
    rows = [(f.part, f.status, f.detail, f.purpose) for f in findings]
    out.print(table(("part", "status", "detail", "needed for"), rows))
    mends = dict.fromkeys(f.mend for f in findings if f.mend)
    if mends:
        out.print("\nto mend what is missing:")
        for mend in mends:
            out.print(f"  {mend}", markup=False)
    out.print(f"\n{'ready to train' if ready else 'not ready to train: a required part is missing'}")
    return ready


def _run(command: list[str]) -> tuple[int, str, str]:
    environment = {**os.environ, "RAY_USAGE_STATS_ENABLED": "0", "PYTHONWARNINGS": "ignore"}
    try:
        done = subprocess.run(  # noqa: S603 - our own commands
            command, capture_output=True, text=True, errors="replace", timeout=CHECK_S, env=environment, check=False
        )
    except subprocess.TimeoutExpired:
        return 1, "", f"no answer within {CHECK_S:.0f} s"
    except OSError as error:
        return 1, "", str(error)
    return done.returncode, done.stdout, done.stderr
