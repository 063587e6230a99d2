"""The decisions about a job and its message, and a simulated fleet of workers that crash."""

from __future__ import annotations

import random

import pytest

import aioecs
from aioecs import Failure, Outcome, StartResult, StartTaskRequest, StartTaskResponse, Task
from aioecs.errors import StartUnknown
from aioecs.worker._jobs.decisions import (
    DECISIONS,
    Decision,
    IntentAction,
    JobOutcome,
    MessageAction,
    decide,
    outcome_of_claim,
)
from aioecs.worker._jobs.start_outcome import StartOutcome, outcome_of_error, outcome_of_response
from aioecs.worker._jobs.timing import delay, make_lease
from aioecs.worker._ledgers.claims import LOOKUP_LIMIT, ClaimOutcome, Entry, JobEntries


def test_every_outcome_has_a_decision() -> None:
    """The table is complete, and only a job that is settled loses its message."""
    assert set(DECISIONS) == set(JobOutcome)
    assert {what for what, done in DECISIONS.items() if done.action is MessageAction.DELETE} == {
        *(JobOutcome.STARTED, JobOutcome.SETTLED, JobOutcome.SUCCEEDED)
    }
    assert {outcome_of_claim(outcome) for outcome in ClaimOutcome} == {
        None,
        JobOutcome.HELD,
        JobOutcome.SETTLED,
        JobOutcome.MISMATCH,
        JobOutcome.TOO_OLD,
    }


@pytest.mark.parametrize("outcome", [what for what, done in DECISIONS.items() if done.intent is IntentAction.RELEASE])
def test_an_inherited_intent_is_kept_unless_ecs_refused(outcome: JobOutcome) -> None:
    """The other's request may have been acted on, and only a start of ours proves that it wasn't."""
    assert decide(outcome, inherited=True, proven=True) == DECISIONS[outcome]
    kept = decide(outcome, inherited=True, proven=False)
    assert kept == Decision(
        IntentAction.KEEP,
        MessageAction.DEAD_LETTER
        if DECISIONS[outcome].action is MessageAction.DEAD_LETTER
        else MessageAction.RETURN_AFTER_LEASE,
    )


REQUEST = StartTaskRequest(task_definition="demo", container_instances=["i"])


def a_start(outcome: Outcome, error: aioecs.ECSError | None = None) -> StartResult:
    """Return a result with this outcome."""
    return StartResult(request=REQUEST, container_instance="i", outcome=outcome, error=error)


def throttled() -> aioecs.ECSError:
    """Return the error of a throttled start."""
    error = aioecs.errors.service_error("ThrottlingException", "slow down", status=400)
    error.starts = (a_start(Outcome.REFUSED, error),)
    return error


# A fleet of workers, in a random simulation ---------------------------------------------------------------------------


class SimulatedFleet:
    """One job, workers that crash anywhere, and an ECS that shows what started by its token."""

    def __init__(self, seed: int) -> None:
        self.jitter = random.Random(seed)
        self.entries = JobEntries()
        self.now = 0.0
        self.tasks = 0
        self.deleted = False
        self.lease = make_lease(2, 1, 0.5, None)

    def receive(self, number: int) -> None:
        """Be a worker that receives the message: every decision is the product's, every event the jitter's."""
        intent = Entry(
            key="job", holder=str(number), lease=self.now + self.lease.length, begun=self.now, fingerprint="f",
            instances=("i",),
        )  # fmt: skip
        claimed = self.entries.claim(intent, self.now, self.lease.skew)
        outcome = outcome_of_claim(claimed.outcome)
        if outcome is not None:
            self.end(outcome, claimed.entry, StartOutcome(outcome))
            return
        if self.jitter.random() < 0.3:
            return  # killed before the send
        inherited = claimed.entry.begun != self.now
        self.now += self.jitter.uniform(0, 1.0)
        found, sent = self.start()
        if self.jitter.random() < 0.3:
            return  # killed after it
        start_outcome = outcome_of_response(found) if isinstance(found, StartTaskResponse) else outcome_of_error(found)
        assert sent or start_outcome.outcome is not JobOutcome.STARTED or self.tasks
        done = decide(start_outcome.outcome, inherited=inherited, proven=start_outcome.proven)
        if done.intent is IntentAction.SETTLE:
            self.entries.settle("job", intent.holder, start_outcome.arns)
        elif done.intent is IntentAction.RELEASE:
            assert not self.tasks, "an intent went back whose task runs"
            self.entries.release("job", intent.holder)
        self.deleted |= done.action is MessageAction.DELETE
        assert not self.deleted or self.tasks

    def start(self) -> tuple[StartTaskResponse | aioecs.ECSError, bool]:
        """Look the token up, and send if it isn't there."""
        if self.jitter.random() < 0.1:  # the lookup fails
            return aioecs.CallTimeout("late", starts=[a_start(Outcome.NOT_SENT)]), False
        if self.tasks:
            return StartTaskResponse(tasks=[Task(task_arn="arn")]), False
        roll = self.jitter.random()
        if roll < 0.2:
            return throttled(), False
        if roll < 0.3:
            return StartTaskResponse(failures=[Failure(arn="i", reason="RESOURCE:CPU")]), True
        if roll < 0.4:
            self.tasks += self.jitter.random() < 0.5
            return StartUnknown("?", starts=[a_start(Outcome.UNKNOWN)]), True
        self.tasks += 1
        return StartTaskResponse(tasks=[Task(task_arn="arn")]), True

    def end(self, outcome: JobOutcome, entry: Entry, _: StartOutcome) -> None:
        done = decide(outcome, inherited=False, proven=False)
        assert done.intent is IntentAction.KEEP
        self.deleted |= done.action is MessageAction.DELETE
        assert not self.deleted or self.tasks
        if done.action is MessageAction.RETURN_AFTER_LEASE:
            self.now += delay(
                done.action,
                tries=1,
                jitter=self.jitter.random(),
                now=self.now,
                lease=entry.lease,
                skew=self.lease.skew,
            )


@pytest.mark.parametrize("tenth", range(10))
def test_a_job_is_started_once_across_crashes(tenth: int) -> None:
    """Of 5,000 random lives of a job each ends, within ECS's memory, with one task and its message deleted."""
    for seed in range(tenth * 500, (tenth + 1) * 500):
        capacity_model = SimulatedFleet(seed)
        for number in range(200):
            capacity_model.receive(number)
            if capacity_model.deleted:
                break
            capacity_model.now += capacity_model.jitter.uniform(0, 2)
        assert capacity_model.tasks <= 1
        assert (capacity_model.deleted and capacity_model.tasks == 1) or capacity_model.now > LOOKUP_LIMIT
