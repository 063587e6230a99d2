"""cancellation_monitor: one watcher per loop for tokens and plain cancel scopes."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import ExitStack, asynccontextmanager
from typing import Any

import anyio
import pytest
from virtual_time import VirtualTimeLoop, iterations, run_in_virtual_time

from aioecs import CancelToken, InvalidRequest
from aioecs._runtime.cancellation_monitor import (
    TICK,
    Cancellable,
    CancellationMonitor,
    Source,
    expect,
    fired,
    fired_part,
    reason_of,
    resolve,
    source_of,
)
from aioecs._runtime.token_subscription import subscriptions_here

NOT_FIRED = "not fired"


async def wakes(source: Source, within: float = 1.0) -> float | str:
    """Watch a source, and return after how many seconds it fired."""
    loop = asyncio.get_running_loop()
    woken: asyncio.Future[None] = loop.create_future()
    began = loop.time()
    with CancellationMonitor.here().watch(source, lambda: resolve(woken)):
        await asyncio.wait([woken], timeout=within)
    return loop.time() - began if woken.done() else NOT_FIRED


class Timers:
    """Counts the timers that are set on a loop from now on."""

    def __init__(self) -> None:
        self.set = 0
        loop = asyncio.get_running_loop()
        call_at = loop.call_at

        def counted(when: float, callback: Callable[..., object], *args: Any, **more: Any) -> asyncio.TimerHandle:
            self.set += 1
            return call_at(when, callback, *args, **more)

        loop.call_at = counted  # type: ignore[method-assign, assignment]


# What a source is ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wrong", ["scope", 5, asyncio.Event, True, threading.Event()])
async def test_what_is_neither_scope_nor_token_is_refused(wrong: object) -> None:
    """By its type, not by its value."""
    with pytest.raises(InvalidRequest, match=r"cancel_scope: a CancelToken or an anyio\.CancelScope, not a ") as caught:
        expect(wrong)
    assert caught.value.found == f"a {type(wrong).__name__}"


async def test_scopes_tokens_and_none_are_welcome() -> None:
    """A task group's own scope too."""
    async with anyio.create_task_group() as group:
        for source in (None, CancelToken(), anyio.CancelScope(), group.cancel_scope):
            expect(source)


def test_what_has_fired() -> None:
    """Cancelled, or past its deadline, on the loop's clock; a scope has no reason that is public."""

    async def main() -> None:
        token, scope, timed = CancelToken(), anyio.CancelScope(), anyio.move_on_after(30)
        assert not any(fired(source) for source in (token, scope, timed))
        await asyncio.sleep(30)
        token.cancel("bored")
        scope.cancel()
        assert all(fired(source) for source in (token, scope, timed))
        assert [reason_of(source) for source in (token, scope, None)] == ["bored", None, None]

    run_in_virtual_time(main())


async def test_a_loop_has_one_monitor() -> None:
    """And another loop another one."""
    others: list[CancellationMonitor] = []

    async def other() -> None:
        others.append(CancellationMonitor.here())

    thread = threading.Thread(target=asyncio.run, args=(other(),))
    thread.start()
    thread.join()
    assert CancellationMonitor.here() is CancellationMonitor.here()
    assert others[0] is not CancellationMonitor.here()


async def test_no_source_is_never_woken() -> None:
    """It costs nothing."""
    monitor = CancellationMonitor.here()
    with monitor.watch(None, lambda: pytest.fail("woken")):
        await iterations(2)
    assert (subscriptions_here(), monitor._scopes) == ({}, {})


# Scopes: in every way that a caller may use one ----------------------------------------------------------------------

Work = Callable[[], Awaitable[float | str]]


async def never_entered(scope: anyio.CancelScope, work: Work) -> float | str:
    """Hand over a scope that nobody enters."""
    return await work()


async def entered_here(scope: anyio.CancelScope, work: Work) -> float | str:
    """Enter it around something of this task's that is over before the call."""
    with scope:
        await iterations(1)
    return await work()


async def shielded_inside(scope: anyio.CancelScope, work: Work) -> float | str:
    """Enter it around the call, with a shield between, so that only the watcher can see it."""
    with scope, anyio.CancelScope(shield=True):
        return await work()
    return NOT_FIRED


async def entered_by_a_parent(scope: anyio.CancelScope, work: Work) -> float | str:
    """Let a parent task hold it around the task group that the call's task is in, shielded."""
    done: list[float | str] = []

    async def child() -> None:
        with anyio.CancelScope(shield=True):
            done.append(await work())

    with scope:
        async with anyio.create_task_group() as group:
            group.start_soon(child)
    return done[0]


