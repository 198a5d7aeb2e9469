"""Provider ``"docker"``: containers of any Docker daemon (``DOCKER_HOST`` is honoured), for any image with a Python,
bash and GNU tar.

What holds: no network; a read-only root; the workspace, /tmp and /dev/shm are tmpfs of limited size (nothing else can
be written: a writable root would have no limit on disk); memory with swap, processes and processor time by cgroup;
Docker's own system-call filter; no new privileges. Message queues and System V memory, which would outlive a command,
are switched off. A daemon that cannot hold a limit is refused.

The supervisor is the container's first process. It is root without any capability but to change its user and to end
processes of another; the commands are user 1000 without any. So ``kill -9 -1`` and the like reach commands only, and a
command costs a fork, where ``docker exec`` for each would cost ten times that.

The container ends with its owner: when the connection to the supervisor breaks, the supervisor ends. What a killed
process leaves is a stopped container, which `remove_leftovers` takes away.
"""

from __future__ import annotations

import contextlib
import secrets
import struct
from collections.abc import Callable, Iterator
from typing import Annotated, Any

from pydantic import Field

from agentgym.faults import ConfigError, MissingExtra
from agentgym.tools.sandbox import owner
from agentgym.tools.sandbox.base import SandboxEnded, SandboxOptions, broken
from agentgym.tools.sandbox.cgroups import swap_is_on
from agentgym.tools.sandbox.image import IMAGE
from agentgym.tools.sandbox.supervised import (
    ENV,
    MIB,
    UID,
    WORKSPACE,
    SocketStream,
    Stream,
    SupervisedSandbox,
    supervisor_command,
)

LABEL, OWNER_LABEL, RUN_LABEL = "agentgym", "agentgym.owner", "agentgym.run"
START = "sudo systemctl start docker"
#: Seconds that the daemon gets to answer a request.
DAEMON_S = 120.0
#: Longest complaint of the supervisor that is passed on, in bytes.
MAX_COMPLAINT = 1000
#: In each piece of an attached container's output: which stream (2: standard error), and how many bytes.
_PIECE = struct.Struct(">BxxxI")
_STDERR = 2
#: What the daemon must be able to limit, by its own names, and why a sandbox needs it.
_NEEDED = {"MemoryLimit": "memory", "PidsLimit": "processes", "CpuCfsQuota": "processor time"}
_NO_IPC = {"kernel.shmmni": "0", "kernel.msgmni": "0", "kernel.sem": "0 0 0 0", "fs.mqueue.queues_max": "0"}


class DockerOptions(SandboxOptions):
    """Options of the sandbox ``docker``."""

    image: str = IMAGE
    """Name of the image; one that the daemon does not have is pulled."""
    workspace: str = Field(default=WORKSPACE, pattern=r"^(/[\w.-]+)+$")
    """Absolute path of the workspace. What the image has there is not seen."""
    hidden: tuple[Annotated[str, Field(pattern=r"^(/[\w.-]+)+$")], ...] = ()
    """Absolute paths of folders of the image that are not seen: an empty one is in their place."""
    python: str = "python3"
    """A Python in the image, 3.8 or later: a name on its PATH, or a path."""
    run_id: str = ""
    """Written on the container's label ``agentgym.run``."""


