"""Jobs to the end of their tasks: a try is over when the tasks have stopped, and a failed job is started again.

Nothing beside the ledger remembers how far a job is. Each attempt has an entry of its own there, under the next key of
the job's. Whoever has the message walks through the attempts: one that was started is waited for, one whose tasks
failed leads to the next, as many as `retry_failed` allows.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Protocol

import attrs

from aioecs import CancelToken, Client, TaskResult
from aioecs.errors import ECSError, TaskMissing, WaitCancelled, WaitTimeout
from aioecs.worker._job_decisions import LONGEST_INVISIBLE, TABLE, Happened
from aioecs.worker._job_starter import AttemptResult, Job

LONGEST_WAIT = LONGEST_INVISIBLE - 3600.0
"""How long a message is held for the end of its tasks, in seconds, before it is received anew."""


class Starts(Protocol):
    """What starts one attempt of a job."""

    async def attempt(self, job: Job, stop: CancelToken, number: int = 0) -> AttemptResult:
        """Start it, or find what was started."""
        ...


class JobRunner:
    """Starts jobs and waits for their ends, in place of a Starter.

    Args:
        starter: what starts each attempt once.
        client: what waits for the tasks.
        retry_failed: how often a job whose tasks failed is started again.
        container: the container to judge tasks by; None for all essential ones.
    """

    def __init__(self, starter: Starts, client: Client, retry_failed: int, container: str | None) -> None:
        self._starter = starter
        self._client = client
        self._retry_failed = retry_failed
        self._container = container

    async def attempt(self, job: Job, stop: CancelToken) -> AttemptResult:
        """Start it, or find it started, wait for its end, and say what that means for the message."""
        deadline = time.time() + LONGEST_WAIT
        started = number = 0
        while True:
            tried = await self._starter.attempt(job, stop, number)
            started += tried.happened is Happened.STARTED
            if tried.happened not in (Happened.STARTED, Happened.SETTLED):
                return attrs.evolve(tried, started=started)
            job.lease = 0.0  # it is settled: nobody has to wait for the end of a lease
            happened, why = await self._ended(job, tried.arns, stop, deadline)
            if happened is not Happened.FAILED or number == self._retry_failed:
                return AttemptResult(happened, TABLE[happened].fate, why, arns=tried.arns, started=started)
            number += 1

    async def _ended(self, job: Job, arns: Sequence[str], stop: CancelToken, deadline: float) -> tuple[Happened, str]:
        """Wait for the tasks of an attempt, and say how it ended."""
        left = max(0.0, deadline - time.time())
        try:
            results = await self._client.wait_for_results(
                arns, stop, timeout=left, cluster=job.cluster, container=self._container
            )
        except (WaitCancelled, WaitTimeout):
            return Happened.RUNS, ""
        except TaskMissing:
            return Happened.END_UNKNOWN, "ECS doesn't know its task any more"
        except ECSError as error:
            return Happened.NOT_ASKED, type(error).__name__
        return _of_results(results)


def _of_results(results: Sequence[TaskResult]) -> tuple[Happened, str]:
    """Say how a job ended: one task that failed makes it a failed one."""
    for result in results:
        if result.succeeded is False:
            code = "" if result.exit_code is None else f", exit code {result.exit_code}"
            return Happened.FAILED, f"{result.cause}{code}"
    if any(result.succeeded is None for result in results):
        return Happened.END_UNKNOWN, "whether its task succeeded can't be known"
    return Happened.SUCCEEDED, ""
