"""engine: starts are queued, packed, and sent in background calls, and each gets its outcome."""

from __future__ import annotations

import asyncio
import cProfile
import gc
import weakref
from typing import Any

import pytest
from fake_batch import (
    HOSTS,
    EngineHarness,
    FakeStartTask,
    arn_of,
    calls_in_flight,
    make_request,
    release_calls,
)
from virtual_time import iterations, run_in_virtual_time

import aioecs
from aioecs import IdempotencyMismatch, InvalidRequest, Outcome, RunTaskRequest, StartResult, StartTaskRequest
from aioecs._batch.batch_call import PendingStop
from aioecs._batch.engine import DISPATCH_SLICE
from aioecs._calls.call import Call
from aioecs._calls.caller_wait import SharedCall
from aioecs._logic.sending.packing import Entry, Group
from aioecs._model.attempt import Attempt, Lost
from aioecs._model.options import OnCancel
from aioecs._runtime.concurrency import Priority
from aioecs._transport.transport import SentMarker
from aioecs.errors import AnswerLost, ECSError

# Packing, and places -------------------------------------------------------------------------------------------------


def test_each_start_gets_its_outcome() -> None:
    """Twelve equal starts make two calls, in order; each gets its own task or refusal, with its own request."""

    async def work() -> None:
        bench = EngineHarness(FakeStartTask(full=[HOSTS[3]]))
        entries = bench.add(*HOSTS[:12])
        assert (bench.engine.outstanding, bench.engine.in_flight) == (12, 0)
        await bench.engine.idle()
        assert bench.sent() == [HOSTS[:10], HOSTS[10:12]]
        assert bench.owner.outcomes() == ["started"] * 3 + ["refused"] + ["started"] * 8
        assert [start.container_instance for start in bench.owner.starts()] == list(HOSTS[:12])
        assert all(start.request is entry.request for start, entry in zip(bench.owner.starts(), entries, strict=True))
        assert (bench.engine.calls, bench.engine.outstanding, bench.engine.in_flight) == (2, 0, 0)
        assert bench.engine.counts[Outcome.STARTED] == 11
        await bench.engine.idle()  # at once

    run_in_virtual_time(work())


def test_a_settled_call_is_freed_at_once() -> None:
    """It is in no reference cycle: many starts are not left to the garbage collector."""

    async def work() -> list[Call | None]:
        bench = EngineHarness(FakeStartTask())
        bench.add(*HOSTS[:12])
        await bench.engine.idle()
        calls = [weakref.ref(call) for call in bench.prepared]
        bench.prepared.clear()
        await iterations(2)
        return [call() for call in calls]

    gc.disable()
    try:
        assert run_in_virtual_time(work()) == [None, None]
    finally:
        gc.enable()


def test_no_more_calls_than_places() -> None:
    """A call is made up when there is a place for it; until then its starts wait in the queue, and may leave it."""

    async def work() -> None:
        bench = EngineHarness(FakeStartTask(open_=False), size=2)
        entries = bench.add(*HOSTS[:40])
        await iterations(10)
        assert (bench.engine.in_flight, bench.engine.packing.queued) == (2, 20)
        for entry in entries[20:30]:
            bench.engine.withdraw(entry, "stop", "left")
        await release_calls(bench)
        assert bench.sent() == [HOSTS[:10], HOSTS[10:20], HOSTS[30:40]]

    run_in_virtual_time(work())


def test_starts_that_are_queued_while_calls_are_sent_share_the_next_call() -> None:
    """Sending many calls gives way to the loop every millisecond: what drawing queues then fills the last call."""

    async def work() -> None:
        loop: Any = asyncio.get_running_loop()
        bench = EngineHarness(FakeStartTask())
        prepare = bench.engine._prepare

        def slowly(request: StartTaskRequest | RunTaskRequest, group: Group) -> Call:
            loop.advance(DISPATCH_SLICE)
            return prepare(request, group)

        bench.engine._prepare = slowly
        bench.add(*HOSTS[:15])
        loop.call_soon(bench.add, *HOSTS[15:20])
        await iterations(1)
        await bench.engine.idle()
        assert bench.sent() == [HOSTS[:10], HOSTS[10:20]]

    run_in_virtual_time(work())


