"""One run of a worker: it opens its queue and ledger, receives until it is to end, and drains."""

from __future__ import annotations

import asyncio
import logging
import random
from contextlib import AsyncExitStack
from typing import Any

import attrs

from aioecs import Batch
from aioecs._client.client import access_of
from aioecs.worker._aws import enter_client
from aioecs.worker._clock import Clock
from aioecs.worker._jobs.job_runner import JobRunner
from aioecs.worker._jobs.job_starter import JobStarter
from aioecs.worker._jobs.timing import retry_delay
from aioecs.worker._ledgers.dynamodb import DynamoDBLedger
from aioecs.worker._ledgers.ledger import LedgerError
from aioecs.worker._message_handler import MessageHandler
from aioecs.worker._settings import WorkerSettings
from aioecs.worker._shutdown import Shutdown
from aioecs.worker._sqs.in_flight import InFlightMessages
from aioecs.worker._sqs.message import Message
from aioecs.worker._sqs.queue import Queue
from aioecs.worker._sqs.receiver import Receiver, fails_for_good
from aioecs.worker._statistics import Counters, WorkerStatistics

UNHEALTHY_AFTER = 60.0  # in seconds without an answer of the queue, beyond a long poll
log = logging.getLogger("aioecs")


class WorkerRun:
    """One run, from the opening of its queue to the last message in flight."""

    def __init__(self, settings: WorkerSettings) -> None:
        self.shutdown = Shutdown(settings.drain)
        self._settings = settings
        self._counters = Counters()
        self._starter: JobStarter | None = None
        self._clock = Clock(settings.lease.skew)
        self._receiver = Receiver(
            f"worker of {settings.url}",
            self.shutdown,
            concurrency=settings.concurrency,
            visibility=settings.visibility,
            long_poll=settings.long_poll,
        )

    def end(self, why: str) -> None:
        """Begin the shutdown; the second time, end the draining."""
        if self.shutdown.request(why):
            log.info("worker of %s: %s, %d messages in flight", self._settings.url, why, len(self._receiver.in_flight))

    def statistics(self) -> WorkerStatistics:
        """Return a snapshot of its counts."""
        waiting = self._starter.waiting_for_capacity if self._starter is not None else 0
        in_flight = sum(not job.done() for job in self._receiver.in_flight)  # one that is done has been counted
        return attrs.evolve(self._counters.now, in_flight=in_flight, waiting_for_capacity=waiting)

    async def work(self) -> WorkerStatistics:
        """Work until the shutdown is requested, and drain; return the counts.

        Raises:
            ConfigurationError: there is no such queue, or the clock is off.
            QueueError, LedgerError: there are no credentials, or permission is denied.
            ClientStateError: the client was closed meanwhile.
        """
        settings = self._settings
        async with AsyncExitStack() as stack:
            stack.enter_context(self.shutdown.with_client(settings.client, "the worker"))
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
        return not self._counters.now.ledger_down and (
            self._receiver.full or self._receiver.silence <= self._settings.long_poll + UNHEALTHY_AFTER
        )

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
        """Receive while the ledger can be reached, until the shutdown; then drain."""
        async with self._receiver.handling(in_flight) as group:
            self._check_clock()
            while not self.shutdown.requested:
                if self._counters.now.ledger_down:
                    await self._probe()
                    continue
                found = await self._receiver.receive(queue)
                self._check_clock()
                for message in found:
                    self._begin(message, handler, group)
        if left := self.statistics().left:
            log.warning("worker of %s ends, and has returned %d unsettled messages", self._settings.url, len(left))

    def _check_clock(self) -> None:
        """End if the answers prove that this machine's clock is off."""
        if self._clock.error is not None:
            self.shutdown.fail(self._clock.error)

    def _begin(self, message: Message, handler: MessageHandler, group: asyncio.TaskGroup) -> None:
        self._counters.count(received=1)
        if self.shutdown.requested:
            handler.return_unsettled(message)
        else:
            self._receiver.begin(handler.handle(message), group)

    async def _probe(self) -> None:
        """Wait, and send the ledger a write that changes nothing; the wait grows until the ledger grants a claim."""
        probes = self._counters.probe()
        await self.shutdown.sleep(retry_delay(probes, random.random()))
        asked = self._settings.ledger.release("aioecs.worker: can it be reached?", "nobody")
        try:
            answer = await self.shutdown.run_until_shutdown(asked, 0.0)
        except LedgerError as error:
            fails_for_good(error, probes, self.shutdown)
            return
        if answer is not None:
            self._counters.ledger_answered()
            log.info("worker of %s: the ledger can be reached again", self._settings.url)
