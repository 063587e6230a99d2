"""SIGTERM is received by all workers of a loop, unless another handler is set before."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from virtual_time import until

from aioecs.worker._signals import sigterm


@pytest.fixture
def others() -> Iterator[list[int]]:
    """Set another handler, which records its signals."""
    received: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _: received.append(number))
    yield received
    signal.signal(signal.SIGTERM, before)


async def test_each_is_received() -> None:
    """On the loop, the second like the first; afterwards it ends the process, as before."""
    received: asyncio.Queue[str] = asyncio.Queue()
    with sigterm(lambda: received.put_nowait("SIGTERM")) as handled:
        assert handled
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGTERM)
            assert await asyncio.wait_for(received.get(), 5) == "SIGTERM"
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


async def test_an_error_in_the_block_takes_the_handler_away() -> None:
    """It goes on as it is."""
    with pytest.raises(ZeroDivisionError), sigterm(lambda: None):
        raise ZeroDivisionError
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


async def test_that_of_another_stays_its_own(others: list[int]) -> None:
    """A handler that is set already is not replaced, nor is it taken away."""
    theirs = signal.getsignal(signal.SIGTERM)
    ours: list[str] = []
    with sigterm(lambda: ours.append("SIGTERM")) as handled:
        assert not handled
        os.kill(os.getpid(), signal.SIGTERM)
        await until(lambda: others)
    assert (others, ours) == ([signal.SIGTERM], [])
    assert signal.getsignal(signal.SIGTERM) is theirs


async def test_all_of_a_loop_receive() -> None:
    """A worker beside another ends too; the handler stays until the last has ended, whichever that is."""
    received: list[str] = []
    async with asyncio.timeout(5):
        with ExitStack() as first, ExitStack() as second:
            assert first.enter_context(sigterm(lambda: received.append("first")))
            assert second.enter_context(sigterm(lambda: received.append("second")))
            os.kill(os.getpid(), signal.SIGTERM)
            await until(lambda: len(received) == 2)
            first.close()
            os.kill(os.getpid(), signal.SIGTERM)
            await until(lambda: len(received) == 3)
    assert received == ["first", "second", "second"]
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


async def test_outside_of_the_main_thread_none_is_set() -> None:
    """Python handles signals in the main thread alone."""

    async def elsewhere() -> tuple[bool, object]:
        with sigterm(lambda: None) as handled:
            return handled, signal.getsignal(signal.SIGTERM)

    assert await asyncio.to_thread(asyncio.run, elsewhere()) == (False, signal.SIG_DFL)


async def test_on_a_loop_without_signals_none_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows' loops handle none."""

    def cannot(*_: object) -> None:
        raise NotImplementedError

    monkeypatch.setattr(asyncio.get_running_loop(), "add_signal_handler", cannot)
    with sigterm(lambda: None) as handled:
        assert not handled
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
