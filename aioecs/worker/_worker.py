"""The worker: messages of a queue become starts, each job once."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from aiobotocore.session import AioSession

from aioecs import Client, Delivery
from aioecs._batch.placement.placement_context import options_of
from aioecs._model.options import choice, of_kind
from aioecs._model.placement import Constraint, Placement, Spread
from aioecs._runtime.cancellation_monitor import Cancellable, CancellationMonitor, expect, reason_of
from aioecs.errors import ClientStateError
from aioecs.worker._jobs.job import Key, ToRequest
from aioecs.worker._jobs.timing import LONGEST_INVISIBLE, make_lease
from aioecs.worker._ledgers.ledger import Ledger
from aioecs.worker._settings import Until, WorkerSettings, function, message_id, seconds, text, usable_ledger, whole
from aioecs.worker._shutdown import wait_for_end
from aioecs.worker._signals import sigterm
from aioecs.worker._sqs.queue import LONG_POLL
from aioecs.worker._statistics import WorkerStatistics
from aioecs.worker._worker_run import WorkerRun


class Worker:
    """Receives messages from SQS and starts the job of each once, however often it comes and whoever crashes.

        worker = Worker(ecs, queue_url, to_request, key=job_of, ledger=DynamoDBLedger("jobs"))
        await worker.run()

    A message is deleted only when its start is settled: the ledger has its tasks. One that can't be started now is
    returned with a growing delay. One that can never be started is left to the queue's redrive policy, and the reason
    is logged. On its last receive before that policy takes it, a message that only waits is kept in flight.

    The order of a FIFO queue is kept within each group: no message is begun while an earlier one of its group is open.
    If one is returned, those behind it are returned too; a poisoned one blocks them until the redrive policy takes it.

    A lease is checked in the very step in which a request is written. That can't exclude that the process is paused
    (SIGSTOP, a paused virtual machine) between the two, some microseconds, until its lease has ended and another worker
    has the job. Such a start is found by the token of the job once the process continues, and is stopped, or logged if
    the worker ends before that.

    Args:
        client: an open client.
        queue_url: the queue. Permissions: `sqs:ReceiveMessage`, `DeleteMessage`, `ChangeMessageVisibility`,
            `GetQueueAttributes`.
        to_request: returns the request of a message; a plain or async function. If it raises, the message is left to
            the redrive policy. The request is one of three kinds: a StartTaskRequest that names container instances,
            one that names none, so that the worker places its task, or a RunTaskRequest, which ECS places. A plain
            function must not block.
        key: names a message's job, in 1 to 1,024 bytes; two messages of one job have the same. By default the
            message's id, which holds against redelivery and not against a message that is sent twice. It is the job's
            idempotency key in ECS too; with RunTask it makes the client token.
        ledger: where jobs are claimed; it is entered while the worker runs.
        concurrency: how many messages it has in flight at most, those that wait for capacity among them.
        visibility: how long a message in flight is hidden from others, in whole seconds; it is extended.
        drain: how long the worker waits at its end for what is in flight, in seconds.
        lease: how long a job is held without being renewed, in seconds; by default twice what must be left of it when
            a request is sent: the client's `timeouts.attempt` and `timeouts.consistency`, and `skew`.
        skew: how far the clocks of two workers may differ, in seconds. A worker refuses to work if the queue's answers
            prove that its own clock is off by more than half of that.
        delivery: what is done about an ambiguous start that no lookup finds, as of `Client`.
        placement, constraints, instances: where tasks are placed whose requests name no instances, as of
            `Client.place_task`.
        wait_for_capacity: how long a job of any kind is kept in flight for want of capacity and tried again, in
            seconds, eleven hours at most; after that, and by default at once, its message is returned with a growing
            delay. When the worker ends, a job that waits was not started, and its message is returned.
        until: "started" is done with a message once its start is settled. "stopped" holds it until its tasks have
            stopped: it is deleted if they succeeded, and left to the queue's redrive policy, which it must have, if
            they failed or the result can't be known. Then `concurrency` bounds how many jobs run.
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
        placement: Placement = Spread(),  # noqa: B008 frozen
        constraints: Iterable[Constraint] = (),
        instances: Iterable[str] | None = None,
        wait_for_capacity: float = 0.0,
        until: Until = "started",
        retry_failed: int = 0,
        container: str | None = None,
        long_poll: int = LONG_POLL,
        sqs_endpoint_url: str | None = None,
        region_name: str | None = None,
        session: AioSession | None = None,
    ) -> None:
        self._settings = WorkerSettings(
            client=of_kind(client, Client, "client"),
            url=text(queue_url, "queue_url"),
            to_request=function(to_request, "to_request"),
            key=function(key, "key"),
            ledger=usable_ledger(ledger),
            concurrency=whole(concurrency, "concurrency", 1, 100_000),
            visibility=whole(visibility, "visibility", 3, int(LONGEST_INVISIBLE)),
            drain=seconds(drain, "drain"),
            lease=make_lease(client.timeouts.attempt, client.timeouts.consistency, seconds(skew, "skew"), lease),
            placement=options_of(
                placement,
                constraints,
                instances,
                seconds(wait_for_capacity, "wait_for_capacity"),
            ),
            delivery=choice(delivery, Delivery, "delivery"),
            until=choice(until, Until, "until"),
            retry_failed=whole(retry_failed, "retry_failed", 0, 100),
            container=None if container is None else text(container, "container"),
            long_poll=whole(long_poll, "long_poll", 0, LONG_POLL),
            endpoint_url=sqs_endpoint_url,
            region_name=region_name,
            session=session,
        )
        self._run: WorkerRun | None = None
        self._running = False

    async def run(self, cancel_scope: Cancellable | None = None) -> WorkerStatistics:
        """Work until the scope or token fires, the caller is cancelled or SIGTERM arrives; return the counts.

        Then it receives no more, begins no start, waits for the outcome of those that were sent, `drain` seconds at
        most, and returns the other messages at once: `left` has their ids. It ends within `drain` and a second. A
        second SIGTERM or cancel ends the draining. SIGTERM ends all workers of the loop; it is handled only if no other
        handler is set for it.

        Raises:
            ConfigurationError: there is no such queue, or the clock is off by more than half of `skew`.
            QueueError, LedgerError: there are no credentials, or permission is denied (`permanent` is True). It
                has drained before.
            ClientStateError: it runs already, or the client was closed meanwhile.
            CancelledError: the caller was cancelled. The worker has drained before.
        """
        expect(cancel_scope)
        if self._running:
            raise ClientStateError("this worker runs already: make another one, or raise `concurrency`")
        run = self._run = WorkerRun(self._settings)
        self._running = True
        try:
            with (
                sigterm(lambda: run.end("SIGTERM")),
                CancellationMonitor.here().watch(cancel_scope, lambda: run.end(reason_of(cancel_scope) or "cancelled")),
            ):
                work = asyncio.get_running_loop().create_task(run.work(), name="aioecs worker")
                await wait_for_end("the worker", work, run.end)
        finally:
            self._running = False
        return work.result()

    def statistics(self) -> WorkerStatistics:
        """Return a snapshot of the counts of this run, or of the last one."""
        return self._run.statistics() if self._run is not None else WorkerStatistics()

    @property
    def healthy(self) -> bool:
        """Whether it runs, its ledger can be reached, and its queue has answered lately, for a liveness check.

        False before and after `run`, while the ledger can't be reached, and after a minute without an answer of the
        queue. Any thread may ask, such as that of an HTTP server.
        """
        return self._running and self._run is not None and self._run.healthy

    def __repr__(self) -> str:
        now, run = self.statistics(), self._run
        state = (
            "not running" if run is None or not self._running else "draining" if run.shutdown.requested else "running"
        )
        return (
            f"<aioecs.worker.Worker {state}, {now.in_flight}/{self._settings.concurrency} in flight, "
            f"{now.started} started, {now.adopted} adopted, {now.deleted} deleted, {now.returned} returned, "
            f"{now.dead_lettered} dead-lettered, ledger {'down' if now.ledger_down else 'up'}>"
        )
