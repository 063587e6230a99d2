"""deadlines: many deadlines, one timer, each rung for once and when it is due."""

from __future__ import annotations

import asyncio
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from run_world import LeapingLoop, ToldPort, a_request, leaping, told_client

from aioecs._transport.deadlines import Deadlines


class Recorder:
    """Notes what rang, and when."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.began = self.loop.time()
        self.deadlines = Deadlines(self.loop)
        self.called: list[tuple[object, float]] = []

    def set(self, of: str | int, after: float) -> None:
        """Set a deadline from the beginning on."""
        self.deadlines.set(of, self.began + after, lambda: self.called.append((of, self.loop.time() - self.began)))


def test_each_rings_when_it_is_due_and_what_is_dropped_never() -> None:
    """In whatever order they were set."""

    async def main() -> None:
        recorder = Recorder()
        for of, after in (("late", 9), ("soon", 2), ("dropped", 3), ("between", 4), ("past", -1)):
            recorder.set(of, after)
        recorder.deadlines.drop("dropped")
        recorder.deadlines.drop("never set")
        assert len(recorder.deadlines) == 4
        await asyncio.sleep(20)
        assert recorder.called == [("past", 0), ("soon", 2), ("between", 4), ("late", 9)]
        assert len(recorder.deadlines) == 0

    leaping(main())


def test_one_that_is_set_anew_has_its_new_time_alone() -> None:
    """Later or sooner."""

    async def main() -> None:
        recorder = Recorder()
        for of, first, then in (("later", 1, 5), ("sooner", 9, 3)):
            recorder.set(of, first)
            recorder.set(of, then)
        await asyncio.sleep(20)
        assert recorder.called == [("sooner", 3), ("later", 5)]

    leaping(main())


def test_what_rings_may_drop_move_and_set_others_of_the_same_moment() -> None:
    """Each is looked up when it is its turn."""

    async def main() -> None:
        recorder = Recorder()

        def first() -> None:
            recorder.deadlines.drop("dropped")
            recorder.set("moved", 3)
            recorder.set("new", 1)

        recorder.deadlines.set("first", recorder.began + 1, first)
        for of in ("dropped", "moved", "stays"):
            recorder.set(of, 1)
        await asyncio.sleep(20)
        assert recorder.called == [("stays", 1), ("new", 1), ("moved", 3)]

    leaping(main())


def test_one_that_raises_costs_no_other_its_ringing() -> None:
    """What it raises is the loop's to tell, as with a timer of its own."""

    async def main() -> None:
        recorder, reported = Recorder(), list[object]()
        recorder.loop.set_exception_handler(lambda _, context: reported.append(context["exception"]))
        recorder.deadlines.set("breaks", recorder.began + 1, lambda: 1 // 0)
        recorder.set("same moment", 1)
        recorder.set("later", 2)
        await asyncio.sleep(20)
        assert [type(each) for each in reported] == [ZeroDivisionError]
        assert recorder.called == [("same moment", 1), ("later", 2)]

    leaping(main())


def test_a_thousand_that_end_in_time_cost_one_timer() -> None:
    """The timer of the first stands for those behind it, and is set again only when it has rung for nothing."""

    async def main() -> int:
        recorder, made = Recorder(), 0
        call_at = recorder.loop.call_at

        def counted(*args: object, **more: object) -> asyncio.TimerHandle:
            nonlocal made
            made += 1
            return call_at(*args, **more)  # type: ignore[arg-type]

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(recorder.loop, "call_at", counted)
            for n in range(1000):
                recorder.set(n, 90 + n / 100)
                recorder.deadlines.drop(n)
        assert isinstance(recorder.loop, LeapingLoop)
        await asyncio.sleep(200)
        assert recorder.called == []
        return made

    assert leaping(main()) == 1


def test_closed_it_leaves_no_timer_behind_unless_it_is_needed() -> None:
    """What still has a deadline keeps it; what is set after is rung for."""

    async def main() -> None:
        recorder = Recorder()
        recorder.set("gone", 5)
        recorder.deadlines.drop("gone")
        recorder.deadlines.close()
        recorder.deadlines.close()
        recorder.set("kept", 7)
        recorder.deadlines.close()
        await asyncio.sleep(20)
        assert recorder.called == [("kept", 7)]

    leaping(main())


def test_a_client_that_was_left_leaves_no_timer_behind() -> None:
    """The clock of its last call was the last to need one."""

    async def main() -> None:
        loop, timers = asyncio.get_running_loop(), list[asyncio.TimerHandle]()
        call_at = loop.call_at

        def kept(*args: object, **more: object) -> asyncio.TimerHandle:
            timers.append(call_at(*args, **more))  # type: ignore[arg-type]
            return timers[-1]

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(loop, "call_at", kept)
            async with told_client(ToldPort()) as client:
                for _ in range(3):
                    await client.start_task(a_request())
                assert len([timer for timer in timers if timer.when() == loop.time() + 90]) == 1
            assert [timer for timer in timers if not timer.cancelled() and timer.when() > loop.time()] == []

    leaping(main())


@settings(max_examples=80, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["set", "drop", "wait"]), st.integers(0, 4), st.integers(0, 9)), max_size=40))
def test_it_rings_as_timers_of_their_own_would(script: list[tuple[str, int, int]]) -> None:
    """Whatever is set, dropped and waited for, in whatever order."""

    async def main() -> None:
        recorder = Recorder()
        called, timers = list[tuple[int, float]](), dict[int, asyncio.TimerHandle]()

        def note_call(of: int) -> None:
            called.append((of, recorder.loop.time() - recorder.began))

        for act, of, seconds in script:
            if act == "wait":
                await asyncio.sleep(seconds + 0.5)
                continue
            if of in timers:
                timers.pop(of).cancel()
            recorder.deadlines.drop(of)
            if act == "set":
                at = recorder.loop.time() + seconds
                timers[of] = recorder.loop.call_at(at, partial(note_call, of))
                recorder.set(of, at - recorder.began)
        await asyncio.sleep(30)
        assert sorted(recorder.called, key=str) == sorted(called, key=str)

    leaping(main())
