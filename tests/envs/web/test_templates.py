"""Every template of the bundled sites in a real browser: its expert solves it, and doing nothing does not.

Here each is tried on one seed; the tests of each site try all of them on five seeds without a browser.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from agentgym.envs.web.env import WebEnv
from agentgym.envs.web.sites import all_templates

TEMPLATES = tuple(all_templates().values())
#: Seeds over which the templates are spread.
SEEDS = 5


@pytest.fixture(scope="module")
def env(chromium: str) -> Iterator[WebEnv]:
    made = WebEnv(seeds=SEEDS, heldout_seeds=SEEDS, action_format="browsergym")
    yield made
    made.close()


@pytest.mark.parametrize("number", range(len(TEMPLATES)), ids=[template.id for template in TEMPLATES])
def test_the_expert_solves_it_in_the_browser(env: WebEnv, number: int) -> None:
    template, seed = TEMPLATES[number], number % SEEDS
    # Templates that may be trained on are tried with both contents in turn.
    heldout = template.heldout or number % 2 == 1
    task = f"{template.id}/{'h' if heldout else ''}{seed}"
    _, info = env.reset(seed=0, options={"task": task})
    facts: list[float] = []
    over = False
    while not over:
        _, _, terminated, truncated, info = env.step(env.expert())
        facts.append(info["signal"].process.get("subgoal", 0.0))
        over = terminated or truncated
    signal = info["signal"]
    assert signal.outcome == 1.0, (task, len(facts))
    assert len(facts) <= env.taskset[task].length, (task, len(facts))


def test_doing_nothing_solves_no_template(env: WebEnv) -> None:
    for template in TEMPLATES:
        for seed in range(SEEDS):
            task = f"{template.id}/h{seed}"
            world = env.taskset.world(env.taskset[task])
            try:
                assert not any(world.facts()), task
                assert world.broken() == 0, task
                for said in (None, "", "done", "0", "1"):
                    right = template.make  # the answer may be a small number by chance
                    if said in ("0", "1") and world.outcome(said, False) == 1.0:
                        assert "number" in env.taskset[task].goal, (task, right)
                        continue
                    assert world.outcome(said, False) == 0.0, (task, said)
            finally:
                world.close()
