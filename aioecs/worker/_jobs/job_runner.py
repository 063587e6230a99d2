"""Jobs until their tasks have stopped: a job whose tasks failed is started again.

Only the ledger remembers how far a job is. Each attempt has an entry of its own there, under the next key of the job.
The worker that has the message goes through the attempts in order. One that was started is waited for; one whose tasks
failed leads to the next, `retry_failed` times.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Protocol

import attrs

from aioecs import CancelToken, Client, TaskResult
from aioecs.errors import ECSError, TaskMissing, WaitCancelled, WaitTimeout
from aioecs.worker._jobs.decisions import JobOutcome
from aioecs.worker._jobs.job import AttemptResult, Job, result_of
from aioecs.worker._jobs.timing import LONGEST_HOLD
from aioecs.worker._ledgers.ledger import LedgerError


class AttemptStarter(Protocol):
    """Starts one attempt of a job: a `JobStarter`."""

    async def attempt(self, job: Job, stop: CancelToken, number: int = 0) -> AttemptResult:
        """Start it, or find what was started."""
        ...

    async def was_begun(self, job: Job, number: int) -> bool:
        """Return whether the ledger has an attempt of this number."""
        ...


class JobRunner:
    """Starts jobs and waits until their tasks have stopped.

    Args:
        starter: starts each attempt once.
        client: waits for the tasks.
        retry_failed: how often a job whose tasks failed is started again.
        container: the container to judge tasks by; None for all essential ones.
    """

    def __init__(self, starter: AttemptStarter, client: Client, retry_failed: int, container: str | None) -> None:
        self._starter = starter
        self._client = client
        self._retry_failed = retry_failed
        self._container = container

    async def attempt(self, job: Job, stop: CancelToken) -> AttemptResult:
        """Start a job, wait until its tasks have stopped, and return what that means for its message."""
        deadline = job.received + LONGEST_HOLD
        started = adopted = number = 0
        while True:
            result = await self._starter.attempt(job, stop, number)
            started, adopted = started + result.started, adopted + result.adopted
            if result.outcome not in (JobOutcome.STARTED, JobOutcome.SETTLED):
                return attrs.evolve(result, started=started, adopted=adopted)
            job.lease = 0.0  # it is settled: nobody has to wait for the end of a lease
            outcome, why = await self._result(job, number, result.arns, stop, deadline)
            if outcome is not JobOutcome.FAILED or number == self._retry_failed:
                return attrs.evolve(result_of(outcome, why), arns=result.arns, started=started, adopted=adopted)
            number += 1

    async def _result(
        self, job: Job, number: int, arns: Sequence[str], stop: CancelToken, deadline: float
    ) -> tuple[JobOutcome, str]:
        """Wait until the tasks of an attempt have stopped, and return how it ended."""
        left = max(0.0, deadline - time.time())
        try:
            results = await self._client.wait_for_results(
                arns, stop, timeout=left, cluster=job.cluster, container=self._container
            )
        except (WaitCancelled, WaitTimeout):
            return JobOutcome.STILL_RUNNING, ""
        except TaskMissing:
            return await self._forgotten_result(job, number)
        except ECSError as error:
            return JobOutcome.RESULT_UNAVAILABLE, type(error).__name__
        return _of_results(results)

    async def _forgotten_result(self, job: Job, number: int) -> tuple[JobOutcome, str]:
        """Return how an attempt ended whose tasks ECS doesn't show any more: it failed if there is one after it."""
        try:
            if number < self._retry_failed and await self._starter.was_begun(job, number + 1):
                return JobOutcome.FAILED, "another attempt was begun after it"
        except LedgerError as error:
            return JobOutcome.RESULT_UNAVAILABLE, str(error)
        return JobOutcome.RESULT_UNKNOWN, "ECS doesn't show its task any more"


def _of_results(results: Sequence[TaskResult]) -> tuple[JobOutcome, str]:
    """Return how a job ended: it failed if one of its tasks did."""
    for result in results:
        if result.succeeded is False:
            code = "" if result.exit_code is None else f", exit code {result.exit_code}"
            return JobOutcome.FAILED, f"{result.cause}{code}"
    if any(result.succeeded is None for result in results):
        return JobOutcome.RESULT_UNKNOWN, "whether its task succeeded can't be known"
    return JobOutcome.SUCCEEDED, ""
