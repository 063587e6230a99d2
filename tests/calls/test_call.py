"""call: one StartTask, carried out in a task of the client's, whatever ends it from outside."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from typing import Any

import attrs
import pytest
from fake_transport import (
    INSTANCES,
    FakeReconciler,
    FakeTransport,
    HeldAttempt,
    lost,
    make_call,
    make_core,
    make_request,
    started,
    tasks_for,
    throttled,
)
from virtual_time import iterations, run_in_virtual_time

import aioecs
from aioecs import Outcome, StartTaskResponse, Timeouts
from aioecs._calls.call import Call
from aioecs._model.attempt import Attempt, Rejected
from aioecs._runtime.client_core import Core
from aioecs._runtime.concurrency import Priority
from aioecs._transport.transport import SendNotAllowed, SentMarker
from aioecs.errors import (
    AccessDeniedException,
    CallTimeout,
    ConnectionFailed,
    InvalidParameterException,
    StartUnknown,
)

CLOCKS = Timeouts(call=60, settle=8, attempt=5, consistency=20)


async def denied(request: Any, sent_marker: SentMarker) -> Attempt[Any]:
    return Rejected(AccessDeniedException("not authorized to perform: ecs:StopTask"))


async def unknown_task(request: Any, sent_marker: SentMarker) -> Attempt[Any]:
    return Rejected(InvalidParameterException("The referenced task was not found."))


def found() -> FakeReconciler:
    """A reconciler that shows the call's task."""
    return FakeReconciler(tasks_for(make_request(started_by="aioecs-token")))


Settled = list[tuple[tuple[Outcome, ...], "str | None"]]


@attrs.define
class Scene:
    """A call at a moment of its life, and what goes on when it is let go."""

    core: Core
    call: Call
    transport: FakeTransport
    received: Settled
    let_go: Callable[[], object] = lambda: None
    began: float = 0.0

    @property
    def took(self) -> float:
        """Seconds since the scene was set."""
        return self.core.now - self.began

    @property
    def outcomes(self) -> tuple[Outcome, ...]:
        """What the starts came to, as far as is known."""
        return tuple(start.outcome for start in self.call.record.starts())

    async def end(self) -> tuple[Outcome, ...]:
        """Wait for the end of the call, and for the end of its task."""
        await self.call.end_waiter()
        await iterations(2)
        assert len(self.core.background_tasks) == 0
        return self.outcomes


MOMENTS = [
    "unbegun",
    "queued",
    "unsent",
    "on the wire",
    "backing off",
    "looking up",
    "finding nothing",
    "removing duplicates",
    "ended",
]


async def at(moment: str, *, count: int = 1, **more: Any) -> Scene:
    """Set the scene: a call that has come as far as the moment."""
    received: Settled = []
    transport = FakeTransport()
    more = {"timeouts": CLOCKS, **more}
    core = make_core(
        transport,
        size=1,
        on_settled=lambda starts, why: received.append((tuple(start.outcome for start in starts), why)),
        **more,
    )
    reconciler, gate = found() if moment == "looking up" else FakeReconciler(), asyncio.Event()
    reconciler._gate = gate if moment == "looking up" else None
    call = make_call(
        core, reconciler, count=count, delivery="at_least_once" if moment == "removing duplicates" else "at_most_once"
    )
    scene = Scene(core, call, transport, received, gate.set, core.now)
    if moment == "queued":
        state = core.concurrency.held(Priority.STOP)
        await state.__aenter__()
        scene.let_go = core.concurrency.release
    if moment in ("unsent", "on the wire"):
        held = HeldAttempt(unsent=moment == "unsent")
        transport.handlers["start_task"] = held
        scene.let_go = held.gate.set
    if moment == "backing off":
        transport.handlers["start_task"] = throttled
    if moment in ("looking up", "finding nothing"):
        transport.handlers["start_task"] = lost
    call.begin()
    if moment == "removing duplicates":
        await resent(scene, reconciler)
    elif moment == "finding nothing":
        await asyncio.sleep(1)
    elif moment == "looking up":
        while not reconciler.requests:
            await asyncio.sleep(0.01)
    elif moment != "unbegun":
        await iterations(4)
    return scene


