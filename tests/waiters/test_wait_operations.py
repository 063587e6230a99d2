"""wait_operations: the client's methods for waiting and for events, in virtual time and on the local ECS."""

from __future__ import annotations

import asyncio
import json
import pickle
import random
import threading
from contextlib import aclosing
from typing import Any

import anyio
import pytest
from engine_transport import engine_client, seconds_by_task, task_id
from virtual_time import run_in_virtual_time

import aioecs
from aioecs._model.shapes.task import Task
from aioecs.errors import ClientStateError, InvalidRequest, TaskMissing, TaskStopped, WaitCancelled, WaitTimeout
from aioecs.testing import LocalECS

# ------------------------------------------------------------------------------------------------- running and stopped


def test_tasks_in_the_order_asked() -> None:
    """Tasks and ARNs mixed, repeats allowed; each as it was when it had got there."""

    async def work() -> None:
        async with engine_client(pending_seconds=seconds_by_task(3.0, 1.0, 2.0)) as world:
            arns = world.transport.start(3)
            asked: list[Any] = [arns[2], *world.transport.described(arns[0]), arns[1], arns[2]]
            began = world.now
            tasks = await world.client.wait_until_running(asked, timeout=60)
            assert [task.task_arn for task in tasks] == [arns[2], arns[0], arns[1], arns[2]]
            assert {task.last_status for task in tasks} == {"RUNNING"}
            assert 3.0 <= world.now - began < 4.1
            assert await world.client.wait_until_running([], timeout=60) == []

    run_in_virtual_time(work())


def test_a_short_task_has_run() -> None:
    """It ran and stopped between two polls."""

    async def work() -> None:
        async with engine_client(pending_seconds=0.3, running_seconds=0.1, exit_code=3) as world:
            (task,) = await world.client.wait_until_running(world.transport.start(), timeout=60)
            assert (task.last_status, task.containers[0].exit_code) == ("STOPPED", 3)
            assert task.started_at is not None

    run_in_virtual_time(work())


def test_a_task_that_never_runs() -> None:
    """It ends the wait as soon as that is known, with how it ended and how far the others have come."""

    async def work() -> None:
        async with engine_client(pending_seconds=seconds_by_task(5.0, 2.0, 600.0)) as world:
            arns = world.transport.start(1) + world.transport.start(1, definition="broken") + world.transport.start(1)
            began = world.now
            with pytest.raises(TaskStopped) as caught:
                await world.client.wait_until_running(arns, timeout=900)
            assert world.now - began < 3.5
            error = caught.value
            assert error.task is not None
            assert (error.task.task_arn, error.stop_code) == (arns[1], "TaskFailedToStart")
            assert (error.reason, error.exit_codes) == ("CannotPullContainerError: no such image", {"main": None})
            assert error.result == aioecs.task_result(error.task)
            assert error.result.cause is aioecs.TaskEndCause.FAILED_TO_START
            assert [task.last_status for task in error.tasks] == ["PENDING", "STOPPED", "PENDING"]
            assert error.waiting_for == tuple(arns)
            assert pickle.loads(pickle.dumps(error)).tasks == error.tasks  # noqa: S301 our own
            (task,) = await world.client.wait_until_running(arns[:1], timeout=60)  # the others go on
            assert task.last_status == "RUNNING"
            (task,) = await world.client.wait_until_stopped(arns[1:2], timeout=60)  # which is no failure here
            assert task.stop_code == "TaskFailedToStart"

    run_in_virtual_time(work())


def test_a_task_that_is_stopping_is_not_given_up() -> None:
    """A stop that begins before it ran ends the wait with the facts of its end."""

    async def work() -> None:
        async with engine_client(pending_seconds=600.0) as world:
            (arn,) = world.transport.start()
            waiting = asyncio.ensure_future(world.client.wait_until_running([arn], timeout=60))
            await asyncio.sleep(3)
            world.transport.engine.call("StopTask", {"task": arn, "reason": "enough"})
            with pytest.raises(TaskStopped) as caught:
                await waiting
            assert (caught.value.stop_code, caught.value.reason) == ("UserInitiated", "enough")

    run_in_virtual_time(work())


def test_early_missing_is_tolerated() -> None:
    """ECS may not show a task for a while after its start."""

    async def work() -> None:
        async with engine_client(describe_lag=20.0) as world:
            (task,) = await world.client.wait_until_running(world.transport.start(), timeout=60)
            assert task.last_status == "RUNNING"

    run_in_virtual_time(work())


