"""One run of a worker: it opens what it needs, receives as long as it may, and drains when it is told to end."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Any, Literal

import attrs
from aiobotocore.session import AioSession

from aioecs import Batch, Client, Delivery
from aioecs.worker._aws import entered, stays
from aioecs.worker._clock import Clock
from aioecs.worker._job_decisions import Lease, growing, idle_rest
from aioecs.worker._job_results import JobRunner
from aioecs.worker._job_starter import Key, Starter, ToRequest
from aioecs.worker._ledgers.dynamodb import DynamoDBLedger
from aioecs.worker._ledgers.ledger import Ledger, LedgerError
from aioecs.worker._message_handler import Carrier
from aioecs.worker._shutdown import Ending
from aioecs.worker._sqs.message import Message
from aioecs.worker._sqs.queue import BY_TENS, Outbox, Queue, QueueError
from aioecs.worker._statistics import Tally, WorkerStatistics

Until = Literal["started", "stopped"]
"""To where a worker sees a job: until its start is settled, or until its tasks have stopped."""

UNHEALTHY_AFTER = 60.0  # in seconds without an answer of the queue, beyond a long poll
_GRACE = 1.0  # in seconds, for the answer of a long poll that is cut: what it brings would stay invisible else
_LAST_ROUND = 0.8  # in seconds, for giving back what is left at the very end
_LONGEST_PROBE = 10.0  # in seconds, between two looks whether a ledger or a queue is back
log = logging.getLogger("aioecs")


@attrs.frozen(kw_only=True)
class Terms:
    """What a worker works by: as its caller gave it, checked."""

    client: Client
    url: str
    to_request: ToRequest
    key: Key
    ledger: Ledger
    concurrency: int
    visibility: int
    drain: float
    lease: Lease
    delivery: Delivery
    until: Until
    retry_failed: int
    container: str | None
    long_poll: int
    endpoint_url: str | None
    region_name: str | None
    session: AioSession | None


class Shift:
    """One run, from the opening of its queue to the last message in hand."""

    def __init__(self, terms: Terms) -> None:
        self.ending = Ending(terms.drain)
        self._terms = terms
        self._tally = Tally()
        self._clock = Clock(terms.lease.skew)
        self._jobs: set[asyncio.Task[None]] = set()
        self._freed = asyncio.Event()
        self._answered_at = asyncio.get_running_loop().time()

    def end(self, why: str) -> None:
        """Begin to end; the second time, end the draining."""
        if self.ending.tell(why):
            log.info("worker of %s: %s, %d messages in hand", self._terms.url, why, len(self._jobs))

    def statistics(self) -> WorkerStatistics:
        """Return a snapshot of its counts."""
        return attrs.evolve(self._tally.now, in_flight=len(self._jobs))

    async def work(self) -> WorkerStatistics:
        """Work until it is told to end, and drain; return what was done.

        Raises:
            ConfigurationError: there is no such queue, or the clock is off.
            QueueError, LedgerError: there are no credentials or no permission, and waiting mends that not.
        """
        terms = self._terms
        async with AsyncExitStack() as stack:
            queue = Queue(await self._connected(stack), terms.url, self._clock)
            await stack.enter_async_context(terms.ledger)
            most = await self.ending.unless_begun(queue.most_receives(), 0.0)
            batch = await stack.enter_async_context(
                # Left when all is settled, or when the time for that is over: then the client has it in custody.
                terms.client.batch(on_cancel="keep", delivery=terms.delivery, drain=0.0)
            )
            outbox = Outbox(queue, terms.visibility)
            carrier = Carrier(
                terms.url,
                starter=self._starter(batch),
                outbox=outbox,
                ending=self.ending,
                tally=self._tally,
                lease=terms.lease,
                visibility=terms.visibility,
                most=most,
            )
            log.info(
                "worker of %s: receives, %d in hand at most; %r, lease %g s, skew %g s; redrive after %s receives",
                *(terms.url, terms.concurrency, terms.ledger, terms.lease.length, terms.lease.skew, most),
            )
            await self._serve(queue, outbox, carrier)
        if self.ending.error is not None:
            raise self.ending.error
        return self.statistics()

    def _starter(self, batch: Batch) -> Starter | JobRunner:
        """Return what carries a job to where the worker is to see it."""
        terms = self._terms
        starter = Starter(terms.client, batch, terms.ledger, terms.to_request, terms.key, terms.lease)
        if terms.until == "started":
            return starter
        return JobRunner(starter, terms.client, terms.retry_failed, terms.container)

    @property
    def healthy(self) -> bool:
        """Whether it works: the ledger can be reached, and the queue answered lately unless there is no room."""
        full = len(self._jobs) >= self._terms.concurrency
        since = asyncio.get_running_loop().time() - self._answered_at
        return not self._tally.now.ledger_down and (full or since <= self._terms.long_poll + UNHEALTHY_AFTER)

    async def _connected(self, stack: AsyncExitStack) -> Any:
        """Open a client of SQS; the ledger, too, is reached as its caller said, else as ECS is."""
        terms = self._terms
        if isinstance(terms.ledger, DynamoDBLedger):
            terms.ledger.open_with(terms.client)
        region = terms.region_name
        if region is None and terms.session is not None:
            region = terms.client.raw.meta.region_name
        opened = Queue.connecting(terms.client, terms.session, terms.endpoint_url, region)
        return await entered(f"the queue {terms.url}", stack.enter_async_context(opened))

    async def _serve(self, queue: Queue, outbox: Outbox, carrier: Carrier) -> None:
        async with asyncio.TaskGroup() as group:
            parting = group.create_task(outbox.run(), name="aioecs outbox")
            await self._receive(queue, carrier, group)
            await self.ending.drained(self._jobs)
            if left := self.statistics().left:
                log.warning("worker of %s ends, and gave back %d unsettled messages", self._terms.url, len(left))
            outbox.close()
            await asyncio.wait([parting], timeout=_LAST_ROUND)
            parting.cancel()

    # ----------------------------------------------------------------------------------------------------- receiving

    async def _receive(self, queue: Queue, carrier: Carrier, group: asyncio.TaskGroup) -> None:
        """Receive as long as there is room in hand and the ledger can be reached."""
        failures = empties = 0
        loop = asyncio.get_running_loop()
        self._look_at_clock()
        while not self.ending.begun:
            if self._tally.now.ledger_down:
                await self._probe()
            elif (free := await self._room()) > 0:
                began = loop.time()
                try:
                    found = await self._received(queue, free)
                except QueueError as error:
                    failures += 1
                    await self._failed(error, failures)
                    continue
                for message in found:
                    self._take(message, carrier, group)
                failures, empties = 0, 0 if found else empties + 1
                if empties:
                    await self.ending.rest(idle_rest(empties, loop.time() - began))

    async def _received(self, queue: Queue, free: int) -> Sequence[Message]:
        asked = queue.receive(free, self._terms.visibility, self._terms.long_poll)
        found = await self.ending.unless_begun(asked, _GRACE)
        self._answered_at = asyncio.get_running_loop().time()
        self._look_at_clock()
        return found or ()

    def _look_at_clock(self) -> None:
        """End where the answers that have come prove that our clock is off."""
        if self._clock.error is not None:
            self.ending.fail(self._clock.error)

    async def _failed(self, error: QueueError, failures: int) -> None:
        """Rest after a receive that failed, or end with it."""
        if not self._ends(error, failures):
            log.warning("worker of %s can't receive: %s", self._terms.url, error)
            await self.ending.rest(min(growing(failures, random.random()), _LONGEST_PROBE))

    def _take(self, message: Message, carrier: Carrier, group: asyncio.TaskGroup) -> None:
        self._tally.count(received=1)
        if self.ending.begun:
            carrier.leave(message)
            return
        job = group.create_task(carrier.carry(message), name="aioecs job")
        self._jobs.add(job)
        job.add_done_callback(self._gone)

    def _gone(self, job: asyncio.Task[None]) -> None:
        self._jobs.discard(job)
        self._freed.set()

    async def _room(self) -> int:
        """Return how many more may be in hand, ten at most; less than ten only a moment later: they end in crowds."""
        most = self._terms.concurrency
        if most - len(self._jobs) < BY_TENS:
            await self.ending.rest(0.02)
        while len(self._jobs) >= most and not self.ending.begun:
            self._freed.clear()
            await self.ending.unless_begun(self._freed.wait(), 0.0)
        return 0 if self.ending.begun else min(BY_TENS, most - len(self._jobs))

    async def _probe(self) -> None:
        """Ask the ledger something that changes nothing, after a rest that grows until it has granted something."""
        probes = self._tally.probe()
        await self.ending.rest(min(growing(probes, random.random()), _LONGEST_PROBE))
        asked = self._terms.ledger.release("aioecs.worker: are you there?", "nobody")
        try:
            answer = await self.ending.unless_begun(asked, 0.0)
        except LedgerError as error:
            self._ends(error, probes)
            return
        if answer is not None:
            self._tally.ledger_answered()
            log.info("worker of %s: the ledger can be reached again", self._terms.url)

    def _ends(self, error: QueueError | LedgerError, failures: int) -> bool:
        """End with an error that waiting doesn't mend; return whether it is one."""
        error.permanent = error.permanent or stays(error.__cause__, failures)
        if error.permanent:
            self.ending.fail(error)
        return error.permanent
