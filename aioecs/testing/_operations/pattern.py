"""Regular expressions that match in linear time, so that no pattern can block the server.

Python's engine backtracks, and may take hours for `(a+)+b`. Here a pattern becomes a nondeterministic automaton, and
all its states are followed at once: the time is proportional to the value's length times the pattern's. What needs
backtracking (look-around, back references, possessive quantifiers) is refused.

    alternation = sequence { "|" sequence }
    sequence    = { item [ "*" | "+" | "?" | "{m}" | "{m,}" | "{m,n}" ] [ "?" ] }
    item        = "(" alternation ")" | a single character: a literal, ".", "[…]" or an escape
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache

import attrs

POSITIONS = 500  # characters that a pattern may have with its counts expanded
_DEPTH = 50  # nesting of groups
_CACHED = 4096  # steps that a pattern caches

_SINGLE = re.compile(
    r"\\[dDsSwW]|\\[^a-zA-Z0-9]|\\[tnrf]|\\x[0-9a-fA-F]{2}|\[\^?\]?(?:\\.|[^\]\\])*\]|[^\\\[(){}|*+?^$]|[{}]"
)
_COUNT = re.compile(r"\*|\+|\?|\{(?P<least>\d{1,4})(?P<open>,(?P<most>\d{1,4})?)?\}")
_ENDLESS = -1

_Is = Callable[[str], object]
_Build = Callable[["_Automaton", int], int]
"""Adds a part of the pattern that begins in a state, and returns the state in which it ends."""


class PatternError(ValueError):
    """The text is not a regular expression, or not one that matches in linear time; the message has the reason."""


@attrs.define
class _Automaton:
    """States with steps, which read a character, and jumps, which read none."""

    jumps: list[set[int]] = attrs.field(factory=list[set[int]])
    steps: list[tuple[_Is, int] | None] = attrs.field(factory=list["tuple[_Is, int] | None"])

    def state(self) -> int:
        """Add a state."""
        if len(self.jumps) > 4 * POSITIONS:
            raise PatternError(f"it has more than {POSITIONS} positions")
        self.jumps.append(set())
        self.steps.append(None)
        return len(self.jumps) - 1

    def reach(self, states: set[int]) -> frozenset[int]:
        """Return the states and those that jumps lead to."""
        found, open_ = set(states), list(states)
        while open_:
            for after in self.jumps[open_.pop()] - found:
                found.add(after)
                open_.append(after)
        return frozenset(found)


class Pattern:
    """A compiled pattern.

    Raises:
        PatternError: the text is not a supported pattern.
    """

    def __init__(self, text: str) -> None:
        parser = _Parser(text)
        build = parser.alternation(0)
        if parser.at < len(text):
            raise PatternError(f"unexpected {text[parser.at]!r} at position {parser.at}")
        self._automaton = _Automaton()
        start = self._automaton.state()
        self._end = build(self._automaton, start)
        self._start = self._automaton.reach({start})
        self._next = lru_cache(_CACHED)(self._step)

    def fullmatch(self, value: str) -> bool:
        """Return whether the whole value matches."""
        states = self._start
        for character in value:
            states = self._next(states, character)
            if not states:
                return False
        return self._end in states

    def _step(self, states: frozenset[int], character: str) -> frozenset[int]:
        steps = [step for state in states if (step := self._automaton.steps[state]) is not None]
        return self._automaton.reach({after for matches, after in steps if matches(character)})


class _Parser:
    """Recursive descent over the text; returns functions that build the automaton."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.flags = re.IGNORECASE if text.startswith("(?i)") else 0
        self.skip("(?i)")
        self.skip("^")

    def alternation(self, depth: int) -> _Build:
        """Parse alternatives."""
        if depth > _DEPTH:
            raise PatternError(f"groups are nested more than {_DEPTH} deep")
        branches = [self.sequence(depth)]
        while self.skip("|"):
            branches.append(self.sequence(depth))
        return branches[0] if len(branches) == 1 else _either(branches)

    def sequence(self, depth: int) -> _Build:
        """Parse a sequence of items."""
        items: list[_Build] = []
        while self.at < len(self.text) and self.text[self.at] not in "|)":
            if self.text[self.at :] == "$":  # the whole value must match anyway
                self.at += 1
                break
            items.append(self.repeated(self.item(depth)))
        return _sequence(items)

    def item(self, depth: int) -> _Build:
        """Parse a group or a single character."""
        if self.skip("("):
            if self.text.startswith("?", self.at) and not self.skip("?:"):
                raise PatternError(f"groups with (? are not supported, at position {self.at}")
            inner = self.alternation(depth + 1)
            if not self.skip(")"):
                raise PatternError("a group is not closed")
            return inner
        match = _SINGLE.match(self.text, self.at)
        if match is None:
            raise PatternError(f"{self.text[self.at : self.at + 2]!r} is not supported at position {self.at}")
        self.at = match.end()
        return _single(match[0], self.flags)

    def repeated(self, item: _Build) -> _Build:
        """Parse the quantifier of an item, if there is one."""
        match = _COUNT.match(self.text, self.at)
        if match is None:
            return item
        self.at = match.end()
        self.skip("?")  # lazy or greedy is the same where the whole value must match
        if self.text.startswith(("*", "+"), self.at):
            raise PatternError(f"a quantifier can't follow another, at position {self.at}")
        return _repeat(item, *_bounds(match))

    def skip(self, token: str) -> bool:
        """Skip a token if it comes next; return whether it did."""
        found = self.text.startswith(token, self.at)
        self.at += len(token) * found
        return found


