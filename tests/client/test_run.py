"""run: from a request to the result of its task, in virtual time on the local ECS."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import anyio
import pytest
from cancel_storms.two_cancels import cancelled_twice
from engine_transport import EngineSetup, engine_client, seconds_by_task
from virtual_time import run_in_virtual_time

import aioecs
from aioecs import CancelToken, Outcome, Run, StartTaskRequest, TaskEndCause
from aioecs._model.attempt import Rejected
from aioecs.errors import (
    ECSError,
    InvalidRequest,
    StartCancelled,
    StartRefused,
    TaskFailed,
    WaitTimeout,
    find_start_error,
)

STOPPED, STARTED = Outcome.STOPPED, Outcome.STARTED


def on_an_instance(world: EngineSetup, definition: str = "demo") -> StartTaskRequest:
    """Return a request for one task on the one instance."""
    return StartTaskRequest(task_definition=definition, container_instances=world.transport.engine.instance_arns())


def tasks_of(world: EngineSetup) -> list[Any]:
    """Return what really was started."""
    return world.transport.engine.truth.tasks()


def test_a_task_that_succeeds() -> None:
    """The result is its end, and the task definition says which container counts."""

    async def work() -> None:
        async with engine_client(pending_seconds=2.0, running_seconds=30.0) as world:
            result = await world.client.run(on_an_instance(world), timeout=600)
            assert (result.succeeded, result.exit_code, result.cause) == (True, 0, TaskEndCause.EXITED)
            assert [each.essential for each in result.containers] == [True]
            assert result.raise_for_status() is result

    run_in_virtual_time(work())


def test_a_task_that_fails() -> None:
    """It is a result too; raise_for_status makes it an error."""

    async def work() -> None:
        async with engine_client(running_seconds=3.0, exit_code=7) as world:
            result = await world.client.run(on_an_instance(world))
            assert (result.succeeded, result.exit_code) == (False, 7)
            with pytest.raises(TaskFailed, match="exited with code 7"):
                result.raise_for_status()
            broken = await world.client.run(on_an_instance(world, "broken"))
            assert (broken.succeeded, broken.cause) == (False, TaskEndCause.FAILED_TO_START)

    run_in_virtual_time(work())


def test_the_definition_decides() -> None:
    """A container that is not essential may fail; its definition is read once."""

    async def work() -> None:
        async with engine_client(running_seconds=3.0, exit_code=1) as world:
            side = {"name": "side", "memory": 4, "essential": False}
            world.transport.engine.add_task_definition("two", containers=("main", side))
            result = await world.client.run(on_an_instance(world, "two"))
            assert {each.name: each.essential for each in result.containers} == {"main": True, "side": False}
            await world.client.run(on_an_instance(world, "two"))
            assert world.transport.engine.truth.requests["DescribeTaskDefinition"] == 1

    run_in_virtual_time(work())


def test_a_task_that_takes_too_long_is_stopped() -> None:
    """Its result says by whom and why, and nothing runs on."""

    async def work() -> None:
        async with engine_client(stopping_seconds=20.0) as world:
            began = world.now
            result = await world.client.run(on_an_instance(world), timeout=60)
            assert 80 <= world.now - began < 95
            assert (result.succeeded, result.cause) == (False, TaskEndCause.STOPPED_BY_USER)
            assert "aioecs: it had not ended after 60 s" in result.explanation
            assert [task.last_status for task in tasks_of(world)] == ["STOPPED"]

    run_in_virtual_time(work())


def test_a_task_that_does_not_even_stop() -> None:
    """It can't be known how it ends: that is said, not guessed."""

    async def work() -> None:
        async with engine_client(stopping_seconds=None) as world:
            result = await world.client.run(on_an_instance(world), timeout=60)
            assert (result.succeeded, result.cause) == (None, None)
            assert "it has not stopped: its last status is STOPPING" in result.explanation

    run_in_virtual_time(work())


def test_a_task_that_takes_too_long_may_go_on() -> None:
    """With on_timeout="keep" it is a WaitTimeout that has the task."""

    async def work() -> None:
        async with engine_client() as world:
            with pytest.raises(WaitTimeout, match="had not ended after 60 s, and goes on") as caught:
                await world.client.run(on_an_instance(world), timeout=60, on_timeout="keep")
            (task,) = tasks_of(world)
            assert [start.task.task_arn for start in caught.value.starts if start.task] == [task.arn]
            assert task.last_status == "RUNNING"

    run_in_virtual_time(work())


