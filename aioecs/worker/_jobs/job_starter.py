"""Attempts to start a job once: it is claimed in the ledger, started under a lease, and its outcome is written down."""

from __future__ import annotations

import asyncio
import logging
import random
import time
import uuid

import anyio
import attrs

from aioecs import Batch, CancelToken, Client
from aioecs._batch.placement.placement_context import PlacementOptions
from aioecs._client.access import check_each_send
from aioecs._logic.calls.token import derived
from aioecs._model import DesiredStatus, StopTaskRequest
from aioecs.errors import ECSError, InvalidRequest
from aioecs.worker._jobs.decisions import (
    Decision,
    IntentAction,
    JobOutcome,
    MessageAction,
    after_lease,
    decide,
    may_be_surplus,
    outcome_of_claim,
)
from aioecs.worker._jobs.job import (
    AttemptResult,
    Job,
    Key,
    LostLease,
    Request,
    ToRequest,
    attempt_key,
    broken_rule,
    check_request,
    instances_of,
    read_request,
    result_of,
)
from aioecs.worker._jobs.leased_start import LEDGER_RETRY, UNWRITTEN, LeasedStart
from aioecs.worker._jobs.start_outcome import StartOutcome
from aioecs.worker._jobs.timing import LONGEST_HOLD, Lease, retry_delay
from aioecs.worker._ledgers.claims import ClaimOutcome, Entry, fingerprint
from aioecs.worker._ledgers.ledger import EntryError, Ledger, LedgerError

LONGEST_WAIT = 600.0
"""How long one intent waits for capacity, in seconds. Then the job is claimed again: an intent must not become so old
that ECS doesn't show any more what was started under it."""
_SURPLUS = "aioecs: started under a lease that was lost"
log = logging.getLogger("aioecs")