async def resent(scene: Scene, reconciler: FakeReconciler) -> None:
    """Lose the first answer, look in vain until absence is believed, and send again: now both show, one is stopped."""
    held = HeldAttempt(scene.transport.handlers["stop_task"])
    first = tasks_for(make_request(started_by="aioecs-token"))
    late = [task.replace(task_arn=f"{task.task_arn}-late") for task in first]

    async def twice(request: Any, sent_marker: SentMarker) -> Attempt[Any]:
        scene.transport.handlers["start_task"] = started
        reconciler.found = (*first, *late)
        return await lost(request, sent_marker)

    reconciler.found = ()
    scene.transport.handlers["start_task"] = twice
    original = reconciler.look_up

    async def look_up(ambiguous_call: Any, max_wait: float) -> Any:
        if len(scene.transport.requests) == 1:
            lookup = await original(ambiguous_call, max_wait)
            return attrs.evolve(lookup, tasks=())
        return await original(ambiguous_call, max_wait)

    reconciler.look_up = look_up  # type: ignore[method-assign]
    scene.transport.handlers["stop_task"] = held
    while "StopTask" not in scene.transport.names():
        await asyncio.sleep(0.1)
    scene.let_go = held.gate.set
    scene.began = scene.core.now


# Left alone ----------------------------------------------------------------------------------------------------------


async def test_it_is_sent_once_in_a_task_of_the_clients() -> None:
    """And everyone who waits for its end is notified, later callers too; the slot is free again."""
    transport = FakeTransport()
    core = make_core(transport)
    call = make_call(core, count=3)
    call.begin()
    waiters, notified = [call.end_waiter(), call.end_waiter()], list[str]()
    for name in ("first", "second"):
        call.when_ended(partial(notified.append, name))
    waiters[0].cancel()
    await waiters[1]
    call.when_ended(partial(notified.append, "late"))
    await iterations(1)
    assert notified == ["first", "second", "late"]
    answer = call.result()
    assert isinstance(answer, StartTaskResponse)
    assert call.end_waiter().done()
    assert (len(answer.tasks), answer.attempts, answer.token, answer.request_id) == (3, 1, "aioecs-token", "request-1")
    assert [(name, request.started_by) for name, request in transport.requests] == [("StartTask", "aioecs-token")]
    assert (core.concurrency.in_use, call.ended, call.withdrawn) == (0, True, None)
    await iterations(2)
    assert len(core.background_tasks) == 0


async def test_only_what_is_missing_is_sent_under_a_key() -> None:
    """It looks first; the instance whose task shows is not asked for again."""
    transport = FakeTransport()
    call = make_call(make_core(transport), found(), count=2, keyed=True)
    call.begin()
    await call.end_waiter()
    assert [request.container_instances for _, request in transport.requests] == [(INSTANCES[1],)]
    answer = call.result()
    assert isinstance(answer, StartTaskResponse)
    assert (len(answer.tasks), answer.attempts) == (2, 1)


def test_throttles_are_counted_and_backed_off_from() -> None:
    """They cost time and no attempt."""

    async def main() -> None:
        scene = await at("backing off")
        scene.core.loop.call_later(1, lambda: scene.transport.handlers.update(start_task=started))
        assert await scene.end() == (Outcome.STARTED,)
        assert scene.core.throttled == 4
        assert scene.took == pytest.approx(0.1 + 0.2 + 0.4 + 0.8)
        assert scene.transport.names() == ["StartTask"] * 5
        assert scene.received == []

    run_in_virtual_time(main())


