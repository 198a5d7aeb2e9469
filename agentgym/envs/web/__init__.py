"""`agentgym/Web-v0`: reach goals in a real browser. See README.md in this folder."""

from __future__ import annotations

from agentgym.envs.web.task import View, WebTask, WebTaskSet, World

__all__ = ["View", "WebTask", "WebTaskSet", "World"]