def test_a_call_that_is_looked_up_takes_no_slot() -> None:
    """While lost answers are looked up, other calls are sent, and the owners of the starts are notified."""

    async def work() -> None:
        answer = FakeStartTask()

        async def first_lost(request: StartTaskRequest, sent_marker: SentMarker) -> Attempt[Any]:
            answered = await answer(request, sent_marker)
            return Lost(AnswerLost("reset")) if answer.begun == 1 else answered

        bench = EngineHarness(first_lost, size=1)
        entries = bench.add(*HOSTS[:20])
        await asyncio.sleep(1.0)
        assert bench.sent() == [HOSTS[:10], HOSTS[10:20]]
        assert (bench.engine.in_flight, bench.engine.outstanding) == (1, 10)
        assert bench.owner.lookups == [(entry.at, True) for entry in entries[:10]]
        await bench.engine.idle()
        assert bench.owner.outcomes() == ["unknown"] * 10 + ["started"] * 10

    run_in_virtual_time(work())


def test_a_start_alone_waits_for_company() -> None:
    """One that comes within the window is in the same call; the next finds it gone."""

    async def work() -> None:
        bench = EngineHarness(window=0.01)
        for instance, pause in zip(HOSTS[:3], (0.005, 0.02, 0.02), strict=True):
            bench.add(instance)
            await asyncio.sleep(pause)
        assert bench.sent() == [HOSTS[:2], (HOSTS[2],)]

    run_in_virtual_time(work())


def test_idle_waits_for_all_and_a_cancelled_wait_leaves_no_trace() -> None:
    """Any number may wait; one that is cancelled is passed over."""

    async def work() -> None:
        bench, _ = await calls_in_flight()
        waits = [asyncio.ensure_future(bench.engine.idle()) for _ in range(2)]
        await iterations(2)
        waits[0].cancel()
        await release_calls(bench)
        await asyncio.wait(waits)
        assert [wait.cancelled() for wait in waits] == [True, False]

    run_in_virtual_time(work())


def test_what_is_put_back_is_not_counted_twice() -> None:
    """An owner may take a count back and queue the start again: the counts add up in the end."""

    class Mover:
        """Moves a start once."""

        def __init__(self, bench: EngineHarness) -> None:
            self.bench = bench
            self.ends: list[StartResult] = []

        def settled(self, entry: Entry, start: StartResult, error: ECSError | None, carrier: object, /) -> None:
            """Move what was refused."""
            assert error is None
            if start.outcome is Outcome.REFUSED:
                self.bench.engine.uncount(start)
                self.add(entry, HOSTS[1], again=True)
            else:
                self.ends.append(start)

        def looked_up(self, entry: Entry, in_lookup: bool, /) -> None:
            """Ignore it."""

        def add(self, entry: Entry, instance: str, *, again: bool = False) -> None:
            """Queue it for an instance."""
            engine = self.bench.engine
            entry.instance = instance
            engine.add(entry, engine.packing.group(entry.request, "at_most_once"), again=again)

    async def work() -> None:
        bench = EngineHarness(FakeStartTask(full=[HOSTS[0]]))
        owner = Mover(bench)
        owner.add(Entry(make_request(HOSTS[0]), "", owner, 0), HOSTS[0])
        await bench.engine.idle()
        assert [start.container_instance for start in owner.ends] == [HOSTS[1]]
        assert bench.engine.outstanding == 0
        assert sum(bench.engine.counts.values()) == 1

    run_in_virtual_time(work())


# Withdrawing ---------------------------------------------------------------------------------------------------------


def test_withdrawn_before_the_wire_is_not_sent() -> None:
    """In the queue, or in a call that has no connection yet: what is left goes on without it."""

    async def work() -> None:
        bench = EngineHarness(size=1)
        await bench.core.concurrency.take(Priority.READ)
        entries = bench.add(*HOSTS[:12])
        await iterations(8)
        assert (bench.engine.in_flight, bench.engine.packing.queued) == (1, 2)
        for at in (0, 4, 4, 11):
            bench.engine.withdraw(entries[at], "stop", "left")
        bench.core.concurrency.release()
        await bench.engine.idle()
        assert bench.sent() == [(*HOSTS[1:4], *HOSTS[5:10]), (HOSTS[10],)]
        outcomes = ["started"] * 12
        outcomes[0] = outcomes[4] = outcomes[11] = "not_sent"
        assert bench.owner.outcomes() == outcomes
        assert bench.stopped() == []

    run_in_virtual_time(work())


