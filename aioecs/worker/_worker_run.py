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
from aioecs.worker._message_handler import MessageHandler
from aioecs.worker._shutdown import Ending
from aioecs.worker._sqs.message import Message
from aioecs.worker._sqs.queue import BY_TENS, Outbox, Queue, QueueError
from aioecs.worker._statistics import Counters, WorkerStatistics

Until = Literal["started", "stopped"]
"""To where a worker sees a job: until its start is settled, or until its tasks have stopped."""

UNHEALTHY_AFTER = 60.0  # in seconds without an answer of the queue, beyond a long poll
_GRACE = 1.0  # in seconds, for the answer of a long poll that is cut: what it brings would stay invisible else
_LAST_ROUND = 0.8  # in seconds, for giving back what is left at the very end
_LONGEST_PROBE = 10.0  # in seconds, between two looks whether a ledger or a queue is back
log = logging.getLogger("aioecs")


@attrs.frozen(kw_only=True)
class WorkerSettings:
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


class WorkerRun:
    """One run, from the opening of its queue to the last message in flight."""

    def __init__(self, settings: WorkerSettings) -> None:
        self.ending = Ending(settings.drain)
        self._settings = settings
        self._counters = Counters()
        self._clock = Clock(settings.lease.skew)
        self._jobs: set[asyncio.Task[None]] = set()
        self._freed = asyncio.Event()
        self._answered_at = asyncio.get_running_loop().time()

    def end(self, why: str) -> None:
        """Begin to end; the second time, end the draining."""
        if self.ending.tell(why):
            log.info("worker of %s: %s, %d messages in flight", self._settings.url, why, len(self._jobs))

    def statistics(self) -> WorkerStatistics:
        """Return a snapshot of its counts."""
        return attrs.evolve(self._counters.now, in_flight=len(self._jobs))

    async def work(self) -> WorkerStatistics:
        """Work until it is told to end, and drain; return what was done.

        Raises:
            ConfigurationError: there is no such queue, or the clock is off.
            QueueError, LedgerError: there are no credentials or no permission, and waiting mends that not.
        """
        settings = self._settings
        async with AsyncExitStack() as stack:
            queue = Queue(await self._connected(stack), settings.url, self._clock)
            await stack.enter_async_context(settings.ledger)
            most = await self.ending.unless_begun(queue.most_receives(), 0.0)
            batch = await stack.enter_async_context(
                # Left when all is settled, or when the time for that is over: the client goes on with the rest.
                settings.client.batch(on_cancel="keep", delivery=settings.delivery, drain=0.0)
            )
            outbox = Outbox(queue, settings.visibility)
            handler = MessageHandler(
                settings.url,
                starter=self._starter(batch),
                outbox=outbox,
                ending=self.ending,
                counters=self._counters,
                lease=settings.lease,
                visibility=settings.visibility,
                most=most,
            )
            log.info(
                "worker of %s: receives, %d in flight at most; %r, lease %g s, skew %g s; redrive after %s receives",
                *(
                    settings.url,
                    settings.concurrency,
                    settings.ledger,
                    settings.lease.length,
                    settings.lease.skew,
                    most,
                ),
            )
            await self._serve(queue, outbox, handler)
        if self.ending.error is not None:
            raise self.ending.error
        return self.statistics()

    def _starter(self, batch: Batch) -> Starter | JobRunner:
        """Return what carries a job to where the worker is to see it."""
        settings = self._settings
        starter = Starter(settings.client, batch, settings.ledger, settings.to_request, settings.key, settings.lease)
        if settings.until == "started":
            return starter
        return JobRunner(starter, settings.client, settings.retry_failed, settings.container)

    @property
    def healthy(self) -> bool:
        """Whether it works: the ledger can be reached, and the queue answered lately unless there is no room."""
        full = len(self._jobs) >= self._settings.concurrency
        since = asyncio.get_running_loop().time() - self._answered_at
        return not self._counters.now.ledger_down and (full or since <= self._settings.long_poll + UNHEALTHY_AFTER)

    async def _connected(self, stack: AsyncExitStack) -> Any:
        """Open a client of SQS; the ledger, too, is reached as its caller said, else as ECS is."""
        settings = self._settings
        if isinstance(settings.ledger, DynamoDBLedger):
            settings.ledger.open_with(settings.client)
        region = settings.region_name
        if region is None and settings.session is not None:
            region = settings.client.raw.meta.region_name
        opened = Queue.connecting(settings.client, settings.session, settings.endpoint_url, region)
        return await entered(f"the queue {settings.url}", stack.enter_async_context(opened))

    async def _serve(self, queue: Queue, outbox: Outbox, handler: MessageHandler) -> None:
        async with asyncio.TaskGroup() as group:
            parting = group.create_task(outbox.run(), name="aioecs outbox")
            await self._receive(queue, handler, group)
            await self.ending.drained(self._jobs)
            if left := self.statistics().left:
                log.warning("worker of %s ends, and gave back %d unsettled messages", self._settings.url, len(left))
            outbox.close()
            await asyncio.wait([parting], timeout=_LAST_ROUND)
            parting.cancel()

    # ----------------------------------------------------------------------------------------------------- receiving

    async def _receive(self, queue: Queue, handler: MessageHandler, group: asyncio.TaskGroup) -> None:
        """Receive as long as there is room in flight and the ledger can be reached."""
        failures = empties = 0
        loop = asyncio.get_running_loop()
        self._look_at_clock()
        while not self.ending.begun:
            if self._counters.now.ledger_down:
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
                    self._take(message, handler, group)
                failures, empties = 0, 0 if found else empties + 1
                if empties:
                    await self.ending.rest(idle_rest(empties, loop.time() - began))

    async def _received(self, queue: Queue, free: int) -> Sequence[Message]:
        asked = queue.receive(free, self._settings.visibility, self._settings.long_poll)
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
            log.warning("worker of %s can't receive: %s", self._settings.url, error)
            await self.ending.rest(min(growing(failures, random.random()), _LONGEST_PROBE))

    def _take(self, message: Message, handler: MessageHandler, group: asyncio.TaskGroup) -> None:
        self._counters.count(received=1)
        if self.ending.begun:
            handler.leave(message)
            return
        job = group.create_task(handler.carry(message), name="aioecs job")
        self._jobs.add(job)
        job.add_done_callback(self._gone)

    def _gone(self, job: asyncio.Task[None]) -> None:
        self._jobs.discard(job)
        self._freed.set()

    async def _room(self) -> int:
        """Return how many more may be in flight, ten at most; less than ten only a moment later: they end in crowds."""
        most = self._settings.concurrency
        if most - len(self._jobs) < BY_TENS:
            await self.ending.rest(0.02)
        while len(self._jobs) >= most and not self.ending.begun:
            self._freed.clear()
            await self.ending.unless_begun(self._freed.wait(), 0.0)
        return 0 if self.ending.begun else min(BY_TENS, most - len(self._jobs))

    async def _probe(self) -> None:
        """Ask the ledger something that changes nothing, after a rest that grows until it has granted something."""
        probes = self._counters.probe()
        await self.ending.rest(min(growing(probes, random.random()), _LONGEST_PROBE))
        asked = self._settings.ledger.release("aioecs.worker: are you there?", "nobody")
        try:
            answer = await self.ending.unless_begun(asked, 0.0)
        except LedgerError as error:
            self._ends(error, probes)
            return
        if answer is not None:
            self._counters.ledger_answered()
            log.info("worker of %s: the ledger can be reached again", self._settings.url)

    def _ends(self, error: QueueError | LedgerError, failures: int) -> bool:
        """End with an error that waiting doesn't mend; return whether it is one."""
        error.permanent = error.permanent or stays(error.__cause__, failures)
        if error.permanent:
            self.ending.fail(error)
        return error.permanent