async def entered_by_a_stranger(scope: anyio.CancelScope, work: Work) -> float | str:
    """Let a task that has nothing to do with the call sit in it."""

    async def stranger() -> None:
        with scope:
            await asyncio.sleep(60)

    task = asyncio.create_task(stranger())
    await iterations(1)
    try:
        return await work()
    finally:
        task.cancel()
        await asyncio.wait([task])


WAYS = [never_entered, entered_here, shielded_inside, entered_by_a_parent, entered_by_a_stranger]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("moment", "after"),
    [("before", 0.0), ("during", 0.5), ("deadline", 0.3), ("deadline set later", 0.7), ("deadline moved", 0.6)],
)
def test_a_scope_fires_however_it_is_used(
    way: Callable[[anyio.CancelScope, Work], Awaitable[float | str]], moment: str, after: float
) -> None:
    """Entered or not, by this task, a parent or a stranger; cancelled, or by a deadline: within one tick."""

    async def main() -> float | str:
        loop = asyncio.get_running_loop()
        scope = anyio.CancelScope()

        async def work() -> float | str:
            began = loop.time()
            if moment == "before":
                scope.cancel()
            elif moment == "during":
                loop.call_later(0.5, scope.cancel)
            elif moment == "deadline":
                scope.deadline = began + 0.3
            elif moment == "deadline set later":
                loop.call_later(0.2, lambda: setattr(scope, "deadline", began + 0.7))
            else:
                scope.deadline = began + 0.3
                loop.call_later(0.2, lambda: setattr(scope, "deadline", began + 0.6))
            return await wakes(scope)

        return await way(scope, work)

    took = run_in_virtual_time(main())
    assert isinstance(took, float)
    assert after <= took <= after + TICK + 1e-6


@pytest.mark.parametrize("way", WAYS)
def test_a_scope_that_fires_after_the_watch_wakes_nobody(
    way: Callable[[anyio.CancelScope, Work], Awaitable[float | str]],
) -> None:
    """What has ended has ended."""

    async def main() -> None:
        scope = anyio.CancelScope()

        async def work() -> float | str:
            with CancellationMonitor.here().watch(scope, lambda: pytest.fail("woken")):
                await asyncio.sleep(0.1)
            scope.cancel()
            with anyio.CancelScope(shield=True):
                await asyncio.sleep(0.1)
            return 0.0

        await way(scope, work)
        assert CancellationMonitor.here()._scopes == {}

    run_in_virtual_time(main())


@pytest.mark.parametrize("times", [1, 3])
def test_a_scope_may_be_used_again_and_is_never_entered(times: int) -> None:
    """Any number of watches, one after the other or at once; the caller's own `with scope:` works all the while."""

    async def main() -> None:
        scope = anyio.CancelScope()
        for _ in range(times):
            assert await asyncio.gather(*(wakes(scope, 0.1) for _ in range(5))) == [NOT_FIRED] * 5
        with scope:
            asyncio.get_running_loop().call_later(0.1, scope.cancel)
            await asyncio.sleep(60)
        assert scope.cancelled_caught
        assert await wakes(scope) == 0.0

    run_in_virtual_time(main())


def test_a_task_groups_own_scope_fires() -> None:
    """Cancelled from within, while a shielded call watches it."""

    async def main() -> list[float | str]:
        seen: list[float | str] = []

        async def shielded(scope: anyio.CancelScope) -> None:
            with anyio.CancelScope(shield=True):
                seen.append(await wakes(scope))

        async with anyio.create_task_group() as group:
            group.start_soon(shielded, group.cancel_scope)
            await asyncio.sleep(0.2)
            group.cancel_scope.cancel()
        return seen

    [took] = run_in_virtual_time(main())
    assert isinstance(took, float)
    assert 0.2 <= took <= 0.2 + TICK + 1e-6


def test_a_scope_of_a_finished_loop_can_still_be_read() -> None:
    """Cancelled there it has fired here; else its deadline is read on this loop's clock, and it may be cancelled."""

    async def make() -> list[anyio.CancelScope]:
        scopes = [anyio.CancelScope(), anyio.CancelScope(), anyio.move_on_after(5)]
        with scopes[0]:
            scopes[0].cancel()
        return scopes

    cancelled, plain, timed = asyncio.run(make())

    async def use() -> list[float | str]:
        timed.deadline = asyncio.get_running_loop().time() + 0.5
        asyncio.get_running_loop().call_later(0.2, plain.cancel)
        return [await wakes(scope) for scope in (cancelled, plain, timed)]

    at_once, soon, later = run_in_virtual_time(use())
    assert at_once == 0.0
    assert soon == pytest.approx(0.2, abs=TICK)
    assert later == pytest.approx(0.3, abs=2 * TICK)


# Ticking -------------------------------------------------------------------------------------------------------------