@pytest.mark.parametrize(
    ("on_cancel", "stops", "outcome"), [("stop", 1, "stopped"), ("keep", 0, "started"), ("abandon", 0, "started")]
)
def test_withdrawn_on_the_wire_stops_only_its_own(on_cancel: OnCancel, stops: int, outcome: str) -> None:
    """Another's start of the same call is left alone; the block is not idle before the stop is through."""

    async def work() -> None:
        bench, entries = await calls_in_flight()
        bench.engine.withdraw(entries[2], on_cancel, "left")
        bench.engine.withdraw(entries[2], on_cancel, "left, once more")
        await release_calls(bench)
        assert bench.owner.outcomes() == ["started", "started", outcome]
        assert bench.stopped() == [arn_of(bench.owner.starts()[2])][:stops]
        assert bench.engine.outstanding == 0

    run_in_virtual_time(work())


def test_a_stop_that_is_refused_leaves_it_started() -> None:
    """StopTask was not accepted, so the start is not called stopped."""

    async def work() -> None:
        bench, entries = await calls_in_flight()
        bench.transport.handlers["stop_task"] = _no
        bench.engine.withdraw(entries[2], "stop", "left")
        await release_calls(bench)
        assert bench.owner.outcomes() == ["started"] * 3
        assert len(bench.stopped()) == 1

    run_in_virtual_time(work())


async def _no(_: Any, sent_marker: Any) -> Any:
    sent_marker.body_started = True
    return aioecs._model.attempt.Rejected(aioecs.AccessDeniedException("no", operation="StopTask"))


@pytest.mark.parametrize(
    ("policies", "outcomes"),
    [
        (("stop", "stop", "stop"), ["stopped", "stopped", "stopped"]),
        (("stop", "keep", "stop"), ["stopped", "started", "stopped"]),
        (("keep", "keep", "abandon"), ["started", "started", "started"]),
    ],
)
def test_a_call_left_by_all_goes_on(policies: tuple[OnCancel, ...], outcomes: list[str]) -> None:
    """Its answer is learnt, and what is to be stopped is stopped, each as it was left."""

    async def work() -> None:
        bench, entries = await calls_in_flight()
        for entry, policy in zip(entries, policies, strict=True):
            bench.engine.withdraw(entry, policy, "left")
        await release_calls(bench)
        assert bench.owner.outcomes() == outcomes
        stopped = [arn_of(start) for start in bench.owner.starts() if start.outcome is Outcome.STOPPED]
        assert sorted(bench.stopped()) == sorted(stopped)
        assert len({arn_of(start) for start in bench.owner.starts()}) == 3

    run_in_virtual_time(work())


def test_withdrawn_just_as_the_call_ends() -> None:
    """The answer has come and no caller has it yet: what it started is stopped."""

    async def work() -> None:
        bench, entries = await calls_in_flight()
        call = bench.prepared[0]

        def leave(_: Any) -> None:
            for entry in entries:
                bench.engine.withdraw(entry, "stop", "left")

        waiter = call.end_waiter()
        call._waiters.insert(0, call._waiters.pop())  # it is notified of the end before the engine is
        waiter.add_done_callback(leave)
        await release_calls(bench)
        assert bench.owner.outcomes() == ["stopped"] * 3
        assert len(bench.stopped()) == 3

    run_in_virtual_time(work())


def test_withdraw_all() -> None:
    """Starts that are queued, in flight, or queued behind their key are withdrawn, each once."""

    async def work() -> None:
        bench = EngineHarness(FakeStartTask(open_=False), size=2)
        bench.add(HOSTS[0], key="k")
        await iterations(8)
        shared_call = bench.core.keys.get("k")
        assert shared_call is not None
        shared_call.leave("keep", "left by its first caller")
        bench.add(HOSTS[0], key="k")
        bench.add(*HOSTS[:35])
        await iterations(8)
        assert bench.engine.outstanding == 37
        bench.engine.withdraw_all("keep", "left")
        assert bench.owner.outcomes().count("not_sent") >= 16
        await release_calls(bench)
        assert len(bench.owner.results) == 37
        assert bench.engine.outstanding == 0

    run_in_virtual_time(work())


# Keys ----------------------------------------------------------------------------------------------------------------


def test_a_key_travels_alone() -> None:
    """Starts that are equal but for their keys share no call."""

    async def work() -> None:
        bench = EngineHarness()
        for key in ("a", "b", None, None):
            bench.add(HOSTS[0], key=key)
        await bench.engine.idle()
        assert len(bench.sent()) == 3
        assert len(bench.core.keys) == 0

    run_in_virtual_time(work())


