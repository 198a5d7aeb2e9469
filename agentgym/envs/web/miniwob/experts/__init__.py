"""Scripted solvers of MiniWoB++ pages: `EXPERTS` by page. Each decides by the page as it is, from any state."""

from __future__ import annotations

from agentgym.envs.web.miniwob.experts import clicking, dragging, drawing, forms, inbox, picking
from agentgym.envs.web.miniwob.experts.scene import EXPERTS, Expert, Scene

__all__ = ["EXPERTS", "Expert", "Scene", "clicking", "dragging", "drawing", "forms", "inbox", "picking"]