def test_a_stop_that_is_refused() -> None:
    """The error says that the task goes on, and has it."""

    async def work() -> None:
        async with engine_client(denied=("StopTask",)) as world:
            with pytest.raises(WaitTimeout, match="could not be stopped") as caught:
                await world.client.run(on_an_instance(world), timeout=60)
            assert caught.value.starts[0].task is not None

    run_in_virtual_time(work())


@pytest.mark.parametrize(("on_cancel", "outcome"), [("stop", STOPPED), ("keep", STARTED), ("abandon", STARTED)])
def test_a_token_that_fires(on_cancel: Any, outcome: Outcome) -> None:
    """What started is stopped, or left running, as `on_cancel` says; the error says which."""

    async def work() -> None:
        async with engine_client() as world:
            token = CancelToken()
            asyncio.get_running_loop().call_later(20.0, token.cancel, "enough")
            with pytest.raises(StartCancelled, match="enough") as caught:
                await world.client.run(on_an_instance(world), token, on_cancel=on_cancel)
            (start,), (task,) = caught.value.starts, tasks_of(world)
            assert start.task is not None
            assert (start.outcome, start.task.task_arn) == (outcome, task.arn)
            assert (task.last_status == "STOPPED") is (outcome is STOPPED)
            assert caught.value.source is token

    run_in_virtual_time(work())


def test_a_cancel_leaves_a_found_task() -> None:
    """Another call with the same key started it: a cancel stops only what its own call started."""

    async def work() -> None:
        async with engine_client() as world:
            first = asyncio.create_task(world.client.run(on_an_instance(world), idempotency_key="job"))
            await asyncio.sleep(5)
            token = CancelToken()
            asyncio.get_running_loop().call_later(20.0, token.cancel)
            with pytest.raises(StartCancelled) as caught:
                await world.client.run(on_an_instance(world), token, idempotency_key="job")
            (start,) = caught.value.starts
            assert (start.found, start.outcome) == (True, STARTED)
            assert [task.last_status for task in tasks_of(world)] == ["RUNNING"]
            first.cancel()
            await asyncio.wait([first])

    run_in_virtual_time(work())


def test_a_cancelled_caller() -> None:
    """The cancel goes on as itself, after the task was stopped; its cause says so."""

    async def work() -> None:
        async with engine_client() as world:
            running = asyncio.create_task(world.client.run(on_an_instance(world)))
            await asyncio.sleep(20)
            running.cancel()
            with pytest.raises(asyncio.CancelledError) as caught:
                await running
            error = find_start_error(caught.value)
            assert error is not None
            assert [start.outcome for start in error.starts] == [STOPPED]
            assert [task.last_status for task in tasks_of(world)] == ["STOPPED"]

    run_in_virtual_time(work())


def test_a_cancel_while_it_is_being_stopped_late() -> None:
    """Also then the caller learns of its task."""

    async def work() -> None:
        async with engine_client(stopping_seconds=60.0) as world:
            with pytest.raises(TimeoutError) as caught:
                async with asyncio.timeout(80):
                    await world.client.run(on_an_instance(world), timeout=60)
            error = find_start_error(caught.value)
            assert error is not None
            assert [start.outcome for start in error.starts] == [STOPPED]

    run_in_virtual_time(work())


METHODS: dict[str, Callable[[EngineSetup, dict[str, Any]], Awaitable[Any]]] = {
    "run": lambda world, options: world.client.run(on_an_instance(world), **options),
    "run_all": lambda world, options: world.client.run_all([on_an_instance(world)] * 2, **options),
}


async def cancelled_unanswered(
    method: str, first: str, second: str = "", *, latency_from: float = 0.4
) -> tuple[float, BaseException, StartCancelled]:
    """Cancel a run while ECS answers nothing; return how long that took, what was raised, and its StartCancelled."""
    async with engine_client(latency=0.01 if latency_from else 30.0) as world:
        asyncio.get_running_loop().call_later(latency_from, setattr, world.transport, "latency", 30.0)
        return await cancelled_twice(lambda options: METHODS[method](world, options), first, second)


@pytest.mark.parametrize("latency_from", [0.0, 0.4], ids=["starting", "running"])
@pytest.mark.parametrize("method", METHODS)
def test_a_cancelled_caller_waits_no_longer_than_it_may(method: str, latency_from: float) -> None:
    """For the start or for the stop: `timeouts.settle` seconds, 10 here; then the error has what is known."""

    async def work() -> None:
        for first in ("token", "scope", "task", "enclosing scope"):
            took, raised, error = await cancelled_unanswered(method, first, latency_from=latency_from)
            assert took == pytest.approx(10.5, abs=0.05), first
            assert isinstance(raised, asyncio.CancelledError) is (first in ("task", "enclosing scope"))
            assert {start.outcome for start in error.starts} == {Outcome.UNKNOWN}
            assert {start.task is None for start in error.starts} == {latency_from == 0}

    run_in_virtual_time(work())


