"""BrowserGym's action language, ``click('12')``, read by a grammar: never evaluated.

The language is that of BrowserGym (The BrowserGym Ecosystem for Web Agent Research, arXiv 2412.05467): calls with
literal arguments, Python's notation. ::

    turn    = [ thinking ] [ "```" ] call { separator call } [ "```" ]
    call    = name "(" [ argument { "," argument } [ "," ] ] ")"
    argument= [ name "=" ] literal
    literal = string | number | True | False | None | "[" [ literal { "," literal } ] "]"

A scan is linear in the length of the text and never recurses deeper than `MAX_DEPTH`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from agentgym.actions import JUDGE, PARSERS, THINK, Action, ActionParser, ActionSpec
from agentgym.faults import ConfigError

#: Deepest nesting of lists.
MAX_DEPTH = 4
#: Longest number, in characters.
MAX_NUMBER_CHARS = 30

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_BLANK = re.compile(r"\s*")
# The first call begins a line; what stands before it is thinking.
_START = re.compile(r"^[ \t]*([A-Za-z_][A-Za-z0-9_]*)[ \t]*\(", re.MULTILINE)
_KEYWORD = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)\s*=(?!=)")
_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")
_PLAIN = {quote: re.compile(rf"[^\\\n{quote}]*") for quote in "'\""}
_HEX = {"x": 2, "u": 4, "U": 8}
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "0": "\0", "\\": "\\", "'": "'", '"': '"', "\n": ""}
_CONSTANTS = {"True": True, "False": False, "None": None}
_LABEL = re.compile(r"^[A-Za-z]*[ \t]*\n")


class LanguageError(ValueError):
    """Text that is not the language; one line for the agent."""


class Call(NamedTuple):
    """A call as written: positional and named arguments."""

    name: str
    positional: tuple[Any, ...]
    named: dict[str, Any]


class _Reader:
    def __init__(self, text: str, at: int = 0) -> None:
        self.text, self.at = text, at

    def blank(self) -> None:
        match = _BLANK.match(self.text, self.at)
        self.at = match.end() if match else self.at

    def peek(self) -> str:
        self.blank()
        return self.text[self.at : self.at + 1]

    def take(self, mark: str, why: str) -> None:
        if self.peek() != mark:
            raise LanguageError(why)
        self.at += 1

    def call(self) -> Call:
        self.blank()
        match = _NAME.match(self.text, self.at)
        if match is None:
            raise LanguageError("an action must look like click('12')")
        name, self.at = match[0], match.end()
        self.take("(", f"{name[:40]} must be followed by its arguments in brackets")
        positional: list[Any] = []
        named: dict[str, Any] = {}
        while self.peek() != ")":
            keyword = _KEYWORD.match(self.text, self.at)
            if keyword is not None:
                self.at = keyword.end()
                if keyword[1] in named:
                    raise LanguageError(f"{name[:40]}: argument {keyword[1][:40]} is given twice")
                named[keyword[1]] = self.literal()
            elif named:
                raise LanguageError(f"{name[:40]}: an argument without a name follows one with a name")
            else:
                positional.append(self.literal())
            if self.peek() == ",":
                self.at += 1
            elif self.peek() != ")":
                raise LanguageError(
                    f"{name[:40]}: expected , or ) after an argument; quotes inside of a text need a \\"
                )
        self.at += 1
        return Call(name, tuple(positional), named)

    def literal(self, depth: int = 0) -> Any:
        mark = self.peek()
        if mark in ("'", '"'):
            return self.string(mark)
        if mark == "[":
            return self.items(depth)
        if number := _NUMBER.match(self.text, self.at):
            self.at = number.end()
            return _number(number[0])
        if (word := _NAME.match(self.text, self.at)) and word[0] in _CONSTANTS:
            self.at = word.end()
            return _CONSTANTS[word[0]]
        raise LanguageError("an argument must be a quoted text, a number, True, False, None or a list of them")

    def items(self, depth: int) -> list[Any]:
        if depth >= MAX_DEPTH:
            raise LanguageError("lists are nested too deeply")
        self.at += 1
        found: list[Any] = []
        while self.peek() != "]":
            found.append(self.literal(depth + 1))
            if self.peek() == ",":
                self.at += 1
            elif self.peek() != "]":
                raise LanguageError("a list is not closed by ]")
        self.at += 1
        return found

    def string(self, quote: str) -> str:
        triple = quote * 3
        if self.text.startswith(triple, self.at):
            end = self.text.find(triple, self.at + 3)
            if end < 0:
                raise LanguageError(f"a text is not closed by {triple}")
            body, self.at = self.text[self.at + 3 : end], end + 3
            return body
        self.at += 1
        parts: list[str] = []
        while True:
            plain = _PLAIN[quote].match(self.text, self.at)
            if plain is not None:
                parts.append(plain[0])
                self.at = plain.end()
            mark = self.text[self.at : self.at + 1]
            if mark == quote:
                self.at += 1
                return "".join(parts)
            if mark != "\\":
                raise LanguageError(f"a text is not closed by {quote} on its line; write a line end as \\n")
            parts.append(self.escape())

    def escape(self) -> str:
        mark = self.text[self.at + 1 : self.at + 2]
        self.at += 2
        if mark in _HEX:
            digits = self.text[self.at : self.at + _HEX[mark]]
            if len(digits) == _HEX[mark] and re.fullmatch(r"[0-9a-fA-F]+", digits) and int(digits, 16) <= 0x10FFFF:
                self.at += _HEX[mark]
                return chr(int(digits, 16))
        return _ESCAPES.get(mark, f"\\{mark}")


def _number(text: str) -> int | float:
    if len(text) > MAX_NUMBER_CHARS:
        raise LanguageError("a number is too long")
    if re.fullmatch(r"[-+]?\d+", text):
        return int(text)
    value = float(text)
    if not math.isfinite(value):
        raise LanguageError("a number is too large")
    return value


def read_call(text: str) -> Call:
    """Reads a text that is one call and nothing else.

    Raises:
        LanguageError: It is not.
    """
    reader = _Reader(text)
    call = reader.call()
    if reader.peek():
        raise LanguageError("text after the action")
    return call


def write_literal(value: Any) -> str:
    """A literal as `read_call` reads it.

    Raises:
        ConfigError: A value that the language has no notation for.
    """
    if value is None or isinstance(value, bool | int | float):
        return repr(value)
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(write_literal, value))}]"
    if not isinstance(value, str):
        raise ConfigError(f"a {type(value).__name__} cannot be written as an argument")
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n").replace("\r", "\\r") + "'"


@PARSERS.register("browsergym")
class BrowserGymParser(ActionParser):
    """``click('12')``: one call a turn, a ``judge(...)`` before it if wanted.

    The calls stand at the end of the text, in a fenced block or after the thinking, each at the beginning of a line.
    """

    def _scan(self, text: str) -> tuple[str, list[tuple[str, Any]], str | None]:
        think, source = self._parted(text)
        if not source:
            return think, [], None
        reader = _Reader(source)
        found: list[tuple[str, Any]] = []
        try:
            while reader.peek():
                if reader.peek() == ";":
                    reader.at += 1
                    continue
                call = reader.call()
                found.append((call.name, self._arguments(call)))
        except LanguageError as error:
            return think, [], f"{error}; stop when the action is written" if found else str(error)
        return think, found, None

    def _parted(self, text: str) -> tuple[str, str]:
        """(thinking, calls)"""
        think = ""
        if text.lstrip().startswith(f"<{THINK}>") and f"</{THINK}>" in text:
            head, _, text = text.partition(f"</{THINK}>")
            think = head.strip().removeprefix(f"<{THINK}>").strip()
        head, fence, rest = text.partition("```")
        if fence and (block := _LABEL.sub("", rest, count=1).partition("```")[0]).strip():
            return f"{think} {head.strip()}".strip(), block
        starts = list(_START.finditer(text))
        known = next((match for match in starts if match[1] in self.specs), None)
        if known is None and starts and not text[: starts[0].start()].strip():
            known = starts[0]  # an unknown action, not a thought
        if known is None:
            return f"{think} {text.strip()}".strip(), ""
        return f"{think} {text[: known.start()].strip()}".strip(), text[known.start() :]

    def _arguments(self, call: Call) -> dict[str, Any]:
        spec = self.specs.get(call.name)
        if spec is None:
            return {}
        names = list(spec.arguments.model_fields)
        if len(call.positional) > len(names):
            raise LanguageError(f"{call.name} takes {len(names)} arguments, not {len(call.positional)}")
        args = dict(zip(names, call.positional, strict=False))
        for name, value in call.named.items():
            if name in args:
                raise LanguageError(f"{call.name}: argument {name} is given twice")
            args[name] = value
        return args

    def render(self, actions: Sequence[Action], think: str = "") -> str:
        if f"</{THINK}>" in think:
            raise ConfigError(f"the thinking cannot be written: it contains '</{THINK}>'")
        lines = [f"<{THINK}> {think} </{THINK}>"] if think else []
        for action in actions:
            spec = self._spec(action.name)
            given = {k: v for k, v in action.args.items() if v is not None}
            defaults = {k: f.default for k, f in spec.arguments.model_fields.items() if not f.is_required()}
            words, positional = [], True
            for name in spec.arguments.model_fields:
                if name not in given or (name in defaults and given[name] == defaults[name]):
                    positional = False
                    continue
                literal = write_literal(given[name])
                words.append(literal if positional else f"{name}={literal}")
            lines.append(f"{action.name}({', '.join(words)})")
        return "\n".join(lines)

    def instructions(self) -> str:
        lines = ["You may think first. Then act by writing one call on a line of its own:"]
        lines += [f"{signature(spec)} : {spec.description}" for spec in self.specs.values()]
        if JUDGE in self.specs:
            lines.append(f"A {JUDGE}(...) may stand on the line before it.")
        return "\n".join(lines)


def signature(spec: ActionSpec) -> str:
    """How a call is written, e.g. ``fill(id, value)``."""
    words = [
        name if field.is_required() else f"{name}={write_literal(field.default)}"
        for name, field in spec.arguments.model_fields.items()
    ]
    return f"{spec.name}({', '.join(words)})"
