"""What is done about a job and its message: decisions, without I/O.

An attempt to start a job has an outcome (`JobOutcome`). Two decisions follow from it: one about the intent in the
ledger, one about the message in the queue. `DECISIONS` has both for every outcome.

An intent is released only where it is certain that nothing was started. Where a task may run, the intent stays:
whoever claims the job next looks the token up. A message is deleted only when its start is settled.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

import attrs

from aioecs.worker._ledgers.claims import ClaimOutcome


class JobOutcome(StrEnum):
    """What an attempt to start a job came to."""

    STARTED = "started"
    """All of it runs, or has run."""
    SETTLED = "settled"
    """The ledger has its tasks: it was started before."""
    HELD = "held by another worker"
    """Another worker has the job."""
    NO_CAPACITY = "no capacity"
    """Refused for want of capacity, or of an agent: a later attempt may succeed."""
    NOT_SENT = "not sent"
    """Nothing was started: throttled, no connection, no time."""
    FORBIDDEN = "forbidden"
    """Credentials or permissions are missing: the message is not the cause."""
    WITHDRAWN = "withdrawn"
    """The worker ends, or the lease could not be renewed, before anything was sent."""
    REFUSED = "refused"
    """ECS refused, and would refuse again."""
    INVALID = "invalid"
    """No request can be made of the message, or none that may be sent."""
    MISMATCH = "idempotency mismatch"
    """The key was used for another request."""
    TOO_OLD = "too old to look up"
    """It may have been started so long ago that ECS doesn't show it any more."""
    PARTLY_STARTED = "partly started"
    """Some of it runs, and the rest may start later."""
    PARTLY_REFUSED = "partly refused"
    """Some of it runs, and the rest can't be started."""
    UNKNOWN = "unknown"
    """It may run, or some of it."""
    LEASE_LOST = "lease lost"
    """Another worker claimed the job while it was being started here."""
    LEDGER_UNREACHABLE = "ledger unreachable"
    """The ledger could not be reached: nothing was started."""
    SUCCEEDED = "succeeded"
    """Its tasks have ended, and succeeded."""
    FAILED = "failed"
    """Its tasks have ended, and one failed, in every attempt that was allowed."""
    RESULT_UNKNOWN = "ended, result unknown"
    """It was started, and how its tasks ended can't be known."""
    STILL_RUNNING = "still running"
    """Its tasks run, and this worker can't wait for them any longer: whoever receives the message next does."""
    RESULT_UNAVAILABLE = "result unavailable"
    """Its tasks were started, and how they ended could not be read now."""


class IntentAction(StrEnum):
    """What is done about the intent in the ledger."""

    SETTLE = "settle"
    RELEASE = "release"
    KEEP = "keep"
    """It stands, or there is none of this worker's."""


class MessageAction(StrEnum):
    """What is done about the message."""

    DELETE = "delete"
    RETURN_LATER = "return later"
    """Return it, after a delay that grows with each receive."""
    RETURN_AFTER_LEASE = "return after the lease"
    """Return it, after the lease that stands has ended."""
    RETURN_NOW = "return now"
    """Return it, visible to others at once."""
    DEAD_LETTER = "dead-letter"
    """Return it after a growing delay, and never keep it in flight: the queue's redrive policy is to take it."""


@attrs.frozen
class Decision:
    """What is done about the intent and the message."""

    intent: IntentAction
    action: MessageAction


