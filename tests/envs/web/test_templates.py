"""Every template of the bundled sites in a real browser: its expert solves it, and doing nothing does not.

Here each is tried on one seed; `sites/test_templates.py` tries all of them on five seeds without a browser.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import pytest

from agentgym.aio import run_blocking
from agentgym.envs.web.env import WebEnv
from agentgym.envs.web.sites import SITE_NAMES, all_templates

#: Seeds over which the templates are spread.
SEEDS = 5
#: Environments that play at the same time.
AT_ONCE = 4


def tasks(site: str) -> Sequence[str]:
    """A task of each template; those that may be trained on have train and held-out contents in turn."""
    made = []
    for number, template in enumerate(all_templates().values()):
        mark = "h" if template.heldout or number % 2 else ""
        made += [f"{template.id}/{mark}{number % SEEDS}"] if template.sites[0] == site else []
    return made


@pytest.mark.parametrize("site", SITE_NAMES)
def test_the_expert_solves_every_template(web: Callable[..., WebEnv], site: str) -> None:
    left, unsolved = list(tasks(site)), []
    envs = [web(seeds=SEEDS, heldout_seeds=SEEDS) for _ in range(AT_ONCE)]

    async def work(env: WebEnv) -> None:
        while left:
            task = left.pop()
            await env.reset_async(seed=0, options={"task": task})
            over = False
            while not over:
                _, _, terminated, truncated, info = await env.step_async(env.expert())
                over = terminated or truncated
            if info["signal"].outcome != 1.0:
                unsolved.append(task)

    async def everybody() -> None:
        await asyncio.gather(*map(work, envs))

    run_blocking(everybody())
    assert unsolved == []


def test_doing_nothing_solves_no_template(web: Callable[..., WebEnv]) -> None:
    taskset = web(seeds=SEEDS, heldout_seeds=SEEDS).taskset
    for template in all_templates().values():
        for seed in range(SEEDS):
            task = taskset[f"{template.id}/h{seed}"]
            world = taskset.world(task)
            try:
                assert not any(world.facts()), task.id
                assert world.broken() == 0, task.id
                for said in (None, "", "done"):
                    assert world.outcome(said, False) == 0.0, (task.id, said)
            finally:
                world.close()
