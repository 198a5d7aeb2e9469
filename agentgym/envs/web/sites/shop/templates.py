"""All tasks of the shop."""

from __future__ import annotations

from agentgym.envs.web.sites.base import Template
from agentgym.envs.web.sites.shop import templates_account, templates_cart, templates_find, templates_order

TEMPLATES: tuple[Template, ...] = (
    *templates_find.TEMPLATES,
    *templates_account.TEMPLATES,
    *templates_cart.TEMPLATES,
    *templates_order.TEMPLATES,
)
