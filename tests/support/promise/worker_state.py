"""The bounds of the model of two workers, and what it is at one moment: workers, ledger, message and ECS."""

from __future__ import annotations

from collections.abc import Hashable
from functools import cached_property

import attrs

from aioecs.worker._jobs.start_outcome import StartOutcome
from aioecs.worker._jobs.timing import Lease, make_lease
from aioecs.worker._ledgers.claims import Entry, JobEntries
from promise.bounds import Bounds
from promise.call_process import CallProcess
from promise.record_key import number_of
from promise.service import Service

KEY = "job"
JOB = Bounds(keyed=True, consistency=1, lag=1, call=6, max_attempts=1, throttles=0, unread=False, refuses=False)
"""The bounds of the call that starts the job."""


@attrs.frozen(kw_only=True)
class WorkerBounds:
    """Bounds of the model."""

    call: Bounds = JOB
    attempts: int = 3
    """So many times the message is received."""
    faults: int = 2
    """So many of these."""
    kinds: frozenset[str] = frozenset({"crash", "pause", "ledger", "stop"})
    """A crash of a worker; a pause between its lease check and the write, or (`sleep`) anywhere; a ledger that can't be
    reached; a stop of a worker.
    """
    renewals: int = 1
    """How often a lease is renewed."""
    skew: int = 1
    ahead: tuple[int, int] = (0, 1)
    """How far each worker's clock is ahead of ECS's, `skew` at most."""
    window: float = 0.0
    """How long after the last moment at which it may be sent a request has to be written for a duplicate to be excused:
    that is the window that the documents state. Infinite: no duplicate is.
    """
    ends: int = 12
    """The last tick."""

    @property
    def lease(self) -> Lease:
        """The shortest leases that a worker allows, in ticks."""
        clocks = self.call
        guard = clocks.attempt + clocks.consistency + self.skew
        return make_lease(clocks.attempt, clocks.consistency, self.skew, guard + 2)

    def __str__(self) -> str:
        """Name what differs from the default."""
        fields = attrs.fields(WorkerBounds)
        return ", ".join(
            f"{each.name}={getattr(self, each.name)}" for each in fields if getattr(self, each.name) != each.default
        )


@attrs.frozen(eq=False)
class Worker:
    """A worker, and what it knows of the job."""

    name: str
    ahead: int
    entry: Entry | None = None
    """What it was granted."""
    inherited: bool = False
    lease: float = 0.0
    """Until when it holds the job, by its own clock."""
    renewals: int = 0
    call: CallProcess | None = None
    concluded: StartOutcome | None = None
    """What its start came to; it has yet to be written down."""
    cancelled_at: int | None = None
    """When its lease was lost, or it was stopped: nothing new is begun."""
    ours: frozenset[str] = frozenset()
    """What it started under a lease that was lost."""
    lost: bool = False
    """It may have written a request too late under its lease: once the job is settled, its token is knows up."""
    lookup_at: int | None = None
    """When it does that: `consistency` ticks after it has found the job settled."""
    sent: bool = False
    """It was allowed to write a request in this try."""
    paused: bool = False

    @cached_property
    def key(self) -> int:
        """What distinguishes it from other states."""
        call = self.call and self.call.key
        entry = self.entry and self.entry.holder
        concluded = self.concluded and (self.concluded.outcome, self.concluded.arns, self.concluded.proven)
        known = (self.inherited, self.lease, self.renewals, self.cancelled_at, self.sent, self.paused)
        return number_of((self.name, entry, call, concluded, known, self.ours, self.lost, self.lookup_at))

    @property
    def idle(self) -> bool:
        """Whether it has nothing to do with the job now."""
        return self.call is None and self.concluded is None

    def without_job(self) -> Worker:
        """Return it after a try, or after a crash."""
        return Worker(self.name, self.ahead)


@attrs.frozen(eq=False)
class WorkersState:
    """A moment of the model; it never changes."""

    now: int
    workers: tuple[Worker, Worker]
    service: Service = attrs.Factory(Service)
    entry: Entry | None = None
    """What the ledger holds."""
    deleted: bool = False
    """The message is gone: the job is done."""
    attempts: int = 0
    faults: int = 0
    written_late: bool = False
    """The window: a request was written by a worker that was paused after its lease check until the guard had begun."""

    @cached_property
    def key(self) -> Hashable:
        """What distinguishes it from other moments."""
        workers = tuple(worker.key for worker in self.workers)
        others = (self.entry, self.deleted, self.attempts, self.faults, self.written_late)
        return (self.now, *workers, number_of(self.service), number_of(others))

    def book(self) -> JobEntries:
        """Return the ledger."""
        book = JobEntries()
        if self.entry is not None:
            book.entries[KEY] = self.entry
        return book

    def with_worker(self, worker: Worker, **changes: object) -> WorkersState:
        """Return it with another state of a worker."""
        workers = tuple(worker if each.name == worker.name else each for each in self.workers)
        return attrs.evolve(self, workers=workers, **changes)  # type: ignore[arg-type]
