"""caller_wait: what ends a caller's wait, its effect on the call, and what the caller receives."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, cast

import anyio
import pytest
from fake_transport import FakeReconciler, FakeTransport, HeldAttempt, fake_client, make_call, make_core, make_request
from virtual_time import iterations, run_in_virtual_time

import aioecs
from aioecs import (
    CallTimeout,
    CancelToken,
    Client,
    Outcome,
    Retries,
    StartCancelled,
    StartTaskRequest,
    Timeouts,
)
from aioecs._calls import reconciler
from aioecs._calls.caller_wait import SharedCall, Wait
from aioecs._runtime import cancellation_monitor
from aioecs.testing import Fault, LocalECS
from aioecs.testing._serving.fault_server import FaultServer

Work = Callable[[], Awaitable[object]]


def cancelling() -> int:
    """Count the cancels of this task that nobody has taken back."""
    task = asyncio.current_task()
    assert task is not None
    return task.cancelling()


async def result_of(task: asyncio.Task[Any]) -> Any:
    """Wait for a task, and give back what it returned or raised: the very CancelledError that came out of it."""
    await asyncio.wait([task])
    try:
        return task.result()
    except BaseException as error:  # noqa: BLE001 it is returned
        return error


async def end_of(work: Coroutine[Any, Any, object], *cancels: float) -> str:
    """Run it in a task, cancel that at these times (in seconds), and return how it ended."""
    loop = asyncio.get_running_loop()
    task = loop.create_task(work)
    for number, after in enumerate(cancels, 1):
        loop.call_later(after, task.cancel, f"cancel {number}")
    end = await result_of(task)
    if isinstance(end, asyncio.CancelledError):
        return "cancelled by a scope" if "scope" in str(end) else f"cancelled {end}".rstrip()
    return f"raised {type(end).__name__}" if isinstance(end, Exception) else f"returned {end}"


# Native cancels: a call is a coroutine like any other ----------------------------------------------------------------


Facts = list[object]


async def seen_by(manager: Any, work: Work, facts: Facts) -> None:
    """Do the work in a context manager, sync or async, and note what comes out of it."""
    try:
        if hasattr(manager, "__aenter__"):
            async with manager:
                await work()
        else:
            with manager:
                await work()
    except BaseException as error:
        facts.append((type(error), isinstance(error.__cause__ or error.__context__, asyncio.CancelledError)))
        raise
    finally:
        facts.append((getattr(manager, "cancelled_caught", None), cancelling()))


async def wrapped(work: Work) -> None:
    """Make a coroutine of it, for what wants one."""
    await work()


async def fails() -> None:
    """Fail after a second."""
    await asyncio.sleep(1)
    raise ZeroDivisionError


async def by_task(work: Work, facts: Facts) -> None:
    facts.append(await end_of(wrapped(work), 1))


async def by_move_on_after(work: Work, facts: Facts) -> None:
    await seen_by(anyio.move_on_after(1), work, facts)


async def by_fail_after(work: Work, facts: Facts) -> None:
    await seen_by(anyio.fail_after(1), work, facts)


async def by_timeout(work: Work, facts: Facts) -> None:
    await seen_by(asyncio.timeout(1), work, facts)


async def by_wait_for(work: Work, facts: Facts) -> None:
    await asyncio.wait_for(wrapped(work), 1)


async def by_task_group(work: Work, facts: Facts) -> None:
    group = asyncio.TaskGroup()

    async def siblings() -> None:
        group.create_task(wrapped(work))
        await fails()

    await seen_by(group, siblings, facts)


async def by_a_sibling_in_a_task_group(work: Work, facts: Facts) -> None:
    group = asyncio.TaskGroup()

    async def siblings() -> None:
        group.create_task(fails())
        await work()

    await seen_by(group, siblings, facts)


async def by_an_anyio_group(work: Work, facts: Facts) -> None:
    group = anyio.create_task_group()

    async def siblings() -> None:
        group.start_soon(wrapped, work)
        await fails()

    await seen_by(group, siblings, facts)


async def by_a_sibling_in_an_anyio_group(work: Work, facts: Facts) -> None:
    group = anyio.create_task_group()

    async def siblings() -> None:
        group.start_soon(fails)
        await work()

    await seen_by(group, siblings, facts)


async def by_the_groups_own_scope(work: Work, facts: Facts) -> None:
    group = anyio.create_task_group()

    async def siblings() -> None:
        group.start_soon(wrapped, work)
        await asyncio.sleep(1)
        group.cancel_scope.cancel()

    await seen_by(group, siblings, facts)
    facts.append(group.cancel_scope.cancelled_caught)


async def by_gather(work: Work, facts: Facts) -> None:
    gathered = asyncio.gather(wrapped(work), wrapped(work))
    asyncio.get_running_loop().call_later(1, gathered.cancel)
    await gathered


async def by_gather_of_one_that_fails(work: Work, facts: Facts) -> None:
    task = asyncio.create_task(wrapped(work))
    try:
        await asyncio.gather(task, fails())
    finally:
        task.cancel()
        await asyncio.wait([task])
        facts.append(task.cancelled())


Make = Callable[[float], Any]
NUDGE = 1e-10  # in seconds: timers so near to each other run in one pass of the loop, and in a known order


def nested(
    *makes: Make, outer_first: bool = True, cancelled: float | None = None
) -> Callable[[Work, Facts], Awaitable[None]]:
    """Put the work into all of them, the last one innermost; the task may be cancelled at the same moment."""

    async def by_all(work: Work, facts: Facts) -> None:
        def put(make: Make, inner: Work, seconds: float) -> Work:
            async def within() -> None:
                await seen_by(make(seconds), inner, facts)
                await asyncio.sleep(0)

            return within

        for depth, make in reversed(list(enumerate(makes, 1))):
            work = put(make, work, 1 + NUDGE * (depth if outer_first else -depth))
        facts.append(await end_of(wrapped(work), *([cancelled] if cancelled is not None else [])))

    return by_all


def timeout(seconds: float) -> Any:
    return asyncio.timeout(seconds)


def move_on(seconds: float) -> Any:
    return anyio.move_on_after(seconds)


def fail(seconds: float) -> Any:
    return anyio.fail_after(seconds)


def shield(seconds: float) -> Any:
    return anyio.CancelScope(shield=True)


SIMPLE: dict[str, Callable[[Work, Facts], Awaitable[None]]] = {
    scene.__name__: scene
    for scene in (
        by_task,
        by_move_on_after,
        by_fail_after,
        by_timeout,
        by_wait_for,
        by_task_group,
        by_a_sibling_in_a_task_group,
        by_an_anyio_group,
        by_a_sibling_in_an_anyio_group,
        by_the_groups_own_scope,
        by_gather,
        by_gather_of_one_that_fails,
    )
}
NESTED = {
    " in ".join(make.__name__ for make in reversed(makes))
    + (", the outer first" if outer_first else ", the inner first")
    + ("" if cancelled is None else ", cancelled before" if cancelled < 1 else ", cancelled after"): nested(
        *makes, outer_first=outer_first, cancelled=cancelled
    )
    for outer_first in (True, False)
    for cancelled in (None, 1 - 4 * NUDGE, 1 + 4 * NUDGE)
    for makes in (
        (timeout,),
        (move_on,),
        (fail,),
        (timeout, timeout),
        (move_on, move_on),
        (fail, fail),
        (timeout, move_on),
        (timeout, fail),
        (move_on, timeout),
        (fail, timeout),
        (move_on, fail),
        (timeout, shield),
        (move_on, timeout, fail),
        (timeout, move_on, timeout),
        (timeout, shield, move_on),
    )
}
SCENES = SIMPLE | NESTED


async def well_behaved() -> object:
    """Wait for ever, as any coroutine would that holds nothing up."""
    return await asyncio.Event().wait()


async def facts_of(scene: str, work: Work) -> tuple[Facts, str, float]:
    """Play a scene; return what was seen within it, how it ended, and how long it took."""
    facts: Facts = []
    loop = asyncio.get_running_loop()
    began = loop.time()
    end = await end_of(wrapped(lambda: SCENES[scene](work, facts)))
    return facts, end, loop.time() - began


HOW = ["abandon", "keep at once", "stop in no time"]
TOGETHER = [
    (scene, how)
    for scene in SCENES
    for how in HOW
    # An outer scope of anyio's fires a pass of the loop after the inner one, when a plain wait would be over.
    if not (how == "stop in no time" and "the inner first" in scene)
]


@pytest.mark.parametrize(("scene", "how"), TOGETHER)
def test_a_caller_sees_what_it_would_of_any_well_behaved_coroutine(scene: str, how: str) -> None:
    """Cancelled by whatever there is, nested in one another and firing together: the same that a plain wait sees."""

    async def main() -> tuple[Facts, str]:
        held, errors, loop = HeldAttempt(), list[asyncio.CancelledError](), asyncio.get_running_loop()
        timeouts = Timeouts(settle=0 if how == "keep at once" else 10)
        policy: Any = how.partition(" ")[0]
        async with fake_client(FakeTransport(start_task=held), timeouts=timeouts) as client:

            async def start() -> object:
                before = cancelling()
                try:
                    return await client.start_task(make_request(), on_cancel=policy)
                except asyncio.CancelledError as error:
                    assert cancelling() > before
                    errors.append(error)
                    raise

            if how == "stop in no time":
                loop.call_later(1.000001, held.gate.set)
            facts, end, _ = await facts_of(scene, start)
            held.gate.set()
        assert errors
        assert all(isinstance(error.__cause__, StartCancelled) for error in errors)
        assert all(aioecs.find_start_error(error) is error.__cause__ for error in errors)
        return facts, end

    async def reference() -> tuple[Facts, str]:
        facts, end, _ = await facts_of(scene, well_behaved)
        return facts, end

    assert run_in_virtual_time(main()) == run_in_virtual_time(reference())


@pytest.mark.parametrize("scene", SIMPLE)
@pytest.mark.parametrize("on_cancel", ["stop", "keep"])
def test_settling_takes_its_time_and_changes_nothing_else(scene: str, on_cancel: Any) -> None:
    """The answer comes three seconds after the cancel: the caller sees the same, later, and gets the outcome."""

    async def main() -> tuple[Facts, str]:
        held, named = HeldAttempt(), list[StartCancelled | None]()
        transport = FakeTransport(start_task=held)
        async with fake_client(transport) as client:

            async def start() -> object:
                try:
                    return await client.start_task(make_request(), on_cancel=on_cancel)
                except asyncio.CancelledError as error:
                    named.append(aioecs.find_start_error(error))
                    raise

            asyncio.get_running_loop().call_later(4, held.gate.set)
            facts, end, took = await facts_of(scene, start)
            if scene == "by_gather":
                await asyncio.sleep(4)  # gather itself waits for nobody
            assert took == pytest.approx(4)
        expected = Outcome.STOPPED if on_cancel == "stop" else Outcome.STARTED
        assert {truth.outcome for truth in named if truth} == {expected}
        assert transport.names().count("StopTask") == len(named) * (on_cancel == "stop")
        return facts, end

    async def reference() -> tuple[Facts, str]:
        facts, end, _ = await facts_of(scene, well_behaved)
        return facts, end

    assert run_in_virtual_time(main()) == run_in_virtual_time(reference())


def test_the_first_cancelled_error_is_raised_again_and_no_count_is_touched() -> None:
    """The same object that came in, whatever came after; `cancelling()` counts all of them."""

    async def main() -> None:
        held = HeldAttempt()
        async with fake_client(FakeTransport(start_task=held)) as client:
            counts: list[int] = []

            async def start() -> None:
                try:
                    await client.start_task(make_request())
                finally:
                    counts.append(cancelling())

            assert await end_of(start(), 1) == "cancelled cancel 1"
            assert await end_of(start(), 1, 2) == "cancelled cancel 1"
            assert (await end_of(start(), 1, 1, 1)).startswith("cancelled cancel ")  # asyncio folds them in one
            assert counts == [1, 2, 3]
            held.gate.set()

    run_in_virtual_time(main())


# The passed scope or token -------------------------------------------------------------------------------------------


def make_token() -> CancelToken:
    return CancelToken()


def make_scope() -> anyio.CancelScope:
    return anyio.CancelScope()


SOURCES = [make_token, make_scope]


@pytest.mark.parametrize("make", SOURCES)
@pytest.mark.parametrize(
    ("on_cancel", "outcome", "took"),
    [("stop", Outcome.STOPPED, 4), ("keep", Outcome.STARTED, 4), ("abandon", Outcome.UNKNOWN, 1)],
)
def test_a_scope_or_token_that_fires_ends_in_start_cancelled(
    make: Callable[[], Any], on_cancel: Any, outcome: Outcome, took: float
) -> None:
    """With source, reason, token and what came of it; the answer comes three seconds after the cancel."""

    async def main() -> None:
        held, loop, source, received = HeldAttempt(), asyncio.get_running_loop(), make(), list[Any]()
        began = loop.time()
        async with fake_client(
            FakeTransport(start_task=held),
            on_cancel=on_cancel,
            on_settled=lambda starts, why: received.append((starts[0].outcome, why)),
        ) as client:
            loop.call_later(1, source.cancel, "bored")
            loop.call_later(4, held.gate.set)
            with pytest.raises(StartCancelled) as caught:
                await client.start_task(make_request(2), source)
            truth = caught.value
            assert loop.time() - began == pytest.approx(took, abs=0.02)
            assert (truth.outcome, len(truth.starts), truth.source) == (outcome, 2, source)
            assert truth.reason == ("bored" if isinstance(source, CancelToken) else None)
            assert len(truth.tasks) == (0 if outcome is Outcome.UNKNOWN else 2)
            assert truth.token.startswith("aioecs-")
            assert cancelling() == 0
        # Only an outcome that the caller could not receive is reported otherwise, once it is known.
        why = truth.reason or "cancelled"
        assert received == ([(Outcome.STARTED, why)] if outcome is Outcome.UNKNOWN else [])

    run_in_virtual_time(main())


@pytest.mark.parametrize("make", SOURCES)
def test_settle_bounds_the_wait_and_the_background_task_goes_on(make: Callable[[], Any]) -> None:
    """Ten seconds for learning and stopping together: then UNKNOWN, and `on_settled` gets the end."""

    async def main() -> None:
        held, loop, source, received = HeldAttempt(), asyncio.get_running_loop(), make(), list[Any]()
        began = loop.time()
        async with fake_client(
            FakeTransport(start_task=held), on_settled=lambda starts, why: received.append((starts[0].outcome, why))
        ) as client:
            loop.call_later(1, source.cancel)
            with pytest.raises(StartCancelled) as caught:
                await client.start_task(make_request(), source)
            assert caught.value.outcome is Outcome.UNKNOWN
            assert loop.time() - began == pytest.approx(11, abs=0.02)
            assert received == []
            held.gate.set()
        assert received == [(Outcome.STOPPED, "cancelled")]

    run_in_virtual_time(main())


def test_a_scope_that_encloses_the_call_is_what_the_caller_sees() -> None:
    """Passed and entered around it: anyio's own cancellation comes out, which the scope catches; once or in a group."""

    async def main() -> None:
        for shielded in (False, True):
            held, scope = HeldAttempt(), anyio.CancelScope()
            async with fake_client(FakeTransport(start_task=held)) as client:
                asyncio.get_running_loop().call_later(1, scope.cancel)
                asyncio.get_running_loop().call_later(3, held.gate.set)
                seen: list[BaseException] = []
                with scope:
                    try:
                        with anyio.CancelScope(shield=shielded):
                            await client.start_task(make_request(), scope)
                    except BaseException as error:
                        seen.append(error)
                        raise
                    finally:
                        assert seen
                        if shielded:  # so it encloses the call no more
                            assert isinstance(seen[0], StartCancelled)
                assert scope.cancelled_caught
                assert isinstance(seen[0], asyncio.CancelledError)
                truth = aioecs.find_start_error(seen[0])
                assert truth is not None
                assert (truth.outcome, truth.source) == (Outcome.STOPPED, scope)
                assert cancelling() == 0

    with pytest.raises(StartCancelled):
        run_in_virtual_time(main())


