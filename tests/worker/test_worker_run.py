"""_worker_run: one run of a worker, over SQS and ECS in memory, in virtual time."""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import attrs
import pytest
from fake_sqs import URL, FakeSQS, StoredMessage, sqs_error
from fake_transport import FakeReconciler, FakeTransport, HeldAttempt, fake_client, make_request, started
from virtual_time import run_in_virtual_time

from aioecs import Spread, StartTaskRequest, Timeouts
from aioecs._batch.placement.placement_context import options_of
from aioecs._model.attempt import Attempt, Rejected
from aioecs._transport.transport import SentMarker
from aioecs.errors import ClientException, ClientStateError, ConfigurationError
from aioecs.worker import Claimed, Entry, LedgerError, MemoryLedger, Message, QueueError, WorkerStatistics
from aioecs.worker._jobs.timing import make_lease
from aioecs.worker._ledgers.claims import fingerprint
from aioecs.worker._settings import WorkerSettings
from aioecs.worker._worker_run import WorkerRun


class Unpluggable(MemoryLedger):
    """A ledger that can be unplugged, and notes when it was looked for; `hangs`, it never answers."""

    def __init__(self) -> None:
        super().__init__()
        self.down = False
        self.hangs = False
        self.error: LedgerError | None = None
        self.probes: list[float] = []

    async def claim(self, intent: Entry, *, now: float, skew: float) -> Claimed:
        """Claim."""
        if self.down or self.error is not None:
            raise self.error or LedgerError("unplugged")
        return await super().claim(intent, now=now, skew=skew)

    async def release(self, key: str, holder: str) -> bool:
        """Release."""
        self.probes.append(asyncio.get_running_loop().time())
        if self.hangs:
            await asyncio.sleep(600)
        if self.down or self.error is not None:
            raise self.error or LedgerError("unplugged")
        return await super().release(key, holder)


@attrs.define
class Scene:
    """A run at work, and what it meets."""

    run: WorkerRun
    sqs: FakeSQS
    ledger: Unpluggable
    transport: FakeTransport
    work: asyncio.Task[WorkerStatistics]

    async def until_empty(self) -> None:
        """Wait until the queue is."""
        while self.sqs.messages:
            await asyncio.sleep(0.1)

    async def ended(self) -> float:
        """End it, and return how many seconds that takes."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        self.run.end("SIGTERM")
        await asyncio.wait([self.work])
        return loop.time() - began

    def groups(self) -> list[str]:
        """Return the groups of what was asked to be started, sorted."""
        return sorted(request.group for name, request in self.transport.requests if name == "StartTask")


def to_request(message: Message) -> StartTaskRequest:
    """Make a request whose group is the message's body."""
    return make_request(group=message.body)


@asynccontextmanager
async def make_scene(
    sqs: FakeSQS, ledger: Unpluggable | None = None, *, wait: float = 0, **more: Any
) -> AsyncIterator[Scene]:
    """Set a run to work, let it for so long; the wall's clock goes with the loop's. In the end it is ended."""
    loop, script = asyncio.get_running_loop(), {name: more.pop(name) for name in ("start_task",) if name in more}
    transport, ledger = FakeTransport(**script), ledger if ledger is not None else Unpluggable()
    clocks = Timeouts(attempt=15, consistency=30)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, "time", lambda: 1_800_000_000.0 + loop.time())
        patch.setattr(random, "random", lambda: 1.0)
        async with fake_client(transport, timeouts=clocks) as client:
            client._preparer.reconcilers[None] = cast("Any", FakeReconciler())
            given: dict[str, Any] = {
                "to_request": to_request,
                "key": lambda message: message.body,
                "concurrency": 100,
                "visibility": 60,
                "drain": 20.0,
                "lease": make_lease(clocks.attempt, clocks.consistency, 5, None),
                "delivery": "at_least_once",
                "placement": options_of(Spread(), (), None, 0.0),
                "until": "started",
                "retry_failed": 0,
                "container": None,
                "long_poll": 20,
                "endpoint_url": None,
                "region_name": "us-east-1",
            }
            given |= more
            settings = WorkerSettings(client=client, url=URL, ledger=ledger, session=cast("Any", sqs), **given)
            run = WorkerRun(settings)
            work = asyncio.create_task(run.work())
            scene = Scene(run, sqs, ledger, transport, work)
            await asyncio.sleep(wait)
            try:
                yield scene
            finally:
                if not work.done():
                    await scene.ended()
    assert work.exception() is not None or work.result() == run.statistics()


# Receiving -----------------------------------------------------------------------------------------------------------