@pytest.mark.parametrize("latency_from", [0.0, 0.4], ids=["starting", "running"])
@pytest.mark.parametrize("method", METHODS)
def test_a_second_cancel_ends_the_wait(method: str, latency_from: float) -> None:
    """A cancel of the caller's task goes on as itself, also as the second."""

    async def work() -> None:
        for first, second in (("token", "task"), ("task", "token"), ("scope", "task"), ("enclosing scope", "token")):
            took, raised, error = await cancelled_unanswered(method, first, second, latency_from=latency_from)
            assert took == pytest.approx(1.5, abs=0.05), (first, second)
            assert isinstance(raised, asyncio.CancelledError)
            assert error.starts

    run_in_virtual_time(work())


@pytest.mark.parametrize("second", ["token", "scope", "task", "enclosing scope"])
@pytest.mark.parametrize("method", METHODS)
def test_a_cancel_while_the_late_stop_is_unanswered(method: str, second: str) -> None:
    """It does not wait for that stop; one that says who has withdrawn the task is waited for as after any cancel."""

    async def work() -> None:
        took, raised, error = await cancelled_unanswered(method, "timeout", second)
        assert took == pytest.approx(1.5 + 10, abs=0.05)
        assert isinstance(raised, asyncio.CancelledError) is (second in ("task", "enclosing scope"))
        assert {start.outcome for start in error.starts} == {Outcome.UNKNOWN}

    run_in_virtual_time(work())


LATE_STOP: dict[str, tuple[float, bool, float, Outcome]] = {
    "answered while its caller waits": (5.0, False, 65.0, STOPPED),
    "not answered in time": (50.0, False, 61.0 + 10.0, Outcome.UNKNOWN),
    "refused": (5.0, True, 65.0, STARTED),
    "answered before": (0.5, False, 61.0, STOPPED),
}
"""After how long ECS answers a late stop, whether it refuses, when the cancelled caller goes on, and with what."""


@pytest.mark.parametrize("by", ["token", "task"])
@pytest.mark.parametrize("on_cancel", ["keep", "abandon"])
@pytest.mark.parametrize("case", LATE_STOP)
def test_a_cancel_that_keeps_a_task_that_is_stopped_late(case: str, on_cancel: Any, by: str) -> None:
    """A second after the task's time: the outcome is that of the stop, as far as it is known."""
    answer_after, refused, ends, outcome = LATE_STOP[case]
    settled: list[aioecs.StartResult] = []

    async def work() -> None:
        client = {"on_settled": lambda starts, _: settled.extend(starts)}
        async with engine_client(stopping_seconds=60.0, client=client) as world:
            at_once = world.transport.attempt

            async def attempt(operation: Any, *args: Any) -> Any:
                if operation.name == "StopTask":
                    await asyncio.sleep(answer_after)
                    if refused:
                        return Rejected(aioecs.AccessDeniedException("no"))
                return await at_once(operation, *args)

            world.transport.attempt = attempt  # type: ignore[method-assign,assignment]
            began, token = world.now, CancelToken()
            running = asyncio.create_task(
                world.client.run(on_an_instance(world), token, timeout=60, on_cancel=on_cancel)
            )
            asyncio.get_running_loop().call_later(61.0, token.cancel if by == "token" else running.cancel)
            await asyncio.wait([running])
            waits = on_cancel == "keep" or case == "answered before"
            assert world.now - began == pytest.approx(ends if waits else 61.0, abs=0.1)
            with pytest.raises((StartCancelled, asyncio.CancelledError)) as caught:
                await running
            error = find_start_error(caught.value)
            assert error is not None
            (start,) = error.starts
            assert start.task is not None
            assert start.outcome is (outcome if waits else Outcome.UNKNOWN)
            await asyncio.sleep(60)
            final = STARTED if refused else STOPPED
            assert [each.outcome for each in settled] == ([final] if start.outcome is Outcome.UNKNOWN else [])
            assert world.transport.engine.truth.requests["StopTask"] == (0 if refused else 1)

    run_in_virtual_time(work())


