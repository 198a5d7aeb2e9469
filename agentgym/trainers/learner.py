"""The learner: trajectories and their advantages in, better weights out.

One update is: the whole batch's per-token weights (so that micro-batches add up exactly to it), log-probabilities by
packed micro-batches, the policy loss of the configured kind (PPO's clipped surrogate, arXiv 1707.06347, and its
descendants), optionally a KL term against a frozen reference and truncated importance weights where the engine's
log-probabilities differ from the learner's, then one clipped AdamW step a mini-batch.

On a CPU the same inputs give bit-identical updates: whatever is random is drawn from (seed, step).
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from pickle import UnpicklingError
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, model_validator

from agentgym.faults import AgentGymError, ConfigError, DataError, first_line
from agentgym.trainers.batch import Batch, Figures, Floats
from agentgym.trainers.distributed.config import GroupConfig
from agentgym.trainers.distributed.saved import Saved
from agentgym.trainers.distributed.team import ALONE, Team
from agentgym.trainers.divergence import Level, kl_estimate, kl_to_go, truncated_importance
from agentgym.trainers.losses import Loss, build_loss
from agentgym.trainers.optim import OptimizerConfig, make_optimizer, step
from agentgym.trainers.packing import MicroBatch, Targets, micro_batches
from agentgym.trainers.policy import Policy, PolicyConfig
from agentgym.trajectory import Trajectory


class LearnerConfig(GroupConfig, PolicyConfig):
    """How the learner learns."""

    optimizer: OptimizerConfig = OptimizerConfig()
    """AdamW, schedule, clipping."""
    epochs: int = Field(1, ge=1)
    """Passes over an update's batch."""
    minibatches: int = Field(1, ge=1)
    """Optimiser steps a pass; above 1 the batch is shuffled and split by trajectory."""
    microbatch_tokens: int = Field(8192, ge=1)
    """Tokens run through the model at one time, in each process; decides memory and speed, not the result."""
    old_logprobs: Literal["rollout", "recompute"] = "rollout"
    """What the importance ratio starts from: the log-probabilities the engine reported, or the learner's own before the
    first step (needed where the engine's are not of the plain distribution: top-p, top-k, another precision)."""
    importance_cap: float | None = Field(2.0, gt=0)
    """With ``recompute``: tokens are weighed by min(learner / engine probability, cap); none: not weighed."""
    importance_level: Level = "token"
    """Whether that weight is the token's or the product over its trajectory."""
    kl: float = Field(0.0, ge=0)
    """Weight of the KL term against a frozen reference."""
    kl_reference: Literal["device", "cpu", "base"] = "device"
    """The reference: the policy as it was before the first update, copied ``device``: to where the policy is; ``cpu``:
    to the CPU, which leaves the GPU's memory free; with LoRA also ``base``: the model without its adapters, which
    needs no copy and knows nothing of a warm start."""
    kl_in: Literal["loss", "reward"] = "loss"
    """Where it counts: as a term of the loss, or as a cost of each token (k1) that the advantages of the tokens before
    it share, as in PPO."""
    kl_estimator: Literal["k2", "k3"] = "k3"
    """How the loss estimates it from the sampled tokens (`divergence.kl_estimate`; k1 has no gradient on average)."""
    threads: int | None = Field(None, ge=1)
    """CPU threads of torch in the learner's process; none: torch's choice."""
    seed: int = Field(0, ge=0)
    """Decides how batches are shuffled into mini-batches."""
    nonfinite_limit: int = Field(5, ge=1)
    """Optimiser steps in a row whose gradients may be non-finite (such a step is skipped) before it gives up."""

    @model_validator(mode="after")
    def _adapted(self) -> LearnerConfig:
        if self.kl_reference == "base" and self.lora is None:
            raise ValueError("kl_reference 'base' is the model without its adapters; it needs lora")
        return self


class Diverged(AgentGymError):
    """Training cannot go on: gradients are not finite, several steps in a row."""


