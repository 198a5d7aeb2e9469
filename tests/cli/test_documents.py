"""What the documents say is true: code blocks run, links lead somewhere, commands exist, the reference is current."""

from __future__ import annotations

import inspect
import re
import runpy
import subprocess
import sys
from pathlib import Path

import gymnasium
import pytest
from sandboxes import need

ROOT = Path(__file__).resolve().parents[2]
PAGES = [
    ROOT / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "agentgym" / "envs").glob("*/README.md")),
]
PYTHON_BLOCKS = [
    pytest.param(page, block, id=f"{page.relative_to(ROOT)}-{number}")
    for page in PAGES
    for number, block in enumerate(re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.S))
]


@pytest.mark.parametrize(("page", "block"), PYTHON_BLOCKS)
def test_python_blocks_run(page, block):
    for word, provider in (("Swe-v0", "docker"), ('"bwrap"', "bwrap")):
        if word in block:
            need(provider)
    known = set(gymnasium.registry)
    try:
        exec(compile(block, str(page), "exec"), {"__name__": "readme"})  # noqa: S102 - our own documents
    finally:
        for added in set(gymnasium.registry) - known:
            gymnasium.registry.pop(added)


def test_the_readme_shows_both_commands_on_its_first_screen():
    head = "\n".join((ROOT / "README.md").read_text().splitlines()[:24])
    assert "make train" in head
    assert "make test" in head


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        if "://" in target:
            continue
        path = (page.parent / target).resolve()
        assert path.exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_exist(page, run):
    text = page.read_text(encoding="utf-8")
    for command, rest in re.findall(r"(?:^    |`)agentgym ([a-z]+(?:-[a-z]+)*)([^`\n]*)", text, re.M):
        options = run(command, "--help").stdout
        if "COMMAND [ARGS]" in options:  # a group of commands
            options = run(command, rest.split()[0], "--help").stdout if rest.strip() else options
        for option in re.findall(r"\s(--?[a-z]+)", rest.partition("#")[0]):
            assert option in options, f"agentgym {command} {option}"
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    assert set(re.findall(r"(?:^    |`)make ([a-z-]+)", text, re.M)) <= targets


def test_every_install_command_is_pinned():
    scripts = [*PAGES, ROOT / "Makefile", *(ROOT / "scripts").glob("*.sh"), ROOT / ".ci" / "run"]
    for page in scripts:
        for line in page.read_text(encoding="utf-8").splitlines():
            if re.search(r"^\s.*pip install [^`]*\S", line):
                assert "-c constraints.txt" in line, f"{page.name}: {line}"


@pytest.mark.parametrize("script", ["config_reference.py", "methods_page.py"])
def test_what_is_made_from_docstrings_is_current(script):
    command = [sys.executable, f"scripts/{script}", "--check"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr


def test_the_page_of_methods_takes_docstrings_as_text():
    page = runpy.run_path(str(ROOT / "scripts" / "methods_page.py"))
    docstring = """Sum of x*y over *all* <turns>, a[i](k); see `x*y`.

    Formula: A_E = |R| * 2.

    Args:
        table: Left out.

        Also this.

    Source: kept.
    """
    assert list(page["body"](inspect.cleandoc(docstring))) == [
        "Sum of x\\*y over \\*all\\* \\<turns>, a[i]\\(k); see `x*y`.",
        "Formula: A_E = |R| * 2.",
        "Source: kept.",
    ]
    schema = {"type": "number", "minimum": 0, "default": 0.5, "description": "a | b"}
    assert page["parameters"]({"p": schema}).splitlines()[-1] == r"| `p` | float, >= 0 | `0.5` | a \| b |"


def test_every_key_of_the_shipped_configurations_is_in_the_reference():
    yaml = pytest.importorskip("yaml")
    reference = (ROOT / "docs" / "training.md").read_text(encoding="utf-8")
    for file in (ROOT / "examples").glob("*.yaml"):
        for key in yaml.safe_load(file.read_text()):
            assert f"| `{key}` |" in reference, f"{file.name}: {key}"


def test_the_search_example_runs(capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["play_search.py", "3"])
    runpy.run_path(str(ROOT / "examples" / "play_search.py"), run_name="__main__")
    out = capsys.readouterr().out
    assert "evidence" in out
    assert "outcome 1.0" in out


def test_the_environment_example_runs():
    command = [sys.executable, "examples/custom_environment.py"]
    out = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True).stdout
    assert "checked {'train': 71, 'heldout': 31}: ok" in out
    assert "The lock opens. reward 1.100" in out
