"""_shutdown: what waits for a worker's end, and what its end waits for, in virtual time."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from virtual_time import iterations, run_in_virtual_time

from aioecs.worker._shutdown import Shutdown


def test_it_is_requested_twice() -> None:
    """The first request begins it and has the reason; the second begins nothing."""

    async def main() -> None:
        shutdown = Shutdown(5)
        assert not shutdown.requested
        assert shutdown.request("SIGTERM")
        assert (shutdown.requested, shutdown.token.reason) == (True, "SIGTERM")
        assert not shutdown.request("cancelled")
        assert shutdown.token.reason == "SIGTERM"

    run_in_virtual_time(main())


@pytest.mark.parametrize(("requested_at", "slept"), [(None, 10), (3, 3), (0, 0)])
def test_a_sleep_ends_with_the_worker(requested_at: float | None, slept: float) -> None:
    """It is as long as it should be, unless the end begins."""

    async def main() -> None:
        shutdown, loop = Shutdown(5), asyncio.get_running_loop()
        if requested_at is not None:
            loop.call_later(requested_at, shutdown.request, "SIGTERM")
        began = loop.time()
        await shutdown.sleep(10)
        assert loop.time() - began == pytest.approx(slept)

    run_in_virtual_time(main())


class Work:
    """Something that takes its time, and notes whether it was cut."""

    def __init__(self, seconds: float, raises: Exception | None = None) -> None:
        self.seconds = seconds
        self.raises = raises
        self.cut = False

    async def do(self) -> str:
        """Do it."""
        try:
            await asyncio.sleep(self.seconds)
        except asyncio.CancelledError:
            self.cut = True
            raise
        if self.raises is not None:
            raise self.raises
        return "done"


@pytest.mark.parametrize(
    ("seconds", "requested_at", "grace", "answer", "took"),
    [
        (4, None, 0, "done", 4),
        (4, 3, 2, "done", 4),
        (4, 3, 0.5, None, 3.5),
        (4, 3, 0, None, 3),
        (0, 0, 0, "done", 0),
    ],
    ids=["left alone", "within its grace", "beyond it", "without any", "as it ends"],
)
def test_work_is_done_unless_the_end_begins(
    seconds: float, requested_at: float | None, grace: float, answer: str | None, took: float
) -> None:
    """Then it has so long to end by itself, and is cancelled."""

    async def main() -> None:
        shutdown, loop, work = Shutdown(5), asyncio.get_running_loop(), Work(seconds)
        if requested_at is not None:
            loop.call_later(requested_at, shutdown.request, "SIGTERM")
        began = loop.time()
        assert await shutdown.run_until_shutdown(work.do(), grace) == answer
        assert loop.time() - began == pytest.approx(took)
        assert work.cut is (answer is None)

    run_in_virtual_time(main())


def test_its_error_is_raised() -> None:
    """Also where it comes within the grace."""

    async def main() -> None:
        for requested_at in (9, 0.5):
            shutdown = Shutdown(5)
            asyncio.get_running_loop().call_later(requested_at, shutdown.request, "SIGTERM")
            with pytest.raises(ZeroDivisionError):
                await shutdown.run_until_shutdown(Work(1, ZeroDivisionError()).do(), 2)

    run_in_virtual_time(main())


def test_a_cancel_cuts_it_and_leaves_no_task() -> None:
    """It goes on as itself when the work has ended."""

    async def main() -> None:
        work = Work(60)
        waiting = asyncio.create_task(Shutdown(5).run_until_shutdown(work.do(), 2))
        await iterations(3)
        waiting.cancel()
        await asyncio.wait([waiting])
        assert (waiting.cancelled(), work.cut) == (True, True)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    run_in_virtual_time(main())


@pytest.mark.parametrize(
    ("seconds", "again_at", "took", "cut"),
    [
        ([], None, 0, []),
        ([1, 4], None, 4, [False, False]),
        ([1, 60], None, 5, [False, True]),
        ([1, 60], 2, 2, [False, True]),
        ([0.5], 2, 0.5, [False]),
    ],
    ids=["none", "all are done", "the time is over", "requested again", "done before it is requested again"],
)
def test_jobs_are_waited_for_and_cut_off(
    seconds: list[float], again_at: float | None, took: float, cut: list[bool]
) -> None:
    """As long as `drain` allows from the first request; not after a second one."""

    async def main() -> None:
        shutdown, loop = Shutdown(5), asyncio.get_running_loop()
        works = [Work(each) for each in seconds]
        jobs: set[asyncio.Task[Any]] = {asyncio.create_task(work.do()) for work in works}
        for job in jobs:
            job.add_done_callback(jobs.discard)
        await asyncio.sleep(0)
        shutdown.request("SIGTERM")
        if again_at is not None:
            loop.call_later(again_at, shutdown.request, "SIGTERM")
        began = loop.time()
        await shutdown.drain(jobs)
        assert loop.time() - began == pytest.approx(took)
        assert [work.cut for work in works] == cut
        assert jobs == set()
        assert asyncio.all_tasks() == {asyncio.current_task()}

    run_in_virtual_time(main())
