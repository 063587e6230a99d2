"""One caller's request in a batch: it ends when all of its starts have settled."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from aioecs._batch.batch_call import BatchCall, known_result, some_tokens
from aioecs._batch.engine import Engine
from aioecs._logic.calls.call_result import cancelled_of, result_of_starts
from aioecs._logic.sending.packing import IN_FLIGHT, Entry, Group, instances_of
from aioecs._model.limits import INSTANCES_PER_CALL
from aioecs._model.options import OnCancel
from aioecs._model.shapes.run_task import RunTaskRequest, RunTaskResponse
from aioecs._model.shapes.start_task import StartTaskRequest
from aioecs._model.shapes.start_task_response import StartTaskResponse
from aioecs._model.start_result import StartResult
from aioecs._runtime.cancellation_monitor import resolve
from aioecs._runtime.settling_log import SettlingLog
from aioecs.errors import ECSError, StartCancelled, StartIncomplete


class PendingRequest:
    """One caller's request: it ends when each of its starts has settled."""

    def __init__(self, engine: Engine, request: StartTaskRequest | RunTaskRequest, groups: Sequence[Group]) -> None:
        """Take the request, and the group of each ten of its instances."""
        self._engine = engine
        self._starts: list[StartResult | None] = [None] * len(instances_of(request))
        self._entries = [Entry(request, instance, self, at) for at, instance in enumerate(instances_of(request))]
        self._groups = groups
        self._open = len(self._entries)
        self._error: ECSError | None = None
        self._waiters: list[asyncio.Future[None]] = []
        self._left: str | None = None
        self._undelivered = False

    def begin(self) -> None:
        """Queue its starts."""
        for entry in self._entries:
            self._engine.add(entry, self._groups[entry.at // INSTANCES_PER_CALL])

    @property
    def can_end_now(self) -> bool:
        """Whether a withdrawal ends it at once: none of it was sent."""
        in_flight = (entry for entry in self._entries if entry.stage is IN_FLIGHT)
        return all(entry.carrier.can_end_now for entry in in_flight)

    def join(self) -> None:
        """Wait for it; there is one caller only."""

    @property
    def ended(self) -> bool:
        """Whether each of its starts has settled."""
        return not self._open

    def end_waiter(self) -> asyncio.Future[None]:
        """Return a future that is resolved at its end."""
        waiter: asyncio.Future[None] = self._engine.core.loop.create_future()
        if self.ended:
            waiter.set_result(None)
        else:
            self._waiters.append(waiter)
        return waiter

    def settled(self, entry: Entry, start: StartResult, error: ECSError | None, _: BatchCall | None, /) -> None:
        """Take the result of one of its starts."""
        self._starts[entry.at] = start
        own = (
            start.error if isinstance(error, StartIncomplete) else error
        )  # a StartIncomplete counts the others' starts too
        self._error = self._error or own
        self._open -= 1
        if self._open:
            return
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            resolve(waiter)
        if self._undelivered:
            self._engine.core.report(self.starts(), self._left)

    def looked_up(self, entry: Entry, in_lookup: bool, /) -> None:
        """Take note that a start is looked up; its result comes in any case."""

    def leave(self, on_cancel: OnCancel, why: str) -> None:
        """Withdraw it; the tasks of starts that have settled meanwhile are stopped as `on_cancel` says."""
        self._left = why
        for at, start in enumerate(self._starts):
            if start is not None and self._engine.stop_settled(self._entries[at], start, on_cancel):
                self._starts[at] = None
                self._open += 1
        self._engine.withdraw_some(self._entries, on_cancel, why)

    def outcome_undelivered(self, *, once_ended: bool = True) -> None:
        """Note that no caller is left to receive the outcome."""
        if not self.ended:
            self._undelivered = True
        elif once_ended:
            self._engine.core.report(self.starts(), self._left)

    def starts(self) -> tuple[StartResult, ...]:
        """Return the results of its starts, as far as they are known."""
        pairs = zip(self._entries, self._starts, strict=True)
        return tuple(start if start is not None else known_result(entry) for entry, start in pairs)

    @property
    def settling(self) -> SettlingLog:
        """The log of what cancelled callers still wait for."""
        return self._engine.core.settling

    def described(self) -> str:
        """Describe it briefly, for the log."""
        return f"{self._open} starts of a batch{some_tokens(self.starts())}"

    def note_delivered(self) -> None:
        """Do nothing: its only caller has its result now, and a later cancel changes nothing."""

    def result(self) -> StartTaskResponse | RunTaskResponse | ECSError:
        """Return its answer or error, once it has ended."""
        return result_of_starts(self.starts(), self._error)

    def cancelled(self, reason: str | None, source: object) -> StartCancelled:
        """Return the error that a cancelled caller receives."""
        return cancelled_of(self.starts(), reason, source)