# Withdrawn -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("on_cancel", ["stop", "keep", "abandon"])
@pytest.mark.parametrize(
    ("moment", "ends", "asked"),
    [
        ("unbegun", {"all": Outcome.NOT_SENT}, []),
        ("queued", {"all": Outcome.NOT_SENT}, []),
        ("unsent", {"all": Outcome.NOT_SENT}, ["StartTask"]),
        ("on the wire", {"stop": Outcome.STOPPED, "all": Outcome.STARTED}, ["StartTask"]),
        ("backing off", {"all": Outcome.NOT_SENT}, ["StartTask"]),
        ("looking up", {"stop": Outcome.STOPPED, "keep": Outcome.STARTED, "abandon": Outcome.UNKNOWN}, ["StartTask"]),
        ("finding nothing", {"all": Outcome.UNKNOWN}, ["StartTask"]),
        (
            "removing duplicates",
            {"stop": Outcome.STOPPED, "all": Outcome.STARTED},
            ["StartTask", "StartTask", "StopTask"],
        ),
        ("ended", {"stop": Outcome.STOPPED, "all": Outcome.STARTED}, ["StartTask"]),
    ],
)
def test_a_withdrawal_begins_nothing_new_and_stops_what_started_if_that_is_wanted(
    moment: str, ends: dict[str, Outcome], asked: list[str], on_cancel: Any
) -> None:
    """A request that is not in flight is not sent, one in flight is awaited; an unsent one is not reported."""

    async def main() -> None:
        scene = await at(moment)
        scene.call.withdraw(on_cancel, "bored")
        scene.call.outcome_undelivered()
        scene.call.withdraw("stop", "again")
        await iterations(3)
        scene.let_go()
        outcome = ends.get(on_cancel, ends.get("all"))
        assert await scene.end() == (outcome,)
        assert scene.call.withdrawn == "bored"
        stops = ["StopTask"] * (outcome is Outcome.STOPPED)
        assert scene.transport.names() == asked + stops
        if outcome is Outcome.STOPPED:
            assert scene.transport.requests[-1][1].reason == "aioecs:withdrawn:aioecs-token"
        if outcome is Outcome.NOT_SENT:
            assert scene.received == []
            assert scene.took < 1e-6
        else:
            assert scene.received[-1] == ((outcome,), "bored")

    run_in_virtual_time(main())


@pytest.mark.parametrize("moment", MOMENTS)
def test_whether_a_withdrawal_ends_it_at_once(moment: str) -> None:
    """All but an answer, and a stop, can be cut: within the same moment it is over, if it is to be abandoned."""

    async def main() -> None:
        scene = await at(moment)
        can_end_now = moment not in ("on the wire", "removing duplicates")
        assert scene.call.can_end_now is can_end_now
        scene.call.withdraw("abandon", "bored")
        await iterations(5)
        assert scene.call.ended is can_end_now
        assert scene.took < 2
        scene.let_go()
        await scene.end()

    run_in_virtual_time(main())


def test_an_abandoned_request_is_reported_when_it_is_answered() -> None:
    """It goes on in the background, and a late task is not lost."""

    async def main() -> None:
        scene = await at("on the wire")
        scene.call.withdraw("abandon", "bored")
        scene.call.outcome_undelivered()
        await asyncio.sleep(3)
        assert scene.outcomes == (Outcome.UNKNOWN,)
        scene.let_go()
        assert await scene.end() == (Outcome.STARTED,)
        assert scene.received == [((Outcome.STARTED,), "bored")]

    run_in_virtual_time(main())


def test_reconciling_goes_on_in_the_background_until_absence_is_certain() -> None:
    """A withdrawn call whose answer was lost looks until `consistency` is over, longer than its clock if need be."""

    async def main() -> None:
        scene = await at("finding nothing", timeouts=attrs.evolve(CLOCKS, call=10))
        scene.call.withdraw("stop", "bored")
        assert await scene.end() == (Outcome.UNKNOWN,)
        assert scene.took == pytest.approx(CLOCKS.consistency, abs=1)

    run_in_virtual_time(main())


