"""The messages in flight: extended, deleted and returned by tens and in order, on virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, cast

from virtual_time import run_in_virtual_time

from aioecs.worker import Message
from aioecs.worker._sqs.in_flight import InFlightMessages
from aioecs.worker._sqs.queue import Queue


class FakeQueue:
    """A queue that records its requests, and fails so many deletes."""

    def __init__(self, *, fails: int = 0, slow: float = 0.0) -> None:
        self.deletes: list[list[str]] = []
        self.changes: list[list[tuple[str, float]]] = []
        self.log: list[str] = []
        self._fails = fails
        self._slow = slow

    async def delete(self, messages: Sequence[Message]) -> set[str]:
        """Delete."""
        self.deletes.append([each.id for each in messages])
        if self._fails:
            self._fails -= 1
            return {messages[0].receipt}
        return set()

    async def change_visibility(self, messages: Sequence[tuple[Message, float]]) -> set[str]:
        """Change, slowly."""
        what = [(each.id, seconds) for each, seconds in messages]
        self.log.append(f"begin {what[0]}")
        await asyncio.sleep(self._slow)
        self.log.append(f"end {what[0]}")
        self.changes.append(what)
        return set()


def messages(count: int) -> list[Message]:
    """Make so many."""
    return [Message(id=f"m{n}", body="", receipt=f"r{n}") for n in range(count)]


def in_flight_messages(queue: FakeQueue, visibility: float = 30.0) -> InFlightMessages:
    return InFlightMessages(cast("Queue", queue), visibility)


def test_deletes_go_by_tens() -> None:
    """Twenty-five at once are three requests, and each is reported as deleted."""

    async def scene() -> tuple[list[list[str]], list[bool]]:
        queue = FakeQueue()
        in_flight = in_flight_messages(queue)
        running = asyncio.create_task(in_flight.run())
        done = await asyncio.gather(*(in_flight.finish(each, None) for each in messages(25)))
        in_flight.close()
        await running
        return queue.deletes, list(done)

    deletes, done = run_in_virtual_time(scene())
    assert sorted(map(len, deletes)) == [5, 10, 10]
    assert all(done)


def test_held_messages_are_extended_by_tens() -> None:
    """Every third of the visibility, until it is finished."""

    async def scene() -> FakeQueue:
        queue = FakeQueue()
        in_flight = in_flight_messages(queue)
        running = asyncio.create_task(in_flight.run())
        all_of_them = messages(12)
        for each in all_of_them:
            in_flight.hold(each)
        await asyncio.sleep(25)
        for each in all_of_them:
            in_flight.finish(each, 7.0)
        await asyncio.sleep(60)
        assert len(in_flight) == 0
        in_flight.close()
        await running
        return queue

    changes = run_in_virtual_time(scene()).changes
    assert [(len(each), each[0][1]) for each in changes] == [(10, 30), (2, 30)] * 2 + [(10, 7), (2, 7)]


def test_an_extension_never_follows_a_return() -> None:
    """An extension in flight is awaited: a message that was returned isn't hidden again."""

    async def scene() -> list[str]:
        queue = FakeQueue(slow=5.0)
        in_flight = in_flight_messages(queue)
        running = asyncio.create_task(in_flight.run())
        (one,) = messages(1)
        in_flight.hold(one)
        await asyncio.sleep(12)  # the extension is in flight
        await in_flight.finish(one, 0.0)
        in_flight.close()
        await running
        return queue.log

    log = run_in_virtual_time(scene())
    assert log == ["begin ('m0', 30.0)", "end ('m0', 30.0)", "begin ('m0', 0.0)", "end ('m0', 0.0)"]


def test_a_delete_that_failed_is_tried_again() -> None:
    """Three times in all; then its message comes again, and its job is found settled."""

    async def scene(fails: int) -> tuple[int, bool]:
        queue = FakeQueue(fails=fails)
        in_flight = in_flight_messages(queue)
        running = asyncio.create_task(in_flight.run())
        done = await in_flight.finish(messages(1)[0], None)
        in_flight.close()
        await running
        return len(queue.deletes), done

    assert run_in_virtual_time(scene(2)) == (3, True)
    assert run_in_virtual_time(scene(9)) == (3, False)


def test_closing_sends_what_is_left() -> None:
    """What was finished last is sent before it ends."""

    async def scene() -> Any:
        queue = FakeQueue()
        in_flight = in_flight_messages(queue)
        running = asyncio.create_task(in_flight.run())
        await asyncio.sleep(0)
        done = in_flight.finish(messages(1)[0], 0.0)
        in_flight.close()
        await running
        return done.result(), queue.changes

    assert run_in_virtual_time(scene()) == (True, [[("m0", 0.0)]])


def test_a_cancelled_round_leaves_its_messages_to_the_next() -> None:
    """Nothing is known of them, so they are sent again."""

    async def scene() -> tuple[int, bool]:
        queue = FakeQueue(slow=5.0)
        in_flight = in_flight_messages(queue)
        running = asyncio.create_task(in_flight.run())
        done = in_flight.finish(messages(1)[0], 7.0)
        await asyncio.sleep(2)
        running.cancel()
        await asyncio.wait([running])
        assert (len(in_flight), done.done()) == (1, False)
        in_flight.close()
        await in_flight.run()
        return len(queue.changes), done.result()

    assert run_in_virtual_time(scene()) == (1, True)


def test_a_cancelled_caller_is_not_resolved() -> None:
    """Its message is finished all the same, and so are the others."""

    async def scene() -> list[list[str]]:
        queue = FakeQueue()
        in_flight = in_flight_messages(queue)
        in_flight.finish(messages(1)[0], None).cancel()
        kept = in_flight.finish(messages(2)[1], None)
        in_flight.close()
        await in_flight.run()
        assert kept.result()
        return queue.deletes

    assert run_in_virtual_time(scene()) == [["m0", "m1"]]


def test_a_message_is_extended_while_others_finish_without_a_pause() -> None:
    """Each round of deletes leaves the next one to do; the extension of those that are held is due all the same."""

    async def scene() -> list[list[tuple[str, float]]]:
        class SlowQueue(FakeQueue):
            async def delete(self, messages: Sequence[Message]) -> set[str]:
                await asyncio.sleep(0.05)
                in_flight.finish(others.pop(), None)
                return set()

        queue, (held, *others) = SlowQueue(), messages(1000)
        in_flight = in_flight_messages(queue)
        in_flight.hold(held)
        in_flight.finish(others.pop(), None)
        running = asyncio.create_task(in_flight.run())
        await asyncio.sleep(31)
        running.cancel()
        return queue.changes

    assert run_in_virtual_time(scene()) == [[("m0", 30.0)]] * 3
