"""Visits every state of a model, breadth first, and stops at the first one that breaks an invariant.

A model is a class with three methods: the states it begins in, the steps that lead out of a state, and what is wrong
with a state. States are told apart by their `key`, a hashable value. Because the search is breadth first, the way that
it reports to a wrong state is a shortest one.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Hashable, Iterable
from typing import Generic, Protocol, TypeVar

import attrs


class State(Protocol):
    """A state of a model; it never changes."""

    @property
    def key(self) -> Hashable:
        """What tells it from other states."""
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
    came: dict[Hashable, tuple[Hashable, str]] = attrs.Factory(dict[Hashable, tuple[Hashable, str]])
    """For each state that was reached: from where, and by what."""
    queue: deque[tuple[S, int]] = attrs.Factory(deque[tuple[S, int]])
    steps: int = 0
    depth: int = 0
    began: float = attrs.Factory(time.perf_counter)

    def run(self) -> Found[S]:
        """Visit the states."""
        for name, state in self.model.initial():
            self._reach(state, None, name, 0)
        while self.queue and len(self.came) < self.most:
            state, self.depth = self.queue.popleft()
            if (wrong := self.model.wrong(state)) is not None:
                return self._found(wrong, state)
            for name, after in self.model.steps(state):
                self.steps += 1
                self._reach(after, state.key, name, self.depth + 1)
        return self._found(None, None)

    def _reach(self, state: S, source: Hashable, name: str, depth: int) -> None:
        if state.key not in self.came:
            self.came[state.key] = (source, name)
            self.queue.append((state, depth))

    def _found(self, wrong: str | None, last: S | None) -> Found[S]:
        return Found(
            states=len(self.came),
            steps=self.steps,
            depth=self.depth,
            seconds=time.perf_counter() - self.began,
            whole=wrong is None and not self.queue,
            wrong=wrong,
            way=self._way(last.key) if last is not None else (),
            last=last,
        )

    def _way(self, key: Hashable) -> tuple[str, ...]:
        names: list[str] = []
        while key is not None:
            key, name = self.came[key]
            names.append(name)
        return tuple(reversed(names))
