"""cancel_token: one cancellation for any number of calls, tasks, threads and loops."""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import pytest
from virtual_time import iterations, run_in_virtual_time

from aioecs import CancelToken, StartCancelled
from aioecs._runtime import cancel_token
from aioecs._runtime.cancellation_monitor import CancellationMonitor
from aioecs._runtime.token_subscription import subscriptions_here


class ReceivedReasons:
    """A callback that remembers the reasons it was called with."""

    def __init__(self) -> None:
        self.reasons: list[str | None] = []

    def __call__(self, reason: str | None) -> None:
        self.reasons.append(reason)


def sizes(token: CancelToken) -> tuple[int, int, int]:
    """Count what a token holds on to: callbacks, deadline callbacks, children."""
    return len(token._callbacks), len(token._deadline_callbacks), len(token._children)


# Cancelling ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("steps", "cancelled", "reason", "shown"),
    [
        ([], False, None, "<CancelToken not cancelled>"),
        ([("cancel",)], True, None, "<CancelToken cancelled>"),
        ([("cancel", "bored")], True, "bored", "<CancelToken cancelled: bored>"),
        ([("cancel", "first"), ("cancel", "second")], True, "first", "<CancelToken cancelled: first>"),
        ([("cancel",), ("cancel", "second")], True, None, "<CancelToken cancelled>"),
        ([("cancel_after", 60)], False, None, "<CancelToken deadline set>"),
        ([("cancel_after", float("inf"))], False, None, "<CancelToken not cancelled>"),
        ([("cancel_after", 0)], True, "deadline", "<CancelToken cancelled: deadline>"),
        ([("cancel_after", -5)], True, "deadline", "<CancelToken cancelled: deadline>"),
        ([("cancel", "first"), ("cancel_after", 0)], True, "first", "<CancelToken cancelled: first>"),
        ([("cancel_after", 60), ("cancel", "sooner")], True, "sooner", "<CancelToken cancelled: sooner>"),
    ],
)
def test_it_is_cancelled_once_and_for_good(
    steps: list[tuple[Any, ...]], cancelled: bool, reason: str | None, shown: str
) -> None:
    """The first reason stands, a deadline that has passed counts, and its repr shows it."""
    token = CancelToken()
    for name, *arguments in steps:
        getattr(token, name)(*arguments)
    assert token.cancelled is cancelled
    assert token.reason == reason
    assert repr(token) == shown


@pytest.mark.parametrize(("reason", "said"), [(None, "cancelled"), ("bored", "cancelled (bored)")])
def test_raise_if_cancelled_raises_what_a_call_would(reason: str | None, said: str) -> None:
    """With no starts, for nothing was begun; before the cancel it does nothing."""
    token = CancelToken()
    token.raise_if_cancelled()
    token.cancel(reason)
    with pytest.raises(StartCancelled, match="cancelled") as caught:
        token.raise_if_cancelled()
    assert (str(caught.value), caught.value.reason, caught.value.source) == (said, reason, token)
    assert caught.value.starts == ()
    assert caught.value.outcome is None


# Callbacks -----------------------------------------------------------------------------------------------------------


def test_callbacks_are_called_once_with_the_reason_before_cancel_returns() -> None:
    """In order of registering; one that was added twice is called twice."""
    token, received = CancelToken(), ReceivedReasons()
    token.add_callback(received)
    token.add_callback(received)
    token.cancel("bored")
    token.cancel("again")
    assert received.reasons == ["bored", "bored"]


@pytest.mark.parametrize("how", ["cancel", "deadline"])
def test_a_callback_added_to_a_cancelled_token_is_called_at_once(how: str) -> None:
    """A late callback is called too, and leaves nothing behind."""
    token, received = CancelToken(), ReceivedReasons()
    token.cancel("cancel") if how == "cancel" else token.cancel_after(0)
    token.add_callback(received)
    assert received.reasons == [how]
    assert sizes(token) == (0, 0, 0)


