"""Shaping: the raw signals of a batch become one reward a turn and one outcome a trajectory, by stages in order."""

from agentgym.rewards.shaping.accumulate import bottom_line, clip_reward, delta, renorm
from agentgym.rewards.shaping.agreement import co_reward, csr, sd_e2
from agentgym.rewards.shaping.buffers import cost_buffer, running_filter
from agentgym.rewards.shaping.groups import difficulty_scale, gdpo, rubric_norm
from agentgym.rewards.shaping.laser import laser, laser_d, laser_de
from agentgym.rewards.shaping.learned import alignment, oni
from agentgym.rewards.shaping.length import crf, overlong
from agentgym.rewards.shaping.noise import corrupt, denoise
from agentgym.rewards.shaping.pipeline import STAGES, Pipeline, build_stages
from agentgym.rewards.shaping.potential import potential, vsrm
from agentgym.rewards.shaping.reference import brpo, log_sigmoid, par
from agentgym.rewards.shaping.stages import gate, weigh
from agentgym.rewards.shaping.trust import trust

__all__ = [
    "STAGES",
    "Pipeline",
    "alignment",
    "bottom_line",
    "brpo",
    "build_stages",
    "clip_reward",
    "co_reward",
    "corrupt",
    "cost_buffer",
    "crf",
    "csr",
    "delta",
    "denoise",
    "difficulty_scale",
    "gate",
    "gdpo",
    "laser",
    "laser_d",
    "laser_de",
    "log_sigmoid",
    "oni",
    "overlong",
    "par",
    "potential",
    "renorm",
    "rubric_norm",
    "running_filter",
    "sd_e2",
    "trust",
    "vsrm",
    "weigh",
]
