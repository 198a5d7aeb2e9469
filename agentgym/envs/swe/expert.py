"""The scripted solver: finds the fault, sees it fail, mends it by exact replacements, tests, submits.

It knows the gold patch but goes the way of one who does not, and goes on from whatever state it finds: from files that
others have changed, too.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator
from difflib import SequenceMatcher

from agentgym.actions import JUDGE, Action
from agentgym.envs.slips import ExpertSlips
from agentgym.envs.swe.actions import SUBMIT
from agentgym.envs.swe.progress import ExpertView, Hunk, function_at, functions, hunks, request_key
from agentgym.envs.swe.spacing import words
from agentgym.envs.swe.tree import Tree, matches

#: Kinds of mistake, in the order in which chance decides on them: submit before the fault is mended; search for
#: another function; view another one; change a wrong line; change the right line wrongly; do without a test; turn a
#: verdict round.
MISTAKES = ("early", "search", "view", "line", "edit", "untested", "judge")

#: Most lines of a function that is viewed as a whole to have a line in sight.
MOST_LINES = 50
#: Most lines around a change that are looked at for a passage that occurs once.
MOST_CONTEXT = 100
#: What is mistaken for one another.
_FAMILIES = (("+", "-", "*", "/", "//", "%"), ("<", "<=", ">", ">=", "==", "!="), ("and", "or"), ("max", "min"))
_TOKEN = re.compile(r"//|[<>=!]=|[-+*/%<>]|\b(?:and|or|max|min)\b|\b\d{1,9}\b")
_HEAD = re.compile(r"(?:async\s+)?(?:def|class)\s+\w+")


class Slips(ExpertSlips):
    """Which of `MISTAKES` are made this turn."""

    kinds = MISTAKES


def next_actions(view: ExpertView, slips: Slips) -> list[Action]:
    """What to do now: one action, with a verdict before it where one is due; all that is left in a single turn."""
    if view.single_turn:
        return [*_all_edits(view), Action(SUBMIT)]
    actions = []
    if view.useful is not None and JUDGE in view.actions:
        actions.append(Action(JUDGE, {"verdict": "yes" if view.useful != ("judge" in slips) else "no"}))
    return [*actions, _next(view, slips)]


def _next(view: ExpertView, slips: Slips) -> Action:
    left = _differing(view)
    if not left:
        test = "test" in view.actions and view.passed is None and "untested" not in slips
        return Action("test") if test and view.turns_left > 1 else Action(SUBMIT)
    if "early" in slips or view.turns_left <= 1:
        return Action(SUBMIT)
    # What is not needed is left out when turns get scarce.
    if view.turns_left > 1 + max(len(left), sum(hunk.path in left for hunk in hunks(view.tree, view.gold))):
        if "test" in view.actions and view.passed is None and "untested" not in slips and _strayed(view):
            return Action("test")
        if look := _look(view, slips):
            return look
    return _mend(view, left[0], slips)


def _look(view: ExpertView, slips: Slips) -> Action | None:
    """Finds the place of the next hunk, views it, sees it fail; None where all that was done."""
    hunk = next((h for h in view.hunks if h.place not in view.viewed), None)
    if hunk is not None and hunk.function.name in _names(view.tree, hunk.path):
        name = hunk.function.name
        head = _head(view.base, hunk)
        if head and "search" in view.actions and request_key("search", head, "") not in view.done:
            others = [h for h in _heads(view.base) if h != head]
            text = slips.choose(others) if "search" in slips and others else head
            return Action("search", {"text": text})
        if "view" in view.actions:
            others = [other for other in _names(view.tree, hunk.path) if other not in (name, "")]
            if "view" in slips and others:
                name = slips.choose(others)
            return Action("view", {"path": hunk.path, "lines": name} if name else {"path": hunk.path})
    if view.reproduced or view.passed is not None or "test" not in view.actions or "untested" in slips:
        return None
    return Action("test")


def _names(tree: Tree, path: str) -> list[str]:
    """Names of a file's functions, and the empty one of the file itself."""
    file = tree.get(path)
    return [] if file is None else ["", *(f.name for f in functions(file.text or ""))]


def _head(tree: Tree, hunk: Hunk) -> str:
    """How the function of a hunk begins, ``def area``; empty for what lies in none."""
    file = tree.get(hunk.path)
    lines = ((file and file.text) or "").splitlines()
    if not hunk.function.name or not 0 < hunk.function.start <= len(lines):
        return ""
    match = _HEAD.match(lines[hunk.function.start - 1].strip())
    return match[0] if match else ""