def test_the_monitor_ticks_only_while_a_scope_is_watched() -> None:
    """Once every tick, however many watch: none before, one timer at a time, and at most one more after the last."""

    async def main() -> None:
        monitor, scope, other, timers = CancellationMonitor.here(), anyio.CancelScope(), anyio.CancelScope(), Timers()
        with monitor.watch(CancelToken(), lambda: None), monitor.watch(None, lambda: None):
            await iterations(5)
        assert timers.set == 0
        with monitor.watch(scope, lambda: None), monitor.watch(scope, lambda: None), monitor.watch(other, lambda: None):
            await asyncio.sleep(10.5 * TICK)
            assert timers.set in range(11, 14)  # and one is the sleep's
        after = timers.set
        await asyncio.sleep(100 * TICK)
        assert timers.set == after + 1
        with monitor.watch(scope, lambda: None):  # it goes on where one comes anew
            await asyncio.sleep(2.5 * TICK)
        assert timers.set in range(after + 3, after + 7)

    run_in_virtual_time(main())


def test_a_scope_that_comes_between_two_ticks_adds_none() -> None:
    """One that comes, goes, and comes again within a tick is watched by the same one."""

    async def main() -> None:
        monitor, scope, timers = CancellationMonitor.here(), anyio.CancelScope(), Timers()
        for _ in range(1000):
            with monitor.watch(scope, lambda: None):
                await asyncio.sleep(0)
        assert timers.set == 1

    run_in_virtual_time(main())


@pytest.mark.parametrize("busy", [False, True])
async def test_a_scope_that_has_fired_wakes_at_once(busy: bool) -> None:
    """Also while the monitor ticks for another, so that nothing is sent until the next tick."""
    monitor, woken = CancellationMonitor.here(), list[str]()
    scope = anyio.CancelScope()
    scope.cancel()
    with ExitStack() as stack:
        if busy:
            stack.enter_context(monitor.watch(anyio.CancelScope(), lambda: woken.append("other")))
        with monitor.watch(scope, lambda: woken.append("fired")):
            assert woken == ["fired"]
            await asyncio.sleep(2 * TICK)
    assert woken == ["fired"]
    assert monitor._scopes == {}


async def test_a_wake_that_raises_ends_neither_the_ticking_nor_the_others() -> None:
    """The loop reports it; the next tick wakes the others."""
    monitor, scopes, woken = CancellationMonitor.here(), [anyio.CancelScope(), anyio.CancelScope()], asyncio.Event()
    reported: list[dict[str, Any]] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: reported.append(context))

    def broken() -> None:
        raise ValueError("oh")

    with monitor.watch(scopes[1], woken.set), monitor.watch(scopes[0], broken):
        scopes[0].cancel()
        while not reported:
            await asyncio.sleep(0)
        scopes[1].cancel()
        await asyncio.wait_for(woken.wait(), 5)
    assert [str(context["exception"]) for context in reported] == ["oh"]


@pytest.mark.parametrize("make", [anyio.CancelScope, CancelToken])
async def test_one_wake_may_end_anothers_watch(make: Callable[[], Cancellable]) -> None:
    """Who has gone by then is not woken."""
    source, monitor, woken = make(), CancellationMonitor.here(), list[str]()
    watches: list[Any] = []

    def first() -> None:
        woken.append("first")
        watches[1].__exit__(None, None, None)

    for wake in (first, lambda: woken.append("second"), lambda: woken.append("third")):
        watches.append(monitor.watch(source, wake))
        watches[-1].__enter__()
    source.cancel()
    while "third" not in woken:
        await asyncio.sleep(0)
    assert woken == ["first", "third"]
    watches[0].__exit__(None, None, None)
    watches[2].__exit__(None, None, None)
    assert (subscriptions_here(), monitor._scopes) == ({}, {})


# Tokens --------------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def watched(token: CancelToken, woken: list[str], name: str) -> AsyncIterator[None]:
    with CancellationMonitor.here().watch(token, lambda: woken.append(name)):
        yield


async def test_a_token_wakes_each_watch_once() -> None:
    """One that comes when it has been cancelled too, while others are still being woken."""
    token, woken = CancelToken(), list[str]()
    async with watched(token, woken, "first"), watched(token, woken, "second"):
        token.cancel()
        async with watched(token, woken, "late"):
            await iterations(3)
            assert sorted(woken) == ["first", "late", "second"]
        async with watched(token, woken, "later"):
            await iterations(3)
    assert sorted(woken) == ["first", "late", "later", "second"]
    assert subscriptions_here() == {}


async def test_a_token_that_fires_after_the_watch_wakes_nobody() -> None:
    """Not even if the wake-up is scheduled already."""
    token, woken = CancelToken(), list[str]()
    async with watched(token, woken, "gone"):
        token.cancel()
    await iterations(3)
    assert woken == []


