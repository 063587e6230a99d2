"""_order: of a group's messages in flight one is begun after the other."""

from __future__ import annotations

import asyncio

import pytest

from aioecs.worker import Message
from aioecs.worker._sqs.order import Order


def a_message(name: str, group: str | None = "g", receives: int = 1) -> Message:
    """Make a message of a group."""
    system = {"MessageGroupId": group} if group is not None else {}
    return Message(id=name, body="", system=system, receives=receives)


async def test_each_waits_for_the_one_before() -> None:
    """Until that has ended; another group, and what has none, waits for nobody."""
    order = Order()
    first, second, third = (order.enter(a_message(name)) for name in "abc")
    assert await first.turn() is None
    waits = asyncio.ensure_future(second.turn())
    for free in (
        order.enter(a_message("x", "other")),
        order.enter(a_message("y", None)),
        order.enter(a_message("z", None)),
    ):
        assert await free.turn() is None
    await asyncio.sleep(0)
    assert not waits.done()
    first.leave(None)
    assert await waits is None
    second.leave(4.0)
    second.leave(None)
    assert await third.turn() == 4.0, "it follows the one before it back"
    third.leave(4.0)
    assert await order.enter(a_message("d")).turn() is None, "nothing of the group is in flight any more"


async def test_a_cancel_of_one_is_no_cancel_of_the_one_before() -> None:
    """Who waits may be cut, and the others go on."""
    order = Order()
    first, second = (order.enter(a_message(name)) for name in "ab")
    waits = asyncio.ensure_future(second.turn())
    await asyncio.sleep(0)
    waits.cancel()
    await asyncio.wait([waits])
    assert not first.left.cancelled()
    second.leave(0.0)
    first.leave(None)


@pytest.mark.parametrize(
    ("receives", "most", "presses"), [((1, 1), 2, False), ((1, 2), 2, True), ((9, 9), None, False)]
)
async def test_one_on_its_last_receive_presses_all(receives: tuple[int, int], most: int | None, presses: bool) -> None:
    """The first is then kept in flight, for else the redrive policy would take the other unbegun."""
    order = Order()
    first, second = (order.enter(a_message(str(each), receives=each)) for each in receives)
    assert first.presses(most) is presses
    second.leave(None)
    first.leave(None)
    assert order.enter(a_message("alone", None, receives=2)).presses(2)
