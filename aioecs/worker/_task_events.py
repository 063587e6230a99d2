"""Task state changes from EventBridge, received from an SQS queue and fed to a client; results go to a callback."""

from __future__ import annotations

import asyncio
import inspect
import logging
import random
import time
import uuid
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

import attrs
from aiobotocore.session import AioSession

from aioecs import Client, TaskResult
from aioecs._model.options import of_kind
from aioecs._model.task_event import TaskChange, read_event
from aioecs._runtime.cancellation_monitor import Cancellable, CancellationMonitor, expect
from aioecs.errors import ClientStateError, InvalidRequest
from aioecs.worker._aws import enter_client
from aioecs.worker._jobs.timing import LONGEST_INVISIBLE, growing_delay
from aioecs.worker._ledgers.claims import ClaimOutcome, Entry
from aioecs.worker._ledgers.dynamodb import DynamoDBLedger
from aioecs.worker._ledgers.ledger import Ledger, LedgerError, MemoryLedger
from aioecs.worker._settings import function, seconds, text, usable_ledger, whole
from aioecs.worker._shutdown import Shutdown, wait_for_end
from aioecs.worker._signals import sigterm
from aioecs.worker._sqs.in_flight import InFlightMessages
from aioecs.worker._sqs.message import Message
from aioecs.worker._sqs.queue import LONG_POLL, Queue
from aioecs.worker._sqs.receiver import Receiver

OnResult = Callable[[TaskResult], object]
"""Is called with the result of each task that has ended, plain or async."""

SKEW = 5.0  # in seconds: how far the clocks of two receivers may differ
log = logging.getLogger("aioecs")


@attrs.frozen(kw_only=True)
class TaskEventStatistics:
    """A snapshot of the counts of one `run`."""

    received: int = 0
    """Messages that were received and handled, redeliveries counted again; those of a last receive are returned."""
    fed: int = 0
    """Events that had something new of a task."""
    results: int = 0
    """Tasks whose result was handed over, and recorded as such."""
    repeated: int = 0
    """Events of an ended task whose result had been handed over before."""
    foreign: int = 0
    """Messages that are no such event, or of another Region or account: they are left to the redrive policy."""
    failed: int = 0
    """Attempts that ended with an error of `on_result` or of the ledger: the message is returned."""


