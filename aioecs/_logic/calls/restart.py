"""Decides whether a key's tasks have failed, so that `restart="if_failed"` starts them anew."""

from __future__ import annotations

from aioecs._logic.calls.matching import withdrawn
from aioecs._model.shapes.run_task import RunTaskResponse
from aioecs._model.shapes.start_task_response import StartTaskResponse
from aioecs._model.shapes.task import Task


def failed(task: Task) -> bool | None:
    """Return whether a task has certainly failed; None where that is not known, as while it runs.

    Which containers are essential is not shown, so a stopped task with one exit code that is not zero counts as failed,
    and one without any exit code only where ECS says that it failed to start.
    """
    if task.last_status != "STOPPED":
        return None
    codes = [container.exit_code for container in task.containers]
    if task.stop_code == "TaskFailedToStart" or any(code for code in codes):
        return True
    return None if None in codes or not codes else False


def all_withdrawn(response: RunTaskResponse) -> bool:
    """Return whether aioecs itself stopped every task of an answer, because the call that started it was cancelled."""
    return bool(response.tasks) and all(withdrawn(task, response.token) for task in response.tasks)


def all_failed(response: StartTaskResponse) -> bool:
    """Return whether every task of an answer is known to have failed."""
    return bool(response.tasks) and all(failed(task) is True for task in response.tasks)


def key_of(key: str, restarts: int) -> str:
    """Return the key that the token is derived from after this many restarts: the same on every machine."""
    return key if not restarts else f"{key}\0restart {restarts}"