@pytest.mark.parametrize(
    ("answer", "outcome", "warned"),
    [
        (denied, Outcome.STARTED, ["cancelled starts can't be stopped, they are left running: "]),
        (unknown_task, Outcome.STARTED, ["and could not be stopped", "could not be"]),
    ],
)
def test_a_failed_stop_leaves_the_outcome_to_be_reported(
    answer: Any, outcome: Outcome, warned: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    """Without the permission to stop there is one warning, however many tasks it is about; other errors name theirs."""

    async def main() -> None:
        for _ in range(2):
            scene = await at("on the wire", count=3, warned=warned_of)
            scene.transport.handlers["stop_task"] = answer
            scene.call.withdraw("stop", "bored")
            scene.let_go()
            assert await scene.end() == (outcome,) * 3

    warned_of: set[str] = set()
    run_in_virtual_time(main())
    warnings = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert len(warnings) == (1 if answer is denied else 6)
    assert all(any(text in warning for text in warned) for warning in warnings)


def test_a_stop_whose_answer_was_lost_is_asked_for_again() -> None:
    """Stopping twice does no harm."""

    async def main() -> None:
        scene = await at("on the wire", count=2)
        scene.transport.handlers["stop_task"] = lost
        scene.core.loop.call_later(
            0.5, lambda: scene.transport.handlers.update(stop_task=FakeTransport().handlers["stop_task"])
        )
        scene.call.withdraw("stop", "bored")
        scene.let_go()
        assert await scene.end() == (Outcome.STOPPED,) * 2
        assert scene.transport.names().count("StopTask") > 2

    run_in_virtual_time(main())


@pytest.mark.parametrize("leaving", [(), (0,), (2, 0), (0, 1, 2)])
def test_who_leaves_before_it_is_on_the_wire_is_not_in_it(leaving: tuple[int, ...]) -> None:
    """The others' starts go as they were; where nobody stays, nothing is sent."""

    async def main() -> None:
        scene = await at("queued", count=3)
        for start in leaving:
            scene.call.leave(start)
        scene.let_go()
        expected = [Outcome.NOT_SENT if start in leaving else Outcome.STARTED for start in range(3)]
        assert await scene.end() == tuple(expected)
        stay = tuple(INSTANCES[start] for start in range(3) if start not in leaving)
        assert [request.container_instances for _, request in scene.transport.requests] == ([stay] if stay else [])

    run_in_virtual_time(main())


# The clock -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("moment", "raised", "outcome", "took"),
    [
        ("queued", CallTimeout, Outcome.NOT_SENT, 60),
        ("unsent", CallTimeout, Outcome.NOT_SENT, 60),
        ("on the wire", StartUnknown, Outcome.UNKNOWN, 68),
        ("backing off", CallTimeout, Outcome.NOT_SENT, 60),
        ("looking up", StartUnknown, Outcome.UNKNOWN, 60),
    ],
)
def test_at_the_end_of_its_clock_nothing_new_is_begun(
    moment: str, raised: type[Exception], outcome: Outcome, took: float
) -> None:
    """A request in flight has `settle` left; nothing is stopped, and a backoff that doesn't fit is not begun."""

    async def main() -> None:
        scene = await at(moment)
        await scene.call.end_waiter()
        assert took - 5 <= scene.took <= took + 1e-6
        assert moment == "backing off" or scene.took == pytest.approx(took)
        assert isinstance(scene.call.result(), raised)
        assert scene.outcomes == (outcome,)
        assert "StopTask" not in scene.transport.names()
        assert scene.received == []

    run_in_virtual_time(main())


def test_an_answer_that_comes_within_settle_of_the_clocks_end_is_returned() -> None:
    """Learnt: returned."""

    async def main() -> None:
        scene = await at("on the wire")
        scene.core.loop.call_later(CLOCKS.call + CLOCKS.settle - 1, scene.let_go)
        assert await scene.end() == (Outcome.STARTED,)
        assert isinstance(scene.call.result(), StartTaskResponse)

    run_in_virtual_time(main())


