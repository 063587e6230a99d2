"""_order: of a group's messages in flight one is begun after the other."""

from __future__ import annotations

import asyncio

import pytest

from aioecs.worker import Message
from aioecs.worker._sqs.fifo_groups import FifoGroups


def a_message(name: str, group: str | None = "g", receives: int = 1) -> Message:
    """Make a message of a group."""
    system = {"MessageGroupId": group} if group is not None else {}
    return Message(id=name, body="", system=system, receives=receives)


async def test_each_waits_for_the_one_before() -> None:
    """Until that has ended; another group, and what has none, waits for nobody."""
    groups = FifoGroups()
    first, second, third = (groups.add(a_message(name)) for name in "abc")
    assert await first.wait_for_previous() is None
    waits = asyncio.ensure_future(second.wait_for_previous())
    for free in (
        groups.add(a_message("x", "other")),
        groups.add(a_message("y", None)),
        groups.add(a_message("z", None)),
    ):
        assert await free.wait_for_previous() is None
    await asyncio.sleep(0)
    assert not waits.done()
    first.finish(None)
    assert await waits is None
    second.finish(4.0)
    second.finish(None)
    assert await third.wait_for_previous() == 4.0, "it follows the one before it back"
    third.finish(4.0)
    assert await groups.add(a_message("d")).wait_for_previous() is None, "nothing of the group is in flight any more"


async def test_a_cancel_of_one_is_no_cancel_of_the_one_before() -> None:
    """Who waits may be cut, and the others go on."""
    groups = FifoGroups()
    first, second = (groups.add(a_message(name)) for name in "ab")
    waits = asyncio.ensure_future(second.wait_for_previous())
    await asyncio.sleep(0)
    waits.cancel()
    await asyncio.wait([waits])
    assert not first.finished.cancelled()
    second.finish(0.0)
    first.finish(None)


@pytest.mark.parametrize(
    ("receives", "most", "any_on_last_receive"), [((1, 1), 2, False), ((1, 2), 2, True), ((9, 9), None, False)]
)
async def test_one_on_its_last_receive_presses_all(
    receives: tuple[int, int], most: int | None, any_on_last_receive: bool
) -> None:
    """The first is then kept in flight, for else the redrive policy would take the other unbegun."""
    groups = FifoGroups()
    first, second = (groups.add(a_message(str(each), receives=each)) for each in receives)
    assert first.any_on_last_receive(most) is any_on_last_receive
    second.finish(None)
    first.finish(None)
    assert groups.add(a_message("alone", None, receives=2)).any_on_last_receive(2)
