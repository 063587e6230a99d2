"""Logs what a cancelled caller is still waiting for: a person who pressed Ctrl-C sees why nothing seems to happen."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Callable, Iterable

from aioecs._model.start_result import StartResult
from aioecs._runtime.log_fields import fields_of_starts

FIRST = 0.5  # in seconds: what settles sooner is not logged
AGAIN = 5.0  # in seconds, between two warnings while something is still waited for

_log = logging.getLogger("aioecs")


class SettlingLog:
    """The waits of one client that began with a cancel; one warning is for all of them."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._numbers = itertools.count()
        self._waits: dict[int, tuple[Callable[[], str], float]] = {}
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, what: Callable[[], str], longest: float) -> int:
        """Note a wait of at most `longest` seconds; `what()` describes it. Returns its number for `end`."""
        number = next(self._numbers)
        self._waits[number] = what, self._loop.time() + longest
        if self._timer is None and longest > FIRST:
            self._timer = self._loop.call_later(FIRST, self._warn)
        return number

    def end(self, number: int) -> None:
        """Note that the wait is over."""
        self._waits.pop(number, None)
        if not self._waits and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def give_up(self, number: int, starts: Iterable[StartResult] = ()) -> None:
        """Note that a wait is over without its outcome, and log at once what to look the outcome up by."""
        what, _ = self._waits[number]
        self.end(number)
        text = "the outcome of %s is not known yet; the client goes on, and logs it"
        _log.warning(text, what(), extra=fields_of_starts(starts))

    def _warn(self) -> None:
        self._timer = self._loop.call_later(AGAIN, self._warn)
        what, _ = next(iter(self._waits.values()))
        more = f", and {len(self._waits) - 1} more" if len(self._waits) > 1 else ""
        left = max(0.0, max(ends for _, ends in self._waits.values()) - self._loop.time())
        described = f"{what()}{more}"
        _log.warning(
            "waiting for up to %.1f s for the outcome of %s; a second cancel ends the wait",
            left,
            described,
            extra={"aioecs_settling": (described, left)},  # for a screen that says it in its own way
        )