def test_an_answer_that_comes_together_with_the_cut_is_returned() -> None:
    """What arrived in the very moment in which it is waited for no longer is no UNKNOWN."""

    async def late(request: Any, sent_marker: SentMarker) -> Attempt[Any]:
        sent_marker.body_started = True
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            sent_marker.answer = await started(request, sent_marker)
            raise
        raise AssertionError

    async def main() -> None:
        call = make_call(make_core(FakeTransport(start_task=late), timeouts=CLOCKS))
        call.begin()
        await call.end_waiter()
        answer = call.result()
        assert isinstance(answer, StartTaskResponse)
        assert answer.request_id == "request-1"
        assert [start.outcome for start in call.record.starts()] == [Outcome.STARTED]

    run_in_virtual_time(main())


def test_a_withdrawal_gives_the_clock_time_to_settle() -> None:
    """One second before its end: the answer that comes later is learnt, and its task stopped."""

    async def main() -> None:
        scene = await at("on the wire")
        scene.core.loop.call_later(CLOCKS.call - 1, scene.call.withdraw, "stop", "bored")
        scene.core.loop.call_later(CLOCKS.call + 4, scene.let_go)
        assert await scene.end() == (Outcome.STOPPED,)

    run_in_virtual_time(main())


def test_a_clock_and_a_withdrawal_may_come_together() -> None:
    """While the slot is waited for: one cut is enough for both."""

    async def main() -> None:
        scene = await at("queued")
        scene.core.loop.call_at(scene.call.record.deadline, scene.call.withdraw, "stop", "bored")
        assert await scene.end() == (Outcome.NOT_SENT,)
        assert scene.transport.requests == []

    run_in_virtual_time(main())


def test_the_end_of_the_clock_waits_for_a_stop() -> None:
    """What was sent once too often is stopped before the call ends."""

    async def main() -> None:
        scene = await at("removing duplicates")
        await asyncio.sleep(60)
        assert not scene.call.ended
        scene.let_go()
        assert await scene.end() == (Outcome.STARTED,)
        assert scene.transport.names()[-1] == "StopTask"

    run_in_virtual_time(main())


# The end of the loop, and of the client ------------------------------------------------------------------------------


def cancel(scene: Scene) -> None:
    """Cancel the client's tasks, as the end of `asyncio.run` does."""
    scene.core.background_tasks.cancel()


@pytest.mark.parametrize(
    ("moment", "outcome", "on_cancel"),
    [
        ("unbegun", Outcome.NOT_SENT, "stop"),
        ("queued", Outcome.NOT_SENT, "stop"),
        ("unsent", Outcome.NOT_SENT, "stop"),
        ("on the wire", Outcome.STOPPED, "stop"),
        ("on the wire", Outcome.STARTED, "keep"),
        ("on the wire", Outcome.UNKNOWN, "abandon"),
        ("backing off", Outcome.NOT_SENT, "stop"),
        ("looking up", Outcome.STOPPED, "stop"),
        ("looking up", Outcome.STARTED, "keep"),
        ("finding nothing", Outcome.UNKNOWN, "stop"),
        ("removing duplicates", Outcome.STOPPED, "stop"),
    ],
)
@pytest.mark.parametrize("withdrawn", ["not", "before", "just before", "just after"])
def test_the_end_of_the_loop_leaves_one_last_breath(
    moment: str, outcome: Outcome, on_cancel: Any, withdrawn: str
) -> None:
    """The token is looked up there and then, within `settle`, also if a withdrawal comes at the same moment."""

    async def main() -> None:
        scene = await at(moment, on_cancel=on_cancel)
        if moment == "on the wire":
            scene.call._reconciler = found()
        task = scene.call._task
        assert task is not None
        if withdrawn in ("before", "just before"):
            scene.call.withdraw(on_cancel, "bored")
            await iterations(2 if withdrawn == "before" else 0)
        cancel(scene)
        if withdrawn == "just after":
            scene.call.withdraw(on_cancel, "bored")
        await iterations(2)
        scene.let_go()
        assert await scene.end() == (outcome,)
        assert scene.took <= CLOCKS.settle + 1e-6 + (moment in ("looking up", "finding nothing"))
        why = "the event loop ended" if withdrawn == "not" else "bored"
        ended_before = scene.call.withdrawn == "bored" and not task.cancelled()
        assert scene.received[-1:] == ([] if outcome is Outcome.NOT_SENT or ended_before else [((outcome,), why)])
        assert task.cancelled() or withdrawn == "before"

    run_in_virtual_time(main())