@pytest.mark.parametrize("visibility", [5.0, 30.0])
def test_missing_for_good(visibility: float) -> None:
    """A task that ECS doesn't know, `consistency` after the wait began, ends it, counted for each wait by itself."""

    async def work() -> None:
        timeouts = aioecs.Timeouts(consistency=visibility)
        async with engine_client(client={"timeouts": timeouts}) as world:
            nobody = "0" * 32
            (arn,) = world.transport.start()
            began = world.now

            async def late() -> float:
                await asyncio.sleep(visibility / 2)
                with pytest.raises(TaskMissing):
                    await world.client.wait_until_stopped([nobody], timeout=900, cluster="default")
                return world.now

            second = asyncio.ensure_future(late())
            with pytest.raises(TaskMissing) as caught:
                await world.client.wait_until_stopped([arn, nobody], timeout=900, cluster="default")
            assert visibility <= world.now - began <= 1.2 * visibility + 2
            assert (caught.value.arn, caught.value.reason) == (nobody, "MISSING")
            assert [task.task_arn for task in caught.value.tasks] == [arn]
            assert 1.5 * visibility <= await second - began <= 1.8 * visibility + 2

    run_in_virtual_time(work())


def test_forgotten_while_waited_for() -> None:
    """A task that was seen and is MISSING now, for as long, is a TaskMissing too; a blink is not."""

    async def work() -> None:
        async with engine_client() as world:
            (arn,) = world.transport.start()
            waiting = asyncio.ensure_future(world.client.wait_until_stopped([arn], timeout=None))
            await asyncio.sleep(10)
            task = world.transport.engine._account.clusters["default"].tasks.pop(task_id(arn))
            await asyncio.sleep(15)
            world.transport.engine._account.clusters["default"].tasks[task.id] = task
            await asyncio.sleep(60)
            assert not waiting.done()
            del world.transport.engine._account.clusters["default"].tasks[task.id]
            with pytest.raises(TaskMissing):
                await waiting

    run_in_virtual_time(work())


def test_several_clusters_in_one_call() -> None:
    """Each read is of one cluster; ids and ARNs of the old format are of the one that is given beside them."""

    async def work() -> None:
        async with engine_client(pending_seconds=1.0) as world:
            world.transport.engine.add_cluster("render")
            world.transport.engine.add_instances(1, cluster="render")
            here, there = world.transport.start(2), world.transport.start(2, cluster="render")
            asked = [there[0], here[0], task_id(there[1]), here[1]]
            tasks = await world.client.wait_until_running(asked, timeout=60, cluster="render")
            assert [task.task_arn for task in tasks] == [there[0], here[0], there[1], here[1]]
            assert all(len(names) == 2 for _, names in world.transport.describes)

    run_in_virtual_time(work())


# ------------------------------------------------------------------------------------------------------------ the end


def test_a_timeout_has_the_last_known_tasks() -> None:
    """WaitTimeout is a TimeoutError, comes on time, and has the tasks as they were a moment before."""

    async def work() -> None:
        async with engine_client(pending_seconds=seconds_by_task(1.0, 118.5, 600.0)) as world:
            arns = world.transport.start(3)
            began = world.now
            with pytest.raises(TimeoutError) as caught:
                await world.client.wait_until_running(arns, timeout=120)
            assert world.now - began == pytest.approx(120, abs=0.01)
            assert isinstance(caught.value, WaitTimeout)
            assert [task.last_status for task in caught.value.tasks] == ["RUNNING", "PENDING", "PENDING"]
            assert caught.value.waiting_for == tuple(arns[1:])
            assert str(caught.value).startswith(f"2 of 3 tasks not RUNNING after 120 s: {arns[1]} PENDING, ")
            assert world.transport.describes[-1][0] - began == pytest.approx(
                117, abs=0.01
            )  # once more, before it is given up

    run_in_virtual_time(work())


@pytest.mark.parametrize("timeout", [0, 0.0])
def test_no_time_at_all(timeout: float) -> None:
    """What is known already is returned; the rest is a timeout."""

    async def work() -> None:
        async with engine_client() as world:
            arns = world.transport.start(2)
            (running,) = world.transport.described(arns[0])
            assert await world.client.wait_until_running([running], timeout=timeout) == [running]
            with pytest.raises(WaitTimeout):
                await world.client.wait_until_running(arns, timeout=timeout)

    run_in_virtual_time(work())