def _heads(tree: Tree) -> list[str]:
    """How the functions of all modules begin."""
    texts = (file.text or "" for path, file in tree.items() if path.endswith(".py"))
    found = (_HEAD.match(line.strip()) for text in texts for line in text.splitlines())
    return sorted({match[0] for match in found if match and not match[0].startswith("def test_")})


# -- changes -----------------------------------------------------------------------------------------------------------


def _differing(view: ExpertView) -> list[str]:
    """Files that are not as they should be, superfluous ones first; what the grader puts back by itself is left out."""
    paths = sorted(view.tree.keys() | view.gold.keys(), key=lambda path: (path in view.gold, path))
    return [path for path in paths if not _same(view, path) and not matches(path, view.task.protected)]


def _same(view: ExpertView, path: str) -> bool:
    """Whether a file is as it should be, or nothing can be done about it."""
    now, gold = view.tree.get(path), view.gold.get(path)
    if gold is not None and gold.text is None:
        return True
    if now is None:
        return not {"bash", "create"} & {*view.actions}
    if gold is None or now.text is None:
        return "bash" not in view.actions
    return _plain(now.text) == _plain(gold.text or "")


def _plain(text: str) -> str:
    """A program's text without what changes nothing."""
    return text.replace("\r\n", "\n").rstrip()


def _strayed(view: ExpertView) -> bool:
    """Whether something was changed that the gold patch does not change so."""
    return any(hunk not in view.hunks for hunk in hunks(view.base, view.tree) if hunk.path in view.gold)


def _mend(view: ExpertView, path: str, slips: Slips) -> Action:
    """The next change of a file."""
    bash, gold, now = "bash" in view.actions, view.gold.get(path), view.tree.get(path)
    if gold is None:
        return Action("bash", {"command": f"rm -rf -- {shlex.quote(path)}"})
    wanted = gold.text or ""
    if now is None and not bash:
        return Action("create", {"path": path, "text": wanted})
    if now is None or now.text is None or "edit" not in view.actions:
        return Action("bash", {"command": _written(path, wanted)})
    old, new = next(replacements(now.text, wanted))
    if view.loose and (line := _line(now.text, wanted)):
        seen = _in_sight(view, path, line[0])
        if seen and (words_only := _fewest_words(view, now.text, line)):
            old, new = words_only
        elif _clear(view, path, now.text, line[0]):
            old, new = line[1:]
        elif "view" in view.actions and not seen:
            return Action("view", {"path": path, "lines": _around(now.text, line[0])})
    if bash and (not old or old != old.strip() or new != new.strip()):
        return Action("bash", {"command": _written(path, wanted)})
    if "line" in slips or "edit" in slips:
        old, new = _wrong(now.text, old, new, slips)
    return Action("edit", {**({} if path == view.last_path else {"path": path}), "old": old, "new": new})


def _line(text: str, wanted: str) -> tuple[int, str, str] | None:
    """The first line that differs (from 1), what it says and what it should say; None where lines come or go."""
    before, after = _plain(text).splitlines(), _plain(wanted).splitlines()
    codes = SequenceMatcher(None, before, after, autojunk=False).get_opcodes()
    kind, a, b, c, d = next(code for code in codes if code[0] != "equal")
    if kind == "delete" and before[a].strip():
        return a + 1, before[a].strip(), ""
    if kind != "replace" or b - a != d - c:
        return None
    old, new = before[a].strip(), after[c].strip()
    return (a + 1, old, new) if old and new and words(old) != words(new) else None


def _clear(view: ExpertView, path: str, text: str, number: int) -> bool:
    """Whether an edit that does not mind white space finds a line: it is the only one of its words, or in sight."""
    lines = [words(line) for line in text.splitlines()]
    same = [n for n, line in enumerate(lines, start=1) if line == lines[number - 1]]
    return ([n for n in same if _in_sight(view, path, n)] or same) == [number]


def _fewest_words(view: ExpertView, text: str, line: tuple[int, str, str]) -> tuple[str, str] | None:
    """The fewest words around a change of a line that occur once among the lines in sight; None where all do not."""
    start, end = view.last_lines or (1, 0)
    seen = [words(other) for other in text.splitlines()[start - 1 : end]]
    old, new = words(line[1]), words(line[2])
    a = next((i for i, (x, y) in enumerate(zip(old, new, strict=False)) if x != y), min(len(old), len(new)))
    rest = min(len(old), len(new)) - a
    same = next((i for i, (x, y) in enumerate(zip(old[::-1], new[::-1], strict=False)) if x != y), rest)
    same = min(same, rest)
    b, d = len(old) - same, len(new) - same
    for size in range(a + same + 1):
        for up in range(min(size, a), max(size - same, 0) - 1, -1):
            passage, other = old[a - up : b + size - up], new[a - up : d + size - up]
            if passage and other and sum(_count(found, passage) for found in seen) == 1:
                return " ".join(passage), " ".join(other)
    return None