@pytest.mark.parametrize("moment", ["on the wire", "looking up", "finding nothing", "removing duplicates"])
def test_a_second_cancel_of_the_clients_tasks_ends_it(moment: str) -> None:
    """At once, with what is known; `on_settled` gets it."""

    async def main() -> None:
        scene = await at(moment)
        cancel(scene)
        await iterations(5)
        cancel(scene)
        outcomes = await scene.end()
        assert outcomes == (Outcome.UNKNOWN,), (
            "in the last case its task is known, and whether the stop was heeded is not"
        )
        assert (scene.call.record.starts()[0].task is not None) is (moment == "removing duplicates")
        assert scene.call.record.starts()[0].settles_by is None
        assert scene.received == [(outcomes, "the event loop ended")]
        assert scene.took < 2

    run_in_virtual_time(main())


@pytest.mark.parametrize(
    ("moment", "outcome"),
    [
        ("unbegun", Outcome.NOT_SENT),
        ("queued", Outcome.NOT_SENT),
        ("unsent", Outcome.NOT_SENT),
        ("on the wire", Outcome.UNKNOWN),
        ("backing off", Outcome.NOT_SENT),
        ("looking up", Outcome.UNKNOWN),
        ("removing duplicates", Outcome.STARTED),
    ],
)
def test_a_call_cut_off_by_the_end_of_the_client_is_reported_as_known(
    moment: str, outcome: Outcome, caplog: pytest.LogCaptureFixture
) -> None:
    """UNKNOWN only if it may run, in the log with its token; it ends at once."""
    caplog.set_level(logging.INFO, "aioecs")

    async def main() -> None:
        scene = await at(moment)
        scene.core.closing = True
        cancel(scene)
        assert await scene.end() == (outcome,)
        assert scene.took < 2
        assert len(scene.received) == (outcome is not Outcome.NOT_SENT)

    run_in_virtual_time(main())
    level = "WARNING" if outcome is Outcome.UNKNOWN else "INFO"
    reported = [record.getMessage() for record in caplog.records if record.levelname == level]
    assert len(reported) == (outcome is not Outcome.NOT_SENT)
    assert all("token aioecs-token" in line and str(outcome) in line for line in reported)


def test_a_stop_that_hangs_does_not_hold_up_the_end_of_the_loop() -> None:
    """The last breath is `settle` long, also for what can otherwise not be cut."""

    async def main() -> None:
        scene = await at("removing duplicates")
        cancel(scene)
        assert await scene.end() == (Outcome.STARTED,)
        assert scene.took == pytest.approx(CLOCKS.settle)

    run_in_virtual_time(main())


async def test_an_error_of_our_own_ends_the_call_as_unknown(caplog: pytest.LogCaptureFixture) -> None:
    """A caller that waits gets it, and the error is logged."""

    async def broken(request: Any, sent_marker: SentMarker) -> Attempt[Any]:
        sent_marker.body_started = True
        raise ZeroDivisionError("a bug")

    core = make_core(FakeTransport(start_task=broken))
    call = make_call(core)
    call.begin()
    await call.end_waiter()
    assert isinstance(call.result(), StartUnknown)
    await iterations(2)
    assert "a bug" in caplog.text


# Reported ----------------------------------------------------------------------------------------------------------


