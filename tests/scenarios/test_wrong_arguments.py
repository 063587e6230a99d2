"""What is of a wrong kind, in each public method of a client: InvalidRequest, and nothing is sent."""

from __future__ import annotations

from typing import Any

from engine_transport import engine_client
from virtual_time import run_in_virtual_time

import aioecs
from aioecs import InvalidRequest, StartTaskRequest

NAMED = StartTaskRequest(task_definition="demo", container_instances=["i"])
ONE = (
    *("start_task", "start_tasks", "place_task", "place_tasks", "run_task", "run_tasks", "run", "run_all"),
    *("stop_task", "describe_tasks", "describe_container_instances", "describe_task_definition"),
    *("look_up", "log_tail", "task_result"),
)
WAITS = ("wait_until_running", "wait_until_stopped", "wait_until_healthy", "wait_for_results", "watch")
WRONG: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = [
    *((name, (argument,), {}) for name in ONE for argument in (None, 5)),
    *((name, (argument,), {}) for name in ("start_tasks", "run_tasks") for argument in (NAMED, [None], "demo")),
    *((name, (argument,), {"timeout": 1}) for name in WAITS for argument in (None, "task", [5], [""])),
    *((name, (["task"],), {"timeout": timeout}) for name in WAITS for timeout in (float("nan"), -1, "1", True)),
    ("wait_for_instances", ("default", 0), {"timeout": 1}),
    ("wait_for_instances", ("default", 1), {"timeout": "1"}),
    ("log_tail", (aioecs.task_result(aioecs.Task()), 0), {}),
    ("look_up", ("",), {}),
    *(("feed", (event,), {}) for event in (None, 5, "{")),
]


def test_each_method_names_what_is_wrong() -> None:
    """No AttributeError or TypeError from within, which would not say which argument it is about."""

    async def main() -> None:
        async with engine_client() as world:
            for name, arguments, options in WRONG:
                try:
                    found: Any = getattr(world.client, name)(*arguments, **options)
                    if hasattr(found, "__await__"):
                        found = await found
                    elif hasattr(found, "__aiter__"):
                        found = [each async for each in found]
                except InvalidRequest:
                    continue
                except Exception as error:  # noqa: BLE001 to name the method
                    found = error
                raise AssertionError(f"{name}{arguments}: {found!r}")
            assert not world.transport.engine.truth.requests

    run_in_virtual_time(main())