def test_each_job_is_started_once() -> None:
    """However often it was sent; never more than it may are in flight, and what is received is asked for by tens."""

    async def main() -> None:
        most: list[int] = []

        async def say(request: Any, sent_marker: SentMarker) -> Attempt[Any]:
            most.append(scene.run.statistics().in_flight)
            await asyncio.sleep(1)
            return await started(request, sent_marker)

        bodies = [f"job-{n:02}" for n in range(30)]
        async with make_scene(FakeSQS(*bodies, *bodies), concurrency=12, start_task=say) as scene:
            await scene.until_empty()
            assert scene.groups() == bodies
            counts = scene.run.statistics()
            assert (counts.started, counts.already_settled, counts.deleted) == (30, 30, 60)
            assert counts.received == 60 + counts.returned, "some came while their job was in flight"
            assert 10 <= max(most) <= 12
            asked = [members for method, members in scene.sqs.requests if method == "receive_message"]
            assert {members["MaxNumberOfMessages"] for members in asked} <= set(range(1, 11))
            assert {(members["VisibilityTimeout"], members["WaitTimeSeconds"]) for members in asked} == {(60, 20)}
            assert await scene.ended() < 2
            assert scene.work.result() == attrs.evolve(counts, in_flight=0)

    run_in_virtual_time(main())


def test_what_is_in_hand_stays_hidden() -> None:
    """As long as its start takes: it is extended each third of its visibility."""

    async def main() -> None:
        held = HeldAttempt()
        async with make_scene(FakeSQS("job"), start_task=held, wait=85) as scene:
            assert scene.sqs.count() == (0, 1)
            assert scene.sqs.count_requests("change_message_visibility_batch") == 4
            held.gate.set()
            await scene.until_empty()
            assert scene.run.statistics().received == 1

    run_in_virtual_time(main())


def test_another_s_job_is_waited_for() -> None:
    """Its message is returned until the lease has ended, and is deleted when the other has settled it."""

    async def main() -> None:
        async with make_scene(FakeSQS()) as scene:
            now = time.time()
            request = to_request(Message(id="m0", body="job"))
            print_ = fingerprint("job", request)
            intent = Entry(key="job", holder="other", lease=now + 60, begun=now, fingerprint=print_, instances=("i",))
            await scene.ledger.claim(intent, now=now, skew=0)
            scene.sqs.messages.update(FakeSQS("job").messages)
            await asyncio.sleep(30)
            assert (scene.run.statistics().returned, scene.sqs.count()) == (1, (0, 1))
            await scene.ledger.settle("job", "other", ("arn",))
            await scene.until_empty()
            assert scene.transport.requests == []

    run_in_virtual_time(main())


def test_the_redrive_policy_is_the_queue_s() -> None:
    """On the last receive that it allows, a message that only waits is kept in flight."""

    async def main() -> None:
        async def say(request: Any, sent_marker: SentMarker) -> Attempt[Any]:
            return Rejected(ClientException("No room")) if poisoned else await started(request, sent_marker)

        for receives, poisoned in ((1, False), (None, True)):
            async with make_scene(FakeSQS("job", receives=receives), start_task=say) as scene:
                scene.ledger.down = not poisoned
                await asyncio.sleep(5)
                counts = scene.run.statistics()
                assert (counts.in_flight, counts.dead_lettered) == ((0, 3) if poisoned else (1, 0))
                scene.ledger.down = False

    run_in_virtual_time(main())


def test_a_queue_that_can_t_be_reached_is_asked_again(caplog: pytest.LogCaptureFixture) -> None:
    """After pauses that grow to ten seconds, and begin anew once it was reached."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        failures: list[Any] = [sqs_error()] * 6
        async with make_scene(FakeSQS("job", receive_message=failures)) as scene:
            began = loop.time()
            await scene.until_empty()
            assert 1 + 2 + 4 + 8 + 10 + 10 <= loop.time() - began < 36
            failures.append(sqs_error())
            scene.sqs.messages.update(FakeSQS("another").messages)
            began = loop.time()
            await scene.until_empty()
            assert loop.time() - began < 3

    run_in_virtual_time(main())
    assert caplog.text.count("can't receive: receive_message: InternalError") == 7


def test_nothing_is_received_without_the_ledger(caplog: pytest.LogCaptureFixture) -> None:
    """It is looked for at growing intervals, and all goes on by itself when it is there again."""

    async def main() -> None:
        async with make_scene(FakeSQS("a", "b", "c")) as scene:
            scene.ledger.down = True
            await asyncio.sleep(40)
            before = scene.run.statistics()
            await asyncio.sleep(40)
            assert scene.run.statistics().received == before.received == 6, "the poll under way has brought them again"
            assert before.ledger_down
            assert scene.transport.requests == []
            pauses = [later - earlier for earlier, later in itertools.pairwise(scene.ledger.probes)]
            assert pauses == pytest.approx([2, 4, 8, *[10] * (len(pauses) - 3)])
            scene.ledger.down = False
            await scene.until_empty()
            assert scene.groups() == ["a", "b", "c"]
            assert not scene.run.statistics().ledger_down

    caplog.set_level("INFO", "aioecs")
    run_in_virtual_time(main())
    assert caplog.text.count("the ledger can't be reached") == 1
    assert caplog.text.count("the ledger can be reached again") == 1


# Ending --------------------------------------------------------------------------------------------------------------


def test_a_probe_of_the_ledger_does_not_hold_up_the_end() -> None:
    """One that hangs is cut."""

    async def main() -> None:
        async with make_scene(FakeSQS("a")) as scene:
            scene.ledger.down = True
            await asyncio.sleep(0.1)
            scene.ledger.hangs = True
            await asyncio.sleep(60)
            assert await scene.ended() < 1
            assert scene.run.statistics().ledger_down

    run_in_virtual_time(main())


def test_a_message_that_a_cut_poll_brings_is_given_back() -> None:
    """It isn't hidden until its visibility ends; a poll that brings none within its grace is cut."""

    async def main() -> None:
        for seconds, received in ((0.9, 1), (1.1, 0)):
            sqs = FakeSQS("job", receive_message=[5 + seconds])
            async with make_scene(sqs, wait=5) as scene:
                assert await scene.ended() == pytest.approx(min(seconds, 1), abs=0.1)
                counts = scene.work.result()
                assert (counts.received, counts.left) == (received, ("m0",) * received)
                assert (sqs.count(), scene.transport.requests) == ((1, 0), [])

    run_in_virtual_time(main())


