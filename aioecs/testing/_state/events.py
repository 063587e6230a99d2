"""EventBridge's events about tasks: an "ECS Task State Change" for each new version of a task.

The local ECS delivers each event once, immediately and in order. EventBridge guarantees at least once, in any order; a
test of that repeats and shuffles the events.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from uuid import UUID

import attrs

from aioecs.testing._operations.members import Json
from aioecs.testing._operations.wire_format import task_on_wire
from aioecs.testing._state.arns import Arns
from aioecs.testing._state.records import Task

Listener = Callable[[Json], object]


@attrs.define(eq=False)
class EventBus:
    """Delivers an event to each listener when a task changes."""

    arns: Arns
    _listeners: dict[int, Listener] = attrs.field(init=False, factory=dict[int, Listener])
    _subscriptions: int = attrs.field(init=False, default=0)
    _sent: int = attrs.field(init=False, default=0)

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Call `listener(event)` for each event from now on; return a function to stop."""
        self._subscriptions += 1
        key = self._subscriptions
        self._listeners[key] = listener

        def stop() -> None:
            self._listeners.pop(key, None)

        return stop

    def changed(self, task: Task, at: float) -> None:
        """Deliver an event of a task that has a new version."""
        if self._listeners:
            self._sent += 1
            event = event_of(task, self.arns, at, self._sent)
            for listener in list(self._listeners.values()):
                listener(event)


def event_of(task: Task, arns: Arns, at: float, number: int) -> Json:
    """Return the event of a task in its present state. [AmazonECS/latest/developerguide/ecs_task_events.html]"""
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
    """Write times in ISO 8601, as events have them; the API has epoch seconds."""
    return {name: _iso(value) if name.endswith("At") else value for name, value in wire.items()}


def _iso(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
