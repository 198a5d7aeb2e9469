"""The bundled sites: small real web applications, and the tasks on them.

Importing this loads neither a browser nor a web server's code: the applications are imported when they are asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import import_module
from types import ModuleType

from agentgym.envs.web.sites.base import Site, Template, by_id
from agentgym.faults import MissingExtra

#: The sites that exist; each is a package beside this file with `site.py` (`SITE`) and `templates.py` (`TEMPLATES`).
SITE_NAMES: tuple[str, ...] = ("shop", "tracker", "calendar", "wiki")


@cache
def all_sites() -> Mapping[str, Site]:
    """Every bundled site by its name.

    Raises:
        MissingExtra: The web server's library is not installed.
    """
    return {name: _part(f"{name}.site").SITE for name in SITE_NAMES}


@cache
def all_templates() -> Mapping[str, Template]:
    """Every template by its id ``site/name``, site by site; then those that use two sites (`across.py`)."""
    modules = [*(f"{name}.templates" for name in SITE_NAMES), "across"]
    return by_id(template for name in modules for template in _part(name).TEMPLATES)


def _part(name: str) -> ModuleType:
    try:
        return import_module(f"{__name__}.{name}")
    except ModuleNotFoundError as error:
        if error.name and not error.name.startswith("agentgym"):
            raise MissingExtra(error.name.partition(".")[0], "web") from None
        raise


def __getattr__(name: str) -> object:
    if name == "SITES":
        return all_sites()
    if name == "TEMPLATES":
        return all_templates()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