def test_a_cancel_after_the_end_of_the_task(monkeypatch: pytest.MonkeyPatch) -> None:
    """While its log is read, for example: it ended by itself, so nothing is stopped, and nothing says so."""

    async def work() -> None:
        async with engine_client(running_seconds=3.0, exit_code=7) as world:

            async def slow_tail(*_: object) -> tuple[()]:
                await asyncio.sleep(10)
                return ()

            monkeypatch.setattr(world.client, "log_tail", slow_tail)
            running = asyncio.create_task(world.client.run(on_an_instance(world)))
            await asyncio.sleep(12)
            running.cancel()
            with pytest.raises(asyncio.CancelledError) as caught:
                await running
            error = find_start_error(caught.value)
            assert error is not None
            (start,) = error.starts
            assert start.task is not None
            assert (start.outcome, start.task.last_status) == (STARTED, "STOPPED")
            assert world.transport.engine.truth.requests["StopTask"] == 0

    run_in_virtual_time(work())


def test_a_start_that_is_refused() -> None:
    """It is no result: nothing ran."""

    async def work() -> None:
        async with engine_client() as world:
            request = on_an_instance(world).replace(container_instances=["0" * 32])
            with pytest.raises(StartRefused, match="MISSING") as caught:
                await world.client.run(request)
            assert [start.outcome for start in caught.value.starts] == [Outcome.REFUSED]
            assert [failure.reason for failure in caught.value.failures] == ["MISSING"]

    run_in_virtual_time(work())


def test_an_end_that_ecs_forgot() -> None:
    """The error has the task that was started."""

    async def work() -> None:
        async with engine_client(describe_lag=10_000.0) as world:
            with pytest.raises(ECSError) as caught:
                await world.client.run(on_an_instance(world))
            assert [start.outcome for start in caught.value.starts] == [STARTED]

    run_in_virtual_time(work())


