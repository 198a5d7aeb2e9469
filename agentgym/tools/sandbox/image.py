"""The image that the Docker sandbox uses unless told otherwise: Debian with Python, pytest, git and ripgrep.

It is made on this machine: by debootstrap from Debian's packages, which needs root and no image registry, or else by
the daemon from the official Debian image. A label holds the recipe's hash, so that a changed recipe is seen.

    agentgym sandbox-image
"""

from __future__ import annotations

import fcntl
import hashlib
import io
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from agentgym.faults import ConfigError, first_line
from agentgym.tools.sandbox.base import broken

IMAGE = "agentgym-sandbox:latest"
SUITE = "bookworm"
PACKAGES = ("git", "patch", "procps", "python3", "python3-pytest", "ripgrep")
#: Parts of an installed system that no command inside misses.
LEFT_OUT = ("var/cache/apt", "var/lib/apt/lists", "usr/share/doc", "usr/share/man", "usr/share/locale", "var/log")
RECIPE_LABEL = "agentgym.recipe"
#: Seconds that making the image may take.
BUILD_S = 1800.0
_USER = "agent:x:1000:1000:agent:/tmp:/bin/bash\n"
_GROUP = "agent:x:1000:\n"
_DOCKERFILE = f"""\
FROM debian:{SUITE}-slim
RUN apt-get update && apt-get install -y --no-install-recommends {" ".join(PACKAGES)} && rm -rf /var/lib/apt/lists/*
RUN printf '{_USER.strip()}\\n' >> /etc/passwd && printf '{_GROUP.strip()}\\n' >> /etc/group
"""
RECIPE = hashlib.sha256(repr((SUITE, PACKAGES, LEFT_OUT, _DOCKERFILE)).encode()).hexdigest()[:12]


def is_made(client: Any) -> bool:
    """Whether a daemon has the image, made by this recipe.

    Args:
        client: A `docker.DockerClient`.
    """
    from docker.errors import ImageNotFound

    try:
        found = client.images.get(IMAGE)
    except ImageNotFound:
        return False
    return bool(found.labels.get(RECIPE_LABEL) == RECIPE)


def make_image(client: Any, *, anew: bool = False) -> bool:
    """Makes the image unless it is there; of several processes that ask at once, one does the work.

    Args:
        client: A `docker.DockerClient`.
        anew: Make it also when it is there.

    Returns:
        Whether it was made now.

    Raises:
        ConfigError: It cannot be made here; says what mends that.
        EnvironmentFault: Making it failed.
    """
    with _only_one():
        if is_made(client) and not anew:
            return False
        if os.geteuid() == 0 and shutil.which("debootstrap") and shutil.which("unshare"):
            _from_packages(client)
        else:
            _from_registry(client)
        return True


@contextmanager
def _only_one() -> Iterator[None]:
    """Holds a lock that all processes of this user share."""
    path = Path(tempfile.gettempdir()) / f"agentgym-image-{os.geteuid()}.lock"
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def _from_packages(client: Any) -> None:
    with tempfile.TemporaryDirectory(prefix="agentgym-", dir="/var/tmp") as folder:
        # In a mount namespace of its own: whatever is left mounted goes with it, and is not there to be removed with
        # the folder.
        command = ["unshare", "--mount", "--propagation", "private", "debootstrap", "--variant=minbase"]
        command += [f"--include={','.join(PACKAGES)}", SUITE, folder]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=BUILD_S, check=False)  # noqa: S603
        except subprocess.TimeoutExpired:
            raise broken(f"debootstrap took longer than {BUILD_S:g} s") from None
        if done.returncode != 0:
            said = (done.stdout + done.stderr).strip().splitlines() or [f"exit status {done.returncode}"]
            raise broken(f"debootstrap failed: {said[-1][:300]}")
        for name, line in (("passwd", _USER), ("group", _GROUP)):
            with open(f"{folder}/etc/{name}", "a", encoding="utf-8") as file:
                file.write(line)
        left_out = [f"--exclude=./{path}/*" for path in LEFT_OUT]
        archive = ["tar", "--create", "--numeric-owner", *left_out, "--directory", folder, "."]
        with subprocess.Popen(archive, stdout=subprocess.PIPE) as tar:  # noqa: S603
            repository, _, tag = IMAGE.partition(":")
            label = f"LABEL {RECIPE_LABEL}={RECIPE}"
            answer = client.api.import_image_from_stream(tar.stdout, repository=repository, tag=tag, changes=[label])
        if tar.returncode != 0 or not is_made(client):
            raise broken(f"the image could not be imported: {answer.strip()[-300:]}")


def _from_registry(client: Any) -> None:
    from docker.errors import APIError, BuildError

    try:
        client.images.build(fileobj=io.BytesIO(_DOCKERFILE.encode()), tag=IMAGE, rm=True, labels={RECIPE_LABEL: RECIPE})
    except (APIError, BuildError) as error:
        said = first_line(error, 300)
        raise ConfigError(
            f"the image {IMAGE!r} cannot be made from the official Debian image ({said}); root can make it without a "
            "registry: apt-get install -y --no-install-recommends debootstrap && agentgym sandbox-image"
        ) from None
