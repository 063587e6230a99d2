"""admission: of the callers that come at once a few are admitted at a time, in order, and none is lost."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from itertools import pairwise
from typing import Any

import anyio
import pytest
from fake_transport import FakeTransport, fake_client, make_request
from hypothesis import given, settings
from hypothesis import strategies as st
from virtual_time import VirtualTimeLoop, iterations, run_in_virtual_time

import aioecs
from aioecs._runtime import admission as admission_module
from aioecs._runtime.admission import ADMITTING_TIME, CALLERS_PER_CHECK, AdmissionGate
from aioecs.errors import ClientStateError, InvalidRequest, StartCancelled

StartResult = Callable[..., Coroutine[Any, Any, Any]]


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> int:
    """Let each pass spend nothing: return how many it admits before the others are queued."""
    monkeypatch.setattr(admission_module, "ADMITTING_TIME", 0.0)
    return 2 * CALLERS_PER_CHECK


async def enter(gate: AdmissionGate, log: list[int], n: int = 0, takes: float = 0.0) -> None:
    """Arrive, wait in the queue if that is asked, go in, and take so long there."""
    if not gate.try_admit():
        await gate.queue()
    log.append(n)
    spend(takes)


def spend(seconds: float) -> None:
    """Let time pass in the middle of a pass, as work does."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTimeLoop)
    loop.advance(seconds)


# The gate by itself --------------------------------------------------------------------------------------------------


def test_who_comes_alone_pays_for_a_count_and_no_more() -> None:
    """A few callers in one pass go in at once, and cost the loop no visit."""

    async def main() -> None:
        gate, loop = AdmissionGate.here(), asyncio.get_running_loop()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(loop, "call_soon", None)
            assert all(gate.try_admit() for _ in range(CALLERS_PER_CHECK))
        assert gate.waiting == 0

    run_in_virtual_time(main())


def test_all_clients_of_a_loop_share_its_gate() -> None:
    """It belongs to the loop, since the pass does."""

    async def main() -> AdmissionGate:
        assert AdmissionGate.here() is AdmissionGate.here()
        async with fake_client(FakeTransport()) as one, fake_client(FakeTransport()) as other:
            assert one._core().admission is other._core().admission is AdmissionGate.here()
        return AdmissionGate.here()

    assert run_in_virtual_time(main()) is not run_in_virtual_time(main())


@pytest.mark.parametrize(
    ("each", "first"),
    [
        (ADMITTING_TIME / 3.5, 2 * CALLERS_PER_CHECK),
        (ADMITTING_TIME / 19.5, 4 * CALLERS_PER_CHECK),
        (10.0, 2 * CALLERS_PER_CHECK),
        (0.0, 500),
    ],
)
def test_a_pass_lets_in_what_fits_its_spell(each: float, first: int) -> None:
    """The first few and then whoever comes before the time of the pass is over; the next passes admit as many."""

    async def main() -> list[int]:
        gate, inside = AdmissionGate.here(), list[int]()
        tasks = [asyncio.create_task(enter(gate, inside, takes=each)) for _ in range(500)]
        admit = []
        while not all(task.done() for task in tasks):
            before = len(inside)
            await iterations(1)
            admit.append(len(inside) - before)
        return [count for count in admit if count]

    counts = run_in_virtual_time(main())
    assert sum(counts) == 500
    assert counts[:-1] == [first] * (len(counts) - 1)
    assert counts[-1] <= first


def test_other_tasks_of_the_loop_run_in_between(narrow: int) -> None:
    """Between two passes that let callers in, whatever else is ready runs."""

    async def main() -> list[int]:
        gate, inside, seen = AdmissionGate.here(), list[int](), [0]
        tasks = [asyncio.create_task(enter(gate, inside)) for _ in range(5 * narrow)]
        while not all(task.done() for task in tasks):
            await asyncio.sleep(0)
            seen.append(len(inside))
        return seen

    seen = run_in_virtual_time(main())
    assert max(later - sooner for sooner, later in pairwise(seen)) == narrow
    assert seen[-1] == 5 * narrow