def test_a_removed_callback_is_not_called() -> None:
    """One registration of those that are equal is taken back; one that isn't there is no error."""
    token, received, other = CancelToken(), ReceivedReasons(), CancelToken()
    token.remove_callback(received)
    token.add_callback(other.cancel)
    token.add_callback(received)
    token.add_callback(received)
    token.remove_callback(received)
    token.cancel("bored")
    token.remove_callback(received)
    assert received.reasons == ["bored"]
    token, other = CancelToken(), CancelToken()
    token.add_callback(other.cancel)
    token.remove_callback(other.cancel)  # another bound method, equal to the first
    token.cancel()
    assert not other.cancelled


def test_a_callback_that_raises_does_not_stop_the_others(caplog: pytest.LogCaptureFixture) -> None:
    """What it raised is logged, and `cancel` doesn't raise."""
    token, received = CancelToken(), ReceivedReasons()

    def broken(reason: str | None) -> None:
        raise ValueError(f"no {reason}")

    token.add_callback(broken)
    token.add_callback(received)
    token.cancel("bored")
    assert received.reasons == ["bored"]
    assert [(record.levelname, record.name) for record in caplog.records] == [("ERROR", "aioecs")]
    assert "no bored" in caplog.text
    token.add_callback(broken)
    assert caplog.text.count("no bored") == 2


def test_callbacks_may_use_the_token_that_calls_them() -> None:
    """Cancelling, adding and removing from within a callback: each is still called once, and 2,000 don't recurse."""
    token, received, removed = CancelToken(), ReceivedReasons(), ReceivedReasons()

    def busy(reason: str | None) -> None:
        token.cancel("from within")
        token.remove_callback(removed)
        token.add_callback(received)

    for _ in range(2000):
        token.add_callback(busy)
    token.add_callback(removed)
    token.cancel("bored")
    assert received.reasons == ["bored"] * 2000
    assert removed.reasons == []
    assert sizes(token) == (0, 0, 0)


def test_what_a_keyboard_interrupt_left_uncalled_the_next_cancel_calls() -> None:
    """It goes through, since it is no error of a callback's; nobody who waits is lost by it."""
    token, received = CancelToken(), ReceivedReasons()

    def interrupted(reason: str | None) -> None:
        raise KeyboardInterrupt

    token.add_callback(interrupted)
    token.add_callback(received)
    with pytest.raises(KeyboardInterrupt):
        token.cancel("first")
    assert (token.cancelled, received.reasons) == (True, [])
    token.cancel("second")
    assert received.reasons == ["first"]


# Threads and signals -------------------------------------------------------------------------------------------------