def test_it_drains(caplog: pytest.LogCaptureFixture) -> None:
    """What is on the wire is settled, what waits for capacity is returned; nothing is received any more."""

    async def main() -> None:
        held = HeldAttempt()
        async with make_scene(FakeSQS(*"abc"), concurrency=2, start_task=held, wait=1) as scene:
            asyncio.get_running_loop().call_later(3, held.gate.set)
            polls = scene.sqs.count_requests("receive_message")
            assert 3 <= await scene.ended() < 4
            counts = scene.work.result()
            assert (counts.started, counts.deleted, counts.left, scene.sqs.count()) == (2, 2, (), (1, 0))
            assert scene.sqs.count_requests("receive_message") == polls

    caplog.set_level("INFO", "aioecs")
    run_in_virtual_time(main())
    assert f"worker of {URL}: SIGTERM, 2 messages in flight" in caplog.text


@pytest.mark.parametrize(("again", "took"), [(False, 5), (True, 2)])
def test_what_hangs_is_cut_off_when_the_time_is_over(
    again: bool, took: float, caplog: pytest.LogCaptureFixture
) -> None:
    """When its time is over, or at a second request to end: returned, until the lease has ended for everybody."""

    async def main() -> None:
        held = HeldAttempt()
        async with make_scene(FakeSQS("job"), start_task=held, drain=5.0, wait=1) as scene:
            if again:
                asyncio.get_running_loop().call_later(2, scene.run.end, "SIGTERM")
            assert await scene.ended() == pytest.approx(took, abs=1)
            assert scene.work.result().left == ("m0",)
            hidden = scene.sqs.messages["m0"].visible_at - asyncio.get_running_loop().time()
            assert 80 < hidden <= 105
            held.gate.set()

    run_in_virtual_time(main())
    assert "ends, and has returned 1 unsettled messages" in caplog.text


def test_a_queue_that_hangs_does_not_hold_up_the_end() -> None:
    """The last round has less than a second."""

    async def main() -> None:
        held = HeldAttempt()
        sqs = FakeSQS("job", delete_message_batch=[60.0])
        async with make_scene(sqs, start_task=held, wait=1) as scene:
            held.gate.set()
            await asyncio.sleep(1)
            assert await scene.ended() < 22
            assert scene.work.result().started == 1

    run_in_virtual_time(main())


# Errors that stay -------------------------------------------------------------------------------------------------


def test_without_permission_it_ends(caplog: pytest.LogCaptureFixture) -> None:
    """With the queue's error, or the ledger's, when it has drained: waiting mends neither."""

    async def main() -> None:
        sqs = FakeSQS("job", receive_message=[sqs_error("AccessDenied")])
        async with make_scene(sqs, wait=1) as scene:
            error = scene.work.exception()
            assert isinstance(error, QueueError)
            assert (str(error), error.permanent) == ("receive_message: AccessDenied", True)
        held = HeldAttempt()
        denied = LedgerError("denied")
        denied.permanent = True
        async with make_scene(FakeSQS("first"), start_task=held, wait=1) as scene:
            scene.ledger.error = denied
            scene.sqs.messages.update({"m1": StoredMessage("second")})
            asyncio.get_running_loop().call_later(5, held.gate.set)
            await asyncio.wait([scene.work])
            assert scene.work.exception() is denied
            assert scene.run.statistics().started == 1, "what was on the wire is settled"
            assert scene.sqs.count() == (1, 0)

    run_in_virtual_time(main())