class TaskEvents:
    """Receives "ECS Task State Change" events from an SQS queue, and feeds a client with them.

        events = TaskEvents(ecs, queue_url, on_result, ledger=DynamoDBLedger("results"))
        await events.run()

    The waits of the client for these tasks end as soon as an event says so. Messages may hold the event bare, or in
    the notification of an SNS topic. Repeated and late events change nothing. A message is deleted once it is handled;
    one that is no such event is left to the queue's redrive policy.

    `on_result(result)` is called for each task that ended, with its TaskResult. The ledger records that: so it is
    called once for each task, however often an event is received and however many receivers there are. It is called
    again only where the process dies, or the ledger fails, after the call and before the record: make it safe to
    repeat. An error that it raises is logged, and the event is received again after a growing delay.

    Args:
        client: an open client, of the Region and account of the events.
        queue_url: the queue. Permissions: `sqs:ReceiveMessage`, `DeleteMessage`, `ChangeMessageVisibility`.
        on_result: a plain or async function; a plain one must not block. None only feeds the client.
        ledger: where results that were handed over are recorded; by default in memory, so for this process alone.
        container: the container to judge tasks by; by default all essential ones count.
        concurrency: how many messages are handled at once.
        visibility: how long a message that is handled is hidden from others, in seconds; it is extended.
        drain: how long what is being handled is waited for at the end, in seconds.
        long_poll: how long a receive waits for a message, in whole seconds, 20 at most.
        sqs_endpoint_url, region_name, session: as of `Worker`.

    Raises:
        InvalidRequest: one of these is not what it must be.
    """

    def __init__(
        self,
        client: Client,
        queue_url: str,
        on_result: OnResult | None = None,
        *,
        ledger: Ledger | None = None,
        container: str | None = None,
        concurrency: int = 100,
        visibility: int = 60,
        drain: float = 20.0,
        long_poll: int = LONG_POLL,
        sqs_endpoint_url: str | None = None,
        region_name: str | None = None,
        session: AioSession | None = None,
    ) -> None:
        self._client: Client = of_kind(client, Client, "client")
        self._url = text(queue_url, "queue_url")
        self._on_result: OnResult | None = None if on_result is None else function(on_result, "on_result")
        self._ledger: Ledger = MemoryLedger() if ledger is None else usable_ledger(ledger)
        self._container = None if container is None else text(container, "container")
        self._concurrency = whole(concurrency, "concurrency", 1, 100_000)
        self._visibility = whole(visibility, "visibility", 3, int(LONGEST_INVISIBLE))
        self._drain = seconds(drain, "drain")
        self._long_poll = whole(long_poll, "long_poll", 0, LONG_POLL)
        self._where = (session, sqs_endpoint_url, region_name)
        self._counts = TaskEventStatistics()
        self._shutdown: Shutdown | None = None

    def statistics(self) -> TaskEventStatistics:
        """Return a snapshot of the counts of this run, or of the last one."""
        return self._counts

    async def run(self, cancel_scope: Cancellable | None = None) -> TaskEventStatistics:
        """Receive until the scope or token fires, the caller is cancelled or SIGTERM comes; return the counts.

        Messages that are being handled then are waited for, `drain` seconds at most; the rest is returned to the queue.

        Raises:
            ConfigurationError: the settings or credentials can't be used.
            QueueError: permission is denied, or there are no credentials.
            ClientStateError: it runs already, or the client was closed meanwhile.
            CancelledError: the caller was cancelled. It has drained before.
        """
        expect(cancel_scope)
        if self._shutdown is not None:
            raise ClientStateError("these TaskEvents run already: make another one, or raise `concurrency`")
        shutdown = self._shutdown = Shutdown(self._drain)
        self._counts = TaskEventStatistics()
        try:
            with (
                sigterm(lambda: shutdown.request("SIGTERM")),
                CancellationMonitor.here().watch(cancel_scope, lambda: shutdown.request("cancelled")),
            ):
                work = asyncio.get_running_loop().create_task(self._serve(shutdown), name="aioecs task events")
                await wait_for_end("the receiver of task events", work, shutdown.request)
        finally:
            self._shutdown = None
        return work.result()

    async def _serve(self, shutdown: Shutdown) -> TaskEventStatistics:
        """Receive until the shutdown, and drain."""
        session, endpoint_url, region = self._where
        if isinstance(self._ledger, DynamoDBLedger):
            self._ledger.open_with(self._client)
        if region is None and session is not None:
            region = self._client.raw.meta.region_name
        async with AsyncExitStack() as stack:
            stack.enter_context(shutdown.with_client(self._client, "its receiver of task events"))
            opening = stack.enter_async_context(Queue.open_client(self._client, session, endpoint_url, region))
            queue = Queue(await enter_client(f"the queue {self._url}", opening), self._url)
            await stack.enter_async_context(self._ledger)
            in_flight = InFlightMessages(queue, self._visibility)
            receiver = self._receiver(shutdown)
            async with receiver.handling(in_flight) as group:
                while not shutdown.requested:
                    for message in await receiver.receive(queue):
                        if shutdown.requested:
                            in_flight.finish(message, 0.0)
                        else:
                            receiver.begin(self._handle(message, in_flight), group)
        if shutdown.error is not None:
            raise shutdown.error
        return self._counts

    def _receiver(self, shutdown: Shutdown) -> Receiver:
        return Receiver(
            f"the task events of {self._url}",
            shutdown,
            concurrency=self._concurrency,
            visibility=self._visibility,
            long_poll=self._long_poll,
        )

    async def _handle(self, message: Message, in_flight: InFlightMessages) -> None:
        """Handle one message: delete it, or return it for another attempt."""
        self._count(received=1)
        in_flight.hold(message)
        return_in: float | None = 0.0
        try:
            return_in = await self._handled(message)
        except Exception as error:
            self._count(failed=1)
            return_in = growing_delay(message.receives, random.random())
            log.warning("the task event %s is returned: %s", message.id, type(error).__name__, exc_info=error)
        finally:
            done = in_flight.finish(message, return_in)
        await done

    async def _handled(self, message: Message) -> float | None:
        """Return None if the message is to be deleted, else after how many seconds it is to be received again."""
        try:
            change = read_event(message.body)
            if change is None:
                return None  # a well-formed event about something else: the rule lets more through than it need
            self._count(fed=int(self._client.feed(message.body)))
        except InvalidRequest as error:
            self._count(foreign=1)
            log.warning("message %s is no task event of this client, and is dead-lettered: %s", message.id, error)
            return growing_delay(message.receives, random.random())
        task = change.task()
        if self._on_result is None or task.last_status != "STOPPED":
            return None
        return await self._once(change)

    async def _once(self, change: TaskChange) -> float | None:
        """Hand the result of a task over, unless that was done before; return as `_handled` does."""
        intent = self._entry(change)
        claimed = await self._ledger.claim(intent, now=time.time(), skew=SKEW)
        if claimed.outcome is ClaimOutcome.TOO_OLD:  # its holder died long ago: the result can still be handed over
            await self._ledger.release(claimed.entry.key, claimed.entry.holder)
            claimed = await self._ledger.claim(intent, now=time.time(), skew=SKEW)
        if claimed.outcome is ClaimOutcome.SETTLED:
            self._count(repeated=1)
            return None
        if claimed.outcome is not ClaimOutcome.GRANTED:
            return max(1.0, claimed.entry.lease + SKEW - time.time())
        renewing = asyncio.create_task(self._renew(intent), name="aioecs lease")
        try:
            await self._hand_over(await self._client.task_result(change.task(), container=self._container))
        except BaseException:
            await self._ledger.release(intent.key, intent.holder)
            raise
        finally:
            renewing.cancel()
            await asyncio.wait([renewing])
        await self._ledger.settle(intent.key, intent.holder, (change.task().arn,))
        self._count(results=1)
        return None

    def _entry(self, change: TaskChange) -> Entry:
        now, key = time.time(), f"result of {change.account}:{change.region}:{change.cluster}/{change.id}"
        holder, lease = uuid.uuid4().hex, now + 2 * self._visibility
        return Entry(key=key, holder=holder, lease=lease, begun=round(now, 3), fingerprint=key, instances=())

    async def _hand_over(self, result: TaskResult) -> None:
        done = self._on_result(result) if self._on_result is not None else None
        if inspect.isawaitable(done):
            waited: Awaitable[object] = done
            await waited

    async def _renew(self, intent: Entry) -> None:
        """Keep the lease while `on_result` works."""
        while True:
            await asyncio.sleep(self._visibility / 2)
            try:
                await self._ledger.renew(intent.key, intent.holder, until=time.time() + 2 * self._visibility)
            except LedgerError as error:
                log.warning("the lease of a task's result could not be renewed: %s", error)

    def _count(self, **more: int) -> None:
        now = self._counts
        self._counts = attrs.evolve(now, **{name: getattr(now, name) + count for name, count in more.items()})

    def __repr__(self) -> str:
        now, state = self._counts, "running" if self._shutdown is not None else "not running"
        return f"<aioecs.worker.TaskEvents {state}, {now.received} received, {now.results} results>"
