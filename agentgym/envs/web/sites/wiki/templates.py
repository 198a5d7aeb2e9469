"""All kinds of task on the wiki."""

from __future__ import annotations

from collections.abc import Sequence

from agentgym.envs.web.sites.base import Template
from agentgym.envs.web.sites.wiki.templates_edit import EDIT
from agentgym.envs.web.sites.wiki.templates_find import FIND
from agentgym.envs.web.sites.wiki.templates_long import LONG

TEMPLATES: Sequence[Template] = (*FIND, *EDIT, *LONG)
