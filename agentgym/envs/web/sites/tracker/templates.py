"""All tasks of the tracker."""

from __future__ import annotations

from agentgym.envs.web.sites.base import Template
from agentgym.envs.web.sites.tracker import templates_bulk, templates_many, templates_one

TEMPLATES: tuple[Template, ...] = (*templates_one.TEMPLATES, *templates_many.TEMPLATES, *templates_bulk.TEMPLATES)
