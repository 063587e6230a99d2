"""The worker: messages of a queue become starts, each job once."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from typing import Any, TypeVar

import anyio
import attrs
from aiobotocore.session import AioSession

from aioecs import CancelToken, Client, OnDoubt
from aioecs._run.hub import Cancellable, Hub, expect
from aioecs.errors import ClientStateError, InvalidRequest
from aioecs.worker._jobs import LONGEST_INVISIBLE, Fate, Happened, delay, growing, is_last, lease_of
from aioecs.worker._ledger import Ledger, LedgerError
from aioecs.worker._message import Message
from aioecs.worker._queue import BY_TENS, LONG_POLL, Outbox, Queue, QueueError
from aioecs.worker._signals import sigterm
from aioecs.worker._starting import Job, Key, Starter, ToRequest, Tried
from aioecs.worker._statistics import WorkerStatistics

T = TypeVar("T")

_GRACE = 1.0  # in seconds, for the answer of a long poll that is cut: what it brings would stay invisible else
_LAST_ROUND = 0.8  # in seconds, for giving back what is left at the very end
_LONGEST_PROBE = 10.0  # in seconds, between two looks whether a ledger or a queue is back
log = logging.getLogger("aioecs")


def message_id(message: Message) -> str:
    """Return the id of the message as its job's key: right where no job is sent twice."""
    return message.id


