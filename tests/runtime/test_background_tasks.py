"""background_tasks: the tasks that a client owns."""

from __future__ import annotations

import asyncio
import logging
from typing import Any, cast

import pytest
from engine_transport import engine_client
from virtual_time import iterations, run_in_virtual_time

from aioecs import RunTaskRequest, StartTaskRequest
from aioecs._runtime.background_tasks import BackgroundTasks, TaskGroup


async def test_a_task_belongs_to_the_client_until_it_ends() -> None:
    """It has a name, and its result can be had."""
    background_tasks, gate = BackgroundTasks(), asyncio.Event()

    async def work() -> str:
        await gate.wait()
        return "done"

    task = background_tasks.own(work(), "some work")
    await iterations(1)
    assert (len(background_tasks), task.get_name()) == (1, "some work")
    gate.set()
    assert await task == "done"
    await iterations(1)
    assert len(background_tasks) == 0


def steps_at_once(loop: asyncio.AbstractEventLoop, work: Any, **_: Any) -> asyncio.Task[Any]:
    """Make a task as an eager factory does of work that never suspends: it has ended when it is returned."""

    async def ended(value: object) -> object:
        return value

    try:
        work.send(None)
    except StopIteration as end:
        return asyncio.Task(ended(end.value), loop=loop)
    raise AssertionError("the work suspends")


def eager(loop: asyncio.AbstractEventLoop) -> None:
    """Make the loop's tasks take their first step when they are made; Python 3.12 can do that for any work."""
    loop.set_task_factory(cast("Any", getattr(asyncio, "eager_task_factory", steps_at_once)))


async def test_it_begins_in_a_later_step_under_an_eager_task_factory() -> None:
    """What keeps the task has it before the work begins, and so the work can't end before it is kept."""
    loop, begun = asyncio.get_running_loop(), list[str]()
    before = loop.get_task_factory()
    eager(loop)
    try:

        async def work() -> None:
            begun.append("work")

        task = BackgroundTasks().own(work(), "some work")
        assert begun == []
        await task
        assert begun == ["work"]
    finally:
        loop.set_task_factory(before)


@pytest.mark.skipif(not hasattr(asyncio, "eager_task_factory"), reason="Python 3.12 has eager tasks")
def test_a_client_under_an_eager_task_factory() -> None:
    """Starts of every kind end, again and again."""

    async def main() -> None:
        eager(asyncio.get_running_loop())
        async with engine_client() as world:
            (instance,) = world.transport.engine.instance_arns("default")
            named = StartTaskRequest(task_definition="demo", container_instances=[instance])
            for _ in range(20):
                assert len((await world.client.start_task(named)).tasks) == 1
                assert len((await world.client.start_tasks([named] * 15)).started) == 15
                assert (
                    len((await world.client.place_tasks(named.replace(container_instances=[]), count=15)).started) == 15
                )
                assert len((await world.client.run_tasks([RunTaskRequest(task_definition="demo")] * 15)).started) == 15

    run_in_virtual_time(main())


