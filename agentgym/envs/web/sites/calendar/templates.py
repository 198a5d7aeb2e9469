"""All kinds of task on the calendar."""

from __future__ import annotations

from collections.abc import Sequence

from agentgym.envs.web.sites.base import Template
from agentgym.envs.web.sites.calendar.templates_book import BOOK
from agentgym.envs.web.sites.calendar.templates_change import CHANGE
from agentgym.envs.web.sites.calendar.templates_find import FIND

TEMPLATES: Sequence[Template] = (*FIND, *CHANGE, *BOOK)
