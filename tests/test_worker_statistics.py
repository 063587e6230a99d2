"""aioecs.worker._statistics: a snapshot of a worker's counts."""

from __future__ import annotations

import attrs
import pytest

from aioecs.worker import WorkerStatistics


def test_nothing_has_been_done_at_first() -> None:
    """Counts are 0, nobody is named as left, and the ledger is believed to be there."""
    counts = attrs.asdict(WorkerStatistics())
    assert (counts.pop("ledger_down"), counts.pop("left")) == (False, ())
    assert set(counts.values()) == {0}


def test_a_snapshot_stays_as_it_is() -> None:
    """It can be compared and kept; what is counted later is in another."""
    before = WorkerStatistics(received=3, left=("m1",))
    after = attrs.evolve(before, received=4)
    assert (before.received, after.received) == (3, 4)
    assert after == WorkerStatistics(received=4, left=("m1",))
    assert len({before, after, attrs.evolve(after)}) == 2
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        before.received = 9  # type: ignore[misc]
