"""The ledger: where an intent is written before a start, and what came of it after; and the one in memory."""

from __future__ import annotations

from types import TracebackType
from typing import Protocol, Self

from aioecs.errors import ECSError
from aioecs.worker._ledgers.claims import Book, Claimed, Entry


class LedgerError(ECSError):
    """The ledger could not be reached, or refused; `__cause__` is what its library raised. Nothing is started so."""

    retry_safe = True
    permanent = False
    """Whether only a change of settings can mend it: no credentials, or no permission. A worker ends with it."""


class EntryError(LedgerError):
    """The ledger is well and can't hold this one job, or can't read what stands there; the message names the row.

    A worker leaves the message to the queue's redrive policy, and goes on with others.
    """


class Ledger(Protocol):
    """What makes a job start once across redelivery, crashes and machines.

    Every method happens as a whole or not at all, and doing it again after a lost answer changes nothing. An async
    context manager, which a worker enters while it runs. Times are epoch seconds. A cancelled `claim` may have
    written its intent, which then ends with its lease.

    All raise LedgerError when the ledger can't be reached, and EntryError where the fault is that of the one job.
    """

    async def __aenter__(self) -> Self:
        """Open it."""
        ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close it."""
        ...

    async def claim(self, wish: Entry, *, now: float, skew: float) -> Claimed:
        """Write the intent `wish` if the job is free, and say what stands there; `judge` decides."""
        ...

    async def renew(self, key: str, holder: str, *, until: float) -> bool:
        """Prolong the holder's lease; False if the job is not its any more."""
        ...

    async def settle(self, key: str, holder: str, arns: tuple[str, ...]) -> bool:
        """Write what was started, for good; False if the job is not the holder's any more."""
        ...

    async def release(self, key: str, holder: str) -> bool:
        """Take an intent back of which nothing was started; False if the job is not the holder's any more."""
        ...


class MemoryLedger:
    """A ledger in memory: it holds within one process, and forgets with it.

    Across processes and crashes there is then only what the idempotency key finds in ECS.
    """

    def __init__(self) -> None:
        self._book = Book()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        return None

    async def claim(self, wish: Entry, *, now: float, skew: float) -> Claimed:
        """Claim a job; see `Ledger`."""
        return self._book.claim(wish, now, skew)

    async def renew(self, key: str, holder: str, *, until: float) -> bool:
        """Prolong a lease; see `Ledger`."""
        return self._book.renew(key, holder, until)

    async def settle(self, key: str, holder: str, arns: tuple[str, ...]) -> bool:
        """Write what was started; see `Ledger`."""
        return self._book.settle(key, holder, arns)

    async def release(self, key: str, holder: str) -> bool:
        """Take an intent back; see `Ledger`."""
        return self._book.release(key, holder)

    def __repr__(self) -> str:
        return f"<aioecs.worker.MemoryLedger, {len(self._book.entries)} jobs>"


def unreadable(ledger: str, key: str, why: object) -> EntryError:
    """Return the error of a row that no ledger of aioecs wrote, or wrote in half."""
    return EntryError(f"{ledger} has something else under the key {key[:100]!r}: {why}")