def test_whoever_comes_while_there_is_a_line_stands_at_its_end(narrow: int) -> None:
    """Order of arrival is order of entry, over any number of passes; an empty line lets the next in at once."""

    async def main() -> None:
        gate, inside = AdmissionGate.here(), list[int]()
        tasks = []
        for wave in range(4):
            tasks += [asyncio.create_task(enter(gate, inside, wave * 100 + n)) for n in range(30)]
            await iterations(1)
        assert gate.waiting
        await asyncio.gather(*tasks)
        assert inside == sorted(inside)
        assert len(inside) == 120
        await iterations(2)
        assert (gate.waiting, gate.try_admit()) == (0, True)

    run_in_virtual_time(main())


def test_a_cancel_in_line_costs_nobody_a_place(narrow: int) -> None:
    """The queue closes up, and callers that are cancelled as they are admitted leave without going in."""

    async def main() -> None:
        gate, inside = AdmissionGate.here(), list[int]()
        tasks = [asyncio.create_task(enter(gate, inside, n)) for n in range(3 * narrow)]
        await iterations(1)
        assert gate.waiting == 2 * narrow
        left = [narrow, narrow + 2, 3 * narrow - 1]
        for n in left[1:]:
            tasks[n].cancel()
        await iterations(1)  # the first of the queue are admitted, and haven't gone in yet
        assert len(inside) == narrow
        tasks[left[0]].cancel()
        assert all(isinstance(each, asyncio.CancelledError) for each in await gathered(tasks) if each is not None)
        assert inside == [n for n in range(3 * narrow) if n not in left]
        assert gate.waiting == 0

    run_in_virtual_time(main())


def test_a_line_that_everybody_leaves_leaves_nothing(narrow: int) -> None:
    """Closed or cancelled, who stood in it holds no place, and the loop is not kept busy."""

    async def main() -> None:
        gate = AdmissionGate.here()
        tasks = [asyncio.create_task(enter(gate, [])) for _ in range(2 * narrow)]
        await iterations(1)
        for task in tasks:
            task.cancel()
        await gathered(tasks)
        assert gate.waiting == 0
        assert all(gate.try_admit() for _ in range(narrow))
        closed = gate.queue()
        closed.send(None)
        assert gate.waiting == 1
        closed.close()
        assert gate.waiting == 0

    run_in_virtual_time(main())


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.booleans(), st.integers(0, 6)), max_size=80))
def test_each_goes_in_once_or_is_cancelled(script: list[tuple[int, bool, int]]) -> None:
    """Whoever comes, waits and is cancelled in whatever order: nobody is passed over, and nobody waits for ever."""

    async def main() -> None:
        gate, inside = AdmissionGate.here(), list[int]()
        tasks: list[asyncio.Task[None]] = []
        for passes, cancels, back in script:
            n = len(tasks)
            tasks.append(asyncio.create_task(enter(gate, inside, n, ADMITTING_TIME / 3)))
            await iterations(passes)
            if cancels and back <= n:
                tasks[n - back].cancel()
        await gathered(tasks)
        assert inside == [n for n, task in enumerate(tasks) if not task.cancelled()]
        assert gate.waiting == 0

    run_in_virtual_time(main())


async def gathered(work: list[asyncio.Task[None]]) -> list[BaseException | None]:
    """Wait for them all."""
    return await asyncio.gather(*work, return_exceptions=True)


# Behind it: what queued callers get -----------------------------------------------------------------------------------


