"""One call of a batch: its starts, and which result each of them gets."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from functools import partial
from typing import Any

import attrs

from aioecs._calls.call import Call
from aioecs._calls.caller_wait import SharedCall
from aioecs._logic.sending.packing import IN_FLIGHT, Entry
from aioecs._model.arn import short
from aioecs._model.start_result import Outcome, StartResult, start_of
from aioecs._runtime.keyed_calls import Keys
from aioecs.errors import (
    AccessDeniedException,
    ClusterNotFoundException,
    ConfigurationError,
    ECSError,
    ECSServiceError,
    IdempotencyMismatch,
)

STARTED = Outcome.STARTED  # module names, as the stages are: reading a member of an Enum is a function call
NOT_SENT = Outcome.NOT_SENT


@attrs.define(eq=False)
class PendingStop:
    """The task of a withdrawn start that is about to be stopped."""

    start: StartResult
    settles_by: datetime
    """When it is known at the latest whether the stop was accepted."""
    can_end_now = False

    def start_of(self, _: Entry) -> StartResult:
        """Return what is known by now: it was started, and may still run."""
        return attrs.evolve(self.start, outcome=Outcome.UNKNOWN, settles_by=self.settles_by)


@attrs.define(eq=False)
class BatchCall:
    """A call and its starts; the n-th of them is the n-th instance of its request."""

    call: Call
    entries: list[Entry]
    shared_call: SharedCall
    """The callers of the call: this batch, and any other with the same idempotency key."""
    wanted: int
    """Number of starts that are not withdrawn."""
    stops: bool = False
    """The call itself stops what it started: all of its starts are withdrawn."""
    looked_up: bool = False
    """Its answer was lost, and lookups find out its outcome; it has nothing in flight."""
    results: Sequence[StartResult] | None = None
    """The result of each start, once the call has ended."""
    _known: set[str | None] | None = None

    @property
    def shared(self) -> bool:
        """Whether others wait for the call too, so that none of it is removed or stopped for this batch."""
        return self.shared_call.waiting > (self.wanted > 0)

    @property
    def known(self) -> set[str | None]:
        """The ARNs of tasks with the call's token that belong to a start, once it has ended; more may be added."""
        if self._known is None:
            self._known = {start.task.task_arn for start in self.results or () if start.task is not None}
        return self._known

    @property
    def can_end_now(self) -> bool:
        """Whether a withdrawal ends the call at once."""
        return self.call.can_end_now

    def when_ended(self, settle: Callable[[BatchCall], object]) -> None:
        """Call `settle` with this in the step of the loop after the call has ended."""
        self.call.when_ended(partial(settle, self))

    def start_of(self, entry: Entry) -> StartResult:
        """Return what is known by now of one of its starts."""
        known = self.results if self.results is not None else self.call.record.starts()
        return own_result(known[self.entries.index(entry)], entry)


def open_call(keys: Keys[Any], key: str, call: Call) -> SharedCall | None:
    """Return the open call of a call's key, if there is one.

    Raises:
        IdempotencyMismatch: it is for another request.
    """
    known: SharedCall | None = keys.get(key)
    if known is None or known.ended:
        return None
    if known.call.record.request != call.record.request:
        raise IdempotencyMismatch(
            "the key is in use for another request in this client; nothing was sent", token=call.record.token
        )
    return known


def not_sent(entry: Entry, error: ECSError | None = None) -> StartResult:
    """Return the result of a start that never left the queue."""
    return start_of(entry.request, entry.instance, NOT_SENT, None, None, error, "", 0, False)


def known_result(entry: Entry) -> StartResult:
    """Return what is known of a start that has not settled."""
    if entry.stage is IN_FLIGHT:
        where: BatchCall | PendingStop = entry.carrier
        return where.start_of(entry)
    return not_sent(entry)


def some_tokens(starts: Iterable[StartResult]) -> str:
    """Say which tokens these starts have, three at most, as the rest of a sentence for the log."""
    tokens = sorted({start.token for start in starts if start.token})
    return f" with the tokens {', '.join(tokens[:3])}" if tokens else ""


def own_result(start: StartResult, entry: Entry) -> StartResult:
    """Return a call's result of a start as that of the start's own request."""
    return attrs.evolve(start, request=entry.request)


_RANK = {STARTED: 0, NOT_SENT: 2}
"""Which results are assigned first to starts that are still wanted; one withdrawn before the send left a NOT_SENT."""


def assign_results(entries: list[Entry], starts: Sequence[StartResult]) -> Sequence[StartResult]:
    """Give equal starts their results: running tasks to those that are wanted, refusals to those that are withdrawn."""
    if not any(entry.withdrawn for entry in entries) or all(entry.withdrawn for entry in entries):
        return starts
    assigned = list(starts)
    for instance in {short(entry.instance) for entry in entries}:
        places = [at for at, entry in enumerate(entries) if short(entry.instance) == instance]
        best = sorted((starts[at] for at in places), key=lambda start: _RANK.get(start.outcome, 1))
        for at, start in zip(sorted(places, key=lambda at: entries[at].withdrawn is not None), best, strict=True):
            assigned[at] = start
    return assigned


def ends_all(error: ECSError | None) -> bool:
    """Return whether every further start of the same kind would fail with this error too."""
    if isinstance(error, (AccessDeniedException, ClusterNotFoundException, ConfigurationError)):
        return True
    codes = ("ExpiredTokenException", "UnrecognizedClientException", "InvalidSignatureException", "ExpiredToken")
    return isinstance(error, ECSServiceError) and error.code in codes


@attrs.frozen(eq=False)
class StoppedLater:
    """The owner of a start whose task is stopped after it had settled; placement was notified of that already."""

    notify: Callable[[Entry, StartResult, ECSError | None, None], None]

    def settled(self, entry: Entry, start: StartResult, error: ECSError | None, _: BatchCall | None, /) -> None:
        """Forward the result of the stop."""
        self.notify(entry, start, error, None)

    def looked_up(self, entry: Entry, in_lookup: bool, /) -> None:
        """Do nothing: its call has ended."""
