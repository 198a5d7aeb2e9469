"""TRL's side of `benchmarks/gpu.py`: the training step of its GRPOTrainer on sequences that are given to it.

Runs in the peer's virtual environment. A `rollout_func` hands TRL the sequences, with what the policy wrote of them as
``env_mask``, so that nothing is generated. The clock starts when TRL has scored them and computed their advantages, and
ends after the optimiser's step.
"""

from __future__ import annotations

import importlib.util
import json
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from baton import Baton, Step, Steps
from datasets import Dataset
from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
from trl import GRPOConfig, GRPOTrainer

#: Never reached: the norm is computed, as in any run, and nothing is scaled.
MAX_GRAD_NORM = 1e9


class TimedTrainer(GRPOTrainer):
    """Says when it begins to learn."""

    since = 0.0

    def _generate_and_score_completions(self, inputs: Any) -> Any:
        out = super()._generate_and_score_completions(inputs)
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        self.since = time.perf_counter()
        return out


class Turns(TrainerCallback):
    """Lets the trainer go on when the driver says so."""

    def __init__(self, baton: Baton, cuda: bool) -> None:
        self.baton, self.cuda = baton, cuda
        self.trainer: TimedTrainer | None = None
        self.norm = 0.0
        self.first = True

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.baton.hello({p: version(p) for p in ("trl", "transformers", "torch")})
        self._wait(control)

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        assert self.trainer is not None
        if self.first:  # the update that warms up; TRL computes it in each, but keeps it to itself
            gradients = [p.grad for p in self.trainer.model.parameters() if p.grad is not None]
            self.norm, self.first = float(torch.nn.utils.get_total_norm(gradients)), False

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        assert self.trainer is not None
        if self.cuda:
            torch.cuda.synchronize()
        seconds = time.perf_counter() - self.trainer.since
        peak = torch.cuda.max_memory_allocated() / 2**30 if self.cuda else None
        self.baton.report(Step(seconds, self.norm, peak))
        self._wait(control)

    def _wait(self, control: Any) -> None:
        control.should_training_stop = not self.baton.wait()


def main() -> None:
    baton = Baton()
    steps = Steps(**json.loads(Path(sys.argv[1]).read_text()))
    cuda = steps.device == "cuda"
    torch.set_num_threads(steps.threads)
    attention = "flash_attention_2" if cuda and importlib.util.find_spec("flash_attn") else "sdpa"
    model = AutoModelForCausalLM.from_pretrained(steps.model, dtype=torch.float32, attn_implementation=attention)

    def given(prompts: list[Any], trainer: Any) -> dict[str, Any]:
        assert len(prompts) == len(steps.prompts)
        return {
            "prompt_ids": steps.prompts,
            "completion_ids": steps.completions,
            "logprobs": None,
            "env_mask": steps.written,
        }

    def reward(completions: list[Any], **_: Any) -> list[float]:
        return steps.rewards

    turns = Turns(baton, cuda)
    sequences = len(steps.prompts)
    trainer = TimedTrainer(
        model=model,
        processing_class=AutoTokenizer.from_pretrained(steps.model),
        reward_funcs=[reward],
        rollout_func=given,
        train_dataset=Dataset.from_list([{"prompt": "w0"}] * (sequences // steps.samples)),
        callbacks=[turns],
        args=GRPOConfig(
            output_dir=str(Path(sys.argv[1]).parent / "trl"),
            use_cpu=not cuda,
            bf16=cuda,
            gradient_checkpointing=steps.checkpointing,
            per_device_train_batch_size=steps.micro_batch,
            gradient_accumulation_steps=sequences // steps.micro_batch,
            num_generations=steps.samples,
            max_steps=steps.updates,
            max_grad_norm=MAX_GRAD_NORM,
            learning_rate=steps.lr,
            lr_scheduler_type="constant",
            save_strategy="no",
            report_to="none",
            logging_strategy="no",
            disable_tqdm=True,
        ),
    )
    turns.trainer = trainer
    trainer.train()


if __name__ == "__main__":
    main()
