"""`RaySession`: this process's connection to Ray, which rollout workers and a learner's processes share."""

from __future__ import annotations

import logging
import os
import threading
import time
from typing import TYPE_CHECKING, Any, ClassVar

import psutil

from agentgym.faults import MissingExtra, RayFault, first_line

# Ray prints the loss of a worker to the driver's standard output, where JSON may be going; the fleet reports it itself.
os.environ.setdefault("RAY_DEDUP_LOGS_SKIP_REGEX", "A worker died or was killed while executing")
try:
    import ray
except ModuleNotFoundError as error:  # pragma: no cover - the train extra brings it
    raise MissingExtra("ray", "train") from error

if TYPE_CHECKING:
    from ray import ObjectRef

# Without one of them a private Ray can do nothing more, and says nothing of it.
_SERVERS = ("gcs_server", "raylet")
_CHECK_S = 0.5


class RaySession:
    """Made by the first that needs one, ended with the last."""

    _lock = threading.Lock()
    _users = 0
    _servers: ClassVar[list[psutil.Process]] = []  # of a private Ray
    _checked = 0.0

    @classmethod
    def enter(cls, address: str | None, object_store_memory: int) -> bool:
        """Returns whether `leave` must be called; a connection that somebody else made is used and left alone.

        Args:
            address: Of a cluster; None: a private Ray on this machine.
            object_store_memory: Bytes, of a private Ray.

        Raises:
            RayFault: It did not start, or does not answer.
        """
        with cls._lock:
            if cls._users == 0 and ray.is_initialized():
                return False
            if cls._users == 0 and address is not None:
                cls._init(address=address)
            elif cls._users == 0:
                # A private instance needs neither telemetry nor a token file in the user's home; and its workers
                # may see the GPUs although they do not reserve one.
                os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
                os.environ.setdefault("RAY_AUTH_MODE", "disabled")
                os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
                before = set(psutil.Process().children())
                cls._init(address="local", include_dashboard=False, object_store_memory=object_store_memory)
                started = set(psutil.Process().children()) - before
                cls._servers = [process for process in started if process.name() in _SERVERS]
            cls._users += 1
            return True

    @classmethod
    def _init(cls, address: str, **options: Any) -> None:
        try:
            ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, **options)
        except Exception as error:  # it says in many ways that it did not come up in time, or was not found
            ray.shutdown()
            what = "did not start" if address == "local" else f"does not answer at {address}"
            raise RayFault(f"Ray {what}: {first_line(error)}") from error

    @classmethod
    def check(cls) -> None:
        """Whoever waits for something calls this now and then: of a private Ray that died nothing will come.

        Raises:
            RayFault: One of its servers is gone.
        """
        now = time.monotonic()
        if now - cls._checked >= _CHECK_S:
            cls._checked = now
            cls._check()

    @classmethod
    def put(cls, value: Any) -> ObjectRef[Any]:
        """`ray.put`, which ends the whole process where the object store is gone; so that is looked at first.

        Raises:
            RayFault: It is.
        """
        cls._check()
        return ray.put(value)

    @classmethod
    def _check(cls) -> None:
        if cls.died():
            raise RayFault("Ray's own processes on this machine died")

    @classmethod
    def died(cls) -> bool:
        """Whether a server of a private Ray is gone."""
        return any(not server.is_running() or server.status() == psutil.STATUS_ZOMBIE for server in cls._servers)

    @classmethod
    def leave(cls) -> None:
        with cls._lock:
            cls._users -= 1
            if cls._users == 0:
                cls._servers = []
                ray.shutdown()