@pytest.fixture(params=["client", "batch"])
def crowded(request: pytest.FixtureRequest, narrow: int) -> Callable[[Callable[..., Awaitable[None]]], None]:
    """Give a test a client's or a batch's start_task, with many callers arriving before the next one."""

    def run(test: Callable[..., Awaitable[None]], **more: Any) -> None:
        async def main() -> None:
            transport = FakeTransport()
            async with fake_client(transport, **more) as client, client.batch() as batch:
                start: StartResult = client.start_task if request.param == "client" else batch.start_task
                crowd = asyncio.gather(*(start(make_request()) for _ in range(9 * narrow)))
                await iterations(1)
                assert client._core().admission.waiting == 8 * narrow
                await test(start, transport)
                assert all(len(answer.tasks) == 1 for answer in await crowd)

        run_in_virtual_time(main())

    return run


def sent_for(transport: FakeTransport, instance: str) -> list[Any]:
    """Return the requests that named an instance."""
    return [each for name, each in transport.requests if name == "StartTask" and instance in each.container_instances]


MINE = "arn:aws:ecs:us-east-1:123456789012:container-instance/default/mine"


def mine(**more: Any) -> aioecs.StartTaskRequest:
    """Return a request that no other of these tests makes."""
    return make_request().replace(container_instances=[MINE], **more)


def test_who_was_in_line_starts_like_any_other(crowded: Any) -> None:
    """Later, and once."""

    async def test(start: StartResult, transport: FakeTransport) -> None:
        response = await start(mine())
        assert len(response.tasks) == len(sent_for(transport, MINE)) == 1

    crowded(test)


def test_cancelled_in_line_nothing_was_sent(crowded: Any) -> None:
    """The caller's own CancelledError goes on, the StartCancelled as its cause; a listener gets the event."""
    received: list[aioecs.Event] = []

    async def test(start: StartResult, transport: FakeTransport) -> None:
        caller = asyncio.create_task(start(mine()))
        await iterations(1)
        caller.cancel("by me")
        with pytest.raises(asyncio.CancelledError) as caught:
            await caller
        reported = caught.value.__cause__
        assert caught.value.args == ("by me",)
        assert isinstance(reported, StartCancelled)
        assert [each.outcome for each in reported.starts] == [aioecs.Outcome.NOT_SENT]
        assert (reported.reason, reported.source) == (None, None)
        settled = [event for event in received if isinstance(event, aioecs.types.StartSettled)]
        assert [each.outcome for each in settled if each.container_instance == MINE] == [aioecs.Outcome.NOT_SENT]
        await asyncio.sleep(1)
        assert sent_for(transport, MINE) == []

    crowded(test, on_event=received.append)


def test_a_token_that_fires_while_queued_is_noticed_at_admission(crowded: Any) -> None:
    """Nothing was sent, and the caller gets the reason."""

    async def test(start: StartResult, transport: FakeTransport) -> None:
        token = aioecs.CancelToken()
        caller = asyncio.create_task(start(mine(), token))
        await iterations(1)
        token.cancel("enough")
        with pytest.raises(StartCancelled) as caught:
            await caller
        assert (caught.value.reason, caught.value.source) == ("enough", token)
        assert caught.value.outcome is aioecs.Outcome.NOT_SENT
        assert sent_for(transport, MINE) == []

    crowded(test)


def test_a_cancel_and_a_token_at_the_same_moment_are_both_reported(crowded: Any) -> None:
    """The cancel goes on as itself, and its cause names the token."""

    async def test(start: StartResult, transport: FakeTransport) -> None:
        token = aioecs.CancelToken()
        caller = asyncio.create_task(start(mine(), token))
        await iterations(1)
        token.cancel("enough")
        caller.cancel()
        with pytest.raises(asyncio.CancelledError) as caught:
            await caller
        reported = caught.value.__cause__
        assert isinstance(reported, StartCancelled)
        assert (reported.reason, reported.source) == ("enough", token)
        assert sent_for(transport, MINE) == []

    crowded(test)


def test_a_scope_around_a_caller_in_line_catches_its_cancel(crowded: Any) -> None:
    """It is the scope's own cancel that the caller sees, passed or not."""

    async def test(start: StartResult, transport: FakeTransport) -> None:
        for passed in (True, False):
            with anyio.CancelScope() as scope:
                asyncio.get_running_loop().call_soon(scope.cancel)
                await start(mine(), scope if passed else None)
            assert scope.cancelled_caught
        assert sent_for(transport, MINE) == []

    crowded(test)


