"""One run of a worker: it opens its queue and ledger, receives until it is to end, and drains."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Any

import attrs

from aioecs import Batch
from aioecs._client.client import access_of
from aioecs.worker._aws import enter_client, is_lasting
from aioecs.worker._clock import Clock
from aioecs.worker._jobs.job_runner import JobRunner
from aioecs.worker._jobs.job_starter import JobStarter
from aioecs.worker._jobs.timing import growing_delay, idle_delay
from aioecs.worker._ledgers.dynamodb import DynamoDBLedger
from aioecs.worker._ledgers.ledger import LedgerError
from aioecs.worker._message_handler import MessageHandler
from aioecs.worker._settings import WorkerSettings
from aioecs.worker._shutdown import Shutdown
from aioecs.worker._sqs.in_flight import InFlightMessages
from aioecs.worker._sqs.message import Message
from aioecs.worker._sqs.queue import BATCH_SIZE, Queue, QueueError
from aioecs.worker._statistics import Counters, WorkerStatistics

UNHEALTHY_AFTER = 60.0  # in seconds without an answer of the queue, beyond a long poll
_GRACE = 1.0  # in seconds, for the answer of a long poll at the end: its messages would stay hidden otherwise
_LAST_ROUND = 0.8  # in seconds, to return the messages that are left at the very end
_LONGEST_PROBE = 10.0  # in seconds, between two attempts to reach a ledger or a queue
log = logging.getLogger("aioecs")


class WorkerRun:
    """One run, from the opening of its queue to the last message in flight."""

    def __init__(self, settings: WorkerSettings) -> None:
        self.shutdown = Shutdown(settings.drain)
        self._settings = settings
        self._counters = Counters()
        self._starter: JobStarter | None = None
        self._clock = Clock(settings.lease.skew)
        self._jobs: set[asyncio.Task[None]] = set()
        self._freed = asyncio.Event()
        self._answered_at = asyncio.get_running_loop().time()

    def end(self, why: str) -> None:
        """Begin the shutdown; the second time, end the draining."""
        if self.shutdown.request(why):
            log.info("worker of %s: %s, %d messages in flight", self._settings.url, why, len(self._jobs))

    def statistics(self) -> WorkerStatistics:
        """Return a snapshot of its counts."""
        waiting = self._starter.waiting_for_capacity if self._starter is not None else 0
        in_flight = sum(not job.done() for job in self._jobs)  # one that is done has been counted
        return attrs.evolve(self._counters.now, in_flight=in_flight, waiting_for_capacity=waiting)

    async def work(self) -> WorkerStatistics:
        """Work until the shutdown is requested, and drain; return the counts.

        Raises:
            ConfigurationError: there is no such queue, or the clock is off.
            QueueError, LedgerError: there are no credentials, or permission is denied.
        """
        settings = self._settings
        async with AsyncExitStack() as stack:
            queue = Queue(await self._open_queue(stack), settings.url, self._clock)
            await stack.enter_async_context(settings.ledger)
            max_receives = await self.shutdown.run_until_shutdown(queue.most_receives(), 0.0)
            batch = await stack.enter_async_context(
                # What has not settled when the batch is left goes on in the client.
                settings.client.batch(on_cancel="keep", delivery=settings.delivery, drain=0.0)
            )
            in_flight = InFlightMessages(queue, settings.visibility)
            handler = MessageHandler(
                settings.url,
                starter=self._make_starter(batch),
                in_flight=in_flight,
                shutdown=self.shutdown,
                counters=self._counters,
                lease=settings.lease,
                visibility=settings.visibility,
                max_receives=max_receives,
                emit=access_of(settings.client).emit,
            )
            log.info(
                "worker of %s: receives, %d in flight at most; %r, lease %g s, skew %g s; redrive after %s receives",
                *(
                    settings.url,
                    settings.concurrency,
                    settings.ledger,
                    settings.lease.length,
                    settings.lease.skew,
                    max_receives,
                ),
            )
            await self._serve(queue, in_flight, handler)
        if self.shutdown.error is not None:
            raise self.shutdown.error
        return self.statistics()

    def _make_starter(self, batch: Batch) -> JobStarter | JobRunner:
        """Return what starts jobs, and with `until="stopped"` waits for their tasks."""
        settings = self._settings
        starter = self._starter = JobStarter(
            settings.client,
            batch,
            settings.ledger,
            settings.to_request,
            settings.key,
            settings.lease,
            settings.placement,
        )
        if settings.until == "started":
            return starter
        return JobRunner(starter, settings.client, settings.retry_failed, settings.container)

    @property
    def healthy(self) -> bool:
        """Whether the ledger can be reached, and the queue answered lately or no more may be in flight."""
        full = len(self._jobs) >= self._settings.concurrency
        since = asyncio.get_running_loop().time() - self._answered_at
        return not self._counters.now.ledger_down and (full or since <= self._settings.long_poll + UNHEALTHY_AFTER)

    async def _open_queue(self, stack: AsyncExitStack) -> Any:
        """Open a client of SQS; it and the ledger are reached as their arguments say, else as ECS is."""
        settings = self._settings
        if isinstance(settings.ledger, DynamoDBLedger):
            settings.ledger.open_with(settings.client)
        region = settings.region_name
        if region is None and settings.session is not None:
            region = settings.client.raw.meta.region_name
        opened = Queue.open_client(settings.client, settings.session, settings.endpoint_url, region)
        return await enter_client(f"the queue {settings.url}", stack.enter_async_context(opened))

    async def _serve(self, queue: Queue, in_flight: InFlightMessages, handler: MessageHandler) -> None:
        async with asyncio.TaskGroup() as group:
            in_flight_task = group.create_task(in_flight.run(), name="aioecs in-flight messages")
            await self._receive(queue, handler, group)
            await self.shutdown.drain(self._jobs)
            if left := self.statistics().left:
                log.warning("worker of %s ends, and has returned %d unsettled messages", self._settings.url, len(left))
            in_flight.close()
            await asyncio.wait([in_flight_task], timeout=_LAST_ROUND)
            in_flight_task.cancel()

    # ----------------------------------------------------------------------------------------------------- receiving

    async def _receive(self, queue: Queue, handler: MessageHandler, group: asyncio.TaskGroup) -> None:
        """Receive while more may be in flight and the ledger can be reached."""
        failures = empties = 0
        loop = asyncio.get_running_loop()
        self._check_clock()
        while not self.shutdown.requested:
            if self._counters.now.ledger_down:
                await self._probe()
            elif (free := await self._wait_for_slots()) > 0:
                began = loop.time()
                try:
                    found = await self._received(queue, free)
                except QueueError as error:
                    failures += 1
                    await self._receive_failed(error, failures)
                    continue
                for message in found:
                    self._begin(message, handler, group)
                failures, empties = 0, 0 if found else empties + 1
                if empties:
                    await self.shutdown.sleep(idle_delay(empties, loop.time() - began))

    async def _received(self, queue: Queue, free: int) -> Sequence[Message]:
        asked = queue.receive(free, self._settings.visibility, self._settings.long_poll)
        found = await self.shutdown.run_until_shutdown(asked, _GRACE)
        self._answered_at = asyncio.get_running_loop().time()
        self._check_clock()
        return found or ()

    def _check_clock(self) -> None:
        """End if the answers prove that this machine's clock is off."""
        if self._clock.error is not None:
            self.shutdown.fail(self._clock.error)

    async def _receive_failed(self, error: QueueError, failures: int) -> None:
        """Wait after a receive that failed, or end with its error."""
        if not self._ends_with(error, failures):
            log.warning("worker of %s can't receive: %s", self._settings.url, error)
            await self.shutdown.sleep(min(growing_delay(failures, random.random()), _LONGEST_PROBE))

    def _begin(self, message: Message, handler: MessageHandler, group: asyncio.TaskGroup) -> None:
        self._counters.count(received=1)
        if self.shutdown.requested:
            handler.return_unsettled(message)
            return
        job = group.create_task(handler.handle(message), name="aioecs job")
        self._jobs.add(job)
        job.add_done_callback(self._ended)

    def _ended(self, job: asyncio.Task[None]) -> None:
        self._jobs.discard(job)
        self._freed.set()

    async def _wait_for_slots(self) -> int:
        """Wait until more may be in flight, and return how many, ten at most.

        For less than ten it waits a moment, because many messages end at once.
        """
        limit = self._settings.concurrency
        if limit - len(self._jobs) < BATCH_SIZE:
            await self.shutdown.sleep(0.02)
        while len(self._jobs) >= limit and not self.shutdown.requested:
            self._freed.clear()
            await self.shutdown.run_until_shutdown(self._freed.wait(), 0.0)
        return 0 if self.shutdown.requested else min(BATCH_SIZE, limit - len(self._jobs))

    async def _probe(self) -> None:
        """Wait, and send the ledger a write that changes nothing; the wait grows until the ledger grants a claim."""
        probes = self._counters.probe()
        await self.shutdown.sleep(min(growing_delay(probes, random.random()), _LONGEST_PROBE))
        asked = self._settings.ledger.release("aioecs.worker: can it be reached?", "nobody")
        try:
            answer = await self.shutdown.run_until_shutdown(asked, 0.0)
        except LedgerError as error:
            self._ends_with(error, probes)
            return
        if answer is not None:
            self._counters.ledger_answered()
            log.info("worker of %s: the ledger can be reached again", self._settings.url)

    def _ends_with(self, error: QueueError | LedgerError, failures: int) -> bool:
        """End with an error that waiting doesn't remove; return whether it is one."""
        error.permanent = error.permanent or is_lasting(error.__cause__, failures)
        if error.permanent:
            self.shutdown.fail(error)
        return error.permanent