class Learner:
    """Trains a policy.

    Args:
        model: A Hugging Face folder or a hub name.
        config: See `LearnerConfig`.
        loss: The policy loss of `update`; none: PPO's clipped surrogate.
        temperature: Of the sampling: log-probabilities are those of the distribution that was sampled from.
        total_steps: Optimiser steps of the run, for schedules that decay over all of it.
        team: Those that learn the same together: all are called alike, with the same whole batches, and each runs its
            share of them.

    Raises:
        ConfigError: The model or an option cannot be used.
    """

    def __init__(
        self,
        model: str | Path,
        config: LearnerConfig,
        loss: Loss | None = None,
        *,
        temperature: float = 1.0,
        total_steps: int | None = None,
        team: Team = ALONE,
    ) -> None:
        if not temperature > 0:
            raise ConfigError(f"temperature must be above 0 to train at, got {temperature}")
        if config.threads is not None:
            torch.set_num_threads(config.threads)
        config.optimizer.lr_at(0, total_steps)  # a schedule without an end is refused now, not at the first step
        self.config, self.total_steps, self.team = config, total_steps, team
        self.loss = loss or build_loss({"name": "clipped"})
        self.policy = Policy(model, config, temperature, team)
        self.steps = 0
        self.supervised_steps = 0
        self._nonfinite = 0
        self._reference: dict[str, torch.Tensor] | None = None
        self.reset_optimizer()

    def reset_optimizer(self) -> None:
        """Forgets the optimiser's moments and begins the schedule anew: after a warm start, before the first update."""
        self._optimizer = make_optimizer(self.policy.trained().values(), self.config.optimizer)
        self.steps = 0

    # -- training ----------------------------------------------------------------------------------------------------

    def update(
        self, trajectories: Sequence[Trajectory], advantages: Sequence[Floats], *, per_token: bool = False
    ) -> dict[str, float]:
        """One policy update.

        Trajectories whose advantages are all 0 have no gradient (unless there is a KL term): they are not run through
        the model, but count in the loss's denominators.

        Args:
            trajectories: The batch; none with a fault.
            advantages: float[turns] for each trajectory.
            per_token: They are float[policy tokens] for each trajectory instead.

        Returns:
            Figures of the update: ``loss``, ``grad_norm``, ``lr``, ``tokens`` run through the model (a pass), ...

        Raises:
            Diverged: See `LearnerConfig.nonfinite_limit`.
            ValueError: Advantages that do not fit the trajectories, or a trajectory with a fault.
        """
        batch = Batch(trajectories, advantages, per_token, self.policy.device)
        self._check(trajectories)
        config = self.config
        active = [i for i in range(len(trajectories)) if config.kl or batch.signal[i]]
        if config.kl:
            with self._as_reference():
                batch.reference = self._logprobs(trajectories, batch.targets, active)
            if config.kl_in == "reward":
                cost = kl_to_go(batch.rollout, batch.reference, batch.trajectory)
                batch.advantage -= config.kl * cost
        batch.keep = self.loss.keep(batch.advantage)
        single = config.epochs == config.minibatches == 1
        if config.old_logprobs == "recompute" and not single:
            batch.old = self._logprobs(trajectories, batch.targets, active)
        figures = Figures(self.team.rank == 0)
        for epoch in range(config.epochs):
            for members in self._minibatches(len(trajectories), epoch):
                self._minibatch(batch, members, set(active), figures)
        policy_tokens = max(1, len(batch.targets))
        return Figures.means(self.team.gather(figures)) | {
            "lr": config.optimizer.lr_at(max(0, self.steps - 1), self.total_steps),
            "entropy": -float(batch.rollout.sum()) / policy_tokens,
            "trajectories": float(len(trajectories)),
            "trajectories_run": float(len(active)),
            "tokens": float(sum(len(trajectories[i]) for i in active)),
            "policy_tokens": float(sum(trajectories[i].policy_tokens for i in active)),
        }

    def _minibatches(self, n: int, epoch: int) -> list[NDArray[np.int64]]:
        if self.config.minibatches == 1:
            return [np.arange(n)]
        order = np.random.default_rng([self.config.seed, self.steps, epoch]).permutation(n)
        return [np.sort(part) for part in np.array_split(order, self.config.minibatches) if part.size]

    def _minibatch(self, batch: Batch, members: NDArray[np.int64], active: set[int], figures: Figures) -> None:
        """Gradients of one mini-batch and a step with them."""
        run = [int(i) for i in members if int(i) in active]
        if not run:
            return
        weight = torch.zeros(len(batch.targets), device=self.policy.device)
        mine = torch.from_numpy(np.flatnonzero(np.isin(batch.targets.trajectory, members))).to(self.policy.device)
        keep = None if batch.keep is None else batch.keep[mine]
        weight[mine] = self.loss.token_weights(batch.trajectory[mine], batch.turn[mine], keep).to(weight)
        total = 0.0
        for micro in self.team.accumulate(self._micro(batch.trajectories, run, batch.targets)):
            logp = self.policy.logprobs(micro)
            loss = self._loss(batch, micro, logp, weight[micro.slots], figures)
            loss.backward()  # type: ignore[no-untyped-call]
            total += float(loss.detach())
        figures.part(loss=total)
        self._step(self.config.optimizer.lr_at(self.steps, self.total_steps), figures)
        self.steps += 1

    def _loss(
        self, batch: Batch, micro: MicroBatch, logp: torch.Tensor, weight: torch.Tensor, figures: Figures
    ) -> torch.Tensor:
        config, slots = self.config, micro.slots
        rollout, trajectory = batch.rollout[slots], batch.trajectory[slots]
        old = rollout
        scale = weight
        if config.old_logprobs == "recompute":
            old = logp.detach() if batch.old is None else batch.old[slots]
            if config.importance_cap is not None:
                importance = truncated_importance(
                    old - rollout, trajectory, config.importance_cap, config.importance_level
                )
                scale = weight * importance
                figures.add(importance=importance)
        loss, extra = self.loss(logp, old, batch.advantage[slots], scale, trajectory)
        figures.add(logprob_gap=(logp.detach() - rollout).abs(), **extra)
        if batch.reference is not None and config.kl_in == "loss":
            kl = kl_estimate(logp, batch.reference[slots], config.kl_estimator)
            loss = loss + config.kl * (weight * kl).sum()
            figures.add(kl=kl.detach())
        return loss

    def supervised(
        self,
        trajectories: Sequence[Trajectory],
        weights: Sequence[float] | None = None,
        *,
        lr: float,
        observation_weight: float = 0.0,
    ) -> dict[str, float]:
        """One step of cross entropy on demonstrations.

        Args:
            trajectories: Demonstrations; none with a fault.
            weights: Of each demonstration; none: all 1.
            lr: Learning rate of the step.
            observation_weight: Weight of tokens the policy did not write (they teach the language of the environment)
                against 1 for those it did.

        Returns:
            ``loss`` (a policy token), ``observation_loss``, ``grad_norm``, ``lr``, ``tokens``.
        """
        self._check(trajectories)
        targets = Targets.of(trajectories, observations=observation_weight > 0)
        own = np.ones(len(trajectories)) if weights is None else np.asarray(weights, dtype=np.float64)
        if len(own) != len(trajectories):
            raise ValueError(f"{len(own)} weights for {len(trajectories)} trajectories")
        share = np.where(targets.turn >= 0, 1.0, observation_weight) * own[targets.trajectory]
        share /= max(float(share.sum()), 1e-12)
        weight = torch.from_numpy(share.astype(np.float32)).to(self.policy.device)
        written = torch.from_numpy(targets.turn >= 0).to(self.policy.device)
        figures = Figures(self.team.rank == 0)
        for micro in self.team.accumulate(self._micro(trajectories, range(len(trajectories)), targets)):
            logp = self.policy.logprobs(micro)
            (-(weight[micro.slots] * logp).sum()).backward()  # type: ignore[no-untyped-call]
            mask, nll = written[micro.slots], -logp.detach()
            figures.add(loss=nll[mask], observation_loss=nll[~mask])
        self._step(lr, figures)
        self.supervised_steps += 1
        tokens = float(sum(len(t) for t in trajectories))
        return Figures.means(self.team.gather(figures)) | {"lr": lr, "tokens": tokens}

    def _step(self, lr: float, figures: Figures) -> None:
        norm = step(self._optimizer, lr, self.config.optimizer.max_grad_norm)
        if math.isfinite(norm):
            self._nonfinite = 0
            figures.step(grad_norm=norm)
            return
        self._nonfinite += 1
        figures.total(nonfinite_steps=1.0)
        if self._nonfinite >= self.config.nonfinite_limit:
            raise Diverged(f"gradients were not finite in {self._nonfinite} optimiser steps in a row")

    # -- log-probabilities -------------------------------------------------------------------------------------------

    def logprobs(self, trajectories: Sequence[Trajectory]) -> list[NDArray[np.float32]]:
        """Log-probabilities of the policy's tokens under the present weights.

        Returns:
            float32[n] for each trajectory, 0 where the token is not the policy's.
        """
        self._check(trajectories)
        targets = Targets.of(trajectories)
        flat = self._logprobs(trajectories, targets, range(len(trajectories)))
        return targets.split(flat.cpu().numpy(), [len(t) for t in trajectories])

    @torch.no_grad()
    def _logprobs(self, trajectories: Sequence[Trajectory], targets: Targets, members: Sequence[int]) -> torch.Tensor:
        """float32[P]; 0 for trajectories that are not members."""
        flat = torch.zeros(len(targets), device=self.policy.device)
        for micro in self._micro(trajectories, members, targets):
            flat[micro.slots] = self.policy.logprobs(micro)
        return self.team.total(flat)

    @contextmanager
    def _as_reference(self) -> Iterator[None]:
        """Inside, the policy is the frozen reference."""
        if self.config.kl_reference == "base":
            with self.policy.without_adapters():
                yield
            return
        if self._reference is None:
            self._reference = self._copy()
        with self.policy.swapped(self._reference):
            yield

    def _copy(self) -> dict[str, torch.Tensor]:
        return self.policy.copy(torch.device("cpu") if self.config.kl_reference == "cpu" else None)

    def _micro(self, trajectories: Sequence[Trajectory], members: Sequence[int], targets: Targets) -> list[MicroBatch]:
        budget, team = self.config.microbatch_tokens, self.team
        return micro_batches(trajectories, members, targets, budget, self.policy.device, team.rank, team.size)

    def _check(self, trajectories: Sequence[Trajectory]) -> None:
        """Refuses what must never be trained on, before the model (or a GPU kernel) trips over it."""
        rows = self.policy.model.get_input_embeddings().weight.shape[0]
        context = self.policy.context
        for t in trajectories:
            if t.fault is not None:
                raise ValueError(f"{t.episode_id}: a trajectory with a fault ({t.fault}) is never trained on")
            if len(t) and not 0 <= int(t.tokens.min()) <= int(t.tokens.max()) < rows:
                raise ValueError(f"{t.episode_id}: a token is outside the model's {rows} embeddings")
            longest = max((s.stop - s.start for s in t.sequences()), default=0) if len(t) else 0
            if context is not None and longest > context:
                raise ConfigError(f"{t.episode_id}: {longest} tokens, but the model's context is {context}")

    # -- weights, save, load -----------------------------------------------------------------------------------------

    def weights(self) -> dict[str, torch.Tensor]:
        """The whole model's weights on the CPU, as engines take them (see `Policy.weights`)."""
        return self.policy.weights()

    def save(self, folder: Path) -> None:
        """Writes everything that the next update depends on; several processes write their shards."""
        folder.mkdir(parents=True, exist_ok=True)
        saved = Saved(folder, self.policy, self._optimizer)
        saved.write(self._reference, whole=self.team.size == 1)
        if self.team.rank == 0:
            counters = {"steps": self.steps, "supervised_steps": self.supervised_steps, "nonfinite": self._nonfinite}
            (folder / "learner.json").write_text(json.dumps(counters), encoding="utf-8")

    def load(self, folder: Path) -> None:
        """Reads what `save` wrote, with however many processes; with as many, the next update is bit for bit what it
        would have been (on a CPU).

        Raises:
            DataError: Not a learner's folder, or one of another model.
        """
        self.policy.load(folder)
        try:
            counters = json.loads((folder / "learner.json").read_text(encoding="utf-8"))
            self._reference = Saved(folder, self.policy, self._optimizer).read(self._copy)
            self.steps, self.supervised_steps = int(counters["steps"]), int(counters["supervised_steps"])
            self._nonfinite = int(counters["nonfinite"])
        except (OSError, ValueError, KeyError, RuntimeError, UnpicklingError) as error:
            raise DataError(folder, f"not a learner's checkpoint: {first_line(error, 160)}") from error

    def close(self) -> None:
        """Nothing to let go of; a learner of several processes has."""