@pytest.mark.parametrize(
    ("arguments", "path"),
    [
        ({"timeout": -1}, "timeout"),
        ({"timeout": True}, "timeout"),
        ({"timeout": "60"}, "timeout"),
        ({"timeout": float("nan")}, "timeout"),
        ({"timeout": float("inf")}, "timeout"),
        ({"timeout": 60, "cancel_scope": 5}, "cancel_scope"),
        ({"timeout": 60, "cluster": "no name"}, "cluster"),
        ({"timeout": 60, "tasks": ["0" * 32]}, "tasks[0]"),
        ({"timeout": 60, "tasks": "0" * 32}, "tasks"),
    ],
)
def test_what_can_t_be_waited_for(arguments: dict[str, Any], path: str) -> None:
    """Bad input is named, and nothing is asked."""

    async def work() -> None:
        async with engine_client() as world:
            given = {"tasks": world.transport.start(), **arguments}
            for name in (world.client.wait_until_running, world.client.wait_until_stopped):
                with pytest.raises(InvalidRequest) as caught:
                    await name(**given)
                assert caught.value.path == path
            with pytest.raises(InvalidRequest):
                world.client.watch(**given)  # at once, not with the first iteration
            assert world.transport.describes == []

    run_in_virtual_time(work())


# --------------------------------------------------------------------------------------------------------- cancelling


@pytest.mark.parametrize("kind", ["token", "scope", "deadline"])
def test_the_passed_scope_or_token_fires(kind: str) -> None:
    """WaitCancelled has the tasks as they were last seen; another wait for them goes on."""

    async def work() -> None:
        async with engine_client(pending_seconds=seconds_by_task(1.0, 20.0)) as world:
            arns = world.transport.start(2)
            other = asyncio.ensure_future(world.client.wait_until_running(arns, timeout=60))
            source: Any = aioecs.CancelToken() if kind == "token" else anyio.CancelScope()
            if kind == "deadline":
                source.deadline = world.now + 5
            else:
                asyncio.get_running_loop().call_later(5, source.cancel)
            began = world.now
            with pytest.raises(WaitCancelled) as caught:
                await world.client.wait_until_running(arns, source, timeout=60)
            assert world.now - began == pytest.approx(5, abs=0.02)
            assert [task.last_status for task in caught.value.tasks] == ["RUNNING", "PENDING"]
            assert (caught.value.waiting_for, caught.value.source) == ((arns[1],), source)
            assert [task.last_status for task in await other] == ["RUNNING", "RUNNING"]
            polls = len(world.transport.describes)
            with pytest.raises(WaitCancelled):
                await world.client.wait_until_running(arns, source, timeout=60)
            assert len(world.transport.describes) == polls  # it had fired before: nothing was asked

    run_in_virtual_time(work())


def test_a_token_s_reason() -> None:
    """It is in the error."""

    async def work() -> None:
        async with engine_client(pending_seconds=60.0) as world:
            token = aioecs.CancelToken()
            asyncio.get_running_loop().call_later(5, token.cancel, "shutdown")
            with pytest.raises(WaitCancelled, match="shutdown") as caught:
                await world.client.wait_until_running(world.transport.start(), token, timeout=60)
            assert caught.value.reason == "shutdown"

    run_in_virtual_time(work())


def test_a_scope_around_the_call_is_what_the_caller_sees() -> None:
    """Passed and entered around: anyio's own cancellation ends the block, and nothing is raised after it."""

    async def work() -> None:
        async with engine_client(pending_seconds=60.0) as world:
            arns = world.transport.start()
            with anyio.move_on_after(5) as scope:
                await world.client.wait_until_running(arns, scope, timeout=60)
            assert scope.cancelled_caught

    run_in_virtual_time(work())


def test_a_cancel_from_outside_goes_on() -> None:
    """As the CancelledError that it is, with WaitCancelled as its cause, also through a timeout."""

    async def work() -> None:
        async with engine_client(pending_seconds=60.0) as world:
            arns = world.transport.start()
            waiting = asyncio.ensure_future(world.client.wait_until_running(arns, timeout=60))
            await asyncio.sleep(5)
            waiting.cancel("enough")
            with pytest.raises(asyncio.CancelledError) as caught:
                await waiting
            assert isinstance(caught.value.__cause__, WaitCancelled)
            assert [task.last_status for task in caught.value.__cause__.tasks] == ["PENDING"]
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(5):
                    await world.client.wait_until_running(arns, timeout=60)

    run_in_virtual_time(work())


