"""waiter: one caller's wait, notified by hand."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from fake_transport import FakeTransport, make_core
from virtual_time import iterations, run_in_virtual_time

import aioecs
from aioecs._logic.tasks.task_address import Address, Key
from aioecs._logic.tasks.task_progress import Goal, Observation, observe
from aioecs._model.shapes.task import Task
from aioecs._waiters.task_definitions import TaskDefinitions
from aioecs._waiters.waiter import ChangeWaiter, GoalWaiter, Waiter
from aioecs.errors import AccessDeniedException, ECSError, TaskMissing, TaskStopped, WaitCancelled, WaitTimeout

A, B = ("c", "a"), ("c", "b")
ADDRESSES = [Address(A, "a"), Address(B, "b"), Address(A, "a")]


class FakePoller:
    """A watcher that does nothing by itself."""

    def __init__(self, **known: Observation) -> None:
        self.core: Any = make_core(FakeTransport())
        self.last_error: ECSError | None = None
        self.definitions = TaskDefinitions(self.core)
        self.joined: list[Key] = []
        self.polled_soon: list[float] = []
        self._known = known

    def join(self, waiter: Waiter, address: Address) -> Observation | None:
        self.joined.append(address.key)
        return self._known.get(address.name)

    def leave(self, waiter: Waiter, key: Key) -> None:
        self.joined.remove(key)

    def poll_soon(self, waiter: Waiter, within: float) -> None:
        self.polled_soon.append(within)


def observation_of(status: str, version: int = 1, **more: Any) -> Observation:
    observation = observe(Task(task_arn="a", last_status=status, version=version, **more))
    assert observation is not None
    return observation


def goal_waiter(
    poller: FakePoller, goal: Goal = Goal.RUNNING, timeout: float | None = 60, source: Any = None
) -> GoalWaiter:
    return GoalWaiter(poller, ADDRESSES, source, timeout, goal=goal)


def test_it_joins_once_a_task_and_leaves_each_as_it_arrives() -> None:
    """So that nobody is looked at any longer than needed; the answer is in the order asked, repeats included."""

    async def work() -> None:
        poller = FakePoller()
        with goal_waiter(poller) as waiter:
            assert poller.joined == [A, B]
            waiting = asyncio.ensure_future(waiter.answer())
            waiter.observe(B, observation_of("RUNNING"))
            assert (poller.joined, waiter.open) == ([A], [A])
            waiter.observe(A, observation_of("PENDING"))
            await iterations(3)
            assert not waiting.done()
            waiter.observe(A, observation_of("RUNNING", 2))
            assert [task.version for task in await waiting] == [2, 1, 2]
        assert poller.joined == []

    run_in_virtual_time(work())


def test_what_is_known_needs_no_wait() -> None:
    """Tasks that are there already are returned at once."""

    async def work() -> None:
        poller = FakePoller(a=observation_of("RUNNING"), b=observation_of("RUNNING"))
        with goal_waiter(poller, timeout=0) as waiter:
            assert poller.joined == []
            assert [task.last_status for task in await waiter.answer()] == ["RUNNING"] * 3

    run_in_virtual_time(work())


def test_an_error_is_made_when_it_is_raised() -> None:
    """What else came with the same answer is in it."""

    async def work() -> None:
        poller = FakePoller()
        with goal_waiter(poller) as waiter:
            waiting = asyncio.ensure_future(waiter.answer())
            await iterations(2)
            waiter.observe(A, observation_of("STOPPED", 3, stop_code="TaskFailedToStart"))
            waiter.observe(B, observation_of("RUNNING", 7))
            with pytest.raises(TaskStopped) as caught:
                await waiting
            assert [task.version for task in caught.value.tasks] == [3, 7, 3]
            assert (caught.value.stop_code, caught.value.waiting_for) == ("TaskFailedToStart", ("a",))
        assert poller.joined == []

    run_in_virtual_time(work())


def test_the_first_error_counts() -> None:
    """What follows it doesn't hide it."""

    async def work() -> None:
        with goal_waiter(FakePoller()) as waiter:
            waiter.not_found(B, "MISSING")
            waiter.fail(AccessDeniedException("no"))
            with pytest.raises(TaskMissing) as caught:
                await waiter.answer()
            assert (caught.value.arn, caught.value.reason) == ("b", "MISSING")

    run_in_virtual_time(work())


