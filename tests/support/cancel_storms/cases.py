"""Cancels at chosen steps of the event loop around an answer of ECS, and what their callers received against the truth.

Each case starts two tasks by one method. Its cancel comes a number of loop steps after its request has reached the
transport: before the request is written, while its answer is awaited, in the moment of the answer, or later. At the end
the engine of the local ECS says what runs.
"""

from __future__ import annotations

import asyncio
import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import anyio
import attrs
import pytest
from engine_transport import EngineTransport

import aioecs
from aioecs import CancelToken, Outcome, StartResult, StartTaskRequest
from aioecs._client import client as client_module
from aioecs._model.attempt import Attempt, Lost
from aioecs._model.codec.shape import Shape
from aioecs._transport.transport import Operation, SentMarker
from aioecs.errors import AnswerLost, ECSError

R = TypeVar("R", bound=Shape)

WRITTEN = 3
"""The loop step in which the request is written."""
ANSWERED = 10
"""The loop step in which its answer arrives."""
STEPS = 16
"""The loop steps in which a cancel may come; every method has handed the answer to its caller before the last."""
STARTS = 2
"""The starts of one case."""
ANSWERS = ("in time", "in time", "in time", "late effect", "lost", "slow")
"""What a case's answer is like; see `StormTransport`."""


@attrs.define(eq=False)
class Case:
    """One cancel: how and when it comes, and what its caller received."""

    name: str
    method: str
    cancel_by: str
    on_cancel: Any
    step: int
    answer: str = "in time"
    last: bool = False
    """Whether the cancel comes last among the callbacks of its loop step."""
    again: int | None = None
    """After how many more steps a second cancel comes."""
    token: CancelToken = attrs.Factory(CancelToken)
    scope: anyio.CancelScope = attrs.Factory(anyio.CancelScope)
    around: anyio.CancelScope = attrs.Factory(anyio.CancelScope)
    fire: Callable[[], object] = lambda: None
    """Cancels; set by what runs the case."""
    received: list[StartResult] = attrs.Factory(list)
    cancelled: bool = False
    """Whether its caller received a cancel, rather than an answer."""
    armed: bool = False
    fired: asyncio.Event | threading.Event = attrs.Factory(threading.Event)
    """Set once its cancels have come."""
    cancels: int = 0

    @property
    def source(self) -> Any:
        """What is passed as `cancel_scope`."""
        return {"token": self.token, "scope": self.scope}.get(self.cancel_by)

    def record(self, error: BaseException) -> None:
        """Keep what an error says about the starts."""
        known = error if isinstance(error, ECSError) else aioecs.find_start_error(error)
        self.cancelled = self.cancelled or not isinstance(error, ECSError) or isinstance(error, aioecs.CallCancelled)
        self.received += known.starts if known is not None else ()

    def answered(self, request: Any, response: Any) -> None:
        """Keep what an answer says about the starts."""
        self.received += [
            StartResult(
                request=request,
                container_instance=task.container_instance_arn or "",
                outcome=Outcome.STARTED,
                task=task,
                token=response.token,
            )
            for task in response.tasks
        ]

    def arm(self) -> None:
        """Begin to count the loop's steps to the cancel."""
        self._count(self.step)

    def _count(self, left: int) -> None:
        loop = asyncio.get_running_loop()
        if left:
            loop.call_soon(self._count, left - 1)
            return
        self.cancels += 1
        self.fire()
        if self.again is not None:
            left, self.again = self.again, None
            loop.call_soon(self._count, left)
        else:
            self.fired.set()


class StormTransport(EngineTransport):
    """A transport to the engine that arms the cancel of each case when its start arrives.

    The request is written a few loop steps later, and answered a few steps after that. ECS acts when it is written, or
    with a "late effect" in the step of the answer. A "lost" answer never comes, and a "slow" one after `slow` seconds.
    """

    def __init__(self, *, slow: float, **behaviour: Any) -> None:
        super().__init__(latency=0.0, **behaviour)
        self.slow = slow
        self.cases: dict[str, Case] = {}

    async def attempt(self, operation: Operation[R], request: Shape, sent_marker: SentMarker) -> Attempt[R]:
        """Answer a start in its steps; anything else at once."""
        if operation.name not in ("StartTask", "RunTask"):
            return await super().attempt(operation, request, sent_marker)
        case = self.cases[getattr(request, "group")]  # noqa: B009 of both requests
        await self._armed(case)
        for _ in range(WRITTEN - 1):
            await asyncio.sleep(0)
        sent_marker.body_started = True
        acting = None if case.answer == "late effect" else super().attempt(operation, request, sent_marker)
        answer = None if acting is None else await acting
        for _ in range(ANSWERED - WRITTEN - 1):
            await asyncio.sleep(0)
        if case.answer == "slow":
            await asyncio.sleep(self.slow)
        if case.answer == "lost":
            return Lost(AnswerLost("reset"))
        return answer if answer is not None else await super().attempt(operation, request, sent_marker)

    async def _armed(self, case: Case) -> None:
        """Arm the case so that its callback is before or after those of the call, in every step."""
        if case.armed:  # a request of it that is sent again
            return
        case.armed = True
        if not case.last:
            case.arm()
            return
        loop = asyncio.get_running_loop()
        resumed: asyncio.Future[None] = loop.create_future()

        def resume_then_arm() -> None:
            if not resumed.done():
                resumed.set_result(None)
            case.arm()

        loop.call_soon(resume_then_arm)
        await resumed