@pytest.mark.parametrize(
    ("awaited", "error", "logged"),
    [
        (False, ValueError("oh"), ["a background task ended with an error: some work"]),
        (True, ValueError("oh"), []),
        (False, asyncio.CancelledError(), []),
        (True, asyncio.CancelledError(), []),
        (False, None, []),
    ],
)
async def test_an_error_that_no_caller_awaits_is_logged(
    awaited: bool, error: BaseException | None, logged: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    """A cancel is no error, and a caller that awaits the task gets it from the task itself."""
    caplog.set_level(logging.DEBUG, "aioecs")
    background_tasks = BackgroundTasks()

    async def work() -> None:
        if error is not None:
            raise error

    task = background_tasks.own(work(), "some work", awaited=awaited)
    await asyncio.wait([task])
    await iterations(1)
    assert len(background_tasks) == 0
    assert [record.getMessage() for record in caplog.records if record.name == "aioecs"] == logged
    if awaited and isinstance(error, ValueError):
        assert task.exception() is error


@pytest.mark.parametrize(
    ("lasts", "patience", "drained", "took"),
    [((), 5, True, 0), ((3,), 5, True, 3), ((3, 4), 5, True, 4), ((9,), 5, False, 5), ((1, 9), 0, False, 0)],
)
def test_drained_waits_for_all_of_them_and_no_longer(
    lasts: tuple[float, ...], patience: float, drained: bool, took: float
) -> None:
    """It says whether they have ended; those that have not go on."""

    async def main() -> None:
        background_tasks, loop = BackgroundTasks(), asyncio.get_running_loop()
        tasks = [background_tasks.own(asyncio.sleep(seconds), "sleep") for seconds in lasts]
        began = loop.time()
        assert await background_tasks.drained(patience) is drained
        assert loop.time() - began == pytest.approx(took)
        assert not any(task.cancelled() for task in tasks)
        background_tasks.cancel()
        assert await background_tasks.drained(1)
        assert all(task.done() for task in tasks)

    run_in_virtual_time(main())


def test_drained_waits_for_what_is_begun_meanwhile() -> None:
    """One task may begin another."""

    async def main() -> float:
        background_tasks, loop = BackgroundTasks(), asyncio.get_running_loop()

        async def first() -> None:
            await asyncio.sleep(3)
            background_tasks.own(asyncio.sleep(4), "second")

        background_tasks.own(first(), "first")
        began = loop.time()
        assert await background_tasks.drained(10)
        return loop.time() - began

    assert run_in_virtual_time(main()) == pytest.approx(7)


async def test_a_callers_cancel_does_not_reach_them() -> None:
    """They may be owned from one task and waited for in another."""
    background_tasks, gate = BackgroundTasks(), asyncio.Event()
    owned: list[asyncio.Task[bool]] = []

    async def caller() -> None:
        owned.append(background_tasks.own(gate.wait(), "waits"))
        await gate.wait()

    task = asyncio.create_task(caller())
    await iterations(2)
    task.cancel()
    await asyncio.wait([task])
    gate.set()
    assert await owned[0]


@pytest.mark.parametrize("awaited", [False, True])
async def test_the_callback_is_called_at_the_end(awaited: bool) -> None:
    """Once, when it has left the background tasks, also if it was cancelled before its first step."""
    background_tasks, ended = BackgroundTasks(), list[tuple[str, int]]()

    def note(task: asyncio.Task[None]) -> None:
        ended.append((task.get_name(), len(background_tasks)))

    tasks = [background_tasks.own(asyncio.sleep(0), name, awaited=awaited, ended=note) for name in ("ran", "never ran")]
    tasks[1].cancel()
    await asyncio.wait(tasks)
    await iterations(1)
    assert sorted(ended) == [("never ran", 1), ("ran", 0)]


async def test_an_interrupt_is_not_logged_as_a_defect(caplog: pytest.LogCaptureFixture) -> None:
    """A KeyboardInterrupt that lands in a task goes to the caller of the event loop; the log has no error of it."""
    interrupted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    interrupted.set_exception(KeyboardInterrupt())
    BackgroundTasks()._ended(cast("Any", interrupted))
    assert "ended with an error" not in caplog.text


async def test_drained_waits_for_what_follows_a_forgotten_task() -> None:
    """What its end begins in the next step of the loop is waited for too."""
    tasks = BackgroundTasks()
    ended = asyncio.Event()

    async def follow() -> None:
        await asyncio.sleep(0.01)
        ended.set()

    def begin_another() -> None:
        tasks.own(follow(), "follows")

    asyncio.get_running_loop().call_soon(begin_another)  # as the end of a call does, once its task is forgotten
    assert await tasks.drained(10)
    assert ended.is_set()


def test_an_interrupt_of_a_child_is_raised_out_of_the_loop_once() -> None:
    """A group raises it no second time: it is cancelled, and the loop can end what is left."""
    ended: list[str] = []

    async def interrupted() -> None:
        await iterations(1)
        raise KeyboardInterrupt

    async def parent() -> None:
        try:
            async with TaskGroup() as group:
                group.create_task(interrupted())
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise

    async def main() -> None:
        background_tasks = BackgroundTasks()
        background_tasks.own(parent(), "some work")
        try:
            await asyncio.sleep(60)
        finally:
            await background_tasks.drained(60)
            ended.append("drained")

    with pytest.raises(KeyboardInterrupt):
        asyncio.run(main())
    assert ended == ["cancelled", "drained"]


async def test_an_interrupt_in_the_body_of_a_group_stays_one() -> None:
    """As in asyncio's own group, the others are cancelled."""
    cancelled = asyncio.Event()

    async def wait() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            cancelled.set()

    async def interrupted_body() -> None:
        async with TaskGroup() as group:
            group.create_task(wait())
            await iterations(1)
            raise SystemExit(3)

    with pytest.raises(SystemExit):
        await interrupted_body()
    assert cancelled.is_set()
