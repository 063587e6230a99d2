"""_blocking: calls, what is drawn for them, and the executor of the loop."""

from __future__ import annotations

import asyncio
import sys
import threading
import types
from collections.abc import Iterator
from concurrent.futures import CancelledError, ThreadPoolExecutor
from contextlib import ExitStack

import pytest
from threaded_ecs import until

from aioecs import ClientStateError, StartCancelled
from aioecs._blocking import (
    Lease,
    LoopCall,
    _DaemonExecutor,
    _Process,
    refuse_on_the_loop_itself,
    refuse_to_block_a_loop,
)


def nothing() -> None:
    """Close nothing."""


@pytest.fixture
def lease() -> Iterator[Lease]:
    """Hold the loop."""
    held = Lease(nothing)
    yield held
    held.release()


async def here() -> int:
    return threading.get_ident()


def sent(lease: Lease, loop_call: LoopCall[int]) -> LoopCall[int]:
    lease.send(loop_call)
    return loop_call


@pytest.mark.parametrize(
    ("module", "predicate", "of"),
    [("gevent.monkey", "is_module_patched", "threading"), ("eventlet.patcher", "is_monkey_patched", "thread")],
)
def test_green_threads_are_refused(module: str, predicate: str, of: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where threads are greenlets nothing is begun; where the library is there and threads are left alone it works."""
    patched: set[str] = set()
    library = types.SimpleNamespace(**{predicate: patched.__contains__})
    monkeypatch.setitem(sys.modules, module, library)
    Lease(nothing).release()
    patched.add(of)
    with pytest.raises(ClientStateError, match=f"^{module.partition('.')[0]} has replaced threads by greenlets"):
        Lease(nothing)


def test_leases_share_a_loop_and_the_last_ends_it() -> None:
    """A later one has a new loop."""
    first, second = Lease(nothing), Lease(nothing)
    assert sent(first, LoopCall(here)).result() == sent(second, LoopCall(here)).result() != threading.get_ident()
    first.release()
    sent(second, LoopCall(here)).result()
    second.release()
    with pytest.raises(ClientStateError, match="closed meanwhile"):
        second.send(LoopCall(here))


def test_an_errand_is_withdrawn_before_it_is_carried_out() -> None:
    """It does nothing then; a second withdrawal, and one of what went nowhere, are let pass."""
    done: list[str] = []

    async def call() -> None:
        done.append("called")

    async def withdrawn() -> LoopCall[None]:
        loop_call = LoopCall(call)
        loop_call.withdraw()
        loop_call.loop = asyncio.get_running_loop()
        loop_call.withdraw()
        loop_call.withdraw()
        await asyncio.sleep(0)
        await loop_call.run()
        return loop_call

    loop_call = asyncio.run(withdrawn())
    assert loop_call.cancelled()
    assert isinstance(loop_call.exception(), StartCancelled)
    assert done == []


def test_a_withdrawn_read_ends_as_cancelled(lease: Lease) -> None:
    """It leaves nothing behind that a StartCancelled could have."""
    begun = threading.Event()

    async def read() -> int:
        begun.set()
        await asyncio.sleep(60)
        return 1

    loop_call = sent(lease, LoopCall(read))
    until(begun.is_set)
    assert loop_call.cancel()
    with pytest.raises(CancelledError):
        loop_call.result()
    assert loop_call.cancelled()
    assert not loop_call.cancel()


def test_whatever_a_call_raises_is_its_caller_s(lease: Lease) -> None:
    """A SystemExit in a callback does not end the loop that others share."""

    async def ends() -> int:
        raise SystemExit(3)

    with pytest.raises(SystemExit):
        sent(lease, LoopCall(ends)).result()
    sent(lease, LoopCall(here)).result()


def test_hands_do_what_they_are_given_and_end() -> None:
    """An error goes to whoever waits for it; what was cancelled in the queue is left undone; the threads end."""
    others = set(threading.enumerate())  # those of earlier tests' loops, some of which may end only now
    executor = _DaemonExecutor(2)
    threads = {thread for thread in threading.enumerate() if thread.name == "aioecs-executor"} - others
    assert len(threads) == 2
    gate = threading.Event()
    busy = [executor.submit(gate.wait) for _ in range(2)]
    undone = executor.submit(nothing)
    assert undone.cancel()
    gate.set()
    assert all(future.result() for future in busy)
    with pytest.raises(ZeroDivisionError):
        executor.submit(divmod, 1, 0).result()
    executor.shutdown()
    until(lambda: not any(thread.is_alive() for thread in threads))


def test_at_exit_all_are_closed_whatever_one_raises() -> None:
    """But for those of another process."""
    process, closed = _Process(), list[str]()

    def fails() -> None:
        closed.append("fails")
        raise ClientStateError("broken")

    with ExitStack() as stack:
        for close in (lambda: closed.append("well"), fails):
            lease = Lease(close)
            stack.callback(lease.release)
            process.leases[lease] = close
        other = Lease(nothing)
        stack.callback(other.release)
        other._process = -1
        process.leases[other] = lambda: closed.append("another's")
        with pytest.raises(ClientStateError, match="broken"):
            process.at_exit()
    assert sorted(closed) == ["fails", "well"]


def test_after_a_fork_there_is_another_loop() -> None:
    """The parent's is not touched: its lock may be held by a thread that isn't there."""
    process = _Process()
    before = process.provider
    process.after_fork()
    assert process.provider is not before


def test_a_thread_without_a_loop_may_block() -> None:
    """Nothing is refused there."""
    with ThreadPoolExecutor(1) as pool:
        pool.submit(refuse_to_block_a_loop).result()
        pool.submit(refuse_on_the_loop_itself).result()