def test_equal_keys_at_the_same_time_share_one_call() -> None:
    """Both get the one task; when one of them leaves the other's is left running."""

    async def work() -> None:
        bench = EngineHarness(FakeStartTask(open_=False))
        (first,) = bench.add(HOSTS[0], key="k")
        await iterations(8)
        (second,) = bench.add(HOSTS[0], key="k")
        (third,) = bench.add(HOSTS[0], key="k")
        await iterations(8)
        for leaver in (first, third):
            bench.engine.withdraw(leaver, "stop", "left")
        assert second.withdrawn is None
        await release_calls(bench)
        assert len(bench.sent()) == 1
        assert len({arn_of(start) for start in bench.owner.starts()}) == 1
        assert bench.owner.outcomes() == ["started"] * 3
        assert bench.stopped() == []

    run_in_virtual_time(work())


def test_of_a_shared_call_none_is_taken_out() -> None:
    """One of two who share a call for its key leaves in part: the other gets all results."""

    async def work() -> None:
        bench = EngineHarness(size=2)
        for _ in range(2):
            await bench.core.concurrency.take(Priority.READ)
        first = bench.add(*HOSTS[:3], key="k")
        await iterations(8)
        second = bench.add(*HOSTS[:3], key="k")
        await iterations(8)
        bench.engine.withdraw(first[0], "stop", "left")
        bench.core.concurrency.release()
        await bench.engine.idle()
        assert bench.sent() == [HOSTS[:3]]
        assert [start.outcome for at, start, _ in bench.owner.results if at >= second[0].at] == [Outcome.STARTED] * 3
        assert bench.stopped() == []

    run_in_virtual_time(work())


def test_a_key_in_use_for_something_else() -> None:
    """Nothing is sent for it."""

    async def work() -> None:
        bench = EngineHarness(FakeStartTask(open_=False))
        bench.add(HOSTS[0], key="k")
        await iterations(8)
        bench.add(HOSTS[1], key="k")
        await iterations(8)
        _, start, error = bench.owner.results[0]
        assert start.outcome is Outcome.NOT_SENT
        assert isinstance(error, IdempotencyMismatch)
        assert start.error is error
        await release_calls(bench)
        assert bench.sent() == [(HOSTS[0],)]

    run_in_virtual_time(work())


def test_behind_a_withdrawn_call_of_its_key() -> None:
    """It waits until that is over, goes on in its own order, and the block is not idle meanwhile."""

    async def work() -> None:
        bench = EngineHarness(FakeStartTask(open_=False))
        first = bench.add(*HOSTS[:3], key="k")
        await iterations(8)
        for entry in first:
            bench.engine.withdraw(entry, "stop", "left")
        bench.add(*HOSTS[:3], key="k")
        leavers = bench.add(*HOSTS[:3], key="k")
        await iterations(8)
        assert bench.engine.outstanding == 9
        for entry in leavers:
            bench.engine.withdraw(entry, "stop", "left")
        bench.start_task.gate.set()
        await bench.engine.idle()
        assert bench.owner.outcomes() == ["stopped"] * 3 + ["started"] * 3 + ["not_sent"] * 3
        assert bench.sent() == [HOSTS[:3], HOSTS[:3]]

    run_in_virtual_time(work())


def test_not_idle_behind_the_call_of_another() -> None:
    """A call of the client's own bears the key: the engine is not idle before its start has settled."""

    async def work() -> None:
        bench = EngineHarness(FakeStartTask(open_=False))
        call = bench.prepare(make_request(HOSTS[0]), Group(make_request(), "at_most_once", "k"))
        shared_call = bench.core.keys.put("k", SharedCall(call, waiting=1))
        call.begin()
        await iterations(8)
        shared_call.leave("keep", "left")
        bench.add(HOSTS[0], key="k")
        await iterations(8)
        idle = asyncio.ensure_future(bench.engine.idle())
        await iterations(8)
        assert not idle.done()
        bench.start_task.gate.set()
        await idle
        assert bench.owner.outcomes() == ["started"]

    run_in_virtual_time(work())


# Ends ----------------------------------------------------------------------------------------------------------------