@pytest.mark.parametrize("make", [make_scope, lambda: anyio.move_on_after(5)])
def test_the_callers_scope_is_left_untouched(make: Callable[[], anyio.CancelScope]) -> None:
    """Passed to twenty calls at once and one after the other, it can still be entered, once, and works."""

    async def main() -> None:
        scope = make()
        async with fake_client(FakeTransport()) as client:
            await asyncio.gather(*(client.start_task(make_request(), scope) for _ in range(20)))
            await client.start_task(make_request(), scope)
            deadline = scope.deadline
            with scope:
                asyncio.get_running_loop().call_later(1, scope.cancel)
                await asyncio.sleep(60)
            assert (scope.cancelled_caught, scope.deadline) == (True, deadline)

    run_in_virtual_time(main())


@pytest.mark.parametrize("make", SOURCES)
def test_one_source_cancels_any_number_of_calls(make: Callable[[], Any]) -> None:
    """A thousand at once, in flight and in the queue: each gets its own outcome, and nothing is sent afterwards."""

    async def main() -> None:
        held, source, transport = HeldAttempt(), make(), FakeTransport()
        transport.handlers["start_task"] = held
        async with fake_client(transport) as client:
            calls = [asyncio.create_task(client.start_task(make_request(), source)) for _ in range(1000)]
            await iterations(5)
            sent = len(transport.requests)
            source.cancel()
            await asyncio.sleep(0.02)
            held.gate.set()
            ends = await asyncio.gather(*calls, return_exceptions=True)
            outcomes = [end.outcome for end in ends if isinstance(end, StartCancelled)]
            assert len(outcomes) == 1000
            assert outcomes.count(Outcome.STOPPED) == sent == 50
            assert outcomes.count(Outcome.NOT_SENT) == 950
            assert transport.names().count("StartTask") == 50
            transport.handlers["start_task"] = FakeTransport().handlers["start_task"]
            for _ in range(20):
                assert len((await client.start_task(make_request())).tasks) == 1

    run_in_virtual_time(main())


