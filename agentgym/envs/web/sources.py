"""The sources of web tasks, by name; see `agentgym.envs.sourcing`."""

from __future__ import annotations

from agentgym.envs.sourcing import Source
from agentgym.envs.web.task import WebTaskSet
from agentgym.registry import Registry


class WebSource(Source[WebTaskSet]):
    """Base of the sources' options."""


SOURCES: Registry[type[WebSource]] = Registry(
    "web source",
    "agentgym.web_sources",
    lazy={
        "bundled": "agentgym.envs.web.bundled:BundledSource",
        "miniwob": "agentgym.envs.web.miniwob.tasks:MiniwobSource",
        "webarena": "agentgym.envs.web.webarena:WebArenaSource",
        "behaviour": "agentgym.envs.web.behaviour:BehaviourSource",
        "rows": "agentgym.envs.web.single:RowsSource",
    },
)