def test_what_can_not_be_prepared_is_not_sent() -> None:
    """Its starts get the error, the permit is returned, and the next call is sent."""

    async def work() -> None:
        bench = EngineHarness()
        whole = bench.engine._prepare

        def prepare(request: StartTaskRequest | RunTaskRequest, group: Group) -> Call:
            if request.started_by is not None:
                raise InvalidRequest("idempotency_key", "goes without started_by")
            return whole(request, group)

        bench.engine._prepare = prepare
        bench.add(*HOSTS[:2], key="k", started_by="me")
        bench.add(HOSTS[2])
        await bench.engine.idle()
        assert bench.owner.outcomes() == ["not_sent", "not_sent", "started"]
        assert isinstance(bench.owner.results[0][2], InvalidRequest)
        assert bench.engine.outstanding == 0

    run_in_virtual_time(work())


def test_a_permit_that_no_start_needs_is_returned() -> None:
    """Every start is withdrawn while the permit is awaited: nothing is sent, and no caller waits for ever."""

    async def work() -> None:
        bench = EngineHarness()
        given: list[float] = []
        permitted = asyncio.Event()

        class Slow:
            """A rate limiter that makes one wait."""

            async def acquire(self, *_: Any, **__: Any) -> float:
                await permitted.wait()
                return 7.0

            def unsent(self, permit: float) -> None:
                given.append(permit)

        bench.core.start_limiter = Slow()  # type: ignore[assignment]
        (entry,) = bench.add(HOSTS[0])
        await iterations(5)
        bench.engine.withdraw(entry, "stop", "left")
        await bench.engine.idle()
        permitted.set()
        await iterations(5)
        assert given == [7.0]
        assert bench.sent() == []

    run_in_virtual_time(work())


def test_the_end_of_the_client_leaves_nobody_waiting() -> None:
    """When the client's tasks are cancelled, queued starts end as NOT_SENT."""

    async def work() -> None:
        bench = EngineHarness(FakeStartTask(open_=False), size=1, timeouts=aioecs.Timeouts(settle=0))
        bench.add(*HOSTS[:20])
        await iterations(8)
        bench.core.closing = True
        bench.core.background_tasks.cancel()
        await bench.engine.idle()
        assert bench.owner.outcomes() == ["unknown"] * 10 + ["not_sent"] * 10

    run_in_virtual_time(work())


@pytest.mark.parametrize("begun", [False, True])
def test_a_dispatcher_that_is_cancelled_leaves_nothing_queued(begun: bool) -> None:
    """Be it before its first step: what was queued ends as NOT_SENT, and what is queued later is sent."""

    async def work() -> None:
        bench = EngineHarness(window=1.0)
        bench.add(*HOSTS[:3])
        await iterations(3 if begun else 0)
        bench.core.background_tasks.cancel()
        await bench.engine.idle()
        assert bench.owner.outcomes() == ["not_sent"] * 3
        bench.add(HOSTS[4])
        await bench.engine.idle()
        assert bench.sent() == [HOSTS[4:5]]

    run_in_virtual_time(work())


@pytest.mark.parametrize("begun", [False, True])
def test_a_stop_that_is_cancelled_leaves_a_result(begun: bool) -> None:
    """Be it before its first step: the task was started, and may run."""

    async def held(_: Any, _marker: SentMarker) -> Attempt[Any]:
        await asyncio.sleep(1e6)
        raise AssertionError("the stop was not cancelled")

    async def work() -> None:
        bench, (entry, *_) = await calls_in_flight()
        bench.transport.handlers["stop_task"] = held
        bench.engine.withdraw(entry, "stop", "left")
        bench.start_task.gate.set()
        while not isinstance(entry.carrier, PendingStop):
            await asyncio.sleep(0)
        await iterations(5 if begun else 0)
        assert len(bench.stopped()) == begun
        bench.core.background_tasks.cancel()
        await bench.engine.idle()
        assert bench.owner.outcomes() == ["started"] * 3

    run_in_virtual_time(work())


def test_ten_thousand_queued_are_withdrawn_without_a_search() -> None:
    """The work of withdrawing grows with their number, not with its square: in calls of functions, not in seconds."""

    def calls(count: int) -> int:
        async def work() -> int:
            bench = EngineHarness(size=1)
            bench.add(*[HOSTS[0]] * count)
            profile = cProfile.Profile()
            profile.enable()
            bench.engine.withdraw_all("stop", "left")
            profile.disable()
            await bench.engine.idle()
            return sum(each.callcount for each in profile.getstats())

        return asyncio.run(work())

    assert calls(10_000) < 11 * calls(1_000)