# Second cancels ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("first", "second", "ends", "raised"),
    [
        ("token", "native", 2, "cancelled cancel 2"),
        ("native", "token", 2, "cancelled cancel 1"),
        ("native", "native", 2, "cancelled cancel 1"),
        ("scope", "native", 2, "cancelled cancel 2"),
        ("token", "token", 5, "raised StartCancelled"),
        ("native", "scope", 5, "cancelled cancel 1"),
        ("enclosing", "nothing", 5, "returned True"),
        ("enclosing", "native", 2, "cancelled by a scope"),
        ("token", "enclosing", 2, "returned True"),
    ],
)
def test_a_second_cancel_ends_the_wait_and_not_the_settling(
    first: str, second: str, ends: float, raised: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A scope that was passed and one that encloses are one cancel; `on_settled` and the log get the end."""
    caplog.set_level(logging.INFO, "aioecs")

    async def main() -> None:
        held, loop, received = HeldAttempt(), asyncio.get_running_loop(), list[Any]()
        token, scope, around = CancelToken(), anyio.CancelScope(), anyio.CancelScope()
        source = token if "token" in (first, second) else around if first == "enclosing" else scope
        causes: list[StartCancelled] = []
        began, ended = loop.time(), list[float]()
        async with fake_client(
            FakeTransport(start_task=held), on_settled=lambda starts, why: received.append(starts[0].outcome)
        ) as client:

            async def outcome(task: asyncio.Task[bool]) -> bool:
                return await task

            async def call() -> bool:
                with around:
                    try:
                        await client.start_task(make_request(), source)
                    except BaseException as error:
                        truth = aioecs.find_start_error(error)
                        assert truth is not None
                        causes.append(truth)
                        ended.append(loop.time() - began)
                        raise
                return around.cancelled_caught

            task = asyncio.create_task(call())
            for at, what in ((1, first), (2, second)):
                fire: dict[str, Callable[[], object]] = {
                    "token": token.cancel,
                    "scope": scope.cancel,
                    "enclosing": around.cancel,
                    "native": lambda at=at: task.cancel(f"cancel {at}"),  # type: ignore[misc]
                    "nothing": lambda: None,
                }
                loop.call_later(at, fire[what])
            loop.call_later(5, held.gate.set)
            await asyncio.wait([task])
            assert await end_of(outcome(task)) == raised
            assert ended == [pytest.approx(ends, abs=0.02)]
            assert causes[0].outcome is (Outcome.UNKNOWN if ends == 2 else Outcome.STOPPED)
        cancelled_natively = not raised.startswith("raised")
        assert received == ([Outcome.STOPPED] if ends == 2 or cancelled_natively else [])
        lines = [record for record in caplog.records if record.name == "aioecs"]
        waits = [record for record in lines if record.getMessage().startswith("waiting for up to")]
        assert all(record.levelname == "WARNING" for record in waits)
        given_up = [record for record in lines if "is not known yet" in record.getMessage()]
        assert [record.levelname for record in given_up] == ["WARNING"] * (ends == 2)
        lines = [record for record in lines if record not in (*waits, *given_up)]
        assert [record.levelname for record in lines] == ["INFO"] * len(received)

    run_in_virtual_time(main())


# Before it has begun -------------------------------------------------------------------------------------------------

BEFORE = ["token", "token's deadline", "scope", "scope's deadline", "passed and around", "around", "native", "both"]


async def cancelled_before(how: str, start: Callable[[Any], Awaitable[object]]) -> BaseException | None:
    """Start something where it has been cancelled before, and return what it raised."""
    raised: list[BaseException] = []
    scope, token = anyio.CancelScope(), CancelToken()

    async def noted(source: Any = None) -> None:
        try:
            await start(source)
        except BaseException as error:
            raised.append(error)
            raise

    async def call() -> None:
        match how:
            case "token":
                token.cancel("bored")
                await noted(token)
            case "token's deadline":
                token.cancel_after(0)
                await noted(token)
            case "scope":
                scope.cancel()
                await noted(scope)
            case "scope's deadline":
                scope.deadline = asyncio.get_running_loop().time()
                await noted(scope)
            case "passed and around" | "around":
                with scope:
                    scope.cancel()
                    await noted(scope if how != "around" else None)
            case _:
                task = asyncio.current_task()
                assert task is not None
                task.cancel()
                token.cancel("bored")
                await noted(token if how == "both" else None)

    await asyncio.gather(call(), return_exceptions=True)  # so that no later test logs its error
    return raised[0] if raised else None


@pytest.mark.parametrize("how", BEFORE)
@pytest.mark.parametrize("key", [None, "key"])
async def test_what_is_cancelled_before_it_began_is_neither_signed_nor_sent(
    how: str, key: str | None, local: LocalECS
) -> None:
    """NOT_SENT, without a token; and what encloses it is what the caller sees."""
    access: dict[str, Any] = {**local.client_kwargs()}
    async with Client(**access, transport="botocore") as client:  # whose signing can be listened to
        signed: list[object] = []
        client.raw.meta.events.register("before-sign.ecs", lambda **what: signed.append(what))

        def start(source: Any) -> Awaitable[object]:
            request = StartTaskRequest(task_definition="demo", container_instances=local.instance_arns)
            return client.start_task(request, source, idempotency_key=key)

        error = await cancelled_before(how, start)
        natively = how in ("passed and around", "around", "native", "both")
        assert isinstance(error, asyncio.CancelledError if natively else StartCancelled)
        truth = aioecs.find_start_error(error)
        assert truth is not None
        assert [start.outcome for start in truth.starts] == [Outcome.NOT_SENT] * 3
        assert {(start.token, start.attempts) for start in truth.starts} == {("", 0)}
        assert truth.reason == {"token": "bored", "token's deadline": "deadline", "both": "bored"}.get(how)
        await iterations(10)
        assert signed == []
        assert local.truth.requests.total() == 0
        await client.list_tasks()
        assert len(signed) == 1


async def test_a_cancel_that_was_swallowed_long_ago_is_no_cancel(client: Client, local: LocalECS) -> None:
    """A task that was cancelled and went on may call as any other."""
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.sleep(0)
    request = StartTaskRequest(task_definition="demo", container_instances=local.instance_arns)
    assert len((await client.start_task(request)).tasks) == 3
    task.uncancel()


# Callers that share a call -------------------------------------------------------------------------------------------


def test_a_callers_cancel_never_touches_the_others() -> None:
    """It gets what is known; the call is withdrawn when the last caller has left, and only then is anything stopped."""

    async def main(last_leaves: bool) -> None:
        held, received = HeldAttempt(), list[Any]()
        core = make_core(FakeTransport(start_task=held), on_settled=lambda starts, why: received.append(why))
        shared_call = SharedCall(make_call(core))
        shared_call.call.begin()
        tokens = [CancelToken() for _ in range(3)]

        async def wait(token: CancelToken) -> object:
            with Wait(shared_call, token, "stop", 2) as waiting:
                return await waiting.answer()

        tasks = [asyncio.create_task(wait(token)) for token in tokens]
        await iterations(3)
        for token in tokens[: 2 + last_leaves]:
            token.cancel("mine")
            await asyncio.sleep(1)
        if last_leaves:
            held.gate.set()
        ends = [await result_of(task) for task in tasks[:2]]
        assert [end.outcome for end in ends if isinstance(end, StartCancelled)] == [Outcome.UNKNOWN] * 2
        assert shared_call.call.withdrawn == ("mine" if last_leaves else None)
        held.gate.set()
        end = await result_of(tasks[2])
        if last_leaves:
            assert isinstance(end, StartCancelled)
            assert end.outcome is Outcome.STOPPED
        else:
            assert isinstance(end, aioecs.StartTaskResponse)
        assert received == []

    run_in_virtual_time(main(False))
    run_in_virtual_time(main(True))


def test_those_who_share_a_call_extend_its_clock() -> None:
    """Nobody's clock or deadline cuts another's short."""

    async def main() -> None:
        core = make_core(FakeTransport())
        shared_call = SharedCall(make_call(core, deadline=core.now + 1, scope_deadline=core.now + 2))
        shared_call.extend_deadlines(make_call(core, deadline=core.now + 5).record)
        shared_call.extend_deadlines(make_call(core, deadline=core.now + 3, scope_deadline=core.now + 3).record)
        assert shared_call.call.record.deadline == core.now + 5
        assert shared_call.call.record.scope_deadline == float("inf")

    run_in_virtual_time(main())


@pytest.mark.parametrize("on_cancel", ["stop", "keep"])
@pytest.mark.parametrize("also", [False, True])
def test_a_cancel_that_comes_together_with_the_end_takes_the_call_up_again(on_cancel: Any, also: bool) -> None:
    """What it started is stopped, if that is wanted and nobody else has the answer; it is named either way."""

    async def main() -> None:
        held, received = HeldAttempt(), list[Any]()
        transport = FakeTransport(start_task=held)
        core = make_core(transport, on_settled=lambda starts, why: received.append(starts[0].outcome))
        shared_call = SharedCall(make_call(core))
        shared_call.call.begin()
        shared_call.call.end_waiter().add_done_callback(lambda _: tasks[0].cancel())  # before the task can wake up

        async def wait() -> object:
            with Wait(shared_call, None, on_cancel, 5) as waiting:
                return await waiting.answer()

        tasks = [asyncio.create_task(wait()) for _ in range(1 + also)]
        await held.begun.wait()
        held.gate.set()
        [end, *others] = [await result_of(task) for task in tasks]
        assert isinstance(end, asyncio.CancelledError)
        truth = aioecs.find_start_error(end)
        assert truth is not None
        outcome = Outcome.STOPPED if on_cancel == "stop" and not also else Outcome.STARTED
        assert truth.outcome is outcome
        assert received == ([] if also else [outcome])
        assert all(isinstance(other, aioecs.StartTaskResponse) for other in others)
        assert shared_call.over is not also

    run_in_virtual_time(main())


@pytest.mark.parametrize("how", ["closed", "closed while it settles", "struck", "closed at the end"])
def test_a_wait_that_is_closed_withdraws_like_one_that_is_cancelled(how: str) -> None:
    """A coroutine that nobody runs any more, or that a KeyboardInterrupt strikes, is no reason to lose a task."""

    async def main() -> None:
        held, received = HeldAttempt(), list[Any]()
        core = make_core(
            FakeTransport(start_task=held), on_settled=lambda starts, why: received.append((starts[0].outcome, why))
        )
        shared_call = SharedCall(make_call(core))
        shared_call.call.begin()

        async def wait() -> object:
            with Wait(shared_call, token, "stop", 5) as waiting:
                return await waiting.answer()

        token = CancelToken()
        closed = wait()
        closed.send(None)
        await held.begun.wait()
        if how == "closed while it settles":
            token.cancel("bored")
            await iterations(2)
        if how == "closed at the end":
            held.gate.set()
            await shared_call.end_waiter()
        if how == "struck":
            with pytest.raises(KeyboardInterrupt):
                closed.throw(KeyboardInterrupt())
        else:
            closed.close()
        held.gate.set()
        await core.background_tasks.drained(5)
        assert received == [(Outcome.STOPPED, "bored" if "settles" in how else "left")]

    run_in_virtual_time(main())


# A key that a withdrawn call still holds ------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["waits", "token", "native", "clock", "scope around"])
def test_a_call_waits_for_a_withdrawn_one_of_its_key(how: str) -> None:
    """Its tasks may be about to be stopped, so they are not adopted; a cancel or the clock ends the wait, unsent."""

    async def main() -> None:
        held, loop, token = HeldAttempt(), asyncio.get_running_loop(), CancelToken()
        transport = FakeTransport(start_task=held)
        async with fake_client(transport, timeouts=Timeouts(call=6, settle=1)) as client:
            client._preparer.reconcilers[None] = FakeReconciler()  # type: ignore[assignment]
            first = asyncio.create_task(client.start_task(make_request(), token, idempotency_key="key"))
            await held.begun.wait()
            token.cancel()
            with pytest.raises(StartCancelled):
                await first
            other, around = CancelToken(), anyio.CancelScope()
            began = loop.time()

            async def start() -> object:
                with around:
                    try:
                        return await client.start_task(make_request(), other, idempotency_key="key")
                    except asyncio.CancelledError as error:
                        truth.append(aioecs.find_start_error(error))
                        raise
                return None

            truth: list[StartCancelled | None] = []
            second = asyncio.create_task(start())
            fire: dict[str, Callable[[], object]] = {
                "waits": held.gate.set,
                "token": other.cancel,
                "native": second.cancel,
                "clock": lambda: None,
                "scope around": around.cancel,
            }
            loop.call_later(1, fire[how])
            end = await result_of(second)
            took = loop.time() - began
            if how == "waits":
                assert isinstance(end, aioecs.StartTaskResponse)
                assert transport.names() == ["StartTask", "StopTask", "StartTask"]
            else:
                assert transport.names() == ["StartTask"]
                assert took == pytest.approx(6 if how == "clock" else 1, abs=1e-3)
                if how in ("token", "clock"):
                    assert isinstance(end, StartCancelled if how == "token" else CallTimeout)
                    truth.append(end if isinstance(end, StartCancelled) else None)
                    assert [start.outcome for start in getattr(end, "starts", ())] == [Outcome.NOT_SENT]
                if how != "clock":
                    assert truth[0] is not None
                    assert truth[0].outcome is Outcome.NOT_SENT
            held.gate.set()

    run_in_virtual_time(main())


# Walking every step on real sockets -----------------------------------------------------------------------------------


async def after(steps: int, fire: Callable[[], object], until: asyncio.Task[Any]) -> bool:
    """Fire after so many passes of the loop; return whether it did, before the task ended."""
    for _ in range(steps):
        if until.done():
            return False
        await asyncio.sleep(0)
    if until.done():
        return False
    fire()
    return True


WALKS: list[tuple[str, list[Fault]]] = [
    ("answered", []),
    ("answered late", [Fault("delay", when="after", seconds=0.002, times=None)]),
    ("acted late", [Fault("delay", when="before", seconds=0.002, times=None)]),
    ("lost", [Fault("reset", when="after", times=None)]),
    ("never arrived", [Fault("reset", when="unread", times=None)]),
    ("throttled", [Fault("throttle", times=2)]),
    ("connecting", [Fault("close", operation="DescribeTaskDefinition", times=None)]),
]
DEMO = aioecs.DescribeTaskDefinitionRequest(task_definition="demo")


@pytest.mark.parametrize("on_cancel", ["stop", "keep"])
@pytest.mark.parametrize("way", ["token", "scope", "native"])
@pytest.mark.parametrize(("walk", "faults"), WALKS, ids=[name for name, _ in WALKS])
async def test_every_step_of_a_start_can_be_its_last(
    walk: str, faults: list[Fault], way: str, on_cancel: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cancelled at the n-th pass of the loop, for every n: no task runs that should not, and no report is false."""
    monkeypatch.setattr(cancellation_monitor, "TICK", 0)
    monkeypatch.setattr(reconciler, "RATE", 1e9)
    monkeypatch.setattr(reconciler, "GATHERING", 0)
    clocks = Timeouts(consistency=0.003, settle=5, attempt=2, call=5)
    retries = Retries(initial_backoff=0.001, max_attempts=1 if walk == "connecting" else 5)
    async with (
        LocalECS(instances=2, faults=faults) as local,
        Client(**local.client_kwargs(), timeouts=clocks, retries=retries, pacing=None) as client,
    ):
        request = StartTaskRequest(task_definition="demo", container_instances=local.instance_arns)
        await client.list_tasks()  # the first request of a client takes longer than all others
        steps, fired, seen, known, running = 1, True, set[Outcome](), set[str](), set[str | None]()
        while fired:
            if walk == "throttled":
                local.faults.set(faults)
            if walk == "connecting":  # the connection that was kept is gone, and the next start needs a new one
                with pytest.raises(aioecs.AnswerLost):
                    await client.describe_task_definition(DEMO)
            before = {task.arn for task in local.truth.tasks()}
            token, scope = CancelToken(), anyio.CancelScope()
            source: Any = {"token": token, "scope": scope}.get(way)
            task = asyncio.create_task(client.start_task(request, source, on_cancel=on_cancel))
            fire = {"token": token.cancel, "scope": scope.cancel, "native": task.cancel}[way]
            fired = await after(steps, fire, task)
            end = await result_of(task)
            made = [each for each in local.truth.tasks() if each.arn not in before]
            seen |= hold_against_truth(end, made, on_cancel)
            known |= {task.arn for task in made}
            running |= {task.task_arn for task in end.tasks} if isinstance(end, aioecs.StartTaskResponse) else set()
            steps = steps + 1 if steps < 20 else steps + steps // 2
        assert steps >= 8
        assert Outcome.NOT_SENT in seen or walk not in ("throttled", "connecting")
        assert Outcome.UNKNOWN in seen or walk != "never arrived"
        assert Outcome.STARTED in seen or walk == "never arrived"
        assert Outcome.STOPPED in seen or walk in ("never arrived", "throttled") or on_cancel != "stop"
    # And nothing came to light when all was over.
    assert {task.arn for task in local.truth.tasks()} == known
    assert on_cancel != "stop" or {task.arn for task in local.truth.running()} <= running


def hold_against_truth(end: object, made: list[Any], on_cancel: str) -> set[Outcome]:
    """Hold what a call said against the tasks that there really are."""
    if isinstance(end, aioecs.StartTaskResponse):
        assert {task.task_arn for task in end.tasks} == {task.arn for task in made if task.live}
        return {Outcome.STARTED}
    assert isinstance(end, BaseException)
    truth = aioecs.find_start_error(end) or end
    assert isinstance(truth, aioecs.StartError), repr(truth)
    outcomes = {start.outcome for start in truth.starts}
    named = {task.task_arn for task in truth.tasks}
    live = {task.arn for task in made if task.live}
    assert len(made) in (0, 2)
    if isinstance(truth, StartCancelled) and on_cancel == "stop":
        assert live == set(), f"left running: {truth!r}"
    assert live <= named, f"runs unnamed: {truth!r}"
    assert (
        outcomes
        <= {
            Outcome.NOT_SENT: {Outcome.NOT_SENT, Outcome.UNKNOWN},
            Outcome.STARTED: {Outcome.STARTED},
            Outcome.STOPPED: {Outcome.STOPPED},
        }[Outcome.STARTED if live else Outcome.STOPPED if made else Outcome.NOT_SENT]
    ), repr(truth)
    return outcomes


@pytest.mark.parametrize("way", ["token", "scope", "native"])
async def test_a_request_that_hangs_is_waited_for_as_long_as_settle(way: str) -> None:
    """The server holds the answer back: the caller goes after `settle`, and the client learns the end."""
    received: list[Any] = []
    async with (
        LocalECS(instances=1, faults=[Fault("hang", when="after")]) as local,
        Client(
            **local.client_kwargs(),
            timeouts=Timeouts(settle=0.05, attempt=0.3, consistency=0.05, connect=0.1),
            on_settled=lambda starts, why: received.extend(starts),
        ) as client,
    ):
        request = StartTaskRequest(task_definition="demo", container_instances=local.instance_arns)
        token, scope = CancelToken(), anyio.CancelScope()
        task = asyncio.create_task(client.start_task(request, cast("Any", {"token": token, "scope": scope}.get(way))))
        while not local.truth.tasks():
            await asyncio.sleep(0)
        {"token": token.cancel, "scope": scope.cancel, "native": task.cancel}[way]()
        end = await result_of(task)
        truth = aioecs.find_start_error(end if isinstance(end, BaseException) else None)
        assert truth is not None
        assert truth.outcome is Outcome.UNKNOWN
        assert received == []
    assert [(start.outcome, start.token) for start in received] == [(Outcome.STOPPED, truth.token)]
    assert local.truth.running() == []


# The end of the loop -------------------------------------------------------------------------------------------------


async def started_on(local: LocalECS) -> None:
    """Wait until there are tasks."""
    while not local.truth.tasks():
        await asyncio.sleep(0.001)


@pytest.mark.parametrize("ends", ["main returns", "main is cancelled", "main raises"])
@pytest.mark.parametrize("fault", ["hang", "reset"])
async def test_the_end_of_asyncio_run_leaves_no_orphan(ends: str, fault: Any, caplog: pytest.LogCaptureFixture) -> None:
    """A client is open in a background task with a call in flight: it is looked up and stopped before the loop ends."""
    caplog.set_level(logging.INFO, "aioecs")
    received: list[Any] = []
    caught: list[BaseException] = []
    begun: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    async def background(local: LocalECS) -> None:
        async with Client(
            **local.client_kwargs(),
            timeouts=Timeouts(settle=5, consistency=8),
            on_settled=lambda starts, why: received.append(starts[0].outcome),
        ) as client:
            try:
                await client.start_task(
                    StartTaskRequest(task_definition="demo", container_instances=local.instance_arns)
                )
            except asyncio.CancelledError as error:
                caught.append(error)
                raise

    async def main(local: LocalECS) -> None:
        task = asyncio.create_task(background(local))
        begun.append((asyncio.get_running_loop(), asyncio.Event()))
        await begun[0][1].wait()
        if ends == "main raises":
            raise ZeroDivisionError
        if ends == "main is cancelled":
            this = asyncio.current_task()
            assert this is not None
            this.cancel()
            await asyncio.sleep(0)
        assert not task.done()

    async with LocalECS(faults=[Fault(fault, when="after")]) as local:
        run = asyncio.create_task(asyncio.to_thread(lambda: asyncio.run(main(local))))
        await started_on(local)
        begun[0][0].call_soon_threadsafe(begun[0][1].set)
        end = await result_of(run)
        expected = {"main returns": type(None), "main is cancelled": asyncio.CancelledError}
        assert isinstance(end, expected.get(ends, ZeroDivisionError))
        assert local.truth.running() == []
        assert len(local.truth.tasks()) == 3
    assert aioecs.find_start_error(caught[0]) is not None
    assert received == [Outcome.STOPPED]
    assert not [record for record in caplog.records if record.levelno > logging.INFO]


CTRL_C = """
    import asyncio, sys, logging
    import aioecs
    from aioecs import Client, StartTaskRequest, Timeouts

    logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="%(name)s %(levelname)s %(message)s")

    async def main():
        async with Client(endpoint_url=sys.argv[1], region_name="us-east-1", aws_access_key_id="a",
                          aws_secret_access_key="b", timeouts=Timeouts(settle=60, consistency=8),
                          on_settled=lambda starts, why: print("settled", starts[0].outcome, flush=True)) as client:
            instances = (await client.list_container_instances()).container_instance_arns
            try:
                await client.start_task(StartTaskRequest(task_definition="demo", container_instances=instances))
            finally:
                print("left", flush=True)

    leave = aioecs._calls.call.Call.withdraw

    def withdrawn(*arguments):  # and soon the loop waits for the answer alone
        leave(*arguments)
        asyncio.get_running_loop().call_later(0.1, lambda: print("withdrawn", flush=True))

    aioecs._calls.call.Call.withdraw = withdrawn
    asyncio.run(main())
"""


@pytest.mark.parametrize("times", [1, 2])
async def test_ctrl_c_once_or_twice_leaves_no_orphan(times: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first cancels main, the second raises in the loop: both end with the tasks stopped and reported."""
    interrupted = asyncio.Event()

    async def answer_once_interrupted(*_: object, **__: object) -> None:
        await interrupted.wait()

    monkeypatch.setattr(FaultServer, "_pause", answer_once_interrupted)
    async with LocalECS(faults=[Fault("delay", when="after", seconds=1)]) as local:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", textwrap.dedent(CTRL_C), local.endpoint_url, str(times)),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        assert process.stdout is not None
        await started_on(local)
        process.send_signal(signal.SIGINT)
        while (line := await process.stdout.readline()) != b"withdrawn\n":  # it is being carried out
            assert b" WARNING " in line, line  # asyncio's, of a slow step, under -X dev
        if times == 2:
            process.send_signal(signal.SIGINT)
        interrupted.set()
        out, err = (text.decode() for text in await process.communicate())
        assert "settled stopped" in out, out + err
        assert "ERROR" not in out
        assert err.rstrip().endswith("KeyboardInterrupt")
        assert process.returncode == -signal.SIGINT
        assert local.truth.running() == []
        assert len(local.truth.tasks()) == 3
