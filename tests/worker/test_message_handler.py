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
from aioecs.worker._job_decisions import LONGEST_INVISIBLE, TABLE, Fate, Happened, Lease
from aioecs.worker._job_starter import AttemptResult, Job
from aioecs.worker._message_handler import MessageHandler
from aioecs.worker._shutdown import Ending
from aioecs.worker._statistics import Counters, WorkerStatistics

STARTED = AttemptResult(Happened.STARTED, Fate.DELETE)
NO_ROOM = AttemptResult(Happened.NO_ROOM, Fate.GROWING)
HELD = AttemptResult(Happened.HELD, Fate.LEASE)
DOWN = AttemptResult(Happened.LEDGER_DOWN, Fate.GROWING, "unplugged")


class ToldStarter:
    """Tries come to what it is told, one after the other, the last for ever."""

    def __init__(self, *script: AttemptResult | Exception, lease: float = 0.0, ours: str = "") -> None:
        self.script = list(script)
        self.tries: list[float] = []
        self._lease = lease
        self._ours = ours

    async def attempt(self, job: Job, stop: object) -> AttemptResult:
        """Try."""
        self.tries.append(asyncio.get_running_loop().time())
        job.lease = time.time() + self._lease if self._lease else 0.0
        what = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        if self._ours:
            job.ours = {self._ours}
        if isinstance(what, Exception):
            raise what
        await asyncio.sleep(1)
        return what


class ToldOutbox:
    """Parts with messages at once, or says that it could not."""

    def __init__(self) -> None:
        self.kept: list[str] = []
        self.parted: list[float | None] = []
        self.fails = False

    def keep(self, message: Message) -> None:
        """Keep it."""
        self.kept.append(message.id)

    def part(self, message: Message, back_in: float | None) -> asyncio.Future[bool]:
        """Part with it."""
        self.parted.append(back_in)
        gone = asyncio.get_running_loop().create_future()
        gone.set_result(not self.fails)
        return gone


@attrs.define
class Scene:
    """A handler, and what it meets."""

    handler: MessageHandler
    starter: ToldStarter
    outbox: ToldOutbox
    ending: Ending
    counters: Counters

    async def carry(self, receives: int = 1) -> None:
        """Carry a message that was received so often."""
        await self.handler.carry(Message(id="m", body="a secret", receives=receives, receipt="r"))

    @property
    def rests(self) -> list[float]:
        """The seconds between its tries, each of which takes one."""
        tries = self.starter.tries
        return [round(later - before - 1, 3) for before, later in itertools.pairwise(tries)]


@asynccontextmanager
async def a_scene(*script: AttemptResult | Exception, most: int | None = None, **starter: Any) -> AsyncIterator[Scene]:
    """Set one: jitter show the most, and the wall's clock goes with the loop's."""
    loop = asyncio.get_running_loop()
    told, outbox, ending, counters = ToldStarter(*script, **starter), ToldOutbox(), Ending(5), Counters()
    handler = MessageHandler(
        "queue",
        starter=cast("Any", told),
        outbox=cast("Any", outbox),
        ending=ending,
        counters=counters,
        lease=Lease(50, 100, 5),
        visibility=60,
        most=most,
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, "time", lambda: 1_800_000_000.0 + loop.time())
        patch.setattr(random, "random", lambda: 1.0)
        yield Scene(handler, told, outbox, ending, counters)


# Given back, or deleted ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("happened", Happened)
def test_what_becomes_of_it(happened: Happened, caplog: pytest.LogCaptureFixture) -> None:
    """As the table has it: deleted, or back after a growing delay, the rest of a lease, or at once; never its body."""

    async def main() -> tuple[float | None, WorkerStatistics]:
        fate = TABLE[happened].fate
        async with a_scene(AttemptResult(happened, fate, "why"), lease=30 if fate is Fate.LEASE else 0) as scene:
            await scene.carry(receives=3)
            assert scene.outbox.kept == ["m"]
            [parted] = scene.outbox.parted
            return parted, scene.counters.now

    parted, counts = run_in_virtual_time(main())
    back_in = {Fate.DELETE: None, Fate.AT_ONCE: 0, Fate.LEASE: 29 + 5 + 1, Fate.GROWING: 4, Fate.REDRIVE: 4}
    fate = TABLE[happened].fate
    assert parted == back_in[fate]
    assert (counts.deleted, counts.returned) == (int(fate is Fate.DELETE), int(fate is not Fate.DELETE))
    assert counts.started == (happened is Happened.STARTED)
    assert counts.already_settled == (happened is Happened.SETTLED)
    assert counts.unknown == (happened in (Happened.UNKNOWN, Happened.FORGOTTEN, Happened.END_UNKNOWN))
    assert counts.dead_lettered == (fate is Fate.REDRIVE)
    assert counts.ledger_down == (happened is Happened.LEDGER_DOWN)
    assert (counts.left, counts.received) == ((), 0)
    assert "secret" not in caplog.text


