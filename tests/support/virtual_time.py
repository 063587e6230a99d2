"""An event loop on virtual time, and helpers that let a loop run until something has happened."""

from __future__ import annotations

import asyncio
import itertools
import selectors
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import pytest

T = TypeVar("T")


class _VirtualTimeSelector(selectors.DefaultSelector):
    """Waits for other threads only: where a loop would sleep, its clock advances at once."""

    now = 1000.0
    _skipped = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout == 0 and self._skipped < 20:  # callbacks are ready: other threads are looked at now and then
            self._skipped += 1
            return []
        self._skipped = 0
        ready = super().select(0 if timeout is not None else 30)
        if timeout is None and not ready:
            raise RuntimeError("this loop waits for something that will never happen")
        if timeout is not None and not ready:
            self.now += timeout
        return ready


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An event loop on virtual time: sleeping takes no real time, and time doesn't pass while callbacks are ready."""

    def __init__(self) -> None:
        self._virtual_selector = _VirtualTimeSelector()
        super().__init__(self._virtual_selector)

    def time(self) -> float:
        return self._virtual_selector.now

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:
        """Wait for threads without asyncio's timeout, which the virtual clock exceeds at once."""
        await super().shutdown_default_executor()

    def advance(self, seconds: float) -> None:
        """Advance the time while callbacks are ready, as slow callbacks do."""
        self._virtual_selector.now += seconds


def run_in_virtual_time(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end on virtual time; `time.monotonic` returns the loop's time."""
    with virtual_runner() as runner:
        return runner.run(main)


@contextmanager
def virtual_runner() -> Iterator[asyncio.Runner]:
    """Open a runner of several coroutines, one after the other, on one loop on virtual time."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner, pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, "monotonic", runner.get_loop().time)
        yield runner


async def iterations(count: int) -> None:
    """Let the loop run this many iterations."""
    for _ in range(count):
        await asyncio.sleep(0)


async def until(condition: Callable[[], object], timeout: float = 10.0) -> None:
    """Let a loop on real time run until the condition is true; look at each iteration, and then at each millisecond."""
    async with asyncio.timeout(timeout):
        for iteration in itertools.count():
            if condition():
                return
            await asyncio.sleep(0 if iteration < 100 else 0.001)


async def until_virtual(condition: Callable[[], bool]) -> None:
    """Let a loop on virtual time run until the condition is true, for a second at most."""
    for _ in range(1000):
        if condition():
            return
        await asyncio.sleep(0.001)
    raise AssertionError("the condition did not become true")