def test_a_request_that_breaks_a_rule_is_refused_after_the_queue(crowded: Any) -> None:
    """As InvalidRequest; to a cancelled caller as the cause of its cancel, which is never swallowed."""

    async def test(start: StartResult, transport: FakeTransport) -> None:
        with pytest.raises(InvalidRequest, match="started_by"):
            await start(mine(started_by="no spaces"))
        await iterations(1)
        crowd = [asyncio.create_task(start(make_request())) for _ in range(30)]
        caller = asyncio.create_task(start(mine(started_by="no spaces")))
        await iterations(1)
        caller.cancel()
        with pytest.raises(asyncio.CancelledError) as caught:
            await caller
        assert isinstance(caught.value.__cause__, InvalidRequest)
        await asyncio.gather(*crowd)
        assert sent_for(transport, MINE) == []

    crowded(test)


@pytest.mark.parametrize("of", ["client", "batch"])
def test_what_is_left_while_callers_stand_in_line_lets_nobody_in(of: str, narrow: int) -> None:
    """What had begun is drained; the others have not begun, and get an error that says so."""

    async def main() -> None:
        transport = FakeTransport()
        async with fake_client(transport) as client:
            batch = client.batch()
            async with batch if of == "batch" else client.batch():
                start = client.start_task if of == "client" else batch.start_task
                tasks: list[asyncio.Task[Any]] = [asyncio.create_task(start(make_request())) for _ in range(20)]
                if of == "client":
                    tasks.append(asyncio.create_task(client.stop_task(aioecs.StopTaskRequest(task="t"))))
                await iterations(1)
                if of == "client":
                    await client.__aexit__(None, None, None)
            reported = await asyncio.gather(*tasks, return_exceptions=True)
            assert all(isinstance(each, aioecs.StartTaskResponse) for each in reported[:narrow])
            assert all(isinstance(each, ClientStateError) for each in reported[narrow:])
            assert len(reported) > narrow
            assert (
                sum(len(each.container_instances) for name, each in transport.requests if name == "StartTask") == narrow
            )
            assert "StopTask" not in transport.names()
            if of == "client":
                client._state = "open"  # for the block that opened it

    run_in_virtual_time(main())


def test_other_operations_share_the_gate(narrow: int) -> None:
    """They stand in the same line; a cancel there has sent nothing."""

    async def main() -> None:
        transport = FakeTransport()
        async with fake_client(transport) as client:
            starts = [asyncio.create_task(client.start_task(make_request())) for _ in range(2 * narrow)]
            stops = [
                asyncio.create_task(client.stop_task(aioecs.StopTaskRequest(cluster="c", task=f"t{n}"))) for n in "ab"
            ]
            await iterations(1)
            assert client._core().admission.waiting == narrow + 2
            stops[0].cancel()
            await asyncio.gather(*starts, *stops, return_exceptions=True)
            assert stops[0].cancelled()
            assert [request.task for name, request in transport.requests if name == "StopTask"] == ["tb"]

    run_in_virtual_time(main())


def test_a_thousand_at_once_are_a_thousand() -> None:
    """Each is started once, whatever the line was like."""

    async def main() -> None:
        transport = FakeTransport()

        async def call(client: aioecs.Client, n: int) -> str:
            spend(ADMITTING_TIME / 10)
            response = await client.start_task(make_request().replace(container_instances=[f"{MINE}{n}"]))
            return response.tasks[0].container_instance_arn or ""

        async with fake_client(transport) as client:
            reported = await asyncio.gather(*(call(client, n) for n in range(1000)))
        assert reported == [f"{MINE}{n}" for n in range(1000)]
        assert len(transport.requests) == 1000

    run_in_virtual_time(main())