def test_a_cancel_at_every_moment_leaves_nothing() -> None:
    """Wherever it lands: no task of the client's, nothing on the schedule, and the next wait works."""

    async def work() -> None:
        async with engine_client(pending_seconds=3.0) as world:
            arn = ""
            for moment in range(45):
                (arn,) = world.transport.start()
                waiting = asyncio.ensure_future(world.client.wait_until_running([arn], timeout=60))
                for _ in range(moment):
                    await asyncio.sleep(0 if moment < 20 else 0.01)
                waiting.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await waiting
                await asyncio.sleep(0.1)
                core = world.client._core()
                assert (len(core.background_tasks), len(world.client._poller._schedule)) == (0, 0)
                assert world.client._poller._waiting == {}
            (task,) = await world.client.wait_until_running([arn], timeout=60)
            assert task.last_status == "RUNNING"

    run_in_virtual_time(work())


def test_leaving_the_client_ends_its_waits() -> None:
    """At once, and with an error that says so."""

    async def work() -> None:
        async with engine_client(pending_seconds=60.0) as world:
            waiting = asyncio.ensure_future(world.client.wait_until_running(world.transport.start(), timeout=None))
            await asyncio.sleep(5)
            began = world.now
        assert world.now - began < 1
        with pytest.raises(ClientStateError, match="the client was closed"):
            await waiting

    run_in_virtual_time(work())


# ----------------------------------------------------------------------------------------------------------- watching


def test_watch_yields_each_change() -> None:
    """What each task is now, then each change, until all have stopped."""

    async def work() -> None:
        async with engine_client(
            pending_seconds=seconds_by_task(2.0, 7.0), running_seconds=4.0, stopping_seconds=2.0
        ) as world:
            arns = world.transport.start(2)
            reported = [(arns.index(task.task_arn or ""), task.last_status) async for task in world.client.watch(arns)]
            assert sorted(reported[:2]) == [(0, "PENDING"), (1, "PENDING")]
            assert [status for at, status in reported if at == 0] == ["PENDING", "RUNNING", "STOPPED"]
            assert [status for at, status in reported if at == 1] == ["PENDING", "RUNNING", "STOPPED"]

    run_in_virtual_time(work())


def test_watch_doesn_t_repeat_what_is_in_hand() -> None:
    """Of a Task that is passed, only newer states are yielded, and its end."""

    async def work() -> None:
        async with engine_client(pending_seconds=2.0, running_seconds=4.0) as world:
            given = world.transport.described(*world.transport.start())
            assert [task.last_status async for task in world.client.watch(given)] == ["RUNNING", "STOPPED"]
            (over,) = await world.client.wait_until_stopped(given, timeout=0)
            assert [task async for task in world.client.watch([over])] == [over]

    run_in_virtual_time(work())


def test_watch_yields_each_end_once() -> None:
    """Of tasks that run, have stopped, were given as stopped and were given twice: as many ends as tasks."""

    async def work() -> None:
        async with engine_client(pending_seconds=1.0, running_seconds=seconds_by_task(2.0, 2.0, 30.0)) as world:
            arns = world.transport.start(3)
            over = await world.client.wait_until_stopped(arns[:2], timeout=60)
            running = world.transport.described(arns[2])
            given: list[Task | str] = [over[0], arns[1], *running, *over, arns[2]]
            reported = [task async for task in world.client.watch(given)]
            ends = [task.task_arn for task in reported if task.last_status == "STOPPED"]
            assert sorted(str(arn) for arn in ends) == sorted(arns)
            assert [task.last_status for task in reported if task.task_arn == arns[2]] == ["STOPPED"]

    run_in_virtual_time(work())


def test_leaving_a_watch_ends_it() -> None:
    """A broken loop, once its iterator is closed, leaves nothing behind."""

    async def work() -> None:
        async with engine_client() as world:
            changes: Any = world.client.watch(world.transport.start())
            async with aclosing(changes):
                async for task in changes:
                    assert task.last_status == "RUNNING"
                    break
                assert len(world.client._poller._schedule) == 1
            assert len(world.client._poller._schedule) == 0

    run_in_virtual_time(work())


