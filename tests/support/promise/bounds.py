"""The bounds of a model: how long its clocks are, how often what may happen, and which options the caller chose."""

from __future__ import annotations

import attrs

from aioecs import Retries, Timeouts
from aioecs._model.options import Delivery, OnCancel

FAR = 1_000_000
"""A tick that no search reaches."""


@attrs.frozen(kw_only=True)
class Bounds:
    """Bounds of a model. Times are in ticks."""

    delivery: Delivery = "at_most_once"
    on_cancel: OnCancel | None = None
    """How the caller cancels, at any step; None: it never does."""
    instances: tuple[str, ...] = ("a",)
    """Where a StartTask starts its tasks, one each."""
    runs: bool = False
    """It is a RunTask of one task."""
    keyed: bool = False
    """It bears an idempotency key."""
    earlier: bool = False
    """Under its key an earlier call may have started a task, which may have ended."""
    lag: int = 2
    """So many ticks after its sender has given up on the first request lists show its task, at the latest.

    More than `consistency` breaks the assumption of the promise; `FAR` is never, for all requests.
    """
    attempt: int = 1
    consistency: int = 2
    settle: int = 1
    call: int = 5
    max_attempts: int = 2
    throttles: int = 1
    unread: bool = True
    """Lookups and stops may fail."""
    refuses: bool = True
    """ECS may refuse a start, in its answer or with an error."""
    garbled: bool = True
    """An answer may name no start."""
    denied: bool = False
    """Lookups may be forbidden."""
    waits: bool = False
    """Time may pass before a request is written, and while a lookup is read."""
    loop_ends: bool = False
    """The cancel is that of the end of the event loop, which waits `settle` ticks and no longer."""

    @property
    def timeouts(self) -> Timeouts:
        """The clocks, as a client has them."""
        return Timeouts(attempt=self.attempt, consistency=self.consistency, settle=self.settle, call=self.call)

    @property
    def retries(self) -> Retries:
        """Each backoff takes one tick."""
        return Retries(max_attempts=self.max_attempts, initial_backoff=1, max_backoff=1)

    def due(self, now: int, number: int) -> int:
        """Return from when on lists show what a request started whose sender gives up now.

        Where the assumption is broken, but not for good, only the first request breaks it.
        """
        late = number == 1 or self.lag == FAR
        return now + (self.lag if late else min(self.lag, self.consistency))

    @property
    def shows_in_time(self) -> bool:
        """Whether the assumption of the promise holds."""
        return self.lag <= self.consistency

    def __str__(self) -> str:
        """Name what differs from the default."""
        fields = attrs.fields(Bounds)
        changed = {each.name: getattr(self, each.name) for each in fields if getattr(self, each.name) != each.default}
        return ", ".join(f"{name}={value}" for name, value in changed.items()) or "the defaults"
