"""The order of a FIFO queue: the messages of a group that are in flight are handled one after the other.

SQS delivers no more messages of a group while some of it are in flight, so only those that were received together have
to be kept in order. If one is returned, those behind it are returned too, and are received again in their order.
"""

from __future__ import annotations

import asyncio

from aioecs.worker._jobs.timing import is_last_receive
from aioecs.worker._sqs.message import Message


class GroupPosition:
    """A message's position in its group; a message without a group has none before it."""

    def __init__(self, groups: FifoGroups, message: Message, previous: asyncio.Future[float | None] | None) -> None:
        self._groups = groups
        self.message = message
        self._previous = previous
        self.finished: asyncio.Future[float | None] = asyncio.get_running_loop().create_future()

    async def wait_for_previous(self) -> float | None:
        """Wait until the message before is finished; return None if this one may begin, else its delay in seconds."""
        return None if self._previous is None else await asyncio.shield(self._previous)

    def any_on_last_receive(self, max_receives: int | None) -> bool:
        """Return whether the redrive policy would take this message, or one behind it, at the next receive."""
        return any(is_last_receive(each.message.receives, max_receives) for each in self._groups.group_of(self))

    def finish(self, return_in: float | None) -> None:
        """Let the next message begin (None), or return it too, after so many seconds."""
        if not self.finished.done():
            self.finished.set_result(return_in)
            self._groups.remove(self)


class FifoGroups:
    """The groups that have messages in flight."""

    def __init__(self) -> None:
        self._groups: dict[str, list[GroupPosition]] = {}

    def add(self, message: Message) -> GroupPosition:
        """Return a message's position behind those of its group; call it in the order of receipt."""
        group = message.group_id
        if group is None:
            return GroupPosition(self, message, None)
        positions = self._groups.setdefault(group, [])
        position = GroupPosition(self, message, positions[-1].finished if positions else None)
        positions.append(position)
        return position

    def group_of(self, position: GroupPosition) -> list[GroupPosition]:
        """Return the positions of a group that are not finished."""
        return self._groups.get(position.message.group_id or "", [position])

    def remove(self, position: GroupPosition) -> None:
        """Remove a position that is finished."""
        positions = self._groups.get(position.message.group_id or "")
        if positions is not None and position in positions:
            positions.remove(position)
            if not positions:
                del self._groups[position.message.group_id or ""]
