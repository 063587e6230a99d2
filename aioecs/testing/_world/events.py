"""What EventBridge tells of tasks: an "ECS Task State Change" for each new version of one.

The bus of the local ECS is honest: it delivers each event once, in order and at once. EventBridge promises only at
least once and in any order; a test that wants that repeats and shuffles what it gets.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from uuid import UUID

import attrs

from aioecs.testing._operations.members import Json
from aioecs.testing._operations.wire_format import task_on_wire
from aioecs.testing._world.arns import Arns
from aioecs.testing._world.state import Task

Listener = Callable[[Json], object]


@attrs.define(eq=False)
class Bus:
    """Tells listeners of each change of a task."""

    arns: Arns
    _listeners: dict[int, Listener] = attrs.field(init=False, factory=dict[int, Listener])
    _joined: int = attrs.field(init=False, default=0)
    _sent: int = attrs.field(init=False, default=0)

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Call `listener(event)` for each event from now on; return what ends that."""
        self._joined += 1
        key = self._joined
        self._listeners[key] = listener

        def end() -> None:
            self._listeners.pop(key, None)

        return end

    def changed(self, task: Task, at: float) -> None:
        """Tell that a task has a new version."""
        if self._listeners:
            self._sent += 1
            event = event_of(task, self.arns, at, self._sent)
            for listener in list(self._listeners.values()):
                listener(event)


def event_of(task: Task, arns: Arns, at: float, number: int) -> Json:
    """Make the event of a task as it is now. [AmazonECS/latest/developerguide/ecs_task_events.html]"""
    return {
        "version": "0",
        "id": str(UUID(int=number, version=4)),
        "detail-type": "ECS Task State Change",
        "source": "aws.ecs",
        "account": arns.account_id,
        "time": _iso(round(at)).replace(".000Z", "Z"),
        "region": arns.region,
        "resources": [task.arn],
        "detail": {**_with_times(task_on_wire(task, arns, tags=False)), "updatedAt": _iso(at)},
    }


def _with_times(wire: Json) -> Json:
    """Write the task's moments as events do: the API has them as epoch seconds."""
    return {name: _iso(held) if name.endswith("At") else held for name, held in wire.items()}


def _iso(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
