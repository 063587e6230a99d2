"""_message_handler: one message to its end, whatever its tries come to, in virtual time."""

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
from virtual_time import iterations, run_in_virtual_time

from aioecs.worker import LedgerError, Message
from aioecs.worker._jobs.decisions import DECISIONS, JobOutcome, MessageAction
from aioecs.worker._jobs.job import AttemptResult, Job, LostLease
from aioecs.worker._jobs.timing import LONGEST_INVISIBLE, Lease
from aioecs.worker._message_handler import MessageHandler
from aioecs.worker._shutdown import Shutdown
from aioecs.worker._statistics import Counters, WorkerStatistics

STARTED = AttemptResult(JobOutcome.STARTED, MessageAction.DELETE, started=1)
NO_CAPACITY = AttemptResult(JobOutcome.NO_CAPACITY, MessageAction.RETURN_LATER)
HELD = AttemptResult(JobOutcome.HELD, MessageAction.RETURN_AFTER_LEASE)
DOWN = AttemptResult(JobOutcome.LEDGER_UNREACHABLE, MessageAction.RETURN_LATER, "unplugged")


class ScriptedStarter:
    """Attempts come to these results, one after the other, the last for ever."""

    def __init__(self, *script: AttemptResult | Exception, lease: float = 0.0, surplus: str = "") -> None:
        self.script = list(script)
        self.tries: list[float] = []
        self._lease = lease
        self._surplus = surplus

    async def attempt(self, job: Job, stop: object) -> AttemptResult:
        """Return the next result."""
        self.tries.append(asyncio.get_running_loop().time())
        job.lease = time.time() + self._lease if self._lease else 0.0
        what = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        if self._surplus:
            job.lost = {"job": LostLease(arns={self._surplus})}
        if isinstance(what, Exception):
            raise what
        await asyncio.sleep(1)
        return what


class FakeInFlightMessages:
    """Deletes and returns messages at once, or reports that it could not."""

    def __init__(self) -> None:
        self.held: list[str] = []
        self.finished: list[float | None] = []
        self.fails = False

    def hold(self, message: Message) -> None:
        """Hold it."""
        self.held.append(message.id)

    def finish(self, message: Message, return_in: float | None) -> asyncio.Future[bool]:
        """Delete or return it."""
        self.finished.append(return_in)
        done = asyncio.get_running_loop().create_future()
        done.set_result(not self.fails)
        return done


@attrs.define
class Scene:
    """A handler, and what it meets."""

    handler: MessageHandler
    starter: ScriptedStarter
    in_flight: FakeInFlightMessages
    shutdown: Shutdown
    counters: Counters

    async def handle(self, receives: int = 1) -> None:
        """Handle a message that was received so often."""
        await self.handler.handle(Message(id="m", body="a secret", receives=receives, receipt="r"))

    @property
    def delays(self) -> list[float]:
        """The seconds between its attempts, each of which takes one."""
        tries = self.starter.tries
        return [round(later - before - 1, 3) for before, later in itertools.pairwise(tries)]


@asynccontextmanager
async def make_scene(
    *script: AttemptResult | Exception, max_receives: int | None = None, **starter: Any
) -> AsyncIterator[Scene]:
    """Set one: jitter show the most, and the wall's clock goes with the loop's."""
    loop = asyncio.get_running_loop()
    scripted, in_flight, shutdown, counters = (
        ScriptedStarter(*script, **starter),
        FakeInFlightMessages(),
        Shutdown(5),
        Counters(),
    )
    handler = MessageHandler(
        "queue",
        starter=cast("Any", scripted),
        in_flight=cast("Any", in_flight),
        shutdown=shutdown,
        counters=counters,
        lease=Lease(50, 100, 5),
        visibility=60,
        max_receives=max_receives,
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, "time", lambda: 1_800_000_000.0 + loop.time())
        patch.setattr(random, "random", lambda: 1.0)
        yield Scene(handler, scripted, in_flight, shutdown, counters)