DECISIONS: Mapping[JobOutcome, Decision] = {
    # outcome                       the intent            the message
    JobOutcome.STARTED: Decision(IntentAction.SETTLE, MessageAction.DELETE),
    JobOutcome.SETTLED: Decision(IntentAction.KEEP, MessageAction.DELETE),
    JobOutcome.HELD: Decision(IntentAction.KEEP, MessageAction.RETURN_AFTER_LEASE),
    JobOutcome.NO_CAPACITY: Decision(IntentAction.RELEASE, MessageAction.RETURN_LATER),
    JobOutcome.NOT_SENT: Decision(IntentAction.RELEASE, MessageAction.RETURN_LATER),
    JobOutcome.FORBIDDEN: Decision(IntentAction.RELEASE, MessageAction.RETURN_LATER),
    JobOutcome.WITHDRAWN: Decision(IntentAction.RELEASE, MessageAction.RETURN_NOW),
    JobOutcome.REFUSED: Decision(IntentAction.RELEASE, MessageAction.DEAD_LETTER),
    JobOutcome.INVALID: Decision(IntentAction.RELEASE, MessageAction.DEAD_LETTER),
    JobOutcome.MISMATCH: Decision(IntentAction.RELEASE, MessageAction.DEAD_LETTER),
    JobOutcome.TOO_OLD: Decision(IntentAction.KEEP, MessageAction.DEAD_LETTER),
    JobOutcome.PARTLY_STARTED: Decision(IntentAction.KEEP, MessageAction.RETURN_AFTER_LEASE),
    JobOutcome.PARTLY_REFUSED: Decision(IntentAction.KEEP, MessageAction.DEAD_LETTER),
    JobOutcome.UNKNOWN: Decision(IntentAction.KEEP, MessageAction.RETURN_AFTER_LEASE),
    JobOutcome.LEASE_LOST: Decision(IntentAction.KEEP, MessageAction.RETURN_LATER),
    JobOutcome.LEDGER_UNREACHABLE: Decision(IntentAction.KEEP, MessageAction.RETURN_LATER),
    JobOutcome.SUCCEEDED: Decision(IntentAction.KEEP, MessageAction.DELETE),
    JobOutcome.FAILED: Decision(IntentAction.KEEP, MessageAction.DEAD_LETTER),
    JobOutcome.RESULT_UNKNOWN: Decision(IntentAction.KEEP, MessageAction.DEAD_LETTER),
    JobOutcome.STILL_RUNNING: Decision(IntentAction.KEEP, MessageAction.RETURN_NOW),
    JobOutcome.RESULT_UNAVAILABLE: Decision(IntentAction.KEEP, MessageAction.RETURN_LATER),
}


def decide(outcome: JobOutcome, *, inherited: bool, proven: bool) -> Decision:
    """Return what must be done.

    `inherited`: another worker left the intent behind, and ECS may have acted on its request. Such an intent is
    released only where `proven`: ECS refused a request of ours, which is sent only after nothing of the other's was
    found.
    """
    decision = DECISIONS[outcome]
    if decision.intent is not IntentAction.RELEASE or not inherited or proven:
        return decision
    return Decision(IntentAction.KEEP, after_lease(decision.action))


def after_lease(action: MessageAction) -> MessageAction:
    """Return what is done about a message whose intent stays though it should have been released."""
    return action if action is MessageAction.DEAD_LETTER else MessageAction.RETURN_AFTER_LEASE


def may_be_surplus(outcome: JobOutcome, *, late: bool) -> bool:
    """Return whether an attempt may have started what is to be stopped once another worker has settled the job.

    `late`: it ended after the cutoff of its lease, so its request may have been written after that too, by a process
    that was paused. Then the next worker may look the token up before the task shows, and start another.
    """
    return late and outcome in (JobOutcome.UNKNOWN, JobOutcome.PARTLY_STARTED, JobOutcome.PARTLY_REFUSED)


def outcome_of_claim(outcome: ClaimOutcome) -> JobOutcome | None:
    """Return what a claim came to; None if this worker may start the job."""
    return _OF_CLAIM[outcome]


_OF_CLAIM: Mapping[ClaimOutcome, JobOutcome | None] = {
    ClaimOutcome.GRANTED: None,
    ClaimOutcome.HELD: JobOutcome.HELD,
    ClaimOutcome.SETTLED: JobOutcome.SETTLED,
    ClaimOutcome.MISMATCH: JobOutcome.MISMATCH,
    ClaimOutcome.TOO_OLD: JobOutcome.TOO_OLD,
}