def test_an_undelivered_outcome_goes_to_on_settled_and_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """At INFO, with token and tasks and no secret; once, whether that is said before or after the end."""
    caplog.set_level(logging.INFO, "aioecs")

    async def main(before: bool) -> None:
        scene = await at("on the wire")
        scene.call.withdraw("keep", "bored")
        if before:
            scene.call.outcome_undelivered()
        scene.let_go()
        await scene.end()
        if not before:
            scene.call.outcome_undelivered()
        assert scene.received == [((Outcome.STARTED,), "bored")]

    for before in (True, False):
        caplog.clear()
        run_in_virtual_time(main(before))
        assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
            (
                "INFO",
                "bored: 1 started; token aioecs-token, tasks ['arn:aws:ecs:us-east-1:123456789012:task/default/i0-0']",
            )
        ]


async def test_an_on_settled_that_raises_harms_nobody(caplog: pytest.LogCaptureFixture) -> None:
    """It is logged; without one there is the log alone."""

    def broken(starts: Any, reason: str | None) -> None:
        raise ValueError("no listener")

    for on_settled in (broken, None):
        call = make_call(make_core(FakeTransport(), on_settled=on_settled))
        call.begin()
        call.outcome_undelivered()
        await call.end_waiter()
        assert call.ended
    assert [record.getMessage() for record in caplog.records] == ["on_settled raised"]


async def test_a_request_that_could_not_be_sent_is_not_ambiguous() -> None:
    """The sent marker decides, whatever was raised: cut before the first byte, it was never sent."""
    held = HeldAttempt(unsent=True)
    core = make_core(FakeTransport(start_task=held))
    call = make_call(core)
    call.begin()
    await held.begun.wait()
    call.withdraw("stop", "bored")
    await call.end_waiter()
    [start] = call.record.starts()
    assert held.cancelled
    assert (start.outcome, start.token, type(start.error)) == (Outcome.NOT_SENT, "", ConnectionFailed)


def test_everything_of_the_model_is_at_hand() -> None:
    """The moments of these tests are all that a call can be at."""
    assert len(MOMENTS) == len(set(MOMENTS)) == 9
    assert aioecs.Outcome is Outcome


def test_a_cancelled_call_that_hangs_is_looked_up_at_once() -> None:
    """Its answer never comes, and its task shows: it is found and stopped within a second, not reported as unknown."""

    async def main() -> None:
        scene = await at("on the wire")
        scene.call._reconciler = found()
        scene.call.withdraw("stop", "bored")
        await scene.call.end_waiter()
        assert scene.outcomes == (Outcome.STOPPED,)
        assert scene.took < 1
        await iterations(4)
        assert len(scene.core.background_tasks) == 0

    run_in_virtual_time(main())


@pytest.mark.parametrize("by", ["clock", "withdrawal"])
def test_what_is_cut_before_it_is_sent_stays_unsent(by: str) -> None:
    """Also by a transport that writes in a task of its own, which may take another step before the cut arrives."""

    async def cut(request: Any, sent_marker: SentMarker) -> Attempt[Any]:
        try:
            await asyncio.sleep(1000)
        finally:
            with pytest.raises(SendNotAllowed):
                sent_marker.begin_body()
        raise AssertionError

    async def work() -> None:
        call = make_call(make_core(FakeTransport(start_task=cut), timeouts=CLOCKS))
        call.begin()
        await asyncio.sleep(1)
        if by == "withdrawal":
            call.withdraw("stop", "enough")
        await call.end_waiter()
        assert [start.outcome for start in call.record.starts()] == [Outcome.NOT_SENT]

    run_in_virtual_time(work())


def test_a_call_that_was_throttled_to_its_end_says_so() -> None:
    """The error of its last attempt is not hidden by the cut of the one that was never made."""

    async def work() -> None:
        transport = FakeTransport(start_task=throttled)
        call = make_call(make_core(transport, timeouts=CLOCKS))
        call.begin()
        await asyncio.sleep(1)
        transport.handlers["start_task"] = HeldAttempt(unsent=True)
        await call.end_waiter()
        result = call.result()
        assert isinstance(result, CallTimeout)
        assert "Rate exceeded" in str(result)

    run_in_virtual_time(work())