class Worker:
    """Receives messages from SQS and starts the job of each once, however often it comes and whoever crashes.

        worker = Worker(ecs, queue_url, to_request, key=job_of, ledger=DynamoDBLedger("jobs"))
        await worker.run()

    A message is deleted only when its start is settled: the ledger has its tasks. One that can't be started now goes
    back with a growing delay; one that can never be is left to the queue's redrive policy, and the reason logged. On
    its last receive before that policy takes it, a message that only waits is kept in hand. The order of a FIFO queue
    is not kept.

    Args:
        client: an open client.
        queue_url: the queue. Permissions: `sqs:ReceiveMessage`, `DeleteMessage`, `ChangeMessageVisibility`,
            `GetQueueAttributes`.
        to_request: makes the request of a message, plain or async; what it raises makes the message a poisoned one.
            The request names its container instances. A plain function must not block.
        key: names a message's job, in 1 to 1,024 bytes; two messages of one job have the same. By default the
            message's id, which holds against redelivery and not against a message sent twice.
        ledger: where jobs are written down; entered while the worker runs.
        concurrency: how many messages it has in hand at most.
        visibility: how long a message in hand is hidden from others, in whole seconds; extended as long as it is.
        drain: how long a worker that is told to end waits for what is in flight, in seconds.
        lease: how long a job is held without being renewed, in seconds; by default twice what must be left of it at a
            send: the client's `timeouts.attempt` and `timeouts.visibility`, and `skew`.
        skew: how far the clocks of two workers may differ, in seconds.
        on_doubt: what is done about a start that can't be found, as `Client` has it.
        long_poll: how long a receive waits for a message, in whole seconds, 20 at most.
        sqs_endpoint_url: another endpoint of SQS than the Region's own.
        region_name: the queue's Region; by default the client's.
        session: an aiobotocore session for SQS; by default one of the worker's own.

    Raises:
        InvalidRequest: one of these is not what it must be.
    """

    def __init__(
        self,
        client: Client,
        queue_url: str,
        to_request: ToRequest,
        *,
        key: Key = message_id,
        ledger: Ledger,
        concurrency: int = 100,
        visibility: int = 60,
        drain: float = 20.0,
        lease: float | None = None,
        skew: float = 5.0,
        on_doubt: OnDoubt = "at_least_once",
        long_poll: int = LONG_POLL,
        sqs_endpoint_url: str | None = None,
        region_name: str | None = None,
        session: AioSession | None = None,
    ) -> None:
        self._client = client
        self._url = queue_url
        self._to_request = to_request
        self._key = key
        self._ledger = ledger
        self._concurrency = _whole(concurrency, "concurrency", 1, 100_000)
        self._visibility = _whole(visibility, "visibility", 3, int(LONGEST_INVISIBLE))
        self._drain = _seconds(drain, "drain")
        self._lease = lease_of(client.timeouts.attempt, client.timeouts.visibility, _seconds(skew, "skew"), lease)
        self._on_doubt: OnDoubt = on_doubt
        self._long_poll = _whole(long_poll, "long_poll", 0, LONG_POLL)
        self._endpoint_url = sqs_endpoint_url
        self._region_name = region_name
        self._session = session
        self._state = "not running"
        self._counts = WorkerStatistics()
        self._jobs: dict[asyncio.Task[None], Message] = {}

    # ------------------------------------------------------------------------------------------------------- running

    async def run(self, cancel_scope: Cancellable | None = None) -> WorkerStatistics:
        """Work until the scope or token fires, the caller is cancelled or SIGTERM comes; return what was done.

        Then it stops receiving, begins no start, learns what came of those that are on the wire, `drain` seconds at
        most, and gives the rest back at once: `left` has their ids. It ends within `drain` and a second. A second
        SIGTERM or cancel ends the draining. SIGTERM is heard only if nobody else has set a handler for it.

        Raises:
            ConfigurationError: there is no such queue.
            ClientStateError: it runs already.
            CancelledError: the caller was cancelled; the worker has drained before.
        """
        expect(cancel_scope)
        if self._state != "not running":
            raise ClientStateError("this worker runs already: make another one, or raise `concurrency`")
        self._stop, self._hurry, self._freed = CancelToken(), asyncio.Event(), asyncio.Event()
        self._counts, self._ends, self._ledger_tries = WorkerStatistics(), float("inf"), 0
        self._state = "running"
        work = asyncio.get_running_loop().create_task(self._work(), name="aioecs worker")
        try:
            with sigterm(lambda: self._end("SIGTERM")), Hub.here().watch(cancel_scope, lambda: self._end("cancelled")):
                await self._until(work)
        finally:
            self._state = "not running"
        return work.result()

    async def _until(self, work: asyncio.Task[WorkerStatistics]) -> None:
        """Wait for it; a cancel of the caller makes it drain, and goes on as itself when that is done."""
        try:
            await asyncio.wait([work])
        except asyncio.CancelledError:
            self._end("cancelled")
            with anyio.CancelScope(shield=True):
                while not work.done():
                    try:
                        await asyncio.wait([work])
                    except asyncio.CancelledError:  # the first one goes on
                        self._end("cancelled again")
            if not work.cancelled() and (error := work.exception()) is not None:
                log.error("the worker ended with an error while its caller was cancelled", exc_info=error)
            raise

    def _end(self, why: str) -> None:
        """Begin to end; the second time, end the draining."""
        if self._stop.cancelled:
            self._hurry.set()
            return
        self._state = "draining"
        self._ends = asyncio.get_running_loop().time() + self._drain
        log.info("worker of %s: %s, %d messages in hand", self._url, why, len(self._jobs))
        self._stop.cancel(why)

    async def _work(self) -> WorkerStatistics:
        region = self._region_name or self._client.raw.meta.region_name
        session = self._session if self._session is not None else AioSession()
        async with AsyncExitStack() as stack:
            sqs = await stack.enter_async_context(Queue.connecting(session, self._endpoint_url, region))
            await stack.enter_async_context(self._ledger)
            self._queue = Queue(sqs, self._url)
            self._most = await self._unless_ended(self._queue.most_receives(), 0.0)
            batch = await stack.enter_async_context(
                # Left when all is settled, or when the time for that is over: then the client has it in custody.
                self._client.batch(on_cancel="settle", on_doubt=self._on_doubt, drain=0.0)
            )
            self._starter = Starter(self._client, batch, self._ledger, self._to_request, self._key, self._lease)
            self._outbox = Outbox(self._queue, self._visibility)
            await self._serve()
        return self.statistics()

    async def _serve(self) -> None:
        async with asyncio.TaskGroup() as group:
            parting = group.create_task(self._outbox.run(), name="aioecs outbox")
            await self._receive(group)
            await self._drained()
            self._outbox.close()
            await asyncio.wait([parting], timeout=_LAST_ROUND)
            parting.cancel()

    async def _drained(self) -> None:
        """Wait for what is in flight, and cut off what is left when the time is over."""
        loop = asyncio.get_running_loop()
        hurried = loop.create_task(self._hurry.wait())
        try:
            while self._jobs and not hurried.done() and (left := self._ends - loop.time()) > 0:
                await asyncio.wait([*self._jobs, hurried], timeout=left, return_when=asyncio.FIRST_COMPLETED)
        finally:
            hurried.cancel()
        cut = list(self._jobs)
        for job in cut:
            job.cancel()
        if cut:
            await asyncio.wait(cut)
        if self._counts.left:
            log.warning("worker of %s ends, and gave back %d unsettled messages", self._url, len(self._counts.left))

    # ----------------------------------------------------------------------------------------------------- receiving

    async def _receive(self, group: asyncio.TaskGroup) -> None:
        """Receive as long as there is room in hand and the ledger can be reached."""
        failures = 0
        while not self._stop.cancelled:
            if self._counts.ledger_down:
                await self._probe()
            elif (free := await self._room()) > 0:
                try:
                    asked = self._queue.receive(free, self._visibility, self._long_poll)
                    found = await self._unless_ended(asked, _GRACE)
                    failures = 0
                except QueueError as error:
                    failures += 1
                    log.warning("worker of %s can't receive: %s", self._url, error)
                    await self._rest(min(growing(failures, random.random()), _LONGEST_PROBE))
                    continue
                for message in found or ():
                    self._take(message, group)

    def _take(self, message: Message, group: asyncio.TaskGroup) -> None:
        self._count(received=1)
        if self._stop.cancelled:
            self._left(message)
            self._outbox.part(message, 0.0)
            return
        job = group.create_task(self._job(message), name="aioecs job")
        self._jobs[job] = message
        job.add_done_callback(self._gone)

    def _gone(self, job: asyncio.Task[None]) -> None:
        del self._jobs[job]
        self._freed.set()

    async def _room(self) -> int:
        """Return how many more may be in hand, ten at most; less than ten only a moment later: they end in crowds."""
        if self._concurrency - len(self._jobs) < BY_TENS:
            await self._rest(0.02)
        while len(self._jobs) >= self._concurrency and not self._stop.cancelled:
            self._freed.clear()
            await self._unless_ended(self._freed.wait(), 0.0)
        return 0 if self._stop.cancelled else min(BY_TENS, self._concurrency - len(self._jobs))

    async def _probe(self) -> None:
        """Ask the ledger something that changes nothing, after a rest that grows until it has granted something."""
        self._ledger_tries += 1
        await self._rest(min(growing(self._ledger_tries, random.random()), _LONGEST_PROBE))
        try:
            answer = await self._unless_ended(self._ledger.release("aioecs.worker: are you there?", "nobody"), 0.0)
        except LedgerError:
            return
        if answer is not None:
            self._counts = attrs.evolve(self._counts, ledger_down=False)
            log.info("worker of %s: the ledger can be reached again", self._url)

    async def _rest(self, seconds: float) -> None:
        """Rest, not longer than the worker runs."""
        with anyio.move_on_after(seconds):
            await self._stop.wait()

    async def _unless_ended(self, work: Coroutine[Any, Any, T], grace: float) -> T | None:
        """Do it, unless the worker is told to end: then it has so long to come to its own end; None if it doesn't."""
        doing = asyncio.get_running_loop().create_task(work)
        ended = asyncio.get_running_loop().create_task(self._stop.wait())
        try:
            await asyncio.wait([doing, ended], return_when=asyncio.FIRST_COMPLETED)
            if not doing.done():
                await asyncio.wait([doing], timeout=grace)
            return doing.result() if doing.done() else None
        finally:
            doing.cancel()
            ended.cancel()
            await asyncio.wait([doing, ended])

    # ---------------------------------------------------------------------------------------------------- one message

    async def _job(self, message: Message) -> None:
        """See to one message, from its receipt to its end here; cut off, it is given back."""
        job = Job(message)
        self._outbox.keep(message)
        try:
            back_in = await self._seen_to(job)
        except asyncio.CancelledError:
            self._left(message)
            # Where an intent may stand, others have to wait for the end of its lease.
            self._outbox.part(message, max(0.0, job.lease + self._lease.skew - time.time()) if job.lease else 0.0)
            raise
        gone = self._outbox.part(message, back_in)
        if await gone:
            self._count(deleted=int(back_in is None), given_back=int(back_in is not None))

    async def _seen_to(self, job: Job) -> float | None:
        """Try until it is settled (None), or is to go back after so many seconds."""
        since, tries = time.time(), job.message.receives
        while True:
            tried = await self._tried(job)
            if tried.fate is Fate.DELETE:
                return None
            lease, skew = job.lease, self._lease.skew
            seconds = delay(tried.fate, tries=tries, dice=random.random(), now=time.time(), lease=lease, skew=skew)
            if not self._keeps(job, tried, time.time() + seconds - since):
                if self._stop.cancelled:
                    self._left(job.message)
                return seconds
            await self._rest(seconds)
            tries += 1

    async def _tried(self, job: Job) -> Tried:
        try:
            tried = await self._starter.attempt(job, self._stop)
        except Exception:
            # Nobody's fault that is known: what stands in the ledger stays, and no other message suffers.
            log.exception("worker of %s: message %s failed unforeseen", self._url, job.message.id)
            tried = Tried(Happened.UNKNOWN, Fate.LEASE if job.lease else Fate.GROWING)
        self._tell(job.message, tried)
        return tried

    def _keeps(self, job: Job, tried: Tried, age: float) -> bool:
        """Tell whether to keep it in hand and try again: the queue would take it, or a double is to be stopped."""
        if self._stop.cancelled or age > LONGEST_INVISIBLE - self._visibility:
            return False
        waits = tried.fate in (Fate.GROWING, Fate.LEASE, Fate.AT_ONCE)
        return waits and (bool(job.ours) or is_last(job.message.receives, self._most))

    def _tell(self, message: Message, tried: Tried) -> None:
        """Count it, and say aloud what somebody should hear."""
        happened = tried.happened
        self._count(
            started=int(happened is Happened.STARTED),
            found_settled=int(happened is Happened.SETTLED),
            unknown=int(happened in (Happened.UNKNOWN, Happened.FORGOTTEN)),
            left_to_redrive=int(tried.fate is Fate.REDRIVE),
        )
        if happened is Happened.LEDGER_DOWN:
            self._ledger_failed(tried.why)
        elif happened in (Happened.STARTED, Happened.NO_ROOM):
            self._ledger_tries = 0
        why = f": {tried.why}" if tried.why else ""
        if happened is Happened.FORGOTTEN:
            log.error(
                "message %s: UNKNOWN whether it was started, and too long ago to ask ECS; not started", message.id
            )
        elif tried.fate is Fate.REDRIVE:
            log.warning("message %s is left to the redrive policy, %s%s", message.id, happened, why)
        elif happened in (Happened.UNKNOWN, Happened.PARTLY, Happened.LOST, Happened.FORBIDDEN):
            log.warning("message %s goes back, %s%s", message.id, happened, why)

    def _ledger_failed(self, why: str) -> None:
        if not self._counts.ledger_down:
            self._counts = attrs.evolve(self._counts, ledger_down=True)
            log.error("worker of %s: the ledger can't be reached, nothing is started meanwhile: %s", self._url, why)

    def _left(self, message: Message) -> None:
        self._counts = attrs.evolve(self._counts, left=(*self._counts.left, message.id))

    # ------------------------------------------------------------------------------------------------------- looking

    def _count(self, **more: int) -> None:
        self._counts = attrs.evolve(
            self._counts, **{name: getattr(self._counts, name) + count for name, count in more.items()}
        )

    def statistics(self) -> WorkerStatistics:
        """Return a snapshot of the counts of this run, or of the last one."""
        return attrs.evolve(self._counts, in_hand=len(self._jobs))

    def __repr__(self) -> str:
        now = self.statistics()
        return (
            f"<aioecs.worker.Worker {self._state}, {now.in_hand}/{self._concurrency} in hand, {now.started} started, "
            f"{now.deleted} deleted, {now.given_back} given back, {now.left_to_redrive} left to redrive, "
            f"ledger {'down' if now.ledger_down else 'up'}>"
        )


def _whole(given: Any, name: str, least: int, most: int) -> int:
    if isinstance(given, bool) or not isinstance(given, int) or not least <= given <= most:
        raise InvalidRequest(name, f"a whole number from {least} to {most}", repr(given))
    return int(given)


def _seconds(given: Any, name: str) -> float:
    if isinstance(given, bool) or not isinstance(given, (int, float)) or not 0 <= given < float("inf"):
        raise InvalidRequest(name, "a number of seconds, 0 or more", repr(given))
    return float(given)