def _bounds(match: re.Match[str]) -> tuple[int, int]:
    if match["least"] is None:
        return {"*": (0, _ENDLESS), "+": (1, _ENDLESS), "?": (0, 1)}[match[0]]
    least = int(match["least"])
    most = least if match["open"] is None else int(match["most"]) if match["most"] else _ENDLESS
    if most != _ENDLESS and most < least:
        raise PatternError(f"{match[0]} counts backwards")
    return least, most


def _single(text: str, flags: int) -> _Build:
    """Build one character; Python's engine compares a single character, which takes no backtracking."""
    try:
        matches = re.compile(text if len(text) > 1 else text if text == "." else re.escape(text), flags).fullmatch
    except re.error as error:
        raise PatternError(str(error)) from None

    def build(automaton: _Automaton, start: int) -> int:
        end = automaton.state()
        before = automaton.state()
        automaton.jumps[start].add(before)
        automaton.steps[before] = (matches, end)
        return end

    return build


def _sequence(items: list[_Build]) -> _Build:
    def build(automaton: _Automaton, start: int) -> int:
        for item in items:
            start = item(automaton, start)
        return start

    return build


def _either(branches: list[_Build]) -> _Build:
    def build(automaton: _Automaton, start: int) -> int:
        ends = [branch(automaton, start) for branch in branches]
        end = automaton.state()
        for each in ends:
            automaton.jumps[each].add(end)
        return end

    return build


def _repeat(item: _Build, least: int, most: int) -> _Build:
    def build(automaton: _Automaton, start: int) -> int:
        for _ in range(least):
            start = item(automaton, start)
        if most == _ENDLESS:
            return _loop(automaton, item, start)
        leave = [start]
        for _ in range(most - least):
            start = item(automaton, start)
            leave.append(start)
        end = automaton.state()
        for each in leave:
            automaton.jumps[each].add(end)
        return end

    return build


def _loop(automaton: _Automaton, item: _Build, start: int) -> int:
    loop = automaton.state()
    automaton.jumps[start].add(loop)
    automaton.jumps[item(automaton, loop)].add(loop)
    end = automaton.state()
    automaton.jumps[loop].add(end)
    return end
