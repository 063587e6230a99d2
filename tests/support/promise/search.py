"""Visits every state of a model, breadth first, and stops at the first one that breaks an invariant.

At the end it also finds a state from which no end can be reached.

A model is a class with three methods: the states it begins in, the steps that lead out of a state, and what is wrong
with a state. States are distinguished by their `key`, a hashable value. Because the search is breadth first, the way
that it reports to a wrong state is a shortest one.
"""

from __future__ import annotations

import time
from array import array
from collections import deque
from collections.abc import Hashable, Iterable
from typing import Generic, Protocol, TypeVar

import attrs


class State(Protocol):
    """A state of a model; it never changes."""

    @property
    def key(self) -> Hashable:
        """What distinguishes it from other states."""
        ...


S = TypeVar("S", bound=State)
Step = tuple[str, S]
"""What happens, and the state after it."""


class Model(Protocol[S]):
    """What can be searched."""

    def initial(self) -> Iterable[Step[S]]:
        """Return the states to begin in, each with a name."""
        ...

    def steps(self, state: S) -> Iterable[Step[S]]:
        """Return what can happen in a state."""
        ...

    def wrong(self, state: S) -> str | None:
        """Name the invariant that a state breaks, and how; None if it breaks none."""
        ...

    def ended(self, state: S) -> bool:
        """Return whether a state is an end; from every state one must be within reach."""
        ...


@attrs.frozen
class Found(Generic[S]):
    """What a search came to."""

    states: int
    """How many different states it visited."""
    steps: int
    """How many steps lead from one of them to another."""
    depth: int
    """How many steps the farthest state is away from the first."""
    seconds: float
    """CPU time: the machine may do other things meanwhile."""
    whole: bool
    """Whether every state was visited: it was neither cut short by `most` nor stopped by a wrong state."""
    wrong: str | None = None
    """The invariant that was broken."""
    way: tuple[str, ...] = ()
    """What happened, step by step, until it was."""
    last: S | None = None
    """The wrong state."""

    def __str__(self) -> str:
        """Say it in a line, and below it the way to a wrong state."""
        size = f"{self.states:,} states, {self.steps:,} steps, depth {self.depth}, {self.seconds:.1f} s"
        cut = "" if self.whole or self.wrong else ", cut short"
        return f"{size}{cut}" if self.wrong is None else "\n  ".join((f"{size}: {self.wrong}", *self.way))


def search(model: Model[S], most: int = 10_000_000) -> Found[S]:
    """Visit all states of a model, `most` at most."""
    return _Search(model, most).run()


@attrs.define
class _Search(Generic[S]):
    """One search."""

    model: Model[S]
    most: int
    numbers: dict[Hashable, int] = attrs.Factory(dict[Hashable, int])
    """The states that were reached, by their keys, in the order in which they were."""
    came: list[tuple[int, str]] = attrs.Factory(list[tuple[int, str]])
    """For each of them: from which one, and by what."""
    queue: deque[tuple[S, int, int]] = attrs.Factory(deque[tuple[S, int, int]])
    sources: array[int] = attrs.Factory(lambda: array("l"))
    targets: array[int] = attrs.Factory(lambda: array("l"))
    ends: list[int] = attrs.Factory(list[int])
    depth: int = 0
    began: float = attrs.Factory(time.process_time)

    def run(self) -> Found[S]:
        """Visit the states."""
        for name, state in self.model.initial():
            self._reach(state, -1, name, 0)
        while self.queue and len(self.came) < self.most:
            state, number, self.depth = self.queue.popleft()
            if (wrong := self.model.wrong(state)) is not None:
                return self._found(wrong, number, state)
            if self.model.ended(state):
                self.ends.append(number)
            for name, after in self.model.steps(state):
                self._reach(after, number, name, self.depth + 1)
        if not self.queue and (stuck := self._stuck()) is not None:
            return self._found("STUCK: no end can be reached", stuck, None)
        return self._found(None, -1, None)

    def _reach(self, state: S, source: int, name: str, depth: int) -> None:
        number = self.numbers.setdefault(state.key, len(self.came))
        if source >= 0:
            self.sources.append(source)
            self.targets.append(number)
        if number == len(self.came):
            self.came.append((source, name))
            self.queue.append((state, number, depth))

    def _stuck(self) -> int | None:
        """Return a state from which no end can be reached."""
        before: dict[int, list[int]] = {}
        for source, target in zip(self.sources, self.targets, strict=True):
            before.setdefault(target, []).append(source)
        good, waiting = set(self.ends), list(self.ends)
        while waiting:
            new = [source for source in before.get(waiting.pop(), ()) if source not in good]
            good.update(new)
            waiting += new
        return next((number for number in range(len(self.came)) if number not in good), None)

    def _found(self, wrong: str | None, number: int, last: S | None) -> Found[S]:
        return Found(
            states=len(self.came),
            steps=len(self.sources),
            depth=self.depth,
            seconds=time.process_time() - self.began,
            whole=wrong is None and not self.queue,
            wrong=wrong,
            way=self._way(number),
            last=last,
        )

    def _way(self, number: int) -> tuple[str, ...]:
        names: list[str] = []
        while number >= 0:
            number, name = self.came[number]
            names.append(name)
        return tuple(reversed(names))