def test_what_ends_a_watch_early() -> None:
    """Its clock, its token, a task that isn't there: each after what was known."""

    async def work() -> None:
        async with engine_client() as world:
            (arn,) = world.transport.start()
            token = aioecs.CancelToken()
            token.cancel("enough")
            for more, kind in (
                ({"timeout": 5}, WaitTimeout),
                ({"cancel_scope": token, "timeout": 5}, WaitCancelled),
                ({"tasks": [arn, "0" * 32], "cluster": "default"}, TaskMissing),
            ):
                reported: list[aioecs.Task] = []
                with pytest.raises(kind) as ended:
                    async for task in world.client.watch(**{"tasks": [arn], **more}):  # type: ignore[arg-type]
                        reported.append(task)  # noqa: PERF401 what was yielded before the error counts
                assert [task.last_status for task in reported] == (["RUNNING"] if kind is not WaitCancelled else [])
                assert ended.value.tasks == tuple(reported)

    run_in_virtual_time(work())


# ------------------------------------------------------------------------------------------------------------- events


def test_an_event_wakes_at_once() -> None:
    """Without a poll; repeats and late ones change nothing."""

    async def work() -> None:
        async with engine_client(pending_seconds=600.0, latency=0.0) as world:
            (arn,) = world.transport.start()
            events: list[Any] = []
            world.transport.engine.listen(events.append)
            waiting = asyncio.ensure_future(world.client.wait_until_stopped([arn], timeout=60))
            await asyncio.sleep(0.1)
            world.transport.engine.end_task(arn, code="TaskFailedToStart")
            polls = len(world.transport.describes)
            assert [world.client.feed(event) for event in (events[1], events[0], events[1])] == [True, False, False]
            (task,) = await waiting
            assert (task.last_status, task.version, len(world.transport.describes)) == ("STOPPED", 3, polls)

    run_in_virtual_time(work())


def test_an_event_that_came_before_the_wait_counts() -> None:
    """No poll is needed for what the event said."""

    async def work() -> None:
        async with engine_client(pending_seconds=1.0) as world:
            world.transport.engine.listen(lambda event: world.client.feed(json.dumps(event)))
            arns = world.transport.start(3)
            await asyncio.sleep(2)
            world.transport.engine.advance()
            assert [task.last_status for task in await world.client.wait_until_running(arns, timeout=5)] == [
                "RUNNING"
            ] * 3
            assert world.transport.describes == []

    run_in_virtual_time(work())


def test_a_late_answer_undoes_no_event() -> None:
    """The answer that was in flight when a newer event came changes nothing."""

    async def work() -> None:
        async with engine_client(latency=3.0, pending_seconds=1.0) as world:
            (arn,) = world.transport.start()
            reported: list[str | None] = []

            async def watch() -> None:
                async for task in world.client.watch([arn], timeout=60):
                    reported.append(task.last_status)  # noqa: PERF401 it never ends

            watching = asyncio.ensure_future(watch())
            await asyncio.sleep(1.5)  # the first look took the task as PENDING, and its answer is on the way
            events: list[Any] = []
            world.transport.engine.listen(events.append)
            world.transport.engine.advance()
            assert [world.client.feed(event) for event in events] == [True]
            await asyncio.sleep(10)
            assert reported == ["RUNNING"]
            watching.cancel()
            with pytest.raises(asyncio.CancelledError):
                await watching

    run_in_virtual_time(work())


def test_rubbish_harms_nothing() -> None:
    """It is named, and the waits go on; what is about something else is passed over."""

    async def work() -> None:
        async with engine_client(pending_seconds=600.0) as world:
            (arn,) = world.transport.start()
            waiting = asyncio.ensure_future(world.client.wait_until_stopped([arn], timeout=60))
            await asyncio.sleep(1)
            for rubbish in (None, b"{", {}, {"detail-type": "ECS Task State Change", "detail": {"taskArn": arn}}):
                with pytest.raises(InvalidRequest):
                    world.client.feed(rubbish)  # type: ignore[arg-type]
            assert not world.client.feed({"detail-type": "ECS Service Action", "detail": {}})
            world.transport.engine.end_task(arn)
            assert [task.last_status for task in await waiting] == ["STOPPED"]

    run_in_virtual_time(work())


def test_feed_is_for_the_client_s_loop() -> None:
    """Another thread, another loop and a client that is not open get a clear error."""

    async def work() -> None:
        errors: list[Exception] = []

        def fed() -> None:
            try:
                world.client.feed({})
            except Exception as error:  # noqa: BLE001 it is looked at below
                errors.append(error)

        async def elsewhere() -> None:
            fed()

        async with engine_client() as world:
            for body in (fed, lambda: asyncio.run(elsewhere())):
                thread = threading.Thread(target=body)
                thread.start()
                await asyncio.to_thread(thread.join)
        fed()
        assert [type(error) for error in errors] == [ClientStateError] * 3
        assert "call_soon_threadsafe" in str(errors[0])
        assert "another event loop" in str(errors[1])

    asyncio.run(work())