class JobStarter:
    """Starts jobs, each once, for a worker or a Lambda.

    Args:
        client: what stops surplus tasks.
        batch: what sends the starts.
        ledger: where jobs are claimed.
        to_request, key: the user's functions.
        lease: how long a job is held.
        placement: how jobs are placed whose requests name no instances; its `wait_for_capacity` counts for all jobs.
    """

    def __init__(
        self,
        client: Client,
        batch: Batch,
        ledger: Ledger,
        to_request: ToRequest,
        key: Key,
        lease: Lease,
        placement: PlacementOptions,
    ) -> None:
        self._client = client
        self._batch = batch
        self._ledger = ledger
        self._to_request = to_request
        self._key = key
        self._lease = lease
        self._placement = placement
        self._jobs: dict[str, Job] = {}
        self._retrying = 0
        check_each_send(batch, self.may_send)

    @property
    def waiting_for_capacity(self) -> int:
        """How many jobs wait for capacity now."""
        return self._retrying + self._batch.statistics().waiting_for_capacity

    def may_send(self, key: str) -> bool:
        """Return whether the lease of a job lasts long enough for a request that is written now.

        The engine asks in the step that writes the request. That can't exclude that the process is stopped between the
        two for so long that another worker takes the job over. Such a start is found by its token, and is stopped.
        """
        job = self._jobs.get(key) or self._jobs.get(key.rpartition("\0")[0])
        if job is None or time.time() >= self._lease.cutoff(job.lease):
            return False
        job.sent_keys.add(key)
        return True

    async def attempt(self, job: Job, stop: CancelToken, number: int = 0) -> AttemptResult:
        """Try to start a job; for want of capacity, try again for as long as `wait_for_capacity` says.

        When `stop` fires, nothing new is begun, and what was sent is waited for. `number` counts the attempts of a job
        whose tasks failed; each has a key of its own.

        Cancelled, it leaves the intent as it is, for `job.lease` seconds: the next worker looks the token up.
        """
        ends = min(time.time() + self._placement.wait_for_capacity, job.received + LONGEST_HOLD)
        tries = 0
        while True:
            # The first attempt doesn't wait: so the log shows which jobs do, and why.
            result = await self._attempt_once(job, stop, number, ends if tries else 0.0)
            waits = result.outcome is JobOutcome.NO_CAPACITY and result.action is MessageAction.RETURN_LATER
            left = ends - time.time()
            if not waits or left <= 0:
                return result
            tries += 1
            if tries == 1:
                log.info("message %s waits for capacity, %.0f s at most: %s", job.message.id, left, result.why)
            seconds = min(left, retry_delay(tries, random.random()))
            if await self._stopped_within(seconds, stop):
                return result_of(JobOutcome.WITHDRAWN)

    async def was_begun(self, job: Job, number: int) -> bool:
        """Return whether the ledger has an attempt of this number; the job is one that was read before.

        A claim shows that. Its lease has ended when it is written, so whoever claims the attempt next gets it.

        Raises:
            LedgerError: the ledger can't be reached.
        """
        request, key = check_request(*await read_request(job.message, self._to_request, self._key))
        intent = attrs.evolve(self._intent(attempt_key(key, number), request), lease=0.0)
        claimed = await self._ledger.claim(intent, now=time.time(), skew=self._lease.skew)
        is_new = claimed.outcome is ClaimOutcome.GRANTED and claimed.entry.begun == intent.begun
        if is_new:
            await self._ledger.release(intent.key, intent.holder)
        return not is_new

    async def _stopped_within(self, seconds: float, stop: CancelToken) -> bool:
        """Wait so long before the next request; return whether the worker is to end."""
        self._retrying += 1
        try:
            with anyio.move_on_after(seconds):
                await stop.wait()
        finally:
            self._retrying -= 1
        return stop.cancelled

    async def _attempt_once(self, job: Job, stop: CancelToken, number: int, ends: float) -> AttemptResult:
        try:
            made, made_key = await read_request(job.message, self._to_request, self._key)
        except Exception as error:  # noqa: BLE001 the user's function; whatever it raises, the message is the cause
            return result_of(JobOutcome.INVALID, type(error).__name__)
        try:
            request, key = check_request(made, made_key)
        except InvalidRequest as error:
            return result_of(JobOutcome.INVALID, broken_rule(error))
        job.cluster = request.cluster
        if stop.cancelled:
            return result_of(JobOutcome.WITHDRAWN)
        return await self._claim(job, request, self._intent(attempt_key(key, number), request), stop, ends)

    def _intent(self, key: str, request: Request) -> Entry:
        now = time.time()
        return Entry(
            key=key,
            holder=uuid.uuid4().hex,
            lease=now + self._lease.length,
            begun=round(now, 3),  # it is compared, and a ledger may keep no more than milliseconds
            fingerprint=fingerprint(key, request),
            instances=instances_of(request),
        )

    async def _claim(self, job: Job, request: Request, intent: Entry, stop: CancelToken, ends: float) -> AttemptResult:
        """Write the intent, and start the job if the claim is granted."""
        job.lease = intent.lease  # a claim that is cancelled may have been written
        try:
            claimed = await self._ledger.claim(intent, now=time.time(), skew=self._lease.skew)
        except EntryError as error:
            job.lease = 0.0
            return result_of(JobOutcome.INVALID, str(error))
        except LedgerError as error:
            unreachable = result_of(JobOutcome.LEDGER_UNREACHABLE, str(error))
            return attrs.evolve(unreachable, fatal=error if error.permanent else None)
        job.lease = claimed.entry.lease
        outcome = outcome_of_claim(claimed.outcome)
        if outcome is None:
            inherited = claimed.entry.begun != intent.begun
            # An inherited intent doesn't wait: it is old already. Once nothing of it is found, it is claimed anew.
            wait = 0.0 if inherited else min(LONGEST_WAIT, max(0.0, ends - time.time()))
            return await self._start(job, request, claimed.entry, stop, wait, inherited=inherited)
        if claimed.outcome is ClaimOutcome.SETTLED:
            await self._stop_surplus(job, claimed.entry.key, claimed.entry.arns or (), stop)
        return attrs.evolve(result_of(outcome), arns=claimed.entry.arns or ())

    # ------------------------------------------------------------------------------------------------- under a lease

    async def _start(
        self, job: Job, request: Request, entry: Entry, stop: CancelToken, wait: float, *, inherited: bool
    ) -> AttemptResult:
        leased = LeasedStart(self._batch, self._ledger, self._lease, self._placement, job, entry)
        self._jobs[entry.key] = job
        job.sent_keys.clear()
        try:
            async with leased.renewed(stop) as token:
                start = await leased.send(request, token, wait)
                decision = decide(start.outcome, inherited=inherited, proven=start.proven)
                result = await self._write(job, entry, start, decision, stop)
        finally:
            if self._jobs.get(entry.key) is job:
                del self._jobs[entry.key]
        if may_be_surplus(result.outcome, late=time.time() >= self._lease.cutoff(job.lease)):
            job.note_lost_lease(entry.key)
        settled = result.outcome is JobOutcome.STARTED
        return attrs.evolve(
            result,
            why=result.why or start.why,
            reasons=start.reasons,
            arns=start.arns if settled else (),
            started=int(settled and not start.found),
            adopted=int(settled and start.found),
        )

    async def _write(
        self, job: Job, entry: Entry, start: StartOutcome, decision: Decision, stop: CancelToken
    ) -> AttemptResult:
        """Write the outcome into the ledger."""
        if decision.intent is IntentAction.SETTLE:
            return await self._settle(job, entry, start, stop)
        if decision.intent is IntentAction.RELEASE:
            try:
                await self._ledger.release(entry.key, entry.holder)
            except LedgerError as error:
                return AttemptResult(start.outcome, after_lease(decision.action), str(error))
            job.lease = 0.0
        return AttemptResult(start.outcome, decision.action)

    async def _settle(self, job: Job, entry: Entry, start: StartOutcome, stop: CancelToken) -> AttemptResult:
        try:
            settled = await self._write_tasks(job, entry, start.arns, stop)
        except LedgerError as error:
            return result_of(JobOutcome.UNKNOWN, str(error))
        if settled:
            await self._stop_surplus(job, entry.key, start.arns, stop)
            return result_of(JobOutcome.STARTED)
        job.note_lost_lease(entry.key, start.arns)
        return result_of(JobOutcome.LEASE_LOST)

    async def _write_tasks(self, job: Job, entry: Entry, arns: tuple[str, ...], stop: CancelToken) -> bool:
        """Write the tasks into the ledger while the lease lasts; return False if the job is another worker's by now.

        Where that can't be done, they are logged, and the next worker finds them by their token.

        Raises:
            LedgerError: the ledger can't be reached.
        """
        try:
            while True:
                try:
                    return await self._ledger.settle(entry.key, entry.holder, arns)
                except LedgerError:
                    if stop.cancelled or time.time() >= job.lease:
                        raise
                with anyio.move_on_after(LEDGER_RETRY):
                    await stop.wait()
        except (LedgerError, asyncio.CancelledError):
            log.warning(UNWRITTEN, list(arns))
            raise

    async def _stop_surplus(self, job: Job, key: str, settled: tuple[str, ...], stop: CancelToken) -> None:
        """Stop the tasks that an attempt started here under a lost lease and that are not those in the ledger.

        What was written before the job was settled, here or by another worker, may show in ECS's lists only
        `consistency` seconds later, so they are read twice.
        """
        lost = job.lost.get(key)
        if lost is None:
            return
        await self._stop_found(job, lost, settled)
        if lost.sent_keys:
            with anyio.move_on_after(self._client.timeouts.consistency) as wait:
                await stop.wait()
            await self._stop_found(job, lost, settled)
            if not wait.cancelled_caught:
                return  # it is logged when the worker ends
        del job.lost[key]

    async def _stop_found(self, job: Job, lost: LostLease, settled: tuple[str, ...]) -> None:
        """Look for the tasks that bear the tokens of what was written, and stop those that the ledger doesn't have."""
        await self._find_surplus(job, lost)
        for arn in sorted(lost.arns - set(settled)):
            cluster = arn.rpartition(":task/")[2].rpartition("/")[0] or None
            try:
                await self._client.stop_task(StopTaskRequest(cluster=cluster, task=arn, reason=_SURPLUS))
            except ECSError as error:
                log.error("task %s is a second one of its job and could not be stopped: %s", arn, type(error).__name__)
            else:
                log.warning("task %s was a second one of its job, and is stopped: its lease was lost", arn)
        lost.arns.clear()

    async def _find_surplus(self, job: Job, lost: LostLease) -> None:
        """Add the running tasks that bear the tokens of requests that were written under a lost lease."""
        for token in sorted(map(derived, lost.sent_keys)):
            try:
                found = await self._client.look_up(token, cluster=job.cluster)
            except ECSError as error:
                text = "it is not known whether a second task of a job runs with startedBy=%s: %s"
                log.error(text, token, type(error).__name__)
            else:
                running = (task for task in found if task.desired_status != DesiredStatus.STOPPED)
                lost.arns.update(task.task_arn for task in running if task.task_arn)
