"""ledger: the ledger in memory, under the rules of all ledgers."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from ledger_rules import NOW, LedgerRules, new_entry, outcome

from aioecs import is_retry_safe
from aioecs.worker import ClaimOutcome, LedgerError, MemoryLedger
from aioecs.worker._ledgers.claims import RETENTION


@pytest.fixture
async def ledger() -> AsyncIterator[MemoryLedger]:
    """Open one with nothing in it."""
    async with MemoryLedger() as ledger:
        yield ledger


class TestRules(LedgerRules):
    """Those of all ledgers."""


async def test_what_can_t_come_again_is_forgotten(ledger: MemoryLedger) -> None:
    """By the claims themselves; its repr counts what it has."""
    await ledger.claim(new_entry(), now=NOW, skew=5)
    await ledger.claim(new_entry(key="other"), now=NOW, skew=5)
    assert repr(ledger) == "<aioecs.worker.MemoryLedger, 2 jobs>"
    late = NOW + RETENTION + 1
    assert await outcome(ledger, new_entry("b", begun=late, lease=late + 100), late) is ClaimOutcome.GRANTED
    assert repr(ledger) == "<aioecs.worker.MemoryLedger, 1 jobs>"


async def test_it_is_kept_between_two_runs(ledger: MemoryLedger) -> None:
    """Leaving it forgets nothing, and two of them know nothing of each other."""
    async with MemoryLedger() as other:
        await other.claim(new_entry(), now=NOW, skew=5)
    assert await outcome(ledger, new_entry("b")) is ClaimOutcome.GRANTED
    async with other:
        assert await outcome(other, new_entry("b")) is ClaimOutcome.HELD


def test_an_unreachable_ledger_may_be_asked_again() -> None:
    """Nothing was started so."""
    assert is_retry_safe(LedgerError("unplugged")) is True