class DockerSandbox(SupervisedSandbox):
    """A container; see the module.

    Raises:
        MissingExtra: docker-py is not installed.
    """

    Options = DockerOptions

    def __init__(self, options: SandboxOptions | None = None) -> None:
        options = options or DockerOptions()
        assert isinstance(options, DockerOptions)  # noqa: S101
        super().__init__(options)
        library()
        self.options = options
        self.workspace = options.workspace
        self._client: Any = None
        self._container: str | None = None
        self._complaints = bytearray()
        self._remove: Callable[[], Any] = lambda: None

    def _open(self) -> tuple[Stream, dict[str, Any]]:
        self._complaints.clear()
        if self._client is None:
            self._client = connect()
        api = self._client.api
        with told():
            _check_daemon(self._client)
            self._find_image()
            # Named here, so that it can be removed also when the daemon goes away before it says what it made.
            name = self._container = f"{LABEL}-{secrets.token_hex(8)}"
            self._remove = owner.at_end(self, _remove, api, name)
            api.create_container_from_config(self._config(), name)
            attached = api.attach_socket(name, {"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1})
            stream = AttachedStream(attached, self._complaints)
            api.start(name)
            for other in list(_owed):
                _remove(api, other)
        return stream, {"uid": UID, "join": [], "guard": False, "expendable": True}

    def _close(self) -> None:
        self._container = None
        self._remove()

    def _autopsy(self) -> Exception:
        try:
            state = self._client.api.inspect_container(self._container)["State"]
        except Exception as error:  # the daemon is gone, or the container is
            return broken(f"the container is gone: {_said(error)}")
        if state["OOMKilled"]:
            return SandboxEnded(f"the sandbox as a whole ran out of its memory_mb = {self.limits.memory_mb} and ended")
        said = bytes(self._complaints).decode("utf-8", "replace").strip().rpartition("\n")[2]
        return broken(f"the container ended with exit status {state['ExitCode']} {said or state['Error']}".strip())

    def _find_image(self) -> None:
        """Pulls the image if need be, and refuses one with folders that no limit holds."""
        errors, name = library().errors, self.options.image
        try:
            image = self._client.images.get(name)
        except errors.ImageNotFound:
            if name == IMAGE:
                raise ConfigError(
                    f"sandbox 'docker': no image {name!r}; make it with: agentgym sandbox-image"
                ) from None
            try:
                image = self._client.images.pull(*_name_and_tag(name))
            except errors.APIError as error:
                raise ConfigError(f"sandbox 'docker': no image {name!r} here or to be pulled: {_said(error)}") from None
        if volumes := image.attrs["Config"].get("Volumes"):
            listed = ", ".join(sorted(volumes))
            raise ConfigError(f"sandbox 'docker': image {name!r} has volumes ({listed}), which no limit could hold")

    def _config(self) -> dict[str, Any]:
        """The container, as the daemon's API takes it."""
        limits, options, api = self.limits, self.options, self._client.api
        disk = f"rw,exec,nosuid,nodev,size={limits.disk_mb}m,mode=755,uid={UID},gid={UID}"
        hidden = dict.fromkeys(options.hidden, "ro,noexec,nosuid,nodev,size=4k,mode=000")
        scratch = f"rw,exec,nosuid,nodev,size={limits.tmp_mb}m,mode=1777"
        host = api.create_host_config(
            network_mode="bridge" if options.network else "none",
            read_only=True,
            cap_drop=["ALL"],
            cap_add=["SETUID", "SETGID", "KILL"],
            security_opt=["no-new-privileges"],
            mem_limit=limits.memory_mb * MIB,
            memswap_limit=limits.memory_mb * MIB,
            pids_limit=limits.processes + 1,  # the supervisor
            nano_cpus=round(limits.cpus * 1e9),
            init=False,  # the supervisor must be the first process, and takes care of orphans itself
            tmpfs={**hidden, self.workspace: disk, "/tmp": scratch},  # noqa: S108 - inside the container
            shm_size=limits.tmp_mb * MIB,
            sysctls=_NO_IPC,
            ipc_mode="private",
            log_config={"Type": "none", "Config": {}},  # what is said to the supervisor is not for the host's disk
        )
        labels = {LABEL: "1", OWNER_LABEL: owner.mark(), RUN_LABEL: options.run_id}
        config: dict[str, Any] = api.create_container_config(
            options.image,
            None,
            entrypoint=supervisor_command(options.python),
            user="0:0",
            hostname="sandbox",
            stdin_open=True,
            environment={"LANG": ENV["LANG"]},
            working_dir="/",
            labels=labels,
            host_config=host,
            healthcheck={"test": ["NONE"]},
            stop_signal="SIGKILL",  # the first process heeds no other: a daemon that ends would wait in vain
        )
        return config


class AttachedStream:
    """The attached standard streams of a container, standard error kept apart."""

    def __init__(self, attached: Any, complaints: bytearray) -> None:
        self._attached = attached  # the connection closes when nobody holds it any more
        self._inner = SocketStream(getattr(attached, "_sock", attached))
        self._complaints = complaints
        self._left = 0

    def send(self, data: bytes, seconds: float) -> None:
        self._inner.send(data, seconds)

    def receive(self, size: int, seconds: float) -> bytes:
        while self._left == 0:
            head = self._exactly(_PIECE.size, seconds)
            if len(head) < _PIECE.size:
                return b""
            stream, length = _PIECE.unpack(head)
            if stream == _STDERR:
                self._complaints += self._exactly(length, seconds)
                del self._complaints[:-MAX_COMPLAINT]
            else:
                self._left = length
        data = self._inner.receive(min(size, self._left), seconds)
        self._left -= len(data)
        return data

    def _exactly(self, size: int, seconds: float) -> bytes:
        """So many bytes, fewer only at the end."""
        data = b""
        while len(data) < size and (part := self._inner.receive(size - len(data), seconds)):
            data += part
        return data

    def close(self) -> None:
        self._inner.close()
        self._attached.close()


def library() -> Any:
    """docker-py.

    Raises:
        MissingExtra: It is not installed.
    """
    try:
        import docker
    except ModuleNotFoundError:
        raise MissingExtra("docker", "swe") from None
    return docker


def connect() -> Any:
    """A `docker.DockerClient` of the daemon that the environment names.

    Raises:
        EnvironmentFault: None answers.
        MissingExtra: docker-py is not installed.
    """
    with told():
        return library().from_env(timeout=DAEMON_S)


@contextlib.contextmanager
def told() -> Iterator[None]:
    """Turns what docker-py raises into faults of the world; a container that cannot be started as it was asked for
    into a mistake in the configuration."""
    from requests.exceptions import RequestException

    errors = library().errors
    try:
        yield
    except errors.APIError as error:
        if error.status_code == 400:
            raise ConfigError(f"sandbox 'docker': the daemon refuses: {_said(error)}") from None
        raise broken(f"Docker: {_said(error)}") from None
    except (errors.DockerException, RequestException, OSError) as error:
        raise broken(f"the Docker daemon does not answer ({_said(error)}); start it with: {START}") from None


def remove_leftovers(client: Any) -> list[str]:
    """Removes the containers of processes that are gone; returns their names.

    Args:
        client: A `docker.DockerClient`.

    Raises:
        EnvironmentFault: The daemon does not answer.
    """
    removed = []
    with told():
        for found in client.api.containers(all=True, filters={"label": f"{LABEL}=1"}):
            mark = found["Labels"].get(OWNER_LABEL, "")
            # A maker elsewhere (another machine, another process namespace) cannot be looked for; an ended container
            # of its is of no use to it.
            if owner.is_dead(mark) or (found["State"] == "exited" and owner.is_elsewhere(mark)):
                _remove(client.api, found["Id"])
                removed.append(found["Id"][:12])
    return removed


_owed: set[str] = set()  # containers that could not be removed, because the daemon was gone


def _remove(api: Any, container: str) -> None:
    """Removes a container, or sees to it that the next start of another does."""
    try:
        api.remove_container(container, v=True, force=True)
    except Exception as error:
        # 404: gone already; 409: being removed.
        if getattr(error, "status_code", None) not in (404, 409):
            _owed.add(container)
            return
    _owed.discard(container)


_checked: set[str] = set()  # daemons that can hold all limits


def _check_daemon(client: Any) -> None:
    """Asks a daemon once what it can limit."""
    if client.api.base_url in _checked:
        return
    info = client.info()
    missing = [what for key, what in _NEEDED.items() if not info.get(key)]
    if not info.get("SwapLimit") and swap_is_on():
        missing.append("swap")
    if missing:
        raise ConfigError(
            f"sandbox 'docker': this daemon cannot limit {', '.join(missing)}: it lacks cgroup controllers "
            "(docker info names them)"
        )
    _checked.add(client.api.base_url)


def _name_and_tag(name: str) -> tuple[str, str | None]:
    """``a/b:c`` -> (``a/b``, ``c``); a digest stays in the name; without either the latest, not all tags there are."""
    repository, _, tag = name.rpartition(":")
    if "@" in name:
        return name, None
    return (repository, tag) if repository and "/" not in tag else (name, "latest")


def _said(error: BaseException) -> str:
    explanation = getattr(error, "explanation", None) or str(error) or type(error).__name__
    return " ".join(str(explanation).split())[:300]