def test_credentials_that_stay_expired_end_it() -> None:
    """The queue's after five refusals in a row, and the ledger's after as many probes."""

    async def main() -> None:
        expired = [sqs_error("ExpiredToken") for _ in range(5)]
        async with make_scene(FakeSQS(receive_message=[*expired[:4]]), wait=60) as scene:
            assert not scene.work.done(), "they were renewed"
            scene.sqs.script["receive_message"] = [*expired]
            await asyncio.wait([scene.work])
            assert isinstance(scene.work.exception(), QueueError)
        async with make_scene(FakeSQS("job"), wait=1) as scene:
            denied = LedgerError("expired")
            denied.__cause__ = sqs_error("ExpiredTokenException")
            scene.ledger.error = denied
            scene.sqs.messages.update({"m1": StoredMessage("second")})
            await asyncio.wait([scene.work])
            assert scene.work.exception() is denied

    run_in_virtual_time(main())


def test_by_a_clock_that_is_off_nothing_is_started() -> None:
    """Whether it is known before the first receive, or by what that brings: the messages are visible at once."""

    async def main() -> None:
        for method in ("get_queue_attributes", "receive_message"):
            sqs = FakeSQS("job", dates={method: "Fri, 15 Jan 2027 08:20:00 GMT"})
            async with make_scene(sqs, wait=10) as scene:
                error = scene.work.exception()
                assert isinstance(error, ConfigurationError)
                assert "behind that of the queue" in str(error)
                assert (scene.transport.requests, scene.sqs.count()) == ([], (1, 0))
                assert sqs.count_requests("receive_message") == (method == "receive_message")

    run_in_virtual_time(main())


@pytest.mark.parametrize("answers", ["nothing", "something else"])
def test_an_idle_worker_asks_once_in_a_second(answers: str) -> None:
    """With `long_poll=0`, and of an endpoint that answers at once with another body, whatever it was asked."""

    async def main() -> None:
        sqs = FakeSQS()
        if answers != "nothing":
            sqs.unexpected_answer = True
        async with make_scene(sqs, long_poll=0 if answers == "nothing" else 20, wait=100) as scene:
            assert 90 < sqs.count_requests("receive_message") < 110
            sqs.unexpected_answer = False
            sqs.messages.update(FakeSQS("job").messages)
            await asyncio.sleep(3)
            assert scene.groups() == ["job"]

    run_in_virtual_time(main())


def test_it_says_where_it_receives_from(caplog: pytest.LogCaptureFixture) -> None:
    """At INFO, with its ledger and lease."""

    async def main() -> None:
        async with make_scene(FakeSQS(receives=3), wait=1):
            pass

    caplog.set_level("INFO", "aioecs")
    run_in_virtual_time(main())
    expected = (
        f"worker of {URL}: receives, 100 in flight at most; <aioecs.worker.MemoryLedger, 0 jobs>, "
        "lease 100 s, skew 5 s; redrive after 3 receives"
    )
    assert expected in caplog.messages


# Opening -------------------------------------------------------------------------------------------------------------


def test_a_queue_that_isn_t_there() -> None:
    """It ends at once with that error."""

    async def main() -> None:
        async with make_scene(FakeSQS(get_queue_attributes=[sqs_error("QueueDoesNotExist")]), wait=1) as scene:
            assert isinstance(scene.work.exception(), ConfigurationError)
            assert scene.sqs.count_requests("receive_message") == 0

    run_in_virtual_time(main())


def test_ended_while_it_opens() -> None:
    """What it asks the queue is cut, and nothing is received."""

    async def main() -> None:
        async with make_scene(FakeSQS("job", get_queue_attributes=[4.0]), wait=1) as scene:
            assert await scene.ended() < 1
            assert scene.work.result() == WorkerStatistics()
            assert scene.sqs.count_requests("receive_message") == 0

    run_in_virtual_time(main())


def test_a_client_that_is_closed() -> None:
    """It ends with the reason, before its messages have come back so often that they are dead-lettered."""

    async def main() -> None:
        held = HeldAttempt()
        async with make_scene(FakeSQS("held", receives=3), start_task=held) as scene:
            await held.begun.wait()
            scene.sqs.messages["late"] = StoredMessage("late", visible_at=asyncio.get_running_loop().time() + 3)
            await scene.run._settings.client.aclose()
            with pytest.raises(ClientStateError, match="the client was closed while the worker ran"):
                async with asyncio.timeout(25):
                    await scene.work
            assert scene.groups() == ["held"]
            assert scene.sqs.messages["late"].receives <= 1

    run_in_virtual_time(main())