def test_many_threads_may_cancel_and_register_at_once() -> None:
    """One reason stands, and every callback that stays registered is called once."""
    for _ in range(50):
        token, received, start = CancelToken(), ReceivedReasons(), threading.Barrier(4)

        def register(
            token: CancelToken = token, received: ReceivedReasons = received, start: threading.Barrier = start
        ) -> None:
            start.wait()
            for _ in range(100):
                token.add_callback(received)

        def cancel(token: CancelToken = token, start: threading.Barrier = start) -> None:
            start.wait()
            token.cancel(threading.current_thread().name)
            assert token.cancelled

        threads = [threading.Thread(target=target) for target in (register, register, cancel, cancel)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert received.reasons == [token.reason] * 200
        assert sizes(token) == (0, 0, 0)


@contextmanager
def handled(number: signal.Signals, handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Handle a signal for the length of the block."""
    before = signal.signal(number, handler)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(number, before)


def test_a_signal_handler_may_cancel_at_any_moment() -> None:
    """An alarm goes off in the middle of registering, removing, linking and cancelling: nothing hangs or is lost."""
    for after in range(1, 60):
        token, received = CancelToken(), ReceivedReasons()
        token.add_callback(received)

        def ring(number: int, frame: FrameType | None, token: CancelToken = token) -> None:
            token.cancel("alarm")
            assert token.cancelled

        with handled(signal.SIGALRM, ring):
            signal.setitimer(signal.ITIMER_REAL, after * 2e-5)
            while not token.cancelled:
                extra = ReceivedReasons()
                token.add_callback(extra)
                token.cancel_after(60)
                child = CancelToken.linked(token)
                token.remove_callback(extra)
                assert child.cancelled is token.cancelled or token.cancelled
            late = CancelToken()
            signal.setitimer(signal.ITIMER_REAL, after * 1e-6)
            token.cancel("again")
            late.cancel("late")
        assert received.reasons == ["alarm"]
        assert token.reason == "alarm"


@contextmanager
def interrupting(at: int, handler: Callable[[], None]) -> Iterator[list[bool]]:
    """Run the handler before the n-th step of cancel_token's own code, as a signal would; return whether it ran."""
    steps, done = 0, [False]

    def trace(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal steps
        if frame.f_code.co_filename != cancel_token.__file__:
            return None
        frame.f_trace_opcodes = True
        steps += event == "opcode"
        if steps > at and not done[0]:
            done[0] = True
            handler()  # the tracer is off while it runs, as nested signals would be
        return trace

    before = sys.gettrace()
    # On 3.12 a tracer is called for opcodes only if some frame had requested them when it was set.
    sys._getframe().f_trace_opcodes = True
    sys.settrace(trace)
    try:
        yield done
    finally:
        sys.settrace(before)


def _expire(token: CancelToken) -> bool:
    token.cancel_after(0)
    return token.cancelled


OPERATIONS: dict[str, Callable[[CancelToken, ReceivedReasons], object]] = {
    "add_callback": lambda token, received: token.add_callback(received),
    "remove_callback": lambda token, received: token.remove_callback(ReceivedReasons()),
    "cancel": lambda token, received: token.cancel("interrupted"),
    "cancel_after": lambda token, received: token.cancel_after(60),
    "cancelled by deadline": lambda token, received: _expire(token),
    "linked": lambda token, received: received(CancelToken.linked(token, CancelToken()).reason),
    "repr": lambda token, received: repr(token),
    "waiting": lambda token, received: token._on_cancel_or_deadline(received, lambda: None)(),
}


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_handler_may_cancel_between_any_two_steps(operation: str) -> None:
    """The token is cancelled when the handler's `cancel` returns, and each callback is called once, whatever it cut."""
    for at in range(5000):
        token, first, received = CancelToken(), ReceivedReasons(), ReceivedReasons()
        token.add_callback(first)
        seen: list[bool] = []

        def handler(token: CancelToken = token, seen: list[bool] = seen) -> None:
            token.cancel("handler")
            seen.append(token.cancelled)

        with interrupting(at, handler) as done:
            OPERATIONS[operation](token, received)
        if not done[0]:
            break
        assert seen == [True]
        assert token.reason in ("handler", "interrupted", "deadline")
        assert first.reasons == [token.reason]
        assert len(received.reasons) <= 1
        assert operation != "add_callback" or received.reasons == [token.reason]
    else:
        raise AssertionError("the walk has no end")
    assert at > 3


@pytest.mark.parametrize(("handlers", "interrupted"), [(1.0, 60.0), (60.0, 1.0)])
def test_a_handler_may_set_a_deadline_between_any_two_steps(handlers: float, interrupted: float) -> None:
    """The earliest deadline counts, and a waiter gets it, whichever of the two came in the middle."""
    for at in range(5000):
        token, deadlines = CancelToken(), list[float]()
        end = token._on_cancel_or_deadline(
            lambda reason: None,
            lambda token=token, deadlines=deadlines: deadlines.append(token.deadline or 0),  # type: ignore[misc]
        )
        soonest = time.monotonic() + 1
        with interrupting(at, lambda token=token: token.cancel_after(handlers)) as done:  # type: ignore[misc]
            token.cancel_after(interrupted)
        if not done[0]:
            break
        assert token.deadline is not None
        assert soonest <= token.deadline < soonest + 10
        assert min(deadlines) == token.deadline
        end()
    else:
        raise AssertionError("the walk has no end")
    assert at > 3


# Waiting -------------------------------------------------------------------------------------------------------------


async def test_wait_returns_the_reason() -> None:
    """When it is cancelled from another thread, or was before; nobody stays behind."""
    token = CancelToken()
    waiting = asyncio.create_task(token.wait())
    await iterations(2)
    threading.Thread(target=token.cancel, args=("thread",)).start()
    assert await waiting == "thread"
    assert await token.wait() == "thread"
    assert sizes(token) == (0, 0, 0)
    assert subscriptions_here() == {}


async def test_a_cancelled_wait_leaves_the_token_as_it_was() -> None:
    """One who waits goes, the other is woken."""
    token = CancelToken()
    gone, stays = asyncio.create_task(token.wait()), asyncio.create_task(token.wait())
    await iterations(2)
    gone.cancel()
    with pytest.raises(asyncio.CancelledError):
        await gone
    assert not token.cancelled
    token.cancel()
    assert await stays is None


async def test_two_thousand_waiters_are_woken_by_one_call_to_their_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """A cancel costs one wake-up for each loop, not for each call that waits; all unwind in one go."""
    token, loop, calls = CancelToken(), asyncio.get_running_loop(), list[object]()
    threadsafe = loop.call_soon_threadsafe

    def counted(callback: Callable[..., object], *arguments: Any, context: Any = None) -> asyncio.Handle:
        calls.append(callback)
        return threadsafe(callback, *arguments, context=context)

    async with asyncio.TaskGroup() as group:
        waiters = [group.create_task(token.wait()) for _ in range(2000)]
        await iterations(2)
        monkeypatch.setattr(loop, "call_soon_threadsafe", counted)
        thread = threading.Thread(target=token.cancel, args=("all",))
        thread.start()
        thread.join()
    assert len(calls) == 1
    assert {waiter.result() for waiter in waiters} == {"all"}
    assert sizes(token) == (0, 0, 0)


def test_waiters_of_other_loops_are_woken_there() -> None:
    """Three loops in three threads wait on one token that a fourth cancels."""
    token, reasons, there = CancelToken(), list[str | None](), threading.Barrier(4)

    async def wait() -> None:
        waiting = asyncio.create_task(token.wait())
        await iterations(2)
        there.wait()
        reasons.append(await waiting)

    threads = [threading.Thread(target=asyncio.run, args=(wait(),)) for _ in range(3)]
    for thread in threads:
        thread.start()
    there.wait()
    token.cancel("everywhere")
    for thread in threads:
        thread.join()
    assert reasons == ["everywhere"] * 3
    assert sizes(token) == (0, 0, 0)


@pytest.mark.parametrize("collected", [False, True])
def test_a_closed_loop_is_ignored(collected: bool) -> None:
    """It has nobody left to wake: cancel and deadline reach the others all the same."""
    token, received, woken = CancelToken(), ReceivedReasons(), list[bool]()
    loop: asyncio.AbstractEventLoop | None = asyncio.new_event_loop()

    async def enter() -> Any:
        watching = CancellationMonitor.here().watch(token, lambda: woken.append(True))
        watching.__enter__()
        return watching

    assert loop is not None
    watching = loop.run_until_complete(enter())
    loop.close()
    if collected:
        gone = weakref.ref(loop)
        loop = None
        gc.collect()
        assert gone() is None
    token.add_callback(received)
    token.cancel_after(60)
    token.cancel("late")
    assert received.reasons == ["late"]
    watching.__exit__(None, None, None)
    assert woken == []
    assert sizes(token) == (0, 0, 0)


# Deadlines -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "later", "ends"),
    [
        ((30,), (), 30),
        ((30, 20, 40), (), 20),
        ((), (30,), 30),
        ((30,), (20,), 20),
        ((20,), (30,), 20),
        ((), (30, 20, 40), 20),
        ((0,), (), 0),
        ((), (0,), 0),
    ],
)
def test_the_earliest_deadline_counts(before: tuple[float, ...], later: tuple[float, ...], ends: float) -> None:
    """Set before or after somebody waits: each waiter watches the clock on its own loop, and nothing runs till then."""

    async def main() -> float:
        token, loop = CancelToken(), asyncio.get_running_loop()
        began = loop.time()
        for seconds in before:
            token.cancel_after(seconds)
        waiting = asyncio.create_task(token.wait())
        await iterations(2)
        for seconds in later:
            token.cancel_after(seconds)
        assert await waiting == "deadline"
        assert sizes(token) == (0, 0, 0)
        return loop.time() - began

    assert run_in_virtual_time(main()) == pytest.approx(ends)


def test_a_deadline_takes_one_timer_a_loop() -> None:
    """However many wait; and none is left when the last of them goes, nor one for a deadline that comes then."""

    async def main() -> None:
        token, loop = CancelToken(), asyncio.get_running_loop()
        timers: list[asyncio.TimerHandle] = []
        call_at = loop.call_at

        def counted(when: float, callback: Callable[..., object], *args: Any, **more: Any) -> asyncio.TimerHandle:
            timers.append(call_at(when, callback, *args, **more))
            return timers[-1]

        loop.call_at = counted  # type: ignore[method-assign, assignment]
        token.cancel_after(60)
        waiters = [asyncio.create_task(token.wait()) for _ in range(2000)]
        await iterations(2)
        assert len(timers) == 1
        token.cancel_after(30)
        await iterations(2)
        assert len(timers) == 2
        assert timers[0].cancelled()
        for waiter in waiters:
            waiter.cancel()
        token.cancel_after(20)
        await asyncio.gather(*waiters, return_exceptions=True)
        await iterations(2)
        assert all(timer.cancelled() for timer in timers)
        assert not token.cancelled

    run_in_virtual_time(main())


def test_a_deadline_is_watched_on_the_loops_of_other_threads() -> None:
    """Set in one thread, it ends waits in two others, each by its own loop's timer."""
    token, reasons, there = CancelToken(), list[str | None](), threading.Barrier(3)

    async def wait() -> None:
        waiting = asyncio.create_task(token.wait())
        await iterations(2)
        there.wait()
        reasons.append(await waiting)

    threads = [threading.Thread(target=asyncio.run, args=(wait(),)) for _ in range(2)]
    for thread in threads:
        thread.start()
    there.wait()
    token.cancel_after(0.01)
    for thread in threads:
        thread.join()
    assert reasons == ["deadline"] * 2


def test_a_timer_that_is_early_is_set_again() -> None:
    """The loop's clock may be another one than the token's."""

    async def main() -> float:
        token, loop = CancelToken(), asyncio.get_running_loop()
        began = loop.time()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(time, "monotonic", lambda: loop.time() / 2)
            token.cancel_after(16)
            await token.wait()
        return loop.time() - began

    assert run_in_virtual_time(main()) == pytest.approx(32)


# Linked --------------------------------------------------------------------------------------------------------------


def test_a_linked_token_is_cancelled_by_any_parent_and_not_the_other_way() -> None:
    """With the parent's reason; a parent that was cancelled before cancels it at once."""
    one, other = CancelToken(), CancelToken()
    child = CancelToken.linked(one, other)
    grandchild = CancelToken.linked(child)
    child_alone = CancelToken.linked(one)
    child_alone.cancel("mine")
    assert not one.cancelled
    other.cancel("other")
    assert (child.reason, grandchild.reason, one.cancelled) == ("other", "other", False)
    assert CancelToken.linked(one, other).reason == "other"
    assert not CancelToken.linked().cancelled
    assert CancelToken.linked(one, one).cancelled is False
    assert sizes(one) == (3, 0, 3)  # child, grandchild and child_alone


def test_a_chain_holds_through_a_middle_token_that_was_collected() -> None:
    """Grandchildren hang on their grandparents themselves."""
    old = CancelToken()
    middle = CancelToken.linked(old)
    young = CancelToken.linked(middle)
    gone = weakref.ref(middle)
    del middle
    assert gone() is None
    old.cancel_after(60)
    assert young.deadline == old.deadline
    old.cancel("old")
    assert young.reason == "old"


def test_links_are_weak_both_ways() -> None:
    """Neither keeps the other, nor what the other holds."""
    parent = CancelToken()
    held = ReceivedReasons()
    parent.add_callback(held)
    child = CancelToken.linked(parent)
    watched = weakref.ref(child), weakref.ref(parent), weakref.ref(held)
    del child
    assert watched[0]() is None
    assert sizes(parent) == (1, 0, 0)
    child = CancelToken.linked(parent)
    del parent, held
    assert watched[1]() is None
    assert watched[2]() is None, "the child keeps the callbacks of a parent that is gone"
    child.cancel()
    del child


def test_a_child_that_dies_as_its_parent_is_cancelled_is_no_matter() -> None:
    """Its place is empty by the time it would be called."""
    parent = CancelToken()
    children = [CancelToken.linked(parent)]
    parent.add_callback(lambda _: children.clear())
    children.append(CancelToken.linked(parent))
    later = parent._callbacks.copy()
    parent.cancel()
    assert children == []
    for callback in later.values():
        callback("again")


@pytest.mark.parametrize("later", [False, True])
def test_a_deadline_is_taken_over_by_all_who_are_linked(later: bool) -> None:
    """Set before or after the linking, it cancels children and grandchildren where only they are waited on."""

    async def main() -> float:
        parent, loop = CancelToken(), asyncio.get_running_loop()
        began = loop.time()
        if not later:
            parent.cancel_after(30)
        child = CancelToken.linked(CancelToken(), CancelToken.linked(parent))
        sooner = CancelToken.linked(parent)
        sooner.cancel_after(10)
        waiting = asyncio.create_task(child.wait())
        await iterations(2)
        if later:
            parent.cancel_after(30)
        assert await sooner.wait() == "deadline"
        assert not child.cancelled
        assert await waiting == "deadline"
        return loop.time() - began

    assert run_in_virtual_time(main()) == pytest.approx(30)


def test_a_deadline_that_is_set_as_heirs_and_waiters_go_is_no_matter() -> None:
    """Who has gone since the setting began is passed over."""
    parent = CancelToken()
    child: list[CancelToken] = [CancelToken.linked(parent)]
    ends: list[Callable[[], None]] = []
    received: list[str] = []

    def receive_first() -> None:
        received.append("first")
        ends[1]()
        child.clear()

    ends.append(parent._on_cancel_or_deadline(lambda _: None, receive_first))
    ends.append(parent._on_cancel_or_deadline(lambda _: None, lambda: received.append("second")))
    parent._children[10**9] = weakref.ref(CancelToken())  # dead, and its finalizer not yet run
    parent.cancel_after(60)
    assert received == ["first"]
    ends[0]()


# Nothing is left behind ----------------------------------------------------------------------------------------------


def test_a_hundred_thousand_registrations_leave_nothing() -> None:
    """Added and removed, called, and linked: what a token holds is back to where it was, in no time to speak of."""
    token, received = CancelToken(), ReceivedReasons()
    began = time.process_time()
    for _ in range(100_000):
        token.add_callback(received)
        token.remove_callback(received)
    for _ in range(20_000):
        CancelToken.linked(token)
    assert sizes(token) == (0, 0, 0)
    for _ in range(100_000):
        token.add_callback(received)
        token.cancel_after(60)
    assert len(token._deadlines) == 1
    token.cancel()
    assert len(received.reasons) == 100_000
    assert sizes(token) == (0, 0, 0)
    assert time.process_time() - began < 10


async def test_a_hundred_thousand_waits_leave_nothing() -> None:
    """Calls that watched one token and ended: nothing of them stays, on the token or on the loop."""
    token, monitor = CancelToken(), CancellationMonitor.here()
    token.cancel_after(60)
    for _ in range(100_000):
        with monitor.watch(token, lambda: None):
            pass
    assert sizes(token) == (0, 0, 0)
    assert subscriptions_here() == {}


def test_nothing_is_logged_by_a_cancel(caplog: pytest.LogCaptureFixture) -> None:
    """A cancel is no error."""
    caplog.set_level(logging.DEBUG, "aioecs")
    token = CancelToken()
    token.add_callback(ReceivedReasons())
    token.cancel("bored")
    assert caplog.records == []
