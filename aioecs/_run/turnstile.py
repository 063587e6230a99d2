"""Where requests take their turn before they are sent, so that the account's rate is kept to."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol


class Turnstile(Protocol):
    """One bucket's pacer, as those who send see it."""

    @property
    def rate(self) -> float:
        """What it lets through, in calls a second; infinite where nothing paces."""
        ...

    async def turn(self, urgency: int = 0, left: Callable[[], int | None] | None = None, of: object = None) -> float:
        """Wait for a turn and return its ticket; the lower urgency goes first, then each `of` in turn."""
        ...

    def answered(self, at: float, throttled: bool) -> None:
        """Tell what came of the turn with this ticket."""
        ...

    def unsent(self, at: float) -> None:
        """Give a turn back: nothing was sent in it."""
        ...


class Open:
    """A turnstile that lets everybody through at once."""

    rate = float("inf")

    async def turn(
        self,
        urgency: int = 0,  # noqa: ARG002 nobody waits here
        left: Callable[[], int | None] | None = None,  # noqa: ARG002 likewise
        of: object = None,  # noqa: ARG002 likewise
    ) -> float:
        """Return at once."""
        return time.monotonic()

    def answered(self, at: float, throttled: bool) -> None:
        """Learn nothing."""

    def unsent(self, at: float) -> None:
        """Take nothing back."""
