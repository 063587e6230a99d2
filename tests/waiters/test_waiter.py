"""waiter: one caller's wait, told by hand."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from fake_transport import FakeTransport, make_core
from virtual_time import iterations, run_in_virtual_time

import aioecs
from aioecs._logic.tasks.task_address import Address, Key
from aioecs._logic.tasks.task_progress import Goal, Observation, seen
from aioecs._model.shapes.task import Task
from aioecs._waiters.task_definitions import TaskDefinitions
from aioecs._waiters.waiter import Changes, GoalWaiter, Waiter
from aioecs.errors import AccessDeniedException, ECSError, TaskMissing, TaskStopped, WaitCancelled, WaitTimeout

A, B = ("c", "a"), ("c", "b")
ADDRESSES = [Address(A, "a"), Address(B, "b"), Address(A, "a")]


class ToldWatch:
    """A watcher that does nothing by itself."""

    def __init__(self, **known: Observation) -> None:
        self.core: Any = make_core(FakeTransport())
        self.trouble: ECSError | None = None
        self.definitions = TaskDefinitions(self.core)
        self.joined: list[Key] = []
        self.hurried: list[float] = []
        self._known = known

    def join(self, waiter: Waiter, address: Address) -> Observation | None:
        self.joined.append(address.key)
        return self._known.get(address.name)

    def leave(self, waiter: Waiter, key: Key) -> None:
        self.joined.remove(key)

    def hurry(self, waiter: Waiter, within: float) -> None:
        self.hurried.append(within)


def sight(status: str, version: int = 1, **more: Any) -> Observation:
    observation = seen(Task(task_arn="a", last_status=status, version=version, **more))
    assert observation is not None
    return observation


def arrival(watch: ToldWatch, goal: Goal = Goal.RUNNING, timeout: float | None = 60, source: Any = None) -> GoalWaiter:
    return GoalWaiter(watch, ADDRESSES, source, timeout, goal=goal)


def test_it_joins_once_a_task_and_leaves_each_as_it_arrives() -> None:
    """So that nobody is looked at any longer than needed; the answer is in the order asked, repeats included."""

    async def work() -> None:
        watch = ToldWatch()
        with arrival(watch) as waiter:
            assert watch.joined == [A, B]
            waiting = asyncio.ensure_future(waiter.answer())
            waiter.told(B, sight("RUNNING"))
            assert (watch.joined, waiter.open) == ([A], [A])
            waiter.told(A, sight("PENDING"))
            await iterations(3)
            assert not waiting.done()
            waiter.told(A, sight("RUNNING", 2))
            assert [task.version for task in await waiting] == [2, 1, 2]
        assert watch.joined == []

    run_in_virtual_time(work())


def test_what_is_known_needs_no_wait() -> None:
    """Tasks that are there already are returned at once."""

    async def work() -> None:
        watch = ToldWatch(a=sight("RUNNING"), b=sight("RUNNING"))
        with arrival(watch, timeout=0) as waiter:
            assert watch.joined == []
            assert [task.last_status for task in await waiter.answer()] == ["RUNNING"] * 3

    run_in_virtual_time(work())


def test_an_error_is_made_when_it_is_raised() -> None:
    """What else came with the same answer is in it."""

    async def work() -> None:
        watch = ToldWatch()
        with arrival(watch) as waiter:
            waiting = asyncio.ensure_future(waiter.answer())
            await iterations(2)
            waiter.told(A, sight("STOPPED", 3, stop_code="TaskFailedToStart"))
            waiter.told(B, sight("RUNNING", 7))
            with pytest.raises(TaskStopped) as told:
                await waiting
            assert [task.version for task in told.value.tasks] == [3, 7, 3]
            assert (told.value.stop_code, told.value.waiting_for) == ("TaskFailedToStart", ("a",))
        assert watch.joined == []

    run_in_virtual_time(work())


def test_the_first_error_counts() -> None:
    """What follows it doesn't hide it."""

    async def work() -> None:
        with arrival(ToldWatch()) as waiter:
            waiter.missing(B, "MISSING")
            waiter.fail(AccessDeniedException("no"))
            with pytest.raises(TaskMissing) as told:
                await waiter.answer()
            assert (told.value.arn, told.value.reason) == ("b", "MISSING")

    run_in_virtual_time(work())


def test_arriving_wins_over_a_cancel_at_the_same_moment() -> None:
    """The passed token fires as the last task arrives: the tasks are returned."""

    async def work() -> None:
        token = aioecs.CancelToken()
        with arrival(ToldWatch(), source=token) as waiter:
            waiting = asyncio.ensure_future(waiter.answer())
            await iterations(2)
            token.cancel()
            waiter.told(A, sight("RUNNING"))
            waiter.told(B, sight("RUNNING"))
            assert len(await waiting) == 3

    run_in_virtual_time(work())


