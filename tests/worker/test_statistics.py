"""_statistics: snapshots of a worker's counts, and the counters that they are taken from."""

from __future__ import annotations

import attrs
import pytest

from aioecs.worker import Message, WorkerStatistics
from aioecs.worker._statistics import Counters


def test_nothing_has_been_done_at_first() -> None:
    """Counts are 0, nobody is named as left, and the ledger is believed to be there."""
    counts = attrs.asdict(WorkerStatistics())
    assert (counts.pop("ledger_down"), counts.pop("left"), counts.pop("refusals")) == (False, (), {})
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


def test_a_tally_counts_what_it_is_given() -> None:
    """By the names of the statistics; who had been shown it before sees what was then."""
    counters = Counters()
    before = counters.now
    counters.count(received=2, started=1)
    counters.count(received=1)
    for name in ("m1", "m2"):
        counters.add_left(Message(id=name, body=""))
    assert before == WorkerStatistics()
    assert counters.now == WorkerStatistics(received=3, started=1, left=("m1", "m2"))


def test_a_failing_ledger_is_logged_once() -> None:
    """Until it has answered again; looks for it are counted from when it last did its work."""
    counters = Counters()
    assert [counters.ledger_failed(), counters.ledger_failed(), counters.now.ledger_down] == [True, False, True]
    assert [counters.probe(), counters.probe()] == [1, 2]
    counters.ledger_answered()
    assert not counters.now.ledger_down
    assert (counters.ledger_failed(), counters.probe()) == (True, 3)
    counters.ledger_granted()
    assert counters.probe() == 1


def test_refusals_are_counted_by_their_reasons() -> None:
    """In a snapshot that stays as it is."""
    counters = Counters()
    counters.refused(["RESOURCE:CPU", "MISSING"])
    before = counters.now
    counters.refused(["MISSING"])
    assert (before.refusals, counters.now.refusals) == (
        {"RESOURCE:CPU": 1, "MISSING": 1},
        {"RESOURCE:CPU": 1, "MISSING": 2},
    )