def test_5000_tasks_fed_by_events() -> None:
    """Fewer than 60 reads until each has run, one caller each, with every event doubled and a tenth of them late."""

    async def work() -> None:
        rng = random.Random(7)
        async with engine_client(
            pending_seconds=seconds_by_task(*(1 + 200 * rng.random() for _ in range(5000)))
        ) as world:
            loop = asyncio.get_running_loop()
            changes: list[bool] = []

            def on_the_bus(event: Any) -> None:
                for _ in range(2):
                    late = 0.2 + (30 if rng.random() < 0.1 else rng.random())
                    loop.call_later(late, lambda: changes.append(world.client.feed(event)))

            async def time_goes_on() -> None:
                while (due := world.transport.engine.advance()) is not None:
                    await asyncio.sleep(max(0.0, due - world.now))

            world.transport.engine.listen(on_the_bus)
            arns = world.transport.start(5000)
            going = asyncio.ensure_future(time_goes_on())
            waits = [world.client.wait_until_running([arn], timeout=900) for arn in arns]
            tasks = [task for (task,) in await asyncio.gather(*waits)]
            assert [task.task_arn for task in tasks] == arns
            assert {task.last_status for task in tasks} == {"RUNNING"}
            assert len(world.transport.describes) < 60
            await going
            await asyncio.sleep(60)
            assert (len(changes), changes.count(True) <= 10_000) == (20_000, True)
            assert world.client._poller._schedule.remembered == 5000

    run_in_virtual_time(work())


# ------------------------------------------------------------------------------------------------------------ for real


async def test_on_the_local_ecs() -> None:
    """Started, waited for and watched over HTTP, with events; a task that fails beside them."""
    async with (
        LocalECS(instances=1, cpu=10**6, memory=10**6, pending_seconds=0.1, running_seconds=0.3, exit_code=7) as local,
        aioecs.Client(**local.client_kwargs()) as client,
    ):
        local.engine.add_task_definition("broken", fails_to_start="CannotPullContainerError")

        async def started(definition: str, count: int) -> list[aioecs.Task]:
            instances = local.instance_arns * count
            request = aioecs.StartTaskRequest(task_definition=definition, container_instances=instances)
            return list((await client.start_task(request)).tasks)

        async def feeding() -> None:
            async with aclosing(local.events()) as events:
                async for event in events:
                    client.feed({"Body": json.dumps(event)})

        others = aioecs.ListTasksRequest(started_by="AWS Step Functions")  # a mark that starting would refuse
        assert [arn async for arn in client.list_tasks(others)] == []
        polled = await started("demo", 10)
        ran = await client.wait_until_running(polled, timeout=10)
        assert all(task.started_at for task in ran)
        with pytest.raises(TaskStopped, match="CannotPullContainerError"):
            await client.wait_until_running([polled[0], *await started("broken", 1)], timeout=10)
        feeder = asyncio.ensure_future(feeding())
        await asyncio.sleep(0)
        fed = await started("demo", 10)
        before = local.truth.requests["DescribeTasks"]
        ended = await client.wait_until_stopped(fed, timeout=10)
        assert [task.task_arn for task in ended] == [task.task_arn for task in fed]
        assert {task.containers[0].exit_code for task in ended} == {7}
        assert local.truth.requests["DescribeTasks"] - before <= 1
        feeder.cancel()
        with pytest.raises(asyncio.CancelledError):
            await feeder


def test_tasks_that_become_healthy() -> None:
    """UNHEALTHY is waited for; one that stops ends the wait."""

    async def work() -> None:
        async with engine_client() as world:
            arns, engine = world.transport.start(2), world.transport.engine
            waiting = asyncio.create_task(world.client.wait_until_healthy(arns, timeout=600))
            await asyncio.sleep(10)
            engine.set_health(arns[0], "UNHEALTHY")
            engine.set_health(arns[1], "HEALTHY")
            await asyncio.sleep(10)
            assert not waiting.done()
            engine.set_health(arns[0], "HEALTHY")
            assert [task.health_status for task in await waiting] == ["HEALTHY", "HEALTHY"]
            engine.set_health(arns[0], "UNKNOWN")
            ending = asyncio.create_task(world.client.wait_until_healthy(arns[:1], timeout=600))
            await asyncio.sleep(10)
            engine.end_task(arns[0], exit_code=1)
            with pytest.raises(TaskStopped, match="had never been healthy"):
                await ending

    run_in_virtual_time(work())
