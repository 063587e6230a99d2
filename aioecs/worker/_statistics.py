"""What a worker has done so far."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import attrs

from aioecs.worker._sqs.message import Message


@attrs.frozen(kw_only=True)
class WorkerStatistics:
    """A snapshot of a worker's counts, of one `run`; messages, where nothing else is said."""

    in_flight: int = 0
    """Received, and neither deleted nor returned yet."""
    received: int = 0
    """Received, redeliveries counted again."""
    started: int = 0
    """Jobs that this worker has started, or found started under their token, and settled."""
    already_settled: int = 0
    """Whose job the ledger had as started."""
    succeeded: int = 0
    """Jobs whose tasks ended and succeeded, with `until="stopped"`."""
    failed: int = 0
    """Receives of jobs whose tasks failed in every attempt that was allowed, with `until="stopped"`."""
    deleted: int = 0
    """Deleted from the queue: their start is settled."""
    returned: int = 0
    """Made visible again, now or after a delay, for another try."""
    dead_lettered: int = 0
    """That can't become a start: returned, and the queue's redrive policy is to take them."""
    unknown: int = 0
    """Tries that ended in doubt, jobs among them that are too old for ECS to be asked."""
    refusals: Mapping[str, int] = attrs.field(factory=dict[str, int], hash=False)
    """Why ECS refused starts, by its reasons (`RESOURCE:CPU`, `MISSING` …) and codes: how many tries each."""
    ledger_down: bool = False
    """Whether the ledger can't be reached: nothing is received or started meanwhile."""
    left: tuple[str, ...] = ()
    """The ids of the messages whose job was not settled when the worker had to end: they were returned."""


class Counters:
    """The counts of one run, as they grow."""

    def __init__(self) -> None:
        self.now = WorkerStatistics()
        """A snapshot, of all but what is in flight."""
        self._probes = 0

    def count(self, **more: int) -> None:
        """Add to the counts of these names."""
        now = self.now
        self.now = attrs.evolve(now, **{name: getattr(now, name) + count for name, count in more.items()})

    def refused(self, reasons: Iterable[str]) -> None:
        """Count why ECS refused a try."""
        counts = dict(self.now.refusals)
        for reason in reasons:
            counts[reason] = counts.get(reason, 0) + 1
        self.now = attrs.evolve(self.now, refusals=counts)

    def leave(self, message: Message) -> None:
        """Note a message that was not settled as the worker had to end."""
        self.now = attrs.evolve(self.now, left=(*self.now.left, message.id))

    def ledger_failed(self) -> bool:
        """Note that the ledger can't be reached; return whether that is news."""
        news = not self.now.ledger_down
        self.now = attrs.evolve(self.now, ledger_down=True)
        return news

    def ledger_answered(self) -> None:
        """Note that the ledger can be reached again."""
        self.now = attrs.evolve(self.now, ledger_down=False)

    def ledger_granted(self) -> None:
        """Note that it has done its work: should it fail again, it is looked for soon."""
        self._probes = 0

    def probe(self) -> int:
        """Count a look whether the ledger is there, and return how many there were since it did its work."""
        self._probes += 1
        return self._probes
