from __future__ import annotations

import random
from collections.abc import Iterator

import pytest
from sandboxes import need

from agentgym.envs.swe import noting
from agentgym.envs.swe.noting import Notes
from agentgym.envs.swe.tree import Tree
from agentgym.tools.sandbox import Sandbox, make_sandbox

FILES = Tree({f"{folder}/file_{number}.py": b"x = %d\n" % number for folder in "abc" for number in range(4)})
#: What an agent's command may do to the files that it draws.
COMMANDS = (
    "echo more >> {0}",
    "printf 'x = 5\\n' > {0}",
    "mv {0} {1}",
    "ln -f {0} {1} && echo linked >> {1}",
    "ln -sfn ../a/file_0.py {0}",
    "rm -f {0}",
    "chmod +x {0}",
    "chmod -x {0}",
    "mkdir -p d/e && cp -p {0} d/e/copied.py && touch -r a {0}",
    # Folders change places: the files in them keep their times and inodes.
    "mv a t && mv b a && mv t b",
    "rm -rf c && mkdir -p c && echo new > c/file_1.py",
    "cp -p {0} t && sed -i s/x/y/ t && touch -d '2001-01-01' t && mv t {1}",
    "mkfifo p 2>/dev/null; mkdir -p .git __pycache__ && echo no > .git/config && echo no > __pycache__/a.pyc",
    'printf x > "b/qu\'ote \\$x.txt"',
    "true",
)


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    need("docker")
    with make_sandbox({"name": "docker"}) as made:
        yield made


@pytest.fixture(autouse=True)
def _always_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(noting, "FEW_FILES", 0)


def everything(sandbox: Sandbox) -> Tree:
    return Tree.from_tar(sandbox.snapshot())


@pytest.mark.parametrize("seed", range(6))
def test_what_is_noted_is_what_is_there(sandbox: Sandbox, seed: int) -> None:
    sandbox.restore(FILES.to_tar())
    drawn, notes, tree = random.Random(seed), Notes(), FILES
    partial = 0
    for _ in range(25):
        paths = [f"{drawn.choice('abc')}/file_{drawn.randrange(5)}.py" for _ in range(2)]
        sandbox.exec(drawn.choice(COMMANDS).format(*paths))
        tree = notes.read(sandbox, tree)
        partial += notes.partial
        assert tree == everything(sandbox)
    assert partial == 24


def test_a_memory_map_is_found_out_when_all_is_read(sandbox: Sandbox) -> None:
    sandbox.restore(FILES.to_tar())
    notes = Notes()
    tree = notes.read(sandbox, FILES)
    sandbox.exec("sleep 0.2")
    tree = notes.read(sandbox, tree)
    write = "import mmap; f = open('a/file_0.py', 'r+b'); m = mmap.mmap(f.fileno(), 0); m[0:1] = b'z'"
    sandbox.exec(["python3", "-c", write])
    tree = notes.read(sandbox, tree)
    assert notes.partial
    assert notes.read(sandbox, tree, everything=True)["a/file_0.py"].data == b"z = 0\n"
    assert not notes.partial


@pytest.mark.parametrize(
    "command",
    [
        "for i in $(seq 200); do echo $i > a/$i; done",
        "head -c 5000000 /dev/zero > a/large",
        "printf x > $'a/\\xff'",
    ],
)
def test_much_at_once_and_odd_names_are_read_with_all_the_others(sandbox: Sandbox, command: str) -> None:
    sandbox.restore(FILES.to_tar())
    notes = Notes()
    tree = notes.read(sandbox, FILES)
    sandbox.exec(command)
    tree = notes.read(sandbox, tree)
    assert not notes.partial
    assert tree == everything(sandbox)


def test_another_sandbox(sandbox: Sandbox) -> None:
    sandbox.restore(FILES.to_tar())
    notes = Notes()
    notes.read(sandbox, FILES)
    assert notes.read(sandbox, FILES) == FILES
    assert notes.partial
    notes.forget()
    assert notes.read(sandbox, FILES) == FILES
    assert not notes.partial
