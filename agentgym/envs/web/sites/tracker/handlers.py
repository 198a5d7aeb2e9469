"""The tracker's paths and who answers them."""

from __future__ import annotations

from agentgym.envs.web.sites.serving import Handler
from agentgym.envs.web.sites.tracker import lists, ticket

HANDLERS: tuple[tuple[str, str, Handler], ...] = (
    ("/", "GET", lists.home),
    ("/tickets", "GET POST", lists.tickets),
    ("/tickets/new", "GET POST", ticket.make),
    ("/tickets/{number}", "GET POST", ticket.ticket),
    ("/members", "GET", lists.members),
    ("/projects", "GET", lists.projects),
    ("/labels", "GET POST", lists.labels),
)

NOTICES = {
    "changed": "The selected tickets were changed.",
    "made": "The ticket was created.",
    "saved": "The details were saved.",
    "renamed": "The title was changed.",
    "closed": "The ticket was closed.",
    "reopened": "The ticket is open again.",
    "labelled": "The label was added.",
    "unlabelled": "The label was removed.",
    "commented": "Your comment was added.",
    "uncommented": "Your comment was deleted.",
    "watched": "You watch this ticket now.",
    "unwatched": "You no longer watch this ticket.",
    "label_made": "The label was created.",
    "label_renamed": "The label was renamed.",
    "label_deleted": "The label was deleted.",
}
