"""The words that a page can show, for tokenizers that are made for a task set: those of its file and of its parts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Final

from agentgym.envs.web.miniwob.site import html_root
from agentgym.faults import ConfigError

#: Parts of pages that hold words: lists of names and the like.
_LISTS: Final = re.compile(r'src="\.\./(common/(?!.*\.min\.)[^"]+\.js)"')
_SAID: Final = re.compile(r"\"([^\"\n]*)\"|'([^'\n]*)'|`([^`]*)`")
_TAGS: Final = re.compile(r"<[^>]*>")
#: The long lists that pages share: names, countries, languages, ...
_SHARED: Final = re.compile(r"^(ui_utils\.[A-Z_]+) = \[.*?\];?$", re.DOTALL | re.MULTILINE)
#: A page with this makes words of random letters.
_RANDOM: Final = "generateString"
_USED: Final = re.compile(r"ui_utils\.[A-Z_]+")
_COMMON: Final = "common/ui_utils.js"
#: Numbers that pages show: amounts, years, prices, places.
NUMBERS: Final = range(-200, 2_021)


@lru_cache(256)
def _words_of(path: str, used: frozenset[str]) -> tuple[str, ...]:
    """The words of a file, but for the shared lists that are not used."""
    text = (html_root() / path).read_text(encoding="utf-8")
    text = _SHARED.sub(lambda found: found[0] if found[1] in used else "", text)
    said = {" ".join(part.split()) for match in _SAID.finditer(text) for part in match.groups() if part}
    shown = _TAGS.sub(" ", text) if path.endswith(".html") else ""
    return (*sorted(said), *sorted(set(shown.split())))


def page_words(page: str) -> Iterator[str]:
    """Texts that hold every word of a page.

    Raises:
        ConfigError: The page makes words of random letters.
    """
    path = f"miniwob/{page}.html"
    text = (html_root() / path).read_text(encoding="utf-8")
    if _RANDOM in text:
        raise ConfigError(f"MiniWoB page {page!r} makes words of random letters, so they cannot be listed")
    parts = (path, *_LISTS.findall(text))
    used = frozenset(_USED.findall(" ".join((html_root() / p).read_text("utf-8") for p in parts if p != _COMMON)))
    for part in parts:
        for words in _words_of(part, used):
            yield words
            yield words.title()
            yield words.lower()
    yield " ".join(map(str, NUMBERS))
