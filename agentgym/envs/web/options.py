"""Options of the environment that are checked by themselves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from agentgym.faults import ConfigError, did_you_mean
from agentgym.tools.browser.options import BrowserOptions


def browser_options(given: Mapping[str, Any], headed: bool) -> BrowserOptions:
    """How browsers are run, from plain data.

    Args:
        given: Options by name.
        headed: Whether a person watches.

    Raises:
        ConfigError: An unknown option, or a value that cannot be used.
    """
    known = [field.name for field in fields(BrowserOptions)]
    for key in given:
        if key not in known:
            raise ConfigError(f"browser option {key!r} is unknown; {did_you_mean(key, known)}")
    options = {**given, **({"headed": True} if headed else {})}
    try:
        if "viewport" in options:
            options["viewport"] = tuple(options["viewport"])
        return BrowserOptions(**options)
    except TypeError as error:
        raise ConfigError(f"browser: a value is of the wrong type: {error}") from None


def check_choices(**choices: tuple[object, Sequence[str]]) -> None:
    """Checks options that name one of several things.

    Args:
        **choices: Option -> (value, what it may be).

    Raises:
        ConfigError: Another value.
    """
    for name, (value, known) in choices.items():
        if value not in known:
            raise ConfigError(f"{name} must be one of {', '.join(known)}, got {value!r}")


def check_least(**numbers: tuple[int, int]) -> None:
    """Checks options that are numbers.

    Args:
        **numbers: Option -> (value, least).

    Raises:
        ConfigError: A smaller one.
    """
    for name, (value, least) in numbers.items():
        if value < least:
            raise ConfigError(f"{name} must be at least {least}, got {value}")
