"""deadlines: many deadlines share one timer, and each callback runs once, when it is due."""

from __future__ import annotations

import asyncio
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from run_world import LeapingLoop, ToldPort, a_request, leaping, told_client

from aioecs._transport.deadlines import Deadlines


class Recorder:
    """Records which callbacks ran, and when."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.began = self.loop.time()
        self.deadlines = Deadlines(self.loop)
        self.called: list[tuple[object, float]] = []

    def set(self, of: str | int, after: float) -> None:
        """Set a deadline from the beginning on."""
        self.deadlines.set(of, self.began + after, lambda: self.called.append((of, self.loop.time() - self.began)))


def test_callbacks_run_when_due_and_not_after_a_drop() -> None:
    """The order in which deadlines are set doesn't matter."""

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


def test_a_new_deadline_replaces_the_old_one() -> None:
    """The new deadline may be later or sooner."""

    async def main() -> None:
        recorder = Recorder()
        for of, first, then in (("later", 1, 5), ("sooner", 9, 3)):
            recorder.set(of, first)
            recorder.set(of, then)
        await asyncio.sleep(20)
        assert recorder.called == [("sooner", 3), ("later", 5)]

    leaping(main())


def test_a_callback_may_change_other_due_deadlines() -> None:
    """A callback may drop, move and set deadlines that are due at the same time."""

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


def test_a_callback_that_raises_does_not_stop_others() -> None:
    """The loop's exception handler reports the error, as with a timer of its own."""

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


def test_a_thousand_dropped_deadlines_cost_one_timer() -> None:
    """The timer of the first deadline is reused, and set again only after it has fired for nothing."""

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


def test_close_cancels_an_unneeded_timer() -> None:
    """A deadline that is left keeps its timer, also one that is set later."""

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


def test_a_closed_client_leaves_no_timer() -> None:
    """All timers of a client's calls are cancelled when it is closed."""

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
def test_it_behaves_as_one_timer_per_deadline(script: list[tuple[str, int, int]]) -> None:
    """Random sequences of set, drop and wait run the same callbacks at the same times."""

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
