"""The counts of a worker."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import attrs

from aioecs.worker._sqs.message import Message


@attrs.frozen(kw_only=True)
class WorkerStatistics:
    """A snapshot of the counts of one `run` of a worker; they count messages unless they say otherwise."""

    in_flight: int = 0
    """Received, and neither deleted nor returned yet."""
    received: int = 0
    """Received; each redelivery counts again."""
    started: int = 0
    """Starts that this worker has made and settled; with `retry_failed` a job may have several."""
    adopted: int = 0
    """Starts of earlier attempts, such as those of a worker that crashed, that this worker has found and settled."""
    already_settled: int = 0
    """Messages whose job was started before, as the ledger says."""
    waiting_for_capacity: int = 0
    """Jobs in flight that wait for capacity now."""
    succeeded: int = 0
    """Jobs whose tasks ended and succeeded, with `until="stopped"`."""
    failed: int = 0
    """Receives of jobs whose tasks failed in every attempt that was allowed, with `until="stopped"`."""
    deleted: int = 0
    """Deleted from the queue: their start is settled."""
    returned: int = 0
    """Made visible again, at once or after a delay, for another attempt."""
    dead_lettered: int = 0
    """Messages whose job can't be started, or has failed: returned, and the queue's redrive policy is to take them."""
    unknown: int = 0
    """Attempts whose outcome is unknown, among them jobs that are too old for ECS to be asked."""
    refusals: Mapping[str, int] = attrs.field(factory=dict[str, int], hash=False)
    """Attempts that ECS refused, counted by its reasons (`RESOURCE:CPU`, `MISSING` …) and error codes."""
    ledger_down: bool = False
    """Whether the ledger can't be reached: nothing is received or started meanwhile."""
    left: tuple[str, ...] = ()
    """The ids of the messages whose job was not settled when the worker had to end: they were returned."""


class Counters:
    """The counts of one run, as they grow."""

    def __init__(self) -> None:
        self.now = WorkerStatistics()
        """The counts so far. Those of the present, `in_flight` and `waiting_for_capacity`, are added by the run."""
        self._probes = 0

    def count(self, **more: int) -> None:
        """Add to the counts of these names."""
        now = self.now
        self.now = attrs.evolve(now, **{name: getattr(now, name) + count for name, count in more.items()})

    def refused(self, reasons: Iterable[str]) -> None:
        """Count why ECS refused an attempt."""
        counts = dict(self.now.refusals)
        for reason in reasons:
            counts[reason] = counts.get(reason, 0) + 1
        self.now = attrs.evolve(self.now, refusals=counts)

    def add_left(self, message: Message) -> None:
        """Record a message that was not settled when the worker had to end."""
        self.now = attrs.evolve(self.now, left=(*self.now.left, message.id))

    def ledger_failed(self) -> bool:
        """Record that the ledger can't be reached; return whether it could be reached before."""
        first = not self.now.ledger_down
        self.now = attrs.evolve(self.now, ledger_down=True)
        return first

    def ledger_answered(self) -> None:
        """Record that the ledger can be reached again."""
        self.now = attrs.evolve(self.now, ledger_down=False)

    def ledger_granted(self) -> None:
        """Record that the ledger granted a claim: if it fails again, it is probed soon."""
        self._probes = 0

    def probe(self) -> int:
        """Count a probe of the ledger, and return how many there were since it granted a claim."""
        self._probes += 1
        return self._probes