# Given back, or deleted ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("outcome", JobOutcome)
def test_what_becomes_of_it(outcome: JobOutcome, caplog: pytest.LogCaptureFixture) -> None:
    """As the table has it: deleted, or back after a growing delay, the rest of a lease, or at once; never its body."""

    async def main() -> tuple[float | None, WorkerStatistics]:
        action = DECISIONS[outcome].action
        async with make_scene(
            AttemptResult(outcome, action, "why", started=int(outcome is JobOutcome.STARTED)),
            lease=30 if action is MessageAction.RETURN_AFTER_LEASE else 0,
        ) as scene:
            await scene.handle(receives=3)
            assert scene.in_flight.held == ["m"]
            [return_in] = scene.in_flight.finished
            return return_in, scene.counters.now

    return_in, counts = run_in_virtual_time(main())
    expected = {
        MessageAction.DELETE: None,
        MessageAction.RETURN_NOW: 0,
        MessageAction.RETURN_AFTER_LEASE: 29 + 5 + 1,
        MessageAction.RETURN_LATER: 4,
        MessageAction.DEAD_LETTER: 4,
    }
    action = DECISIONS[outcome].action
    assert return_in == expected[action]
    assert (counts.deleted, counts.returned) == (
        int(action is MessageAction.DELETE),
        int(action is not MessageAction.DELETE),
    )
    assert counts.started == (outcome is JobOutcome.STARTED)
    assert counts.already_settled == (outcome is JobOutcome.SETTLED)
    assert counts.unknown == (outcome in (JobOutcome.UNKNOWN, JobOutcome.TOO_OLD, JobOutcome.RESULT_UNKNOWN))
    assert counts.dead_lettered == (action is MessageAction.DEAD_LETTER)
    assert counts.ledger_down == (outcome is JobOutcome.LEDGER_UNREACHABLE)
    assert (counts.left, counts.received) == ((), 0)
    assert "secret" not in caplog.text


