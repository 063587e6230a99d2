"""The order of a FIFO queue: of a group's messages in flight, each is begun when the one before it has ended.

SQS gives no more of a group while some of it are in flight anywhere, so that what is left to do is to keep those apart
that came together. One that goes back takes with it those behind it: they come again, in their order.
"""

from __future__ import annotations

import asyncio

from aioecs.worker._job_decisions import is_last
from aioecs.worker._sqs.message import Message


class Place:
    """A message's place in its group; one without a group has no one before it."""

    def __init__(self, order: Order, message: Message, before: asyncio.Future[float | None] | None) -> None:
        self._order = order
        self.message = message
        self._before = before
        self.left: asyncio.Future[float | None] = asyncio.get_running_loop().create_future()

    async def turn(self) -> float | None:
        """Wait for the one before; return None if this one may begin, else in how many seconds it is to go back."""
        return None if self._before is None else await asyncio.shield(self._before)

    def presses(self, most: int | None) -> bool:
        """Tell whether it, or one behind it, would be taken by the redrive policy at its next receive."""
        return any(is_last(each.message.receives, most) for each in self._order.group_of(self))

    def leave(self, back_in: float | None) -> None:
        """Let the next one begin (None), or follow this one back in so many seconds."""
        if not self.left.done():
            self.left.set_result(back_in)
            self._order.forget(self)


class Order:
    """The groups that have messages in flight."""

    def __init__(self) -> None:
        self._groups: dict[str, list[Place]] = {}

    def enter(self, message: Message) -> Place:
        """Give a message its place, behind those of its group that came before; call it in the order of receipt."""
        group = message.group_id
        if group is None:
            return Place(self, message, None)
        places = self._groups.setdefault(group, [])
        place = Place(self, message, places[-1].left if places else None)
        places.append(place)
        return place

    def group_of(self, place: Place) -> list[Place]:
        """Return the places of a group that have not been left."""
        return self._groups.get(place.message.group_id or "", [place])

    def forget(self, place: Place) -> None:
        """Forget a place that was left."""
        places = self._groups.get(place.message.group_id or "")
        if places is not None and place in places:
            places.remove(place)
            if not places:
                del self._groups[place.message.group_id or ""]