@contextmanager
def clients_on(transport: Callable[[], StormTransport]) -> Iterator[None]:
    """Let clients that are opened meanwhile use this transport, which is made on their loop."""

    class Opened:
        """Opens the transport."""

        def __init__(self, _: object) -> None:
            pass

        async def __aenter__(self) -> Any:
            return transport(), None

        async def __aexit__(self, *_: object) -> None:
            pass

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(client_module, "open_transport", Opened)
        yield


def request_of(case: Case, instances: int, transport: StormTransport) -> StartTaskRequest:
    """Return a request for so many instances that bears the name of its case as `group`."""
    (instance, *_) = transport.engine.instance_arns("default")
    return StartTaskRequest(task_definition="demo", container_instances=[instance] * instances, group=case.name)


def make_cases(
    count: int, methods: list[str], cancels: Callable[[str], list[str]], answers: tuple[str, ...], seed: int
) -> list[Case]:
    """Return cases that are spread evenly over methods, cancels, `on_cancel` and steps; the rest is random."""

    async def made() -> list[Case]:  # a scope can be made on a loop only
        return _make_cases(count, methods, cancels, answers, seed)

    return asyncio.run(made())


def _make_cases(
    count: int, methods: list[str], cancels: Callable[[str], list[str]], answers: tuple[str, ...], seed: int
) -> list[Case]:
    rng = random.Random(seed)
    mixes = [
        (method, cancel_by, on_cancel)
        for method in methods
        for cancel_by in cancels(method)
        for on_cancel in ("stop", "keep")
    ]
    return [
        Case(
            name=f"case-{number}",
            method=mixes[number % len(mixes)][0],
            cancel_by=mixes[number % len(mixes)][1],
            on_cancel=mixes[number % len(mixes)][2],
            step=(number * 11 + number // len(mixes)) % STEPS,
            answer=rng.choice(answers),
            last=rng.random() < 0.5,
            again=rng.randrange(8) if rng.random() < 0.2 else None,
        )
        for number in range(count)
    ]


# -------------------------------------------------------------------------------------------------------- the judgment


@attrs.define
class Judged:
    """The counts of a storm, and the reports that are untrue."""

    cases: int = 0
    cancels: int = 0
    received: Counter[str] = attrs.Factory(Counter[str])
    """What callers received, by outcome."""
    too_late: int = 0
    """Cases whose caller received its answer all the same."""
    settled_later: int = 0
    untrue: list[str] = attrs.Factory(list)

    def add(self, other: Judged) -> None:
        """Add the counts of another storm."""
        self.cases += other.cases
        self.cancels += other.cancels
        self.received += other.received
        self.too_late += other.too_late
        self.settled_later += other.settled_later
        self.untrue += other.untrue


def judge(cases: list[Case], later: list[StartResult], transport: StormTransport) -> Judged:
    """Compare what callers and `on_settled` received with what ECS has at the very end."""
    judged = Judged()
    running: dict[str, dict[str, bool]] = {}
    for task in transport.engine.truth.tasks():
        running.setdefault(task.group, {})[task.arn] = task.live
    settled: dict[str, list[StartResult]] = {}
    for start in later:
        settled.setdefault(start.request.group or "", []).append(start)
    for case in cases:
        judged.cases += 1
        judged.cancels += case.cancels
        judged.received.update(start.outcome.value for start in case.received)
        judged.too_late += not case.cancelled and {start.outcome for start in case.received} == {Outcome.STARTED}
        judged.settled_later += len(settled.get(case.name, ()))
        wrong = list(untrue(case, settled.get(case.name, []), running.get(case.name, {})))
        judged.untrue += [f"{case.method}, {case.cancel_by}, {case.on_cancel}: {why}; {case}" for why in wrong]
    return judged


def untrue(case: Case, later: list[StartResult], running: dict[str, bool]) -> Iterator[str]:
    """Yield what is not so of one case; `running` has every task of it, and whether it runs."""
    unknown = Counter(start.token for start in case.received if start.outcome is Outcome.UNKNOWN)
    resolved = Counter(start.token for start in later)
    final = [start for start in (*case.received, *later) if start.outcome is not Outcome.UNKNOWN]
    for start in final:
        arn = start.task.task_arn if start.task is not None else None
        if start.outcome in (Outcome.STARTED, Outcome.STOPPED):
            if running.get(arn or "") is not (start.outcome is Outcome.STARTED):
                yield f"reported as {start.outcome}: {arn}"
        elif arn is not None:
            yield f"{start.outcome} with a task"
    if not case.cancels:
        yield "it was not cancelled"
    if any(start.outcome is Outcome.UNKNOWN for start in later):
        yield "on_settled received UNKNOWN"
    if any(not token or count > resolved[token] for token, count in unknown.items()):
        yield "UNKNOWN, and nothing later says what it came to"
    if any(start.outcome is Outcome.UNKNOWN and start.settles_by is None for start in case.received):
        yield "UNKNOWN without a time by which it is known"
    known = {start.task.task_arn for start in final if start.task is not None}
    if known != set(running):
        yield f"{len(set(running) - known)} tasks that no report names"
    if len(running) > STARTS or len({*running}) + sum(start.task is None for start in final) > STARTS:
        yield "more starts than were requested"
