"""The interface of a ledger, its errors, and the ledger in memory."""

from __future__ import annotations

from types import TracebackType
from typing import Protocol, Self

from aioecs.errors import ECSError
from aioecs.worker._ledgers.claims import Claimed, Entry, JobEntries


class LedgerError(ECSError):
    """The ledger could not be reached, or refused; `__cause__` is what its library raised. Nothing starts then."""

    retry_safe: bool | None = True
    permanent = False
    """Whether only a change of settings helps: no credentials, or no permission. A worker ends with such an error."""


class EntryError(LedgerError):
    """The ledger works, and can't hold this one job or read its row; the message names the row.

    A worker leaves the message to the queue's redrive policy, and goes on with others.
    """


class Ledger(Protocol):
    """A table of jobs that makes each start once across redelivery, crashes and machines.

    Every method takes effect as a whole or not at all, and repeating it after a lost answer changes nothing. An async
    context manager, which a worker enters while it runs. Times are epoch seconds. A cancelled `claim` may have
    written its intent, which then ends with its lease.

    All methods raise LedgerError when the ledger can't be reached, and EntryError where this one job is the cause.
    """

    async def __aenter__(self) -> Self:
        """Open it."""
        ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close it."""
        ...

    async def claim(self, intent: Entry, *, now: float, skew: float) -> Claimed:
        """Write the intent if the job is free, and return the entry that is there now."""
        ...

    async def renew(self, key: str, holder: str, *, until: float) -> bool:
        """Prolong the holder's lease; False if the job is another worker's by now."""
        ...

    async def record_instances(self, key: str, holder: str, instances: tuple[str, ...]) -> bool:
        """Write where a job is about to be sent; False if it is another worker's by now.

        It is called only for jobs that the worker places.
        """
        ...

    async def settle(self, key: str, holder: str, arns: tuple[str, ...]) -> bool:
        """Write which tasks were started, for good; False if the job is another worker's by now."""
        ...

    async def release(self, key: str, holder: str) -> bool:
        """Delete an intent by which nothing was started; False if the job is another worker's by now."""
        ...


class MemoryLedger:
    """A ledger in memory, for one process: its entries end with the process.

    Across processes and crashes only the idempotency key in ECS is left. Each job is kept for fourteen days, as in the
    other ledgers: a million of them take about 600 MB.
    """

    def __init__(self) -> None:
        self._jobs = JobEntries()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        return None

    async def claim(self, intent: Entry, *, now: float, skew: float) -> Claimed:
        """Claim a job; see `Ledger`."""
        return self._jobs.claim(intent, now, skew)

    async def renew(self, key: str, holder: str, *, until: float) -> bool:
        """Prolong a lease; see `Ledger`."""
        return self._jobs.renew(key, holder, until)

    async def record_instances(self, key: str, holder: str, instances: tuple[str, ...]) -> bool:
        """Write where a job is sent; see `Ledger`."""
        return self._jobs.record_instances(key, holder, instances)

    async def settle(self, key: str, holder: str, arns: tuple[str, ...]) -> bool:
        """Write which tasks were started; see `Ledger`."""
        return self._jobs.settle(key, holder, arns)

    async def release(self, key: str, holder: str) -> bool:
        """Delete an intent; see `Ledger`."""
        return self._jobs.release(key, holder)

    def __repr__(self) -> str:
        return f"<aioecs.worker.MemoryLedger, {len(self._jobs.entries)} jobs>"


def unreadable(ledger: str, key: str, why: object) -> EntryError:
    """Return the error of a row that aioecs did not write, or wrote in part."""
    return EntryError(f"{ledger} has something else under the key {key[:100]!r}: {why}")
