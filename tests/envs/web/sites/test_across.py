"""Tasks that use two sites, on paper."""

from __future__ import annotations

from agentgym.envs.web.sites import all_templates
from agentgym.envs.web.sites.across import TEMPLATES


def test_they_are_listed_and_use_two_sites():
    for template in TEMPLATES:
        assert all_templates()[template.id] is template
        assert len(set(template.sites)) == 2
    assert any(template.heldout for template in TEMPLATES)


def test_the_other_site_must_stay_as_it_is(episode):
    played = episode(next(t for t in TEMPLATES if t.name == "book_for_ticket"), 0)
    played.solve()
    assert played.done
    played.dbs["tracker"].execute("UPDATE tickets SET status='Blocked' WHERE id=(SELECT min(id) FROM tickets)")
    assert not played.done
