"""The Makefile, the set-up script and .ci/run, as far as they can be tried without installing anything."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
TARGETS = ("setup", "train", "test", "test-vllm", "lint", "bench", "clean")


def shell(*command: str, cwd: Path = ROOT, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, env={**os.environ, **env}, check=False)


def test_help_lists_every_target():
    text = shell("make").stdout
    assert all(f"make {target} " in text for target in TARGETS)


@pytest.mark.parametrize("script", ["scripts/setup.sh", "scripts/vllm.sh", ".ci/run"])
def test_scripts_are_executable_and_parse(script):
    assert os.access(ROOT / script, os.X_OK)
    assert shell("bash", "-n", script).returncode == 0


def test_ci_runs_the_tests_and_nothing_clever():
    assert (ROOT / ".ci" / "run").read_text().splitlines()[-2:] == ["make test", "make test-vllm"]


def test_train_and_test_set_up_first():
    for target in ("train", "test"):
        plan = shell("make", "--dry-run", "--always-make", target).stdout
        setup = plan.index("scripts/setup.sh '.venv' 'search,web,tools,routing,sql,swe,train,dev'")
        assert setup < plan.index(f"{target} ")


def test_the_licence_is_complete():
    text = (ROOT / "LICENSE").read_text()
    assert "Apache License" in text
    assert "END OF TERMS AND CONDITIONS" in text


@pytest.fixture
def clone(tmp_path) -> Any:
    """A folder with the set-up script, and a machine that has only what is put on its path."""
    (tmp_path / "bin").mkdir()
    for name in ("bash", "id", "rm", "env"):
        (tmp_path / "bin" / name).symlink_to(str(shutil.which(name)))

    def program(name: str, script: str) -> None:
        file = tmp_path / "bin" / name
        file.unlink(missing_ok=True)
        file.write_text(f"#!{shutil.which('bash')}\n{script}\n")
        file.chmod(0o755)

    def setup(**env: str) -> subprocess.CompletedProcess[str]:
        return shell(
            str(tmp_path / "bin" / "bash"),
            str(ROOT / "scripts" / "setup.sh"),
            ".venv",
            "dev",
            cwd=tmp_path,
            PATH=str(tmp_path / "bin"),
            **{"PYTHON": "", **env},
        )

    return program, setup


def test_without_python_and_root_the_command_is_named(clone):
    program, setup = clone
    program("id", "echo 1000")
    done = setup()
    assert done.returncode == 1
    assert "sudo apt-get install python3 python3-venv" in done.stderr


def test_an_old_python_is_refused(clone):
    program, setup = clone
    program("oldpython", "exit 1")
    done = setup(PYTHON="oldpython")
    assert done.returncode == 1
    assert "PYTHON=oldpython is not Python 3.11 or newer" in done.stderr


def test_a_missing_venv_module_is_installed_by_root(clone):
    program, setup = clone
    program("id", "echo 0")
    program("apt-get", 'echo "$*" >> apt.log')
    # A Python of the right version without ensurepip, whose venv then fails.
    program(
        "python3.11",
        'case "$*" in *version_info*print*) ;; *"%d.%d"*) echo 3.11;; *ensurepip*|*-m\\ venv*) exit 1;; esac',
    )
    done = setup()
    assert done.returncode == 1
    assert "installing python3.11-venv with apt-get" in done.stdout


def test_a_failing_install_says_what_to_do(clone, tmp_path):
    program, setup = clone
    # An interpreter that answers every question but cannot install.
    answers = 'case "$*" in *"%d.%d"*) echo 3.11;; *"pip install"*) echo "no route to host" >&2; exit 1;; esac'
    program("python3.11", answers)
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    shutil.copy(tmp_path / "bin" / "python3.11", tmp_path / ".venv" / "bin" / "python")
    done = setup()
    assert done.returncode == 1
    assert "no route to host" in done.stderr
    assert "Check the network and the free disk space, then run make again" in done.stderr
