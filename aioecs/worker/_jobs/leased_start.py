"""The start of one job under a lease: the request is sent, the lease renewed meanwhile, and placements are recorded."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio
import attrs

from aioecs import Batch, CancelToken, find_start_error
from aioecs._batch.batch import session_of
from aioecs._batch.placement.placed_starts import place_one
from aioecs._batch.placement.placement_context import PlacementOptions
from aioecs._model import RunTaskRequest
from aioecs.errors import ECSError, InvalidRequest
from aioecs.worker._jobs.job import Job, Request, broken_rule, instances_of
from aioecs.worker._jobs.start_outcome import StartOutcome, outcome_of_error, outcome_of_response
from aioecs.worker._jobs.timing import Lease
from aioecs.worker._ledgers.claims import Entry
from aioecs.worker._ledgers.ledger import Ledger, LedgerError

LEDGER_RETRY = 1.0  # in seconds, between two attempts to reach a ledger
UNWRITTEN = "the ledger may not have the tasks of a job that was started: %s"  # for the log
log = logging.getLogger("aioecs")


class LeaseLost(ECSError):
    """Another worker claimed the job, so nothing is sent."""

    retry_safe: bool | None = True


@attrs.frozen
class LedgerRecord:
    """Remembers in the ledger where a job is sent that aioecs places: see `PlacementRecord`."""

    ledger: Ledger
    entry: Entry

    @property
    def instances(self) -> tuple[str, ...]:
        """Where the holders before may have sent it."""
        return self.entry.instances

    async def add(self, instance: str) -> None:
        """Write down where it is sent. ECS has refused what was sent elsewhere, so only the last instance counts.

        Raises:
            LedgerError: it could not be written.
            LeaseLost: the job is another worker's by now.
        """
        if not await self.ledger.record_instances(self.entry.key, self.entry.holder, (instance,)):
            raise LeaseLost("the job is another worker's by now")


@attrs.define(eq=False)
class LeasedStart:
    """The start of one job, for as long as its lease lasts."""

    batch: Batch
    ledger: Ledger
    lease: Lease
    placement: PlacementOptions
    job: Job
    entry: Entry

    @asynccontextmanager
    async def renewed(self, stop: CancelToken) -> AsyncGenerator[CancelToken]:
        """Renew the lease inside the block; the token fires with `stop`, and when the lease can't be kept."""
        token = CancelToken.linked(stop)
        async with asyncio.TaskGroup() as group:
            renewing = group.create_task(self._renew(token), name="aioecs lease")
            try:
                yield token
            finally:
                renewing.cancel()

    async def send(self, request: Request, token: CancelToken, wait: float) -> StartOutcome:
        """Start the job, and return what came of it; a start that is placed waits so many seconds for capacity."""
        try:
            return await self._send(request, token, wait)
        except InvalidRequest as error:
            return attrs.evolve(outcome_of_error(error), why=broken_rule(error))
        except ECSError as error:
            outcome = outcome_of_error(error)
            name = str(getattr(error, "code", "")) or type(error).__name__
            return attrs.evolve(outcome, why=outcome.why or name)
        except asyncio.CancelledError as cancelled:
            if (start := find_start_error(cancelled)) is not None and start.tasks:
                log.warning(UNWRITTEN, [task.task_arn for task in start.tasks])
            raise

    async def _send(self, request: Request, token: CancelToken, wait: float) -> StartOutcome:
        """Send it; one that names instances goes to those in the ledger, where an earlier attempt may have begun."""
        key = self.entry.key
        if isinstance(request, RunTaskRequest):
            return outcome_of_response(await self.batch.run_task(request, token, idempotency_key=key))
        if named := instances_of(request):
            request = request.replace(container_instances=self.entry.instances or named)
            return outcome_of_response(await self.batch.start_task(request, token, idempotency_key=key))
        record = LedgerRecord(self.ledger, self.entry)
        options = attrs.evolve(self.placement, wait_for_capacity=wait, record=record)
        response = await place_one(session_of(self.batch), request, token, options, key)
        return outcome_of_response(response, placed=True)

    async def _renew(self, token: CancelToken) -> None:
        """Renew the lease; if that fails for too long, cancel what was not sent yet."""
        job, interval = self.job, self.lease.renewal_interval
        while (left := self.lease.cutoff(job.lease) - time.time()) > 0:
            await anyio.sleep(min(interval, left))
            until = time.time() + self.lease.length
            try:
                with anyio.move_on_after(max(0.0, self.lease.cutoff(job.lease) - time.time())) as limit:
                    if not await self.ledger.renew(self.entry.key, self.entry.holder, until=until):
                        token.cancel("the job is another worker's by now")
                        return
                    job.lease = until
                interval = self.lease.renewal_interval
                if limit.cancelled_caught:
                    interval = min(interval, LEDGER_RETRY)
            except LedgerError:
                interval = min(self.lease.renewal_interval, LEDGER_RETRY)
        token.cancel("the lease could not be renewed")