@pytest.mark.parametrize(
    ("request_", "options", "names"),
    [
        (StartTaskRequest(task_definition="demo", container_instances=["a", "b"]), {}, "container_instances"),
        (aioecs.RunTaskRequest(task_definition="demo", count=2), {}, "count"),
        ("demo", {}, "request"),
        (StartTaskRequest(task_definition="demo", container_instances=["a"]), {"timeout": -1}, "timeout"),
        (StartTaskRequest(task_definition="demo", container_instances=["a"]), {"on_timeout": "kill"}, "on_timeout"),
        (StartTaskRequest(task_definition="demo", container_instances=["a"]), {"on_cancel": "run"}, "on_cancel"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_sent(request_: Any, options: dict[str, Any], names: str) -> None:
    """One task, and options that mean something."""

    async def work() -> None:
        async with engine_client() as world:
            with pytest.raises(InvalidRequest, match=names):
                await world.client.run(request_, **options)
            assert not world.transport.engine.truth.requests

    run_in_virtual_time(work())


def test_a_request_without_an_instance() -> None:
    """Aioecs picks the instance, also among many requests."""

    async def work() -> None:
        async with engine_client(running_seconds=5.0) as world:
            placed = StartTaskRequest(task_definition="demo")
            result = await world.client.run(placed, CancelToken(), wait_for_capacity=1.0)
            assert result.succeeded is True
            report = await world.client.run_all([placed, on_an_instance(world)])
            assert [run.succeeded for run in report.runs] == [True, True]

    run_in_virtual_time(work())


def test_a_run_task_request() -> None:
    """ECS places it, and its end is waited for and judged in the same way."""

    async def work() -> None:
        async with engine_client(running_seconds=5.0) as world:
            result = await world.client.run(aioecs.RunTaskRequest(task_definition="demo"), CancelToken())
            assert result.succeeded is True

    run_in_virtual_time(work())


# ---------------------------------------------------------------------------------------------------------------- many


def test_many_at_once() -> None:
    """Each has its own end, in the order of the requests; one that is refused or wrong fails no other."""

    async def work() -> None:
        async with engine_client(
            running_seconds=seconds_by_task(9.0, 3.0), exit_code=lambda task: task.seq % 2
        ) as world:
            one = on_an_instance(world)
            requests = [one, one, one.replace(container_instances=["0" * 32]), on_an_instance(world, "none"), one]
            report = await world.client.run_all(requests)
            assert [run.succeeded is not None for run in report.runs] == [True] * 5
            assert [run.error is None for run in report.runs] == [True, True, False, False, True]
            assert len(report.results) == 3
            assert (len(report.succeeded), len(report.failed), len(report.unknown)) in ((1, 4, 0), (2, 3, 0))
            assert "RunReport of 5" in repr(report)
            with pytest.raises(ECSError):
                report.raise_for_status()

    run_in_virtual_time(work())


def test_no_more_at_once_than_asked() -> None:
    """Requests are drawn as tasks end."""

    async def work() -> None:
        async with engine_client(running_seconds=10.0) as world:
            drawn: list[float] = []

            async def requests() -> AsyncIterator[StartTaskRequest]:
                for _ in range(6):
                    drawn.append(world.now)
                    yield on_an_instance(world)

            report = await world.client.run_all(requests(), max_running=2)
            assert [run.succeeded for run in report.runs] == [True] * 6
            assert drawn[5] - drawn[0] >= 20.0

    run_in_virtual_time(work())


def test_each_of_many_as_it_ends(caplog: pytest.LogCaptureFixture) -> None:
    """`on_run` gets each Run once, the first to end first; what it raises is logged and affects no run."""
    seen: list[Run] = []

    def on_run(run: Run) -> None:
        seen.append(run)
        if len(seen) == 1:
            raise RuntimeError("not now")

    async def work() -> None:
        async with engine_client(running_seconds=seconds_by_task(9.0, 3.0)) as world:
            requests = [on_an_instance(world), on_an_instance(world), on_an_instance(world, "none")]
            report = await world.client.run_all(requests, on_run=on_run)
            assert [run.error is None for run in seen] == [False, True, True]
            assert {id(run) for run in seen} == {id(run) for run in report.runs}
            with pytest.raises(InvalidRequest, match="on_run"):
                await world.client.run_all([], on_run=work)  # type: ignore[arg-type]

    run_in_virtual_time(work())
    assert "on_run failed; the runs go on" in caplog.text


def test_many_that_are_cancelled() -> None:
    """Every task is stopped, and the error has them all."""

    async def work() -> None:
        async with engine_client() as world:
            token = CancelToken()
            asyncio.get_running_loop().call_later(20.0, token.cancel)
            with pytest.raises(StartCancelled) as caught:
                await world.client.run_all([on_an_instance(world)] * 30, token)
            assert [start.outcome for start in caught.value.starts] == [STOPPED] * 30
            assert {task.last_status for task in tasks_of(world)} == {"STOPPED"}

    run_in_virtual_time(work())


@pytest.mark.parametrize("source", [CancelToken, anyio.CancelScope])
def test_a_source_that_fires_while_a_request_is_drawn(source: Any) -> None:
    """The drawing is cut short: what was begun is stopped at once, however long the next request would take."""

    async def work() -> None:
        async with engine_client() as world:
            loop, stop, drawn = asyncio.get_running_loop(), source(), asyncio.Event()
            began = loop.time()
            loop.call_later(20.0, stop.cancel)

            async def requests() -> AsyncIterator[StartTaskRequest]:
                try:
                    yield on_an_instance(world)
                    await asyncio.sleep(1_000)
                finally:
                    drawn.set()

            with pytest.raises(StartCancelled) as caught:
                await world.client.run_all(requests(), stop)
            assert [start.outcome for start in caught.value.starts] == [STOPPED]
            assert loop.time() - began < 30
            assert drawn.is_set()

    run_in_virtual_time(work())


def test_a_cancelled_caller_of_many() -> None:
    """The cancel goes on as itself; its cause has them all."""

    async def work() -> None:
        async with engine_client() as world:
            with pytest.raises(TimeoutError) as caught:
                async with asyncio.timeout(20):
                    await world.client.run_all([on_an_instance(world)] * 30)
            error = find_start_error(caught.value)
            assert error is not None
            assert [start.outcome for start in error.starts] == [STOPPED] * 30

    run_in_virtual_time(work())


def test_requests_that_end_with_an_error() -> None:
    """It goes on as itself, and what was begun is stopped."""

    async def work() -> None:
        settled: list[Any] = []
        client = {"on_settled": lambda starts, why: settled.append((starts, why))}
        async with engine_client(client=client) as world:

            async def requests() -> AsyncIterator[StartTaskRequest]:
                yield on_an_instance(world)
                await asyncio.sleep(20)
                raise ValueError("no more")

            with pytest.raises(ValueError, match="no more"):
                await world.client.run_all(requests())
            assert [task.last_status for task in tasks_of(world)] == ["STOPPED"]
            assert [[start.outcome for start in starts] for starts, _ in settled] == [[STOPPED]]

    run_in_virtual_time(work())
