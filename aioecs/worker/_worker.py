"""The worker: messages of a queue become starts, each job once."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import anyio
from aiobotocore.session import AioSession

from aioecs import Client, Delivery
from aioecs._model.options import choice
from aioecs._runtime.cancellation_monitor import Cancellable, CancellationMonitor, expect
from aioecs.errors import ClientStateError, InvalidRequest
from aioecs.worker._job_decisions import LONGEST_INVISIBLE, lease_of
from aioecs.worker._job_starter import Key, ToRequest
from aioecs.worker._ledgers.ledger import Ledger
from aioecs.worker._signals import sigterm
from aioecs.worker._sqs.message import Message
from aioecs.worker._sqs.queue import LONG_POLL
from aioecs.worker._statistics import WorkerStatistics
from aioecs.worker._worker_run import Until, WorkerRun, WorkerSettings

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
    its last receive before that policy takes it, a message that only waits is kept in flight.

    The order of a FIFO queue is kept within each group: nothing of it is begun while an earlier message of it is open.
    One that goes back takes those behind it along; a poisoned one is in their way until the redrive policy takes it.

    A lease is looked at in the very step in which a request is written. What that can't exclude: a process that is
    stopped (SIGSTOP, a paused virtual machine) between the two, some microseconds, until its lease has ended and
    another has the job. Such a start is found to be one too many as soon as the process goes on, and is stopped.

    Args:
        client: an open client.
        queue_url: the queue. Permissions: `sqs:ReceiveMessage`, `DeleteMessage`, `ChangeMessageVisibility`,
            `GetQueueAttributes`.
        to_request: makes the request of a message, plain or async; what it raises makes the message a poisoned one.
            The request names its container instances. A plain function must not block.
        key: names a message's job, in 1 to 1,024 bytes; two messages of one job have the same. By default the
            message's id, which holds against redelivery and not against a message sent twice.
        ledger: where jobs are written down; entered while the worker runs.
        concurrency: how many messages it has in flight at most.
        visibility: how long a message in flight is hidden from others, in whole seconds; extended as long as it is.
        drain: how long a worker that is told to end waits for what is in flight, in seconds.
        lease: how long a job is held without being renewed, in seconds; by default twice what must be left of it at a
            send: the client's `timeouts.attempt` and `timeouts.consistency`, and `skew`.
        skew: how far the clocks of two workers may differ, in seconds. A worker whose own is proven to be off by more
            than half of it, by the queue's answers, refuses to work.
        delivery: what is done about a start that can't be found, as `Client` has it.
        until: "started" is done with a message once its start is settled. "stopped" holds it until its tasks have
            stopped: it is deleted if they succeeded, and left to the queue's redrive policy, which it must have, if
            they failed or nobody can know. Then `concurrency` bounds how many jobs run.
        retry_failed: with "stopped", how often a job whose tasks failed is started again, each time with the next key.
        container: with "stopped", the container to judge tasks by; by default all essential ones count.
        long_poll: how long a receive waits for a message, in whole seconds, 20 at most.
        sqs_endpoint_url: another endpoint of SQS than the Region's own.
        region_name: the queue's Region; by default the client's.
        session: an aiobotocore session for SQS; by default the client's, with its credentials.

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
        delivery: Delivery = "at_least_once",
        until: Until = "started",
        retry_failed: int = 0,
        container: str | None = None,
        long_poll: int = LONG_POLL,
        sqs_endpoint_url: str | None = None,
        region_name: str | None = None,
        session: AioSession | None = None,
    ) -> None:
        self._settings = WorkerSettings(
            client=client,
            url=queue_url,
            to_request=to_request,
            key=key,
            ledger=ledger,
            concurrency=_whole(concurrency, "concurrency", 1, 100_000),
            visibility=_whole(visibility, "visibility", 3, int(LONGEST_INVISIBLE)),
            drain=_seconds(drain, "drain"),
            lease=lease_of(client.timeouts.attempt, client.timeouts.consistency, _seconds(skew, "skew"), lease),
            delivery=delivery,
            until=choice(until, Until, "until"),
            retry_failed=_whole(retry_failed, "retry_failed", 0, 100),
            container=container,
            long_poll=_whole(long_poll, "long_poll", 0, LONG_POLL),
            endpoint_url=sqs_endpoint_url,
            region_name=region_name,
            session=session,
        )
        self._run: WorkerRun | None = None
        self._running = False

    async def run(self, cancel_scope: Cancellable | None = None) -> WorkerStatistics:
        """Work until the scope or token fires, the caller is cancelled or SIGTERM comes; return what was done.

        Then it stops receiving, begins no start, learns what came of those that are on the wire, `drain` seconds at
        most, and gives the rest back at once: `left` has their ids. It ends within `drain` and a second. A second
        SIGTERM or cancel ends the draining. SIGTERM is heard only if nobody else has set a handler for it.

        Raises:
            ConfigurationError: there is no such queue, or the clock is off by more than half of `skew`.
            QueueError, LedgerError: there are no credentials, or permission is denied (`permanent` is True); it has
                drained before.
            ClientStateError: it runs already.
            CancelledError: the caller was cancelled; the worker has drained before.
        """
        expect(cancel_scope)
        if self._running:
            raise ClientStateError("this worker runs already: make another one, or raise `concurrency`")
        run = self._run = WorkerRun(self._settings)
        self._running = True
        work = asyncio.get_running_loop().create_task(run.work(), name="aioecs worker")
        try:
            with (
                sigterm(lambda: run.end("SIGTERM")),
                CancellationMonitor.here().watch(cancel_scope, lambda: run.end("cancelled")),
            ):
                await _until(work, run)
        finally:
            self._running = False
        return work.result()

    def statistics(self) -> WorkerStatistics:
        """Return a snapshot of the counts of this run, or of the last one."""
        return self._run.statistics() if self._run is not None else WorkerStatistics()

    @property
    def healthy(self) -> bool:
        """Whether it runs, its ledger can be reached, and its queue has answered lately, for a liveness probe.

        False before and after `run`, and where neither the queue nor the ledger was to be had for a minute.
        """
        return self._running and self._run is not None and self._run.healthy

    def __repr__(self) -> str:
        now, run = self.statistics(), self._run
        state = "not running" if run is None or not self._running else "draining" if run.ending.begun else "running"
        return (
            f"<aioecs.worker.Worker {state}, {now.in_flight}/{self._settings.concurrency} in flight, "
            f"{now.started} started, {now.deleted} deleted, {now.returned} returned, "
            f"{now.dead_lettered} dead-lettered, ledger {'down' if now.ledger_down else 'up'}>"
        )


async def _until(work: asyncio.Task[WorkerStatistics], run: WorkerRun) -> None:
    """Wait for it; a cancel of the caller makes it drain, and goes on as itself when that is done."""
    try:
        await asyncio.wait([work])
    except asyncio.CancelledError:
        run.end("cancelled")
        with anyio.CancelScope(shield=True):
            while not work.done():
                try:
                    await asyncio.wait([work])
                except asyncio.CancelledError:  # the first one goes on
                    run.end("cancelled again")
        if not work.cancelled() and (error := work.exception()) is not None:
            log.error("the worker ended with an error while its caller was cancelled", exc_info=error)
        raise


def _whole(given: Any, name: str, least: int, most: int) -> int:
    if isinstance(given, bool) or not isinstance(given, int) or not least <= given <= most:
        raise InvalidRequest(name, f"a whole number from {least} to {most}", repr(given))
    return int(given)


def _seconds(given: Any, name: str) -> float:
    if isinstance(given, bool) or not isinstance(given, (int, float)) or not 0 <= given < float("inf"):
        raise InvalidRequest(name, "a number of seconds, 0 or more", repr(given))
    return float(given)