@pytest.mark.parametrize(
    ("outcome", "level", "expected"),
    [
        (JobOutcome.STARTED, None, ""),
        (JobOutcome.HELD, None, ""),
        (JobOutcome.NO_CAPACITY, None, ""),
        (JobOutcome.WITHDRAWN, None, ""),
        (JobOutcome.FORBIDDEN, "WARNING", "message m is returned, forbidden: why"),
        (JobOutcome.UNKNOWN, "WARNING", "message m is returned, unknown: why"),
        (JobOutcome.INVALID, "WARNING", "message m is left to the redrive policy, invalid: why"),
        (JobOutcome.TOO_OLD, "ERROR", "message m: UNKNOWN whether it was started, and too long ago to ask ECS"),
        (
            JobOutcome.LEDGER_UNREACHABLE,
            "ERROR",
            "worker of queue: the ledger can't be reached, nothing is started meanwhile",
        ),
    ],
)
def test_what_is_logged(
    outcome: JobOutcome, level: str | None, expected: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Once each, at a level by what is to be done; what passes by itself is not logged there."""

    async def main() -> None:
        async with make_scene(AttemptResult(outcome, DECISIONS[outcome].action, "why")) as scene:
            await scene.handle()

    caplog.set_level("WARNING", "aioecs")
    run_in_virtual_time(main())
    assert [record.levelname for record in caplog.records] == ([level] if level else [])
    assert expected in caplog.text


def test_a_ledger_that_stays_down_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    """However many messages meet it; what was granted meanwhile makes it be looked for soon the next time."""

    async def main() -> None:
        async with make_scene(DOWN) as scene:
            await scene.handle()
            await scene.handle()
            assert (scene.counters.probe(), scene.counters.probe()) == (1, 2)
            scene.starter.script = [NO_CAPACITY]
            await scene.handle()
            assert scene.counters.probe() == 1
            assert scene.counters.now.ledger_down, "that it can be reached again is the probe's to say"

    run_in_virtual_time(main())
    assert caplog.text.count("the ledger can't be reached") == 1


def test_a_delete_that_failed_is_not_counted() -> None:
    """Its message comes again, and its job is found settled."""

    async def main() -> None:
        async with make_scene(STARTED) as scene:
            scene.in_flight.fails = True
            await scene.handle()
            assert (scene.counters.now.started, scene.counters.now.deleted) == (1, 0)

    run_in_virtual_time(main())


@pytest.mark.parametrize(("lease", "back_in"), [(30.0, 30 + 5 + 1), (0.0, 1)])
def test_an_unforeseen_error_harms_no_other(lease: float, back_in: float, caplog: pytest.LogCaptureFixture) -> None:
    """It is logged; where an intent may stand the message comes when its lease has ended."""

    async def main() -> None:
        async with make_scene(ZeroDivisionError(), lease=lease) as scene:
            await scene.handle()
            assert scene.in_flight.finished == [back_in]
            assert (scene.counters.now.unknown, scene.counters.now.returned) == (1, 1)

    run_in_virtual_time(main())
    assert "worker of queue: message m failed unexpectedly" in caplog.text
    assert "ZeroDivisionError" in caplog.text


# Kept in flight ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("receives", "most", "ours", "kept"),
    [(1, None, "", False), (2, 3, "", False), (3, 3, "", True), (5, 3, "", True), (1, None, "arn", True)],
)
def test_a_message_that_only_waits_is_kept_on_its_last_receive(
    receives: int, most: int | None, ours: str, kept: bool
) -> None:
    """Else the redrive policy would take it; so is one whose task may be one too many. Its delays go on growing."""

    async def main() -> None:
        async with make_scene(NO_CAPACITY, HELD, NO_CAPACITY, STARTED, max_receives=most, surplus=ours) as scene:
            await scene.handle(receives)
            if kept:
                first = 2.0 ** (receives - 1)
                assert scene.delays == [first, 2, first * 4]
                assert scene.in_flight.finished == [None]
            else:
                assert (scene.delays, scene.in_flight.finished) == ([], [2.0 ** (receives - 1)])

    run_in_virtual_time(main())


def test_a_task_that_runs_for_too_long_is_polled_at_leisure_on_the_last_receive() -> None:
    """It can't be returned, and is not asked for without a pause until its twelve hours are over."""

    async def main() -> None:
        async with make_scene(
            AttemptResult(JobOutcome.STILL_RUNNING, MessageAction.RETURN_NOW), max_receives=1
        ) as scene:
            handling = asyncio.create_task(scene.handle())
            await asyncio.sleep(40)
            handling.cancel()
            await asyncio.wait([handling])
            assert scene.delays == [1, 2, 4, 8, 10]

    run_in_virtual_time(main())


def test_the_log_says_what_becomes_of_a_message(caplog: pytest.LogCaptureFixture) -> None:
    """One that is tried again in flight is not said to be returned."""

    async def main(most: int) -> list[str]:
        caplog.clear()
        async with make_scene(NO_CAPACITY, STARTED, max_receives=most) as scene:
            await scene.handle(receives=1)
        return [record.getMessage() for record in caplog.records]

    caplog.set_level("INFO")
    kept, returned = run_in_virtual_time(main(1)), run_in_virtual_time(main(2))
    assert kept == ["message m stays in flight, and is tried again, no capacity", "message m: started "]
    assert returned == ["message m is returned, no capacity"]


@pytest.mark.parametrize("cancelled", [False, True])
def test_a_second_task_that_may_be_left_is_logged(cancelled: bool, caplog: pytest.LogCaptureFixture) -> None:
    """The worker ends before it knows: no later attempt looks for it."""

    async def main() -> None:
        async with make_scene(HELD, surplus="arn") as scene:
            handling = asyncio.create_task(scene.handle())
            await asyncio.sleep(1.5)
            if cancelled:
                handling.cancel()
            else:
                scene.shutdown.request("SIGTERM")
            await asyncio.wait([handling])
            assert len(scene.in_flight.finished) == 1

    run_in_virtual_time(main())
    assert "message m: a second task of its job may be left: arn" in caplog.text


def test_a_poisoned_one_is_not_kept() -> None:
    """It is what the redrive policy is for."""

    async def main() -> None:
        async with make_scene(AttemptResult(JobOutcome.REFUSED, MessageAction.DEAD_LETTER), max_receives=1) as scene:
            await scene.handle()
            assert scene.in_flight.finished == [1]

    run_in_virtual_time(main())


def test_no_longer_than_the_queue_hides_it() -> None:
    """SQS shows it to others after twelve hours in any case."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        async with make_scene(NO_CAPACITY, max_receives=1) as scene:
            began = loop.time()
            await scene.handle()
            assert LONGEST_INVISIBLE - 60 - 900 - 1 <= loop.time() - began <= LONGEST_INVISIBLE - 60

    run_in_virtual_time(main())


# What is logged at INFO, and counted --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        (attrs.evolve(STARTED, arns=("arn:aws:ecs:r:1:task/default/86f7",)), "message m: started 86f7"),
        (AttemptResult(JobOutcome.SETTLED, MessageAction.DELETE), "message m: its job was started before"),
        (HELD, "message m is returned, held by another worker"),
        (
            attrs.evolve(NO_CAPACITY, why="RESOURCE:CPU on 4b6d"),
            "message m is returned, no capacity: RESOURCE:CPU on 4b6d",
        ),
    ],
)
def test_a_line_for_each_job(result: AttemptResult, expected: str, caplog: pytest.LogCaptureFixture) -> None:
    """It is logged at INFO, and has nothing of the message's text."""

    async def main() -> None:
        async with make_scene(result) as scene:
            await scene.handle()

    caplog.set_level("INFO", "aioecs")
    run_in_virtual_time(main())
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [("INFO", expected)]


def test_why_ecs_refused_is_counted() -> None:
    """By its reasons, for each try."""

    async def main() -> None:
        refused = AttemptResult(JobOutcome.REFUSED, MessageAction.DEAD_LETTER, reasons=("MISSING", "AGENT"))
        async with make_scene(refused) as scene:
            await scene.handle()
            await scene.handle()
            assert scene.counters.now.refusals == {"MISSING": 2, "AGENT": 2}

    run_in_virtual_time(main())


def test_what_no_later_try_can_mend_ends_the_worker() -> None:
    """With that error, once it has drained."""

    async def main() -> None:
        denied = LedgerError("denied")
        async with make_scene(attrs.evolve(DOWN, fatal=denied)) as scene:
            await scene.handle()
            assert scene.shutdown.requested
            assert scene.shutdown.error is denied
            assert scene.counters.now.left == ("m",)

    run_in_virtual_time(main())


# A FIFO queue ---------------------------------------------------------------------------------------------------------


def in_group(name: str, receives: int = 1, group: str = "g") -> Message:
    """Make a message of a group."""
    return Message(id=name, body="", receives=receives, receipt=name, system={"MessageGroupId": group})


def handled(
    messages: list[Message], *script: AttemptResult, max_receives: int | None = None
) -> tuple[list[float | None], int]:
    """Handle messages that were received together; return how each was finished, in order, and how many were begun."""

    async def main() -> tuple[list[float | None], int]:
        async with make_scene(*script, max_receives=max_receives) as scene:
            async with asyncio.TaskGroup() as group:
                for message in messages:
                    group.create_task(scene.handler.handle(message))
            return scene.in_flight.finished, len(scene.starter.tries)

    return run_in_virtual_time(main())


def test_one_of_a_group_goes_after_the_other() -> None:
    """Each is begun when the one before it is settled."""

    async def main() -> None:
        async with make_scene(STARTED) as scene, asyncio.TaskGroup() as group:
            for message in (in_group("a"), in_group("b"), in_group("c"), in_group("x", group="other")):
                group.create_task(scene.handler.handle(message))
            await asyncio.sleep(10)
            began = scene.starter.tries[0]
            assert sorted(each - began for each in scene.starter.tries) == [0, 0, 1, 2]

    run_in_virtual_time(main())


def test_what_goes_back_takes_those_behind_it_along() -> None:
    """They are not begun, and come again after it."""
    messages = [in_group("a"), in_group("b"), in_group("c")]
    assert handled(messages, NO_CAPACITY) == ([1, 1, 1], 1)
    assert handled(messages, STARTED, NO_CAPACITY) == ([None, 1, 1], 2)


def test_one_behind_on_its_last_receive_keeps_the_first_in_hand() -> None:
    """Else the redrive policy would take it unbegun."""
    messages = [in_group("a", receives=1), in_group("b", receives=3)]
    assert handled(messages, NO_CAPACITY, STARTED, max_receives=3) == ([None, None], 3)


def test_poison_is_in_the_way_until_the_queue_takes_it() -> None:
    """On its last receive the others are begun: it is never started any more."""
    poison = AttemptResult(JobOutcome.INVALID, MessageAction.DEAD_LETTER)
    assert handled([in_group("a", 2), in_group("b", 2)], poison, STARTED, max_receives=3) == ([2, 2], 1)
    assert handled([in_group("a", 3), in_group("b", 3)], poison, STARTED, max_receives=3) == ([0, None], 2)


# The end -------------------------------------------------------------------------------------------------------------


def test_a_message_that_backs_off_as_the_worker_ends_is_returned() -> None:
    """It is tried once more, which begins nothing then, and is named among those that are left."""

    async def main() -> None:
        async with make_scene(
            NO_CAPACITY, AttemptResult(JobOutcome.WITHDRAWN, MessageAction.RETURN_NOW), max_receives=10
        ) as scene:
            handling = asyncio.create_task(scene.handle(receives=10))
            await asyncio.sleep(30)
            scene.shutdown.request("SIGTERM")
            await handling
            assert scene.delays == [29]
            assert scene.in_flight.finished == [0]
            assert (scene.counters.now.left, scene.counters.now.returned) == (("m",), 1)

    run_in_virtual_time(main())


@pytest.mark.parametrize(("lease", "back_in"), [(30.0, 30 + 5), (0.0, 0)])
def test_cut_off_it_is_given_back(lease: float, back_in: float) -> None:
    """Where an intent may stand, when its lease has ended for everybody; the cancel goes on."""

    async def main() -> None:
        async with make_scene(STARTED, lease=lease) as scene:
            handling = asyncio.create_task(scene.handle())
            await iterations(3)
            handling.cancel()
            await asyncio.wait([handling])
            assert handling.cancelled()
            assert scene.in_flight.finished == [pytest.approx(back_in)]
            assert (scene.counters.now.left, scene.counters.now.started) == (("m",), 0)

    run_in_virtual_time(main())


def test_one_that_comes_too_late_is_left() -> None:
    """It is visible to others at once."""

    async def main() -> None:
        async with make_scene(STARTED) as scene:
            scene.handler.return_unsettled(Message(id="late", body=""))
            assert (scene.in_flight.finished, scene.starter.tries) == ([0.0], [])
            assert scene.counters.now.left == ("late",)

    run_in_virtual_time(main())
