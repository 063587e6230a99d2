"""What a worker has done so far."""

from __future__ import annotations

import attrs


@attrs.frozen(kw_only=True)
class WorkerStatistics:
    """A snapshot of a worker's counts, of one `run`; messages, where nothing else is said."""

    in_hand: int = 0
    """Received, and neither deleted nor given back yet."""
    received: int = 0
    """Received, redeliveries counted again."""
    started: int = 0
    """Jobs that this worker has started, or found started under their token, and settled."""
    found_settled: int = 0
    """Whose job the ledger had as started."""
    deleted: int = 0
    """Deleted from the queue: their start is settled."""
    given_back: int = 0
    """Made visible again, now or after a delay, for another try."""
    left_to_redrive: int = 0
    """That can't become a start: given back, and the queue's redrive policy is to take them."""
    unknown: int = 0
    """Tries that ended in doubt, jobs among them that are too old for ECS to be asked."""
    ledger_down: bool = False
    """Whether the ledger can't be reached: nothing is received or started meanwhile."""
    left: tuple[str, ...] = ()
    """The ids of the messages whose job was not settled when the worker had to end: they were given back."""
