"""When to send the next call to a token bucket whose size is not known (first version: see git history)."""

from __future__ import annotations

from typing import Protocol

import attrs


class Pulse(Protocol):
    """What says when to send next, on a time that is given."""

    @property
    def rate(self) -> float: ...
    def next_at(self, now: float, left: int | None = None) -> float | None: ...
    def sent(self, now: float) -> None: ...
    def answered(self, now: float, ok: bool, at: float) -> None: ...
    def unsent(self, now: float, at: float) -> None: ...


class Unpaced:
    """As fast as asked."""

    rate = float("inf")
    burst = float("inf")

    def next_at(self, now: float, left: int | None = None) -> float | None:
        return now

    def sent(self, now: float) -> None: ...
    def answered(self, now: float, ok: bool, at: float) -> None: ...
    def unsent(self, now: float, at: float) -> None: ...


@attrs.define
class Fixed:
    """A bucket whose numbers are given."""

    burst: float
    rate: float
    _free: float = -float("inf")

    def next_at(self, now: float, left: int | None = None) -> float | None:
        return max(now, self._free - (self.burst - 1) / self.rate)

    def sent(self, now: float) -> None:
        self._free = max(self._free, now) + 1 / self.rate

    def answered(self, now: float, ok: bool, at: float) -> None:
        if not ok:
            self._free = max(self._free, now + self.burst / self.rate)

    def unsent(self, now: float, at: float) -> None:
        self._free -= 1 / self.rate


class Pacer(Fixed):
    """First version: the published numbers, with the level at nothing after a throttle."""

    def __init__(self, burst: float = 100.0, rate: float = 40.0) -> None:
        super().__init__(burst, rate)