def test_arriving_wins_over_a_cancel_at_the_same_moment() -> None:
    """The passed token fires as the last task arrives: the tasks are returned."""

    async def work() -> None:
        token = aioecs.CancelToken()
        with goal_waiter(FakePoller(), source=token) as waiter:
            waiting = asyncio.ensure_future(waiter.answer())
            await iterations(2)
            token.cancel()
            waiter.observe(A, observation_of("RUNNING"))
            waiter.observe(B, observation_of("RUNNING"))
            assert len(await waiting) == 3

    run_in_virtual_time(work())


@pytest.mark.parametrize(("timeout", "hurried_at", "within"), [(60.0, 57.0, 3.0), (4.0, 2.0, 2.0), (0.0, 0.0, 0.0)])
def test_once_more_before_a_timeout(timeout: float, hurried_at: float, within: float) -> None:
    """Its tasks are looked at a moment before its clock runs out, unless that was just done."""

    async def work() -> None:
        poller = FakePoller()
        loop = asyncio.get_running_loop()
        began = loop.time()
        with goal_waiter(poller, timeout=timeout) as waiter:
            await asyncio.sleep(hurried_at)
            await iterations(2)
            assert poller.polled_soon == [within]
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
        with GoalWaiter(FakePoller(), addresses, None, 1, goal=Goal.STOPPED) as waiter:
            with pytest.raises(WaitTimeout) as caught:
                await waiter.answer()
            assert str(caught.value).endswith("t4 never seen, …")
            assert len(caught.value.waiting_for) == 1000

    run_in_virtual_time(work())


def test_no_clock_is_left_behind() -> None:
    """Neither of the timeout nor of the last poll."""

    async def work() -> None:
        poller = FakePoller()
        with goal_waiter(poller):
            pass
        await asyncio.sleep(100)
        assert poller.polled_soon == []

    run_in_virtual_time(work())


def test_a_cancel_has_what_was_seen_as_its_cause() -> None:
    """The CancelledError itself goes on."""

    async def work() -> None:
        async def wait() -> None:
            with goal_waiter(FakePoller(a=observation_of("PENDING"))) as waiter:
                await waiter.answer()

        waiting = asyncio.ensure_future(wait())
        await iterations(3)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError) as caught:
            await waiting
        cause = caught.value.__cause__
        assert isinstance(cause, WaitCancelled)
        assert [task.last_status for task in cause.tasks] == ["PENDING"] * 2
        assert (cause.reason, cause.source, cause.waiting_for) == (None, None, ("a", "b"))

    run_in_virtual_time(work())


def test_changes_come_in_their_order_before_what_ends_them() -> None:
    """All that is known is yielded, then the error."""

    async def work() -> None:
        poller = FakePoller()
        changes = ChangeWaiter(poller, ADDRESSES, None, None)
        iteration = changes.changes()
        assert poller.joined == []  # it begins with the first iteration
        first = asyncio.ensure_future(anext(iteration))
        await iterations(3)
        assert poller.joined == [A, B]
        for key, status, version in ((A, "PENDING", 1), (B, "RUNNING", 2), (A, "STOPPED", 4)):
            changes.observe(key, observation_of(status, version))
        changes.fail(AccessDeniedException("no"))
        reported = [await first]
        with pytest.raises(AccessDeniedException):
            async for task in iteration:
                reported.append(task)  # noqa: PERF401 what was yielded before the error counts
        assert [task.version for task in reported] == [1, 2, 4]
        assert poller.joined == []

    run_in_virtual_time(work())


def test_changes_end_with_the_last_stop() -> None:
    """Each task leaves as it stops."""

    async def work() -> None:
        poller = FakePoller(a=observation_of("STOPPED", 3))
        changes = ChangeWaiter(poller, ADDRESSES, None, None)
        iteration = changes.changes()
        assert (await anext(iteration)).version == 3
        assert poller.joined == [B]
        changes.observe(B, observation_of("STOPPED", 9))
        assert [task.version async for task in iteration] == [9]
        assert poller.joined == []

    run_in_virtual_time(work())


def test_a_change_that_comes_while_the_caller_is_busy() -> None:
    """It is kept until it is asked for."""

    async def work() -> None:
        changes = ChangeWaiter(FakePoller(a=observation_of("PENDING")), ADDRESSES[:1], None, None)
        iteration = changes.changes()
        assert (await anext(iteration)).last_status == "PENDING"
        changes.observe(A, observation_of("RUNNING", 2))
        await asyncio.sleep(10)
        changes.observe(A, observation_of("STOPPED", 3))
        assert [task.last_status async for task in iteration] == ["RUNNING", "STOPPED"]

    run_in_virtual_time(work())