@pytest.mark.parametrize(("timeout", "hurried_at", "within"), [(60.0, 57.0, 3.0), (4.0, 2.0, 2.0), (0.0, 0.0, 0.0)])
def test_once_more_before_a_timeout(timeout: float, hurried_at: float, within: float) -> None:
    """Its tasks are looked at a moment before its clock runs out, unless that was just done."""

    async def work() -> None:
        watch = ToldWatch()
        loop = asyncio.get_running_loop()
        began = loop.time()
        with arrival(watch, timeout=timeout) as waiter:
            await asyncio.sleep(hurried_at)
            await iterations(2)
            assert watch.hurried == [within]
            with pytest.raises(
                WaitTimeout, match=f"2 of 2 tasks not RUNNING after {timeout:g} s: a never seen, b never"
            ):
                await waiter.answer()
            assert loop.time() - began == pytest.approx(timeout)

    run_in_virtual_time(work())


def test_a_long_list_is_cut_short() -> None:
    """A timeout's text names a few; its attributes all."""

    async def work() -> None:
        addresses = [Address(("c", f"t{at}"), f"t{at}") for at in range(1000)]
        with GoalWaiter(ToldWatch(), addresses, None, 1, goal=Goal.STOPPED) as waiter:
            with pytest.raises(WaitTimeout) as told:
                await waiter.answer()
            assert str(told.value).endswith("t4 never seen, …")
            assert len(told.value.waiting_for) == 1000

    run_in_virtual_time(work())


def test_no_clock_is_left_behind() -> None:
    """Neither of the timeout nor of the last look."""

    async def work() -> None:
        watch = ToldWatch()
        with arrival(watch):
            pass
        await asyncio.sleep(100)
        assert watch.hurried == []

    run_in_virtual_time(work())


def test_a_cancel_has_what_was_seen_as_its_cause() -> None:
    """The CancelledError itself goes on."""

    async def work() -> None:
        async def wait() -> None:
            with arrival(ToldWatch(a=sight("PENDING"))) as waiter:
                await waiter.answer()

        waiting = asyncio.ensure_future(wait())
        await iterations(3)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError) as told:
            await waiting
        cause = told.value.__cause__
        assert isinstance(cause, WaitCancelled)
        assert [task.last_status for task in cause.tasks] == ["PENDING"] * 2
        assert (cause.reason, cause.source, cause.waiting_for) == (None, None, ("a", "b"))

    run_in_virtual_time(work())


def test_changes_come_in_their_order_before_what_ends_them() -> None:
    """All that is known is told, then the error."""

    async def work() -> None:
        watch = ToldWatch()
        changes = Changes(watch, ADDRESSES, None, None)
        telling = changes.tell()
        assert watch.joined == []  # it begins with the first iteration
        first = asyncio.ensure_future(anext(telling))
        await iterations(3)
        assert watch.joined == [A, B]
        for key, status, version in ((A, "PENDING", 1), (B, "RUNNING", 2), (A, "STOPPED", 4)):
            changes.told(key, sight(status, version))
        changes.fail(AccessDeniedException("no"))
        told = [await first]
        with pytest.raises(AccessDeniedException):
            async for task in telling:
                told.append(task)  # noqa: PERF401 what was told before the error counts
        assert [task.version for task in told] == [1, 2, 4]
        assert watch.joined == []

    run_in_virtual_time(work())


def test_changes_end_with_the_last_stop() -> None:
    """Each task leaves as it stops."""

    async def work() -> None:
        watch = ToldWatch(a=sight("STOPPED", 3))
        changes = Changes(watch, ADDRESSES, None, None)
        telling = changes.tell()
        assert (await anext(telling)).version == 3
        assert watch.joined == [B]
        changes.told(B, sight("STOPPED", 9))
        assert [task.version async for task in telling] == [9]
        assert watch.joined == []

    run_in_virtual_time(work())


def test_a_change_that_comes_while_the_caller_is_busy() -> None:
    """It is kept until it is asked for."""

    async def work() -> None:
        changes = Changes(ToldWatch(a=sight("PENDING")), ADDRESSES[:1], None, None)
        telling = changes.tell()
        assert (await anext(telling)).last_status == "PENDING"
        changes.told(A, sight("RUNNING", 2))
        await asyncio.sleep(10)
        changes.told(A, sight("STOPPED", 3))
        assert [task.last_status async for task in telling] == ["RUNNING", "STOPPED"]

    run_in_virtual_time(work())
