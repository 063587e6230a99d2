"""The cancels of a storm for the blocking client: real threads, and cancels at chosen steps of its background loop.

A cancel by a token or a future comes from a thread of its own. The loop's step either waits until that thread has
cancelled, so that it comes in exactly this step, or goes on, so that the two race.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from functools import partial
from typing import Any

import attrs

import aioecs
import aioecs.sync
from aioecs import RunTaskRequest, StartResult
from cancel_storms.cases import Case, Judged, StormTransport, clients_on, judge, make_cases, request_of

THREADS = 8
CASES_OF_A_CLIENT = 1000
ANSWERS = (*["in time"] * 12, *["late effect"] * 6, "slow", "lost")
TIMEOUTS = aioecs.Timeouts(consistency=2.0, settle=0.2)
LAG, SLOW = 0.3, 0.4
"""When ECS's lists show a task, and when a slow answer comes, in seconds: both after `settle`."""
WAIT = 30.0
"""How long one thread waits for another at most, in seconds; so long only if something is wrong."""


@attrs.define(eq=False)
class SyncStorm:
    """Cases that several threads run on one blocking client, and the threads that cancel them."""

    client: aioecs.sync.Client
    transport: StormTransport
    cancellers: ThreadPoolExecutor
    random: random.Random
    futures: dict[str, Future[Future[Any]]] = attrs.Factory(dict[str, "Future[Future[Any]]"])

    def run(self, case: Case) -> None:
        """Run a case to its end, and keep what its caller receives."""
        self.transport.cases[case.name] = case
        self.futures[case.name] = Future()
        case.fire = partial(self._fire, case, waits=self.random.random() < 0.5)
        try:
            METHODS[case.method](self, case)
        except aioecs.ECSError as error:
            case.record(error)
        except CancelledError as error:
            case.record(error)
        assert case.fired.wait(WAIT)  # type: ignore[call-arg]

    def _fire(self, case: Case, *, waits: bool) -> None:
        """Cancel from the loop's thread where only that is allowed, else from another."""
        if case.cancel_by == "scope":
            case.scope.cancel()
            return
        cancelled = self.cancellers.submit(self._cancel, case)
        if waits:
            cancelled.result(WAIT)

    def _cancel(self, case: Case) -> None:
        if case.cancel_by == "token":
            case.token.cancel()
        else:
            self.futures[case.name].result(WAIT).cancel()

    def start_task(self, case: Case) -> None:
        """Start both tasks by one request."""
        request = request_of(case, 2, self.transport)
        case.answered(request, self.client.start_task(request, case.source, on_cancel=case.on_cancel))

    def begin_start_task(self, case: Case) -> None:
        """Begin to start both tasks, and wait for them."""
        request = request_of(case, 2, self.transport)
        future = self.client.begin_start_task(request, case.source, on_cancel=case.on_cancel)
        self.futures[case.name].set_result(future)
        case.answered(request, self.client.end_start_task(future))

    def start_tasks(self, case: Case) -> None:
        """Start both tasks by two requests."""
        requests = [request_of(case, 1, self.transport)] * 2
        case.received += self.client.start_tasks(requests, case.source, on_cancel=case.on_cancel).starts

    def place_tasks(self, case: Case) -> None:
        """Start both tasks where aioecs places them."""
        template = request_of(case, 0, self.transport)
        report = self.client.place_tasks(template, case.source, count=2, on_cancel=case.on_cancel)
        case.received += report.starts

    def run_task(self, case: Case) -> None:
        """Start both tasks where ECS places them."""
        request = RunTaskRequest(task_definition="demo", count=2, group=case.name)
        case.answered(request, self.client.run_task(request, case.source, on_cancel=case.on_cancel))


METHODS: dict[str, Callable[[SyncStorm, Case], None]] = {
    "sync.start_task": SyncStorm.start_task,
    "sync.begin_start_task": SyncStorm.begin_start_task,
    "sync.start_tasks": SyncStorm.start_tasks,
    "sync.place_tasks": SyncStorm.place_tasks,
    "sync.run_task": SyncStorm.run_task,
}


def _cancels(method: str) -> list[str]:
    return ["token", "scope", "future"] if method == "sync.begin_start_task" else ["token", "scope"]


def _run_all(cases: list[Case], seed: int) -> Judged:
    settled: list[StartResult] = []
    transports: list[StormTransport] = []

    def transport() -> StormTransport:
        transports.append(StormTransport(slow=SLOW, visibility_lag=LAG))
        return transports[0]

    with (
        clients_on(transport),
        ThreadPoolExecutor(THREADS) as callers,
        ThreadPoolExecutor(THREADS) as cancellers,
        aioecs.sync.Client(
            region_name="us-east-1",
            pacing=None,
            timeouts=TIMEOUTS,
            on_settled=lambda starts, _: settled.extend(starts),
        ) as client,
    ):
        storm = SyncStorm(client, transports[0], cancellers, random.Random(seed))
        for done in [callers.submit(storm.run, case) for case in cases]:
            done.result()
    return judge(cases, settled, transports[0])


def sync_storm(count: int, seed: int = 0) -> Judged:
    """Run so many cancels, and judge them."""
    judged = Judged()
    cases = make_cases(count, list(METHODS), _cancels, ANSWERS, seed)
    for at in range(0, count, CASES_OF_A_CLIENT):
        judged.add(_run_all(cases[at : at + CASES_OF_A_CLIENT], seed + at))
    return judged
