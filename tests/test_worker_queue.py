"""What is sent to the queue about messages in hand: by tens, in order, on virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, cast

from run_world import leaping

from aioecs.worker import Message
from aioecs.worker._queue import Outbox, Queue


class Told:
    """A queue that notes what it is told, and fails the deletes that it is to."""

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

    async def change(self, messages: Sequence[tuple[Message, float]]) -> set[str]:
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


def an_outbox(told: Told, visibility: float = 30.0) -> Outbox:
    return Outbox(cast("Queue", told), visibility)


def test_deletes_go_by_tens() -> None:
    """Twenty-five at once are three requests, and each is told that it is gone."""

    async def scene() -> tuple[list[list[str]], list[bool]]:
        told = Told()
        outbox = an_outbox(told)
        running = asyncio.create_task(outbox.run())
        gone = await asyncio.gather(*(outbox.part(each, None) for each in messages(25)))
        outbox.close()
        await running
        return told.deletes, list(gone)

    deletes, gone = leaping(scene())
    assert sorted(map(len, deletes)) == [5, 10, 10]
    assert all(gone)


def test_what_is_in_hand_is_extended_by_tens() -> None:
    """Every third of the visibility, until it is parted with."""

    async def scene() -> Told:
        told = Told()
        outbox = an_outbox(told)
        running = asyncio.create_task(outbox.run())
        all_of_them = messages(12)
        for each in all_of_them:
            outbox.keep(each)
        await asyncio.sleep(25)
        for each in all_of_them:
            outbox.part(each, 7.0)
        await asyncio.sleep(60)
        assert len(outbox) == 0
        outbox.close()
        await running
        return told

    changes = leaping(scene()).changes
    assert [(len(each), each[0][1]) for each in changes] == [(10, 30), (2, 30)] * 2 + [(10, 7), (2, 7)]


def test_an_extension_never_follows_a_return() -> None:
    """What is on its way is waited for: a message that was given back isn't hidden again."""

    async def scene() -> list[str]:
        told = Told(slow=5.0)
        outbox = an_outbox(told)
        running = asyncio.create_task(outbox.run())
        (one,) = messages(1)
        outbox.keep(one)
        await asyncio.sleep(12)  # the extension is on its way
        await outbox.part(one, 0.0)
        outbox.close()
        await running
        return told.log

    log = leaping(scene())
    assert log == ["begin ('m0', 30.0)", "end ('m0', 30.0)", "begin ('m0', 0.0)", "end ('m0', 0.0)"]


def test_a_delete_that_failed_is_tried_again() -> None:
    """Three times in all; then its message comes again, and its job is found settled."""

    async def scene(fails: int) -> tuple[int, bool]:
        told = Told(fails=fails)
        outbox = an_outbox(told)
        running = asyncio.create_task(outbox.run())
        done = await outbox.part(messages(1)[0], None)
        outbox.close()
        await running
        return len(told.deletes), done

    assert leaping(scene(2)) == (3, True)
    assert leaping(scene(9)) == (3, False)


def test_closing_sends_off_what_is_left() -> None:
    """What was parted with last is gone when it has ended."""

    async def scene() -> Any:
        told = Told()
        outbox = an_outbox(told)
        running = asyncio.create_task(outbox.run())
        await asyncio.sleep(0)
        gone = outbox.part(messages(1)[0], 0.0)
        outbox.close()
        await running
        return gone.result(), told.changes

    assert leaping(scene()) == (True, [[("m0", 0.0)]])