def _count(line: list[str], passage: list[str]) -> int:
    size = len(passage)
    return sum(line[at : at + size] == passage for at in range(len(line) - size + 1))


def _in_sight(view: ExpertView, path: str, number: int) -> bool:
    """Whether a line is among those that were viewed last."""
    if path != view.last_path or view.last_lines is None:
        return False
    return view.last_lines[0] <= number <= view.last_lines[1]


def _around(text: str, number: int) -> str:
    """The function around a line, for ``view``; the line alone where that is long, or none."""
    function = function_at(text, number)
    short = function.name and function.end - function.start < MOST_LINES
    return function.name if short else f"{number}-{number}"


def _all_edits(view: ExpertView) -> Iterator[Action]:
    for path in _differing(view):
        wanted = view.gold[path].text or ""
        if path not in view.tree:
            yield Action("create", {"path": path, "text": wanted})
            continue
        for old, new in replacements(view.tree[path].text or "", wanted):
            yield Action("edit", {"path": path, "old": old, "new": new})


def _written(path: str, text: str) -> str:
    """A command that gives a file a content, whatever is at its place."""
    place = shlex.quote(path)
    return f'rm -rf -- {place}; mkdir -p -- "$(dirname -- {place})"; printf %s {shlex.quote(text)} > {place}'


def replacements(text: str, wanted: str) -> Iterator[tuple[str, str]]:
    """Exact replacements that lead from one text to another, one after the other; white space at the end aside.

    Each passage occurs exactly once in the text as it then is. Wherever that is possible it is made of whole lines but
    for the first one's indentation, and neither begins nor ends with white space, so that it can stand between tags.

    Args:
        text: What is there.
        wanted: What shall be there.

    Yields:
        (old, new)
    """
    wanted = wanted.rstrip() + text[len(text.rstrip()) :]
    while text != wanted:
        old, new = _first_change(text, wanted)
        yield old, new
        text = text.replace(old, new, 1)


def _first_change(text: str, wanted: str) -> tuple[str, str]:
    before, after = text.splitlines(keepends=True), wanted.splitlines(keepends=True)
    codes = SequenceMatcher(None, before, after, autojunk=False).get_opcodes()
    changes = [i for i, code in enumerate(codes) if code[0] != "equal"]
    for last in (changes[0], changes[-1]):  # the first change; where it cannot be told apart, all of them
        (_, a, _, c, _), (_, _, b, _, d) = codes[changes[0]], codes[last]
        below = codes[last + 1][2] - b if last + 1 < len(codes) else 0
        # As few of the equal lines around it as will do, those above first: a passage reads better with its head.
        for size in range(min(a + below, MOST_CONTEXT) + 1):
            for up in range(min(size, a), max(size - below, 0) - 1, -1):
                old, new = "".join(before[a - up : b + size - up]), "".join(after[c - up : d + size - up])
                if (found := _passage(old, new)) and _once(text, found[0]):
                    return found
    return text, wanted


def _passage(old: str, new: str) -> tuple[str, str] | None:
    """The two without the white space that they share at their ends; None where they share not all of it."""
    a, b = old.strip(), new.strip()
    if not a or not b or old.partition(a)[::2] != new.partition(b)[::2]:
        return None
    return a, b


def _once(text: str, passage: str) -> bool:
    at = text.find(passage)
    return at >= 0 and text.find(passage, at + 1) < 0


# -- mistakes ----------------------------------------------------------------------------------------------------------


def _wrong(text: str, old: str, new: str, slips: Slips) -> tuple[str, str]:
    """A change that does not mend; the right one where there is nothing to be mistaken."""
    if "line" in slips:
        lines = [line.strip() for line in text.splitlines()]
        others = [(line, wrong) for line in lines if line not in old and _once(text, line) for wrong in _variants(line)]
        if others:
            return slips.choose(others)
    wrong = [passage for passage in _variants(old) if passage != new]
    return old, slips.choose(wrong) if "edit" in slips and wrong else new


def _variants(passage: str) -> list[str]:
    """The passage with one token mistaken for another of its kind."""
    return [
        passage[: match.start()] + other + passage[match.end() :]
        for match in _TOKEN.finditer(passage)
        for other in _confused(match[0])
    ]


def _confused(word: str) -> Iterable[str]:
    if word.isdigit():
        return (str(int(word) + 1), str(max(int(word) - 1, 0))) if word != "0" else ("1",)
    return (other for family in _FAMILIES if word in family for other in family if other != word)
