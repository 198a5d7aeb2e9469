"""All templates, on paper: their experts reach the goal, from the start and after a hand that knows nothing of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from agentgym.envs.web.sites import all_templates
from agentgym.envs.web.sites.base import Template

TEMPLATES = list(all_templates().values())
#: Calls left to chance on each site. Orders of the shop and deleted labels of the tracker cannot be taken back.
CHANCE = {"calendar": 30, "wiki": 30, "shop": 6, "tracker": 6}


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda template: template.id)
def test_the_expert_solves_and_idleness_does_not(template: Template, episode: Callable[..., Any]) -> None:
    for seed in range(5):
        made = episode(template, seed, template.heldout or seed % 2 == 1)
        assert not any(made.goal.progress(made.dbs))
        assert not made.goal.broken(made.dbs)
        assert not made.done
        assert not made.goal.done(made.dbs, "")
        steps = made.solve()
        assert made.done, (seed, made.goal.text, made.goal.progress(made.dbs), made.goal.broken(made.dbs))
        assert steps <= made.goal.steps, (seed, steps)


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda template: template.id)
def test_the_expert_mends_what_chance_has_done(template: Template, episode: Callable[..., Any]) -> None:
    site = max(template.sites, key=CHANCE.__getitem__)
    for seed in range(2):
        made = episode(template, seed, template.heldout)
        if site != template.sites[0]:
            made.browser.request("GET", f"http://{site}.test/")
        made.wander(seed, CHANCE[site])
        made.solve(150)
        assert made.done, (seed, made.goal.text, made.goal.broken(made.dbs), made.calls)