@pytest.mark.parametrize(
    ("happened", "level", "said"),
    [
        (Happened.STARTED, None, ""),
        (Happened.HELD, None, ""),
        (Happened.NO_ROOM, None, ""),
        (Happened.WITHDRAWN, None, ""),
        (Happened.FORBIDDEN, "WARNING", "message m goes back, forbidden: why"),
        (Happened.UNKNOWN, "WARNING", "message m goes back, unknown: why"),
        (Happened.UNREADABLE, "WARNING", "message m is left to the redrive policy, unreadable: why"),
        (Happened.FORGOTTEN, "ERROR", "message m: UNKNOWN whether it was started, and too long ago to ask ECS"),
        (
            Happened.LEDGER_DOWN,
            "ERROR",
            "worker of queue: the ledger can't be reached, nothing is started meanwhile",
        ),
    ],
)
def test_what_is_said_aloud(happened: Happened, level: str | None, said: str, caplog: pytest.LogCaptureFixture) -> None:
    """Once each, at the level of who should hear it; what passes by itself is no news."""

    async def main() -> None:
        async with a_scene(AttemptResult(happened, TABLE[happened].fate, "why")) as scene:
            await scene.carry()

    run_in_virtual_time(main())
    assert [record.levelname for record in caplog.records] == ([level] if level else [])
    assert said in caplog.text


def test_a_ledger_that_stays_down_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    """However many messages meet it; what was granted meanwhile makes it be looked for soon the next time."""

    async def main() -> None:
        async with a_scene(DOWN) as scene:
            await scene.carry()
            await scene.carry()
            assert (scene.counters.probe(), scene.counters.probe()) == (1, 2)
            scene.starter.script = [NO_ROOM]
            await scene.carry()
            assert scene.counters.probe() == 1
            assert scene.counters.now.ledger_down, "that it can be reached again is the probe's to say"

    run_in_virtual_time(main())
    assert caplog.text.count("the ledger can't be reached") == 1


def test_a_delete_that_failed_is_not_counted() -> None:
    """Its message comes again, and its job is found settled."""

    async def main() -> None:
        async with a_scene(STARTED) as scene:
            scene.outbox.fails = True
            await scene.carry()
            assert (scene.counters.now.started, scene.counters.now.deleted) == (1, 0)

    run_in_virtual_time(main())


@pytest.mark.parametrize(("lease", "back_in"), [(30.0, 30 + 5 + 1), (0.0, 1)])
def test_an_unforeseen_error_harms_no_other(lease: float, back_in: float, caplog: pytest.LogCaptureFixture) -> None:
    """It is logged; where an intent may stand the message comes when its lease has ended."""

    async def main() -> None:
        async with a_scene(ZeroDivisionError(), lease=lease) as scene:
            await scene.carry()
            assert scene.outbox.parted == [back_in]
            assert (scene.counters.now.unknown, scene.counters.now.returned) == (1, 1)

    run_in_virtual_time(main())
    assert "worker of queue: message m failed unforeseen" in caplog.text
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
        async with a_scene(NO_ROOM, HELD, NO_ROOM, STARTED, most=most, ours=ours) as scene:
            await scene.carry(receives)
            if kept:
                first = 2.0 ** (receives - 1)
                assert scene.rests == [first, 2, first * 4]
                assert scene.outbox.parted == [None]
            else:
                assert (scene.rests, scene.outbox.parted) == ([], [2.0 ** (receives - 1)])

    run_in_virtual_time(main())


def test_a_poisoned_one_is_not_kept() -> None:
    """It is what the redrive policy is for."""

    async def main() -> None:
        async with a_scene(AttemptResult(Happened.REFUSED, Fate.REDRIVE), most=1) as scene:
            await scene.carry()
            assert scene.outbox.parted == [1]

    run_in_virtual_time(main())


