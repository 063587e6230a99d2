"""deadlines: many deadlines, one timer, each rung for once and when it is due."""

from __future__ import annotations

import asyncio

import pytest
from fake_transport import FakeTransport, fake_client, make_request
from hypothesis import given, settings
from hypothesis import strategies as st
from virtual_time import VirtualTimeLoop, run_in_virtual_time

from aioecs._transport.deadlines import Deadlines


class Bell:
    """Notes what rang, and when."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.began = self.loop.time()
        self.deadlines = Deadlines(self.loop)
        self.rang: list[tuple[object, float]] = []

    def set(self, of: str | int, after: float) -> None:
        """Set a deadline from the beginning on."""
        self.deadlines.set(of, self.began + after, lambda: self.rang.append((of, self.loop.time() - self.began)))


def test_each_rings_when_it_is_due_and_what_is_dropped_never() -> None:
    """In whatever order they were set."""

    async def main() -> None:
        bell = Bell()
        for of, after in (("late", 9), ("soon", 2), ("dropped", 3), ("between", 4), ("past", -1)):
            bell.set(of, after)
        bell.deadlines.drop("dropped")
        bell.deadlines.drop("never set")
        assert len(bell.deadlines) == 4
        await asyncio.sleep(20)
        assert bell.rang == [("past", 0), ("soon", 2), ("between", 4), ("late", 9)]
        assert len(bell.deadlines) == 0

    run_in_virtual_time(main())


def test_one_that_is_set_anew_has_its_new_time_alone() -> None:
    """Later or sooner."""

    async def main() -> None:
        bell = Bell()
        for of, first, then in (("later", 1, 5), ("sooner", 9, 3)):
            bell.set(of, first)
            bell.set(of, then)
        await asyncio.sleep(20)
        assert bell.rang == [("sooner", 3), ("later", 5)]

    run_in_virtual_time(main())


def test_what_rings_may_drop_move_and_set_others_of_the_same_moment() -> None:
    """Each is looked up when it is due."""

    async def main() -> None:
        bell = Bell()

        def first() -> None:
            bell.deadlines.drop("dropped")
            bell.set("moved", 3)
            bell.set("new", 1)

        bell.deadlines.set("first", bell.began + 1, first)
        for of in ("dropped", "moved", "stays"):
            bell.set(of, 1)
        await asyncio.sleep(20)
        assert bell.rang == [("stays", 1), ("new", 1), ("moved", 3)]

    run_in_virtual_time(main())


def test_one_that_raises_costs_no_other_its_ringing() -> None:
    """The loop reports what it raises, as with a timer of its own."""

    async def main() -> None:
        bell, reported = Bell(), list[object]()
        bell.loop.set_exception_handler(lambda _, context: reported.append(context["exception"]))
        bell.deadlines.set("breaks", bell.began + 1, lambda: 1 // 0)
        bell.set("same moment", 1)
        bell.set("later", 2)
        await asyncio.sleep(20)
        assert [type(each) for each in reported] == [ZeroDivisionError]
        assert bell.rang == [("same moment", 1), ("later", 2)]

    run_in_virtual_time(main())


def test_a_thousand_that_end_in_time_cost_one_timer() -> None:
    """The timer of the first stands for those behind it, and is set again only when it has rung for nothing."""

    async def main() -> int:
        bell, made = Bell(), 0
        call_at = bell.loop.call_at

        def counted(*args: object, **more: object) -> asyncio.TimerHandle:
            nonlocal made
            made += 1
            return call_at(*args, **more)  # type: ignore[arg-type]

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(bell.loop, "call_at", counted)
            for n in range(1000):
                bell.set(n, 90 + n / 100)
                bell.deadlines.drop(n)
        assert isinstance(bell.loop, VirtualTimeLoop)
        await asyncio.sleep(200)
        assert bell.rang == []
        return made

    assert run_in_virtual_time(main()) == 1


def test_closed_it_leaves_no_timer_behind_unless_it_is_needed() -> None:
    """What still has a deadline keeps it; what is set after is rung for."""

    async def main() -> None:
        bell = Bell()
        bell.set("gone", 5)
        bell.deadlines.drop("gone")
        bell.deadlines.close()
        bell.deadlines.close()
        bell.set("kept", 7)
        bell.deadlines.close()
        await asyncio.sleep(20)
        assert bell.rang == [("kept", 7)]

    run_in_virtual_time(main())


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
            async with fake_client(FakeTransport()) as client:
                for _ in range(3):
                    await client.start_task(make_request())
                assert len([timer for timer in timers if timer.when() == loop.time() + 90]) == 1
            assert [timer for timer in timers if not timer.cancelled() and timer.when() > loop.time()] == []

    run_in_virtual_time(main())


@settings(max_examples=80, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["set", "drop", "wait"]), st.integers(0, 4), st.integers(0, 9)), max_size=40))
def test_it_rings_as_timers_of_their_own_would(script: list[tuple[str, int, int]]) -> None:
    """Whatever is set, dropped and waited for, in whatever order."""

    async def main() -> None:
        bell = Bell()
        rang, timers = list[tuple[int, float]](), dict[int, asyncio.TimerHandle]()
        for step, of, seconds in script:
            if step == "wait":
                await asyncio.sleep(seconds + 0.5)
                continue
            if of in timers:
                timers.pop(of).cancel()
            bell.deadlines.drop(of)
            if step == "set":
                at = bell.loop.time() + seconds
                timers[of] = bell.loop.call_at(at, lambda of=of: rang.append((of, bell.loop.time() - bell.began)))  # type: ignore[misc]
                bell.set(of, at - bell.began)
        await asyncio.sleep(30)
        assert sorted(bell.rang, key=str) == sorted(rang, key=str)

    run_in_virtual_time(main())
