"""The ranks of a learner as a worker group of Ray Train.

Ray Train places the processes, gives each its GPU and sets up their process group; each then serves commands from the
group's mailbox (`agentgym.trainers.distributed.rank`) until the group is stopped. While a command is under way the
processes are asked for signs of life, so that a dead one ends the command at once, whatever the others wait for.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import threading
import time
from typing import TYPE_CHECKING, Any, NoReturn

from agentgym.faults import ConfigError, MissingExtra, first_line
from agentgym.rollout.pool import DEFAULT_OBJECT_STORE_BYTES
from agentgym.rollout.session import RaySession
from agentgym.trainers.distributed.fault import LearnerFault
from agentgym.trainers.distributed.mailbox import Answer, Command, Mailbox

try:
    import ray
    import ray.train
    import ray.train.torch
    from ray.exceptions import RayActorError, RayError
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy
except ImportError as error:
    # ray.train's own message does not say which of its libraries is missing.
    raise MissingExtra("ray.train (with pandas)", "train") from error

if TYPE_CHECKING:
    from ray import ObjectRef
    from ray.actor import ActorHandle

    from agentgym.trainers.learner import LearnerConfig

# How often ranks are asked for a sign of life while a command is under way.
_LIFE_S = 0.25
# How long they are asked, after a fault, for which of them died: Ray hears of it later than the others may.
_LAST_SIGN_S = 5.0
# Between two of these questions.
_PAUSE_S = 0.1
# Time that Ray Train has to take the group down.
_STOP_S = 20.0
# CPUs that a rank sets aside on a private Ray: next to none, as its workers share the machine's cores freely.
_TOKEN_CPU = 0.001
# How often Ray Train's controller looks at its workers; nothing else waits for it than the end of a broken group.
_CONTROLLER_S = "0.5"


class RankGroup:
    """A running group.

    Args:
        config: How many ranks there are, and what each has.
        address: Of a Ray cluster; None: a private local Ray, or the one this process has started already.
        object_store_memory: Bytes, of a private Ray.

    Raises:
        ConfigError: Ray has not the GPUs that are asked for.
        LearnerFault: The group cannot be started.
    """

    def __init__(
        self,
        config: LearnerConfig,
        address: str | None = None,
        object_store_memory: int = DEFAULT_OBJECT_STORE_BYTES,
    ) -> None:
        self.config = config
        self._entered = RaySession.enter(address, object_store_memory)
        self._members: list[ActorHandle[Any]] = []
        self._signs: dict[int, ObjectRef[Any]] = {}
        self._number, self._broken = 0, False
        self._why: BaseException | None = None
        self._mailbox: ActorHandle[Any] | None = None
        self._thread: threading.Thread | None = None
        self._folder = tempfile.mkdtemp(prefix="agentgym-learner-")
        try:
            self._start(private=self._entered and address is None)
        except BaseException:
            self.stop()
            raise

    def _start(self, private: bool) -> None:
        config, gpus = self.config, self._on_gpus()
        os.environ.setdefault("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", _CONTROLLER_S)
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        kind = ray.remote(Mailbox).options(
            num_cpus=0, max_concurrency=2 * config.processes + 4, scheduling_strategy=here
        )
        mailbox: ActorHandle[Any] = kind.remote(config.processes)  # type: ignore[assignment]
        self._mailbox = mailbox
        resources = {"CPU": _TOKEN_CPU} if private else {"CPU": float(config.threads or 1)}
        from agentgym.trainers.distributed.rank import serve

        train: Any = ray.train  # its second version, which type checkers do not see
        trainer = train.torch.TorchTrainer(
            serve,
            train_loop_config={"mailbox": mailbox},
            torch_config=train.torch.TorchConfig(
                backend="nccl" if gpus else "gloo", timeout_s=int(config.exchange_timeout_s)
            ),
            scaling_config=train.ScalingConfig(
                num_workers=config.processes, use_gpu=gpus, resources_per_worker=resources | config.resources
            ),
            run_config=train.RunConfig(
                name="learner",
                storage_path=self._folder,
                # Whoever drives the run starts the group again: it knows from which checkpoint.
                failure_config=train.FailureConfig(max_failures=0, controller_failure_limit=0),
            ),
        )
        self._thread = threading.Thread(target=self._fit, args=(trainer,), name="learner-group", daemon=True)
        self._thread.start()
        self._members = self._wait(mailbox.joined.remote())

    def _on_gpus(self) -> bool:
        device, ranks = self.config.device, self.config.processes
        if device not in ("auto", "cpu", "cuda"):
            raise ConfigError(
                f"learner.device {device!r}: each of several processes has its own; use auto, cpu or cuda"
            )
        there = int(ray.cluster_resources().get("GPU", 0))  # type: ignore[no-untyped-call]
        if device == "cpu" or (device == "auto" and not there):
            return False
        if there < ranks:
            raise ConfigError(f"learner.processes {ranks}: Ray has {there} GPUs, and each process needs its own")
        return True

    def _fit(self, trainer: Any) -> None:
        try:
            trainer.fit()
        except BaseException as error:  # whatever it is, it ended the group
            self._why = error

    # -- commands ----------------------------------------------------------------------------------------------------

    def run(self, name: str, *arguments: Any, **options: Any) -> Any:
        """Has all ranks do the same.

        Args:
            name: A method of `Rank`, or of its learner.
            arguments: Go through Ray's object store, once.
            **options: Likewise.

        Returns:
            The first rank's `Reply`.

        Raises:
            AgentGymError, ValueError, OSError: What all ranks raised; the group goes on.
            LearnerFault: A rank died or failed alone; the group is stopped.
        """
        if self._mailbox is None or self._broken:
            raise LearnerFault("the learner's processes are down")
        command = Command(self._number, name, RaySession.put((arguments, options)))
        self._number += 1
        answers: list[Answer] = self._wait(self._mailbox.run.remote(command))
        errors = [(answer.rank, answer.error) for answer in answers if answer.error is not None]
        if len(errors) == self.config.processes and all(answer.sound for answer in answers):
            raise errors[0][1]
        if errors:
            self._fault("rank {} failed: {}".format(*errors[0]))
        return self._wait(answers[0].value)

    def _wait(self, ref: ObjectRef[Any]) -> Any:
        """What the reference stands for, unless a rank dies first."""
        while not ray.wait([ref], timeout=_LIFE_S)[0]:
            if self._thread is None or not self._thread.is_alive():
                self._fault(
                    f"the group ended ({first_line(self._why)})" if self._why is not None else "the group ended"
                )
            RaySession.check()
            if dead := self._dead():
                self._fault(dead)
            self._ask()
        try:
            return ray.get(ref)
        except RayError as error:
            self._fault(f"no answer: {first_line(error)}")

    def _ask(self) -> list[ObjectRef[Any]]:
        """Asks the ranks for a sign of life; who still owes one is not asked again."""
        for rank, member in enumerate(self._members):
            if rank not in self._signs:
                self._signs[rank] = member.__ray_ready__.remote()
        return list(self._signs.values())

    def _dead(self) -> str:
        """Names the ranks whose answer was an error; those without any are busy."""
        dead = []
        for rank, sign in list(self._signs.items()):
            if ray.wait([sign], timeout=0)[0]:
                del self._signs[rank]
                try:
                    ray.get(sign)
                except RayActorError:
                    dead.append(str(rank))
        return f"rank {', '.join(dead)} died" if dead else ""

    def _last_signs(self) -> str:
        """Asks until a rank is known to be dead, or for as long as that may take."""
        end = time.monotonic() + _LAST_SIGN_S
        while not (dead := self._dead()) and self._members and time.monotonic() < end:
            self._ask()
            time.sleep(_PAUSE_S)
        return dead

    def _fault(self, what: str) -> NoReturn:
        what = self._last_signs() or what  # whatever was noticed first, a dead rank is the likelier cause
        self._broken = True
        self._kill()  # what is left of it waits for the dead; `stop` sees to the rest
        raise LearnerFault(f"the learner's processes are down: {what}") from self._why

    # -- the end -----------------------------------------------------------------------------------------------------

    @property
    def running(self) -> bool:
        """Whether commands are taken."""
        return self._mailbox is not None and not self._broken

    def stop(self) -> None:
        """Ends the processes; safe to call again."""
        if self._mailbox is not None:
            with contextlib.suppress(RayError):
                self._mailbox.run.remote(Command(self._number, ""))
        if self._thread is not None:
            self._thread.join(_STOP_S)
            if self._thread.is_alive():
                self._kill()
                self._thread.join(_STOP_S)
        if self._mailbox is not None:
            with contextlib.suppress(RayError):
                ray.kill(self._mailbox)
        self._mailbox, self._thread, self._members = None, None, []
        shutil.rmtree(self._folder, ignore_errors=True)
        if self._entered:
            self._entered = False
            RaySession.leave()

    def _kill(self) -> None:
        for member in self._members:
            with contextlib.suppress(RayError):
                ray.kill(member)