async def test_the_last_of_an_old_watch_leaves_a_new_one_alone() -> None:
    """Watches of one token that overlap its cancel don't share an end."""
    token, woken = CancelToken(), list[str]()
    old = [watched(token, woken, "one"), watched(token, woken, "two")]
    for each in old:
        await each.__aenter__()
    token.cancel()
    await iterations(2)
    await old[0].__aexit__(None, None, None)
    async with watched(token, woken, "new"):
        await old[1].__aexit__(None, None, None)
        await iterations(2)
    assert woken == ["one", "two", "new"]
    assert subscriptions_here() == {}


def test_a_token_is_immediate() -> None:
    """It waits for no tick."""

    async def main() -> float | str:
        token = CancelToken()
        asyncio.get_running_loop().call_later(0.123, token.cancel)
        return await wakes(token)

    assert run_in_virtual_time(main()) == pytest.approx(0.123, abs=1e-6)


@pytest.mark.parametrize(
    ("set_before", "set_later", "ends"),
    [(0.5, None, 0.5), (None, 0.5, 0.6), (0.5, 0.2, 0.3), (0.5, 5, 0.5), (0, None, 0)],
)
def test_a_tokens_deadline_is_watched_by_a_timer(
    set_before: float | None, set_later: float | None, ends: float
) -> None:
    """Set before the watch or 0.1 s later; on the token's own clock, should the loop's run ahead of it."""

    async def main(behind: float) -> float | str:
        token, loop = CancelToken(), asyncio.get_running_loop()
        with pytest.MonkeyPatch.context() as patch:
            if set_before is not None:
                token.cancel_after(set_before)
            if set_later is not None:
                loop.call_later(0.1, token.cancel_after, set_later)
            loop.call_later(0.15, lambda: patch.setattr(time, "monotonic", lambda: loop.time() - behind))
            return await wakes(token)

    for behind in (0, 0.125):
        assert run_in_virtual_time(main(behind)) == pytest.approx(ends + (behind if ends else 0), abs=1e-6)


def test_a_deadline_that_comes_as_the_last_watch_ends_sets_no_timer() -> None:
    """Nor does a loop that was closed mind."""
    token, woken = CancelToken(), list[bool]()

    async def main() -> None:
        timers = Timers()
        with CancellationMonitor.here().watch(token, lambda: woken.append(True)):
            token.cancel_after(60)
        await iterations(3)
        assert timers.set == 0
        watch = CancellationMonitor.here().watch(token, lambda: woken.append(True))
        watch.__enter__()
        kept.append(watch)

    kept: list[Any] = []
    run_in_virtual_time(main())
    token.cancel_after(1)
    token.cancel()
    assert woken == []


def test_a_monitor_does_not_keep_its_loop_alive() -> None:
    """A loop that is over can be collected."""
    loop = VirtualTimeLoop()

    async def use() -> None:
        await wakes(anyio.CancelScope(), 0.1)

    loop.run_until_complete(use())
    loop.close()
    left = weakref.ref(loop)
    del loop
    gc.collect()
    assert left() is None


# Time limits ---------------------------------------------------------------------------------------------------------


def test_a_time_limit_fires_on_the_loop_s_clock() -> None:
    """Not early by the clock's resolution, once, and with the reason `timeout`; its timer ends with the block."""

    async def main() -> None:
        limit = source_of(None, 0.5)
        assert limit is not None
        assert not fired(limit)
        assert await wakes(limit) == pytest.approx(0.5, abs=1e-6)
        assert fired(limit)
        assert reason_of(limit) == "timeout"
        with CancellationMonitor.here().watch(source_of(None, 60), pytest.fail):
            pass
        await asyncio.sleep(120)

    run_in_virtual_time(main())


async def test_without_a_timeout_the_source_is_the_scope_itself() -> None:
    """None and infinity are no timeout."""
    token = CancelToken()
    assert source_of(token, None) is token
    assert source_of(token, float("inf")) is token
    assert source_of(None, None) is None


def test_a_time_limit_fires_with_the_scope_or_token_beside_it() -> None:
    """The first of the two fires it, and gives the reason."""

    async def main() -> None:
        token = CancelToken()
        asyncio.get_running_loop().call_later(0.2, token.cancel, "enough")
        limit = source_of(token, 0.5)
        assert limit is not None
        assert await wakes(limit) == pytest.approx(0.2)
        assert fired_part(limit) is token
        assert reason_of(fired_part(limit)) == "enough"
        timed = source_of(anyio.move_on_after(30), 0.5)
        assert timed is not None
        assert await wakes(timed) == pytest.approx(0.5, abs=1e-6)
        assert fired_part(timed) is timed

    run_in_virtual_time(main())
