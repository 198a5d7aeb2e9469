"""Tasks that use two sites, on paper."""

from __future__ import annotations

import pytest

from agentgym.envs.web.sites import all_templates
from agentgym.envs.web.sites.across import TEMPLATES


def test_they_are_listed_and_use_two_sites():
    for template in TEMPLATES:
        assert all_templates()[template.id] is template
        assert len(set(template.sites)) == 2
    assert any(template.heldout for template in TEMPLATES)


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda t: t.name)
def test_the_expert_solves_and_doing_nothing_does_not(episode, template):
    for seed, heldout in ((0, False), (1, True)):
        played = episode(template, seed, heldout)
        assert not played.done
        assert played.goal.broken(played.dbs) == ()
        assert played.solve() <= played.goal.steps
        assert played.done, played.goal.text


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda t: t.name)
def test_the_expert_mends_what_chance_has_done(episode, template):
    # Orders of the shop and deleted labels of the tracker cannot be taken back, so chance plays on the other site.
    site = next(site for site in template.sites if site in ("calendar", "wiki"))
    played = episode(template, 1)
    played.browser.request("GET", f"http://{site}.test/")
    played.wander(1, 25)
    played.solve(150)
    assert played.done, (played.goal.text, played.goal.broken(played.dbs))


def test_the_other_site_must_stay_as_it_is(episode):
    played = episode(next(t for t in TEMPLATES if t.name == "book_for_ticket"), 0)
    played.solve()
    assert played.done
    played.dbs["tracker"].execute("UPDATE tickets SET status='Blocked' WHERE id=(SELECT min(id) FROM tickets)")
    assert not played.done