def test_no_longer_than_the_queue_hides_it() -> None:
    """SQS shows it to others after twelve hours, whatever is said."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        async with a_scene(NO_ROOM, most=1) as scene:
            began = loop.time()
            await scene.carry()
            assert LONGEST_INVISIBLE - 60 - 900 - 1 <= loop.time() - began <= LONGEST_INVISIBLE - 60

    run_in_virtual_time(main())


# What is said at INFO, and counted ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tried", "said"),
    [
        (attrs.evolve(STARTED, arns=("arn:aws:ecs:r:1:task/default/86f7",)), "message m: started 86f7"),
        (AttemptResult(Happened.SETTLED, Fate.DELETE), "message m: its job was started before"),
        (HELD, "message m goes back, held"),
        (attrs.evolve(NO_ROOM, why="RESOURCE:CPU on 4b6d"), "message m goes back, no room: RESOURCE:CPU on 4b6d"),
    ],
)
def test_a_line_for_each_job(tried: AttemptResult, said: str, caplog: pytest.LogCaptureFixture) -> None:
    """At INFO, where nobody need hear it; never a word of the message."""

    async def main() -> None:
        async with a_scene(tried) as scene:
            await scene.carry()

    caplog.set_level("INFO", "aioecs")
    run_in_virtual_time(main())
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [("INFO", said)]


def test_why_ecs_refused_is_counted() -> None:
    """By its reasons, for each try."""

    async def main() -> None:
        refused = AttemptResult(Happened.REFUSED, Fate.REDRIVE, reasons=("MISSING", "AGENT"))
        async with a_scene(refused) as scene:
            await scene.carry()
            await scene.carry()
            assert scene.counters.now.refusals == {"MISSING": 2, "AGENT": 2}

    run_in_virtual_time(main())


def test_what_no_later_try_can_mend_ends_the_worker() -> None:
    """With that error, once it has drained."""

    async def main() -> None:
        denied = LedgerError("denied")
        async with a_scene(attrs.evolve(DOWN, fatal=denied)) as scene:
            await scene.carry()
            assert scene.ending.begun
            assert scene.ending.error is denied
            assert scene.counters.now.left == ("m",)

    run_in_virtual_time(main())


# A FIFO queue ---------------------------------------------------------------------------------------------------------


def in_group(name: str, receives: int = 1, group: str = "g") -> Message:
    """Make a message of a group."""
    return Message(id=name, body="", receives=receives, receipt=name, system={"MessageGroupId": group})


def carried(messages: list[Message], *script: AttemptResult, most: int | None = None) -> tuple[list[float | None], int]:
    """Carry them, received together, and return how each was parted with, in that order, and how many were begun."""

    async def main() -> tuple[list[float | None], int]:
        async with a_scene(*script, most=most) as scene:
            async with asyncio.TaskGroup() as group:
                for message in messages:
                    group.create_task(scene.handler.carry(message))
            return scene.outbox.parted, len(scene.starter.tries)

    return run_in_virtual_time(main())


def test_one_of_a_group_goes_after_the_other() -> None:
    """Each is begun when the one before it is settled."""

    async def main() -> None:
        async with a_scene(STARTED) as scene, asyncio.TaskGroup() as group:
            for message in (in_group("a"), in_group("b"), in_group("c"), in_group("x", group="other")):
                group.create_task(scene.handler.carry(message))
            await asyncio.sleep(10)
            began = scene.starter.tries[0]
            assert sorted(each - began for each in scene.starter.tries) == [0, 0, 1, 2]

    run_in_virtual_time(main())


def test_what_goes_back_takes_those_behind_it_along() -> None:
    """They are not begun, and come again after it."""
    messages = [in_group("a"), in_group("b"), in_group("c")]
    assert carried(messages, NO_ROOM) == ([1, 1, 1], 1)
    assert carried(messages, STARTED, NO_ROOM) == ([None, 1, 1], 2)


def test_one_behind_on_its_last_receive_keeps_the_first_in_hand() -> None:
    """Else the redrive policy would take it unbegun."""
    messages = [in_group("a", receives=1), in_group("b", receives=3)]
    assert carried(messages, NO_ROOM, STARTED, most=3) == ([None, None], 3)


def test_poison_is_in_the_way_until_the_queue_takes_it() -> None:
    """On its last receive the others are begun: it is never started any more."""
    poison = AttemptResult(Happened.UNREADABLE, Fate.REDRIVE)
    assert carried([in_group("a", 2), in_group("b", 2)], poison, STARTED, most=3) == ([2, 2], 1)
    assert carried([in_group("a", 3), in_group("b", 3)], poison, STARTED, most=3) == ([0, None], 2)


# The end -------------------------------------------------------------------------------------------------------------


def test_what_rests_as_the_worker_ends_goes_back() -> None:
    """It is tried once more, which begins nothing then, and is named among those that are left."""

    async def main() -> None:
        async with a_scene(NO_ROOM, AttemptResult(Happened.WITHDRAWN, Fate.AT_ONCE), most=10) as scene:
            carrying = asyncio.create_task(scene.carry(receives=10))
            await asyncio.sleep(30)
            scene.ending.tell("SIGTERM")
            await carrying
            assert scene.rests == [29]
            assert scene.outbox.parted == [0]
            assert (scene.counters.now.left, scene.counters.now.returned) == (("m",), 1)

    run_in_virtual_time(main())


@pytest.mark.parametrize(("lease", "back_in"), [(30.0, 30 + 5), (0.0, 0)])
def test_cut_off_it_is_given_back(lease: float, back_in: float) -> None:
    """Where an intent may stand, when its lease has ended for everybody; the cancel goes on."""

    async def main() -> None:
        async with a_scene(STARTED, lease=lease) as scene:
            carrying = asyncio.create_task(scene.carry())
            await iterations(3)
            carrying.cancel()
            await asyncio.wait([carrying])
            assert carrying.cancelled()
            assert scene.outbox.parted == [pytest.approx(back_in)]
            assert (scene.counters.now.left, scene.counters.now.started) == (("m",), 0)

    run_in_virtual_time(main())


def test_one_that_comes_too_late_is_left() -> None:
    """It is visible to others at once."""

    async def main() -> None:
        async with a_scene(STARTED) as scene:
            scene.handler.leave(Message(id="late", body=""))
            assert (scene.outbox.parted, scene.starter.tries) == ([0.0], [])
            assert scene.counters.now.left == ("late",)

    run_in_virtual_time(main())
