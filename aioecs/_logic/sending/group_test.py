"""Tests whether throttles are random, by sending calls in groups.

A single throttle does not show its cause. Two calls that are sent shortly after one another do:

- An empty bucket that throttles a call throttles the next one too, unless a token came in between. That holds whether
  the bucket is one's own or a crowd's, in simulations for 60 to 85 % of the pairs.
- Random throttles do not depend on each other: after a throttle the next call is throttled no more often than any.

So while a test runs, five calls are sent a fraction of a round trip apart, then the pause for five follows, and the
rate stays what it was. Each throttle with a later call in its group adds to a score, the logarithm of how much likelier
its successor's outcome is if throttles are random (a sequential probability ratio test). The test ends as refuted, or
it shows that throttles are random. Then it goes on for as long as the score supports that.

A throttle that is followed by a served call in its group counts as served: the bucket had a token for it. A group that
ends in throttles shows an empty bucket; once throttles are random, only if there are so many in a row that chance is
improbable. A bucket at its limit is noticed all the same, since a group then exceeds what it holds.
"""

from __future__ import annotations

import itertools
import math

import attrs

GROUP = 5  # calls
SPACING = 0.25  # between the calls of a group, in round trips

CLUSTERED = 0.7  # how often a throttle follows a throttle if the bucket is empty
SHOWN = 5.0  # the score that shows random throttles: 150 times as likely
REFUTED = -4.0  # the score that refutes them
IMPROBABLE = 0.03  # chance that random throttles in a row may have
FIRST_GUESS = (1.0, 4.0)  # throttles and calls with which their share is estimated before there are any
REMEMBERED = 200.0  # calls that the estimate is made of


@attrs.frozen
class Judged:
    """An answer, and whether the bucket had a token for it."""

    at: float
    """When the call was sent."""
    met: float
    """When it reached the bucket."""
    had_token: bool


@attrs.define(eq=False)
class _Call:
    at: float
    met: float = 0.0
    ok: bool | None = None


@attrs.define(eq=False)
class _Group:
    calls: list[_Call] = attrs.Factory(list[_Call])
    complete: bool = False

    @property
    def answered(self) -> bool:
        return all(call.ok is not None for call in self.calls)


@attrs.define
class GroupTest:
    """Sends in groups while it is running, and judges their answers."""

    running: bool = attrs.field(default=False, init=False)
    random: bool = attrs.field(default=False, init=False)
    """It has shown that throttles are random."""
    _score: float = attrs.field(default=0.0, init=False)
    _throttled: float = attrs.field(default=FIRST_GUESS[0], init=False)
    _calls: float = attrs.field(default=FIRST_GUESS[1], init=False)
    _group: _Group = attrs.field(factory=_Group, init=False)
    _group_of: dict[float, _Group] = attrs.field(factory=dict[float, _Group], init=False)

    def start(self) -> None:
        """Send in groups from now on, until the test ends."""
        self.running = True

    @property
    def position(self) -> int:
        """How many calls of the current group were sent; 0 if the next call begins a group."""
        return 0 if self._group.complete else len(self._group.calls)

    def sent(self, at: float, *, late: bool) -> None:
        """Add a call to the current group, or begin one: a late call is too far from the last one to be compared."""
        if late or self._group.complete:
            self.end_group()
        self._group.calls.append(_Call(at))
        self._group_of[at] = self._group
        self._group.complete = len(self._group.calls) >= GROUP

    def unsent(self, at: float) -> None:
        """Remove a call."""
        group = self._group_of.pop(at, None)
        if group is not None:
            group.calls = [call for call in group.calls if call.at != at]

    def end_group(self) -> None:
        """Begin a new group with the next call."""
        self._group.complete = True
        self._group = _Group()

    def answered(self, at: float, met: float, ok: bool) -> list[Judged]:
        """Return the answers that can be judged now: those of a whole group, or none."""
        group = self._group_of.pop(at, None)
        if group is None:
            return [Judged(at, met, ok)]
        for call in group.calls:
            if call.at == at:
                call.met, call.ok = met, ok
        if not group.answered or (ok and not group.complete):
            return []
        if group is self._group:
            self.end_group()
        return self._judge(group.calls)

    def _judge(self, calls: list[_Call]) -> list[Judged]:
        outcomes = [bool(call.ok) for call in calls]
        self._count(outcomes)
        self._decide()
        last = len(outcomes)
        while last and not outcomes[last - 1]:
            last -= 1
        if len(outcomes) - last < min(self._least_in_a_row(), len(outcomes)):
            last = len(outcomes)
        judged = [Judged(call.at, call.met, had_token=True) for call in calls[:last]]
        return judged + [Judged(call.at, call.met, had_token=False) for call in calls[last : last + 1]]

    def _count(self, outcomes: list[bool]) -> None:
        self._throttled += outcomes.count(False)
        self._calls += len(outcomes)
        if self._calls > REMEMBERED:
            self._throttled, self._calls = self._throttled / 2, self._calls / 2
        share = self._share()
        for first, second in itertools.pairwise(outcomes):
            if not first:
                likelier = (1 - share) / (1 - CLUSTERED) if second else share / CLUSTERED
                self._score += math.log(likelier)

    def _decide(self) -> None:
        if self._score >= SHOWN:
            self.random, self._score = True, min(self._score, 1.5 * SHOWN)
        elif self._score <= (0 if self.random else REFUTED):
            self.running = self.random = False
            self._score = 0.0
            self._throttled, self._calls = FIRST_GUESS

    def _share(self) -> float:
        return min(0.5, max(0.01, self._throttled / self._calls))

    def _least_in_a_row(self) -> int:
        """Return how many throttles at the end of a group show an empty bucket."""
        return math.ceil(math.log(IMPROBABLE) / math.log(self._share())) if self.random else 1
