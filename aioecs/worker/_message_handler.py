"""The handling of one message, from its receipt until it is deleted or returned, with the counts and the log of it."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Coroutine, Mapping
from typing import Any, Protocol

import attrs

from aioecs import CancelToken
from aioecs._model.arn import short
from aioecs._model.call_events import JobAttempted
from aioecs._runtime.event_emitter import Emit
from aioecs.worker._jobs.decisions import JobOutcome, MessageAction
from aioecs.worker._jobs.job import AttemptResult, Job
from aioecs.worker._jobs.timing import (
    LONGEST_INVISIBLE,
    Lease,
    delay,
    is_last_receive,
    retry_delay,
)
from aioecs.worker._shutdown import Shutdown
from aioecs.worker._sqs.fifo_groups import FifoGroups, GroupPosition
from aioecs.worker._sqs.in_flight import InFlightMessages
from aioecs.worker._sqs.message import Message
from aioecs.worker._statistics import Counters

log = logging.getLogger("aioecs")


@attrs.frozen
class _Finish:
    """How a message is finished: deleted (None), or returned after so many seconds."""

    return_in: float | None
    next_may_begin: bool = False
    """Whether the next message of its group may begin."""


class AttemptsJobs(Protocol):
    """Starts the job of a message: a `JobStarter` or a `JobRunner`."""

    async def attempt(self, job: Job, stop: CancelToken) -> AttemptResult:
        """Try once, and return what is to be done about the message."""
        ...


class MessageHandler:
    """Handles messages for one run of a worker.

    Args:
        url: the queue, for the log.
        starter: starts their jobs.
        in_flight: extends, deletes and returns them.
        shutdown: whether the worker is to end.
        counters: the counts.
        lease: how long a job is held.
        visibility: how long each extension hides a message from others, in seconds.
        max_receives: after how many receives the queue's redrive policy takes a message; None if it has none.
        emit: emits an event for each attempt; None without a listener.
    """

    def __init__(
        self,
        url: str,
        *,
        starter: AttemptsJobs,
        in_flight: InFlightMessages,
        shutdown: Shutdown,
        counters: Counters,
        lease: Lease,
        visibility: float,
        max_receives: int | None,
        emit: Emit | None = None,
    ) -> None:
        self._url = url
        self._starter = starter
        self._in_flight = in_flight
        self._shutdown = shutdown
        self._counters = counters
        self._lease = lease
        self._visibility = visibility
        self._max_receives = max_receives
        self._emit = emit
        self._groups = FifoGroups()

    def handle(self, message: Message) -> Coroutine[Any, Any, None]:
        """Return the coroutine that handles a message; if it is cancelled, the message is returned.

        Call it in the order of receipt: each message of a FIFO group waits for the one before.
        """
        return self._handle(message, self._groups.add(message))

    async def _handle(self, message: Message, position: GroupPosition) -> None:
        job = Job(message)
        self._in_flight.hold(message)
        try:
            return_in = await position.wait_for_previous()
            finish = (
                await self._attempt_job(job, position)
                if return_in is None
                else self._return_after_previous(message, return_in)
            )
        except asyncio.CancelledError:
            # Where an intent may stand, others have to wait for the end of its lease.
            return_in = max(0.0, job.lease + self._lease.skew - time.time()) if job.lease else 0.0
            position.finish(return_in)
            self.return_unsettled(message, return_in)
            raise
        finally:
            if job.may_have_surplus:
                text = "message %s: a second task of its job may be left: %s"
                log.error(
                    text, message.id, ", ".join(job.surplus), extra={"queue": self._url, "message_id": message.id}
                )
        position.finish(None if finish.next_may_begin else finish.return_in)
        if await self._in_flight.finish(message, finish.return_in):
            deleted = finish.return_in is None
            self._counters.count(deleted=int(deleted), returned=int(not deleted))

    def return_unsettled(self, message: Message, return_in: float = 0.0) -> None:
        """Return a message that is not settled when the worker ends, visible after so many seconds."""
        self._counters.add_left(message)
        self._in_flight.finish(message, return_in)

    def _return_after_previous(self, message: Message, return_in: float) -> _Finish:
        """Return a message that was not begun, because one before it in its group is returned."""
        if self._shutdown.requested:
            self._counters.add_left(message)
        fields = {"queue": self._url, "message_id": message.id}
        log.info("message %s is returned, after an earlier one of its group", message.id, extra=fields)
        return _Finish(return_in)

    async def _attempt_job(self, job: Job, position: GroupPosition) -> _Finish:
        """Try until the message is to be deleted or returned."""
        tries = job.message.receives
        while True:
            result = await self._attempt_once(job)
            if result.action is MessageAction.DELETE:
                self._log(job.message, result)
                return _Finish(None, next_may_begin=True)
            seconds = self._delay(job, result, tries)
            stays = self._stays_in_flight(job, position, result, time.time() + seconds - job.received)
            self._log(job.message, result, stays=stays)
            if not stays:
                if self._shutdown.requested:
                    self._counters.add_left(job.message)
                return self._returned(job.message, result, seconds)
            await self._shutdown.sleep(seconds or retry_delay(tries, random.random()))
            tries += 1

    def _delay(self, job: Job, result: AttemptResult, tries: int) -> float:
        return delay(
            result.action,
            tries=tries,
            jitter=random.random(),
            now=time.time(),
            lease=job.lease,
            skew=self._lease.skew,
        )

    def _returned(self, message: Message, result: AttemptResult, seconds: float) -> _Finish:
        """Return how a message is returned. One that the redrive policy takes now lets the next of its group begin."""
        taken = result.action is MessageAction.DEAD_LETTER and is_last_receive(message.receives, self._max_receives)
        return _Finish(0.0, next_may_begin=True) if taken and message.group_id is not None else _Finish(seconds)

    async def _attempt_once(self, job: Job) -> AttemptResult:
        began = time.monotonic()
        try:
            result = await self._starter.attempt(job, self._shutdown.token)
        except Exception:
            # The cause is not known: the intent stays in the ledger, and no other message suffers.
            fields = {"queue": self._url, "message_id": job.message.id}
            log.exception("worker of %s: message %s failed unexpectedly", self._url, job.message.id, extra=fields)
            action = MessageAction.RETURN_AFTER_LEASE if job.lease else MessageAction.RETURN_LATER
            result = AttemptResult(JobOutcome.UNKNOWN, action)
        self._count(result)
        self._emit_attempt(job.message, result, time.monotonic() - began)
        return result

    def _log(self, message: Message, result: AttemptResult, *, stays: bool = False) -> None:
        known: dict[str, object] = {"queue": self._url, "message_id": message.id, "arns": result.arns}
        _log_result(message, result, {**known, "outcome": result.outcome.value}, stays=stays)

    def _emit_attempt(self, message: Message, result: AttemptResult, seconds: float) -> None:
        if self._emit is not None:
            self._emit(
                JobAttempted(
                    queue=self._url,
                    message_id=message.id,
                    outcome=result.outcome.value,
                    task_arns=result.arns,
                    seconds=seconds,
                )
            )

    def _stays_in_flight(self, job: Job, position: GroupPosition, result: AttemptResult, age: float) -> bool:
        """Return whether to retry in flight: the redrive policy would take it, or a surplus task is to be stopped."""
        if self._shutdown.requested or age > LONGEST_INVISIBLE - self._visibility:
            return False
        waits = result.action is not MessageAction.DEAD_LETTER
        return waits and (job.may_have_surplus or position.any_on_last_receive(self._max_receives))

    def _count(self, result: AttemptResult) -> None:
        outcome = result.outcome
        self._counters.count(
            started=result.started,
            adopted=result.adopted,
            succeeded=int(outcome is JobOutcome.SUCCEEDED),
            failed=int(outcome is JobOutcome.FAILED),
            already_settled=int(outcome is JobOutcome.SETTLED),
            unknown=int(outcome in (JobOutcome.UNKNOWN, JobOutcome.TOO_OLD, JobOutcome.RESULT_UNKNOWN)),
            dead_lettered=int(result.action is MessageAction.DEAD_LETTER),
        )
        if result.reasons:
            self._counters.refused(result.reasons)
        if result.fatal is not None:
            self._shutdown.fail(result.fatal)
        if outcome is JobOutcome.LEDGER_UNREACHABLE:
            if self._counters.ledger_failed():
                text = "worker of %s: the ledger can't be reached, nothing is started meanwhile: %s"
                log.error(text, self._url, result.why, extra={"queue": self._url, "outcome": outcome.value})
        elif outcome in (JobOutcome.STARTED, JobOutcome.NO_CAPACITY):
            self._counters.ledger_granted()


def _log_result(message: Message, result: AttemptResult, fields: Mapping[str, object], *, stays: bool) -> None:
    """Log what an attempt came to, at a level by what somebody has to do about it; `stays`: it is tried again."""
    outcome = result.outcome
    becomes = "stays in flight, and is tried again" if stays else "is returned"
    why = f": {result.why}" if result.why else ""
    tasks = ", ".join(map(short, result.arns))
    if outcome is JobOutcome.STARTED:
        how = "found" if result.adopted else "started"
        log.info("message %s: %s %s", message.id, how, tasks, extra=fields)
    elif outcome is JobOutcome.SUCCEEDED:
        log.info("message %s: %s succeeded", message.id, tasks, extra=fields)
    elif outcome is JobOutcome.SETTLED:
        log.info("message %s: its job was started before", message.id, extra=fields)
    elif outcome is JobOutcome.TOO_OLD:
        text = "message %s: UNKNOWN whether it was started, and too long ago to ask ECS; not started"
        log.error(text, message.id, extra=fields)
    elif result.action is MessageAction.DEAD_LETTER:
        log.warning("message %s is left to the redrive policy, %s%s", message.id, outcome, why, extra=fields)
    elif outcome in (JobOutcome.UNKNOWN, JobOutcome.PARTLY_STARTED, JobOutcome.LEASE_LOST, JobOutcome.FORBIDDEN):
        log.warning("message %s %s, %s%s", message.id, becomes, outcome, why, extra=fields)
    elif result.action is not MessageAction.DELETE:
        log.info("message %s %s, %s%s", message.id, becomes, outcome, why, extra=fields)
