"""Makes the requests of `aioecs run`, after looking up what they lack."""

from __future__ import annotations

from typing import Any

import attrs

from aioecs import Client, RunTaskRequest, StartTaskRequest
from aioecs.cli import _lookup
from aioecs.cli._run.options import RunOptions, run_task_request
from aioecs.cli._start.requests import RequestNames, drawn_requests, open_definitions

RunRequest = StartTaskRequest | RunTaskRequest


async def make_requests(client: Client, options: RunOptions) -> list[tuple[str, RunRequest]]:
    """Return a request for each task, with the name of its job, which is empty without jobs.

    Raises:
        UsageError: a container, an instance or an attribute is not there, or may not be looked up.
        ECSError: something could not be looked up.
    """
    task = options.task if options.task.jobs is not None else attrs.evolve(options.task, idempotency_key=None)
    containers = {each: await _lookup.find_container(client, each) for each in open_definitions(task)}
    await _lookup.check_spread_attribute(client, task)
    instances = await _lookup.find_instances(client, task) if task.instances else ()
    names = RequestNames()
    drawn = drawn_requests(task, instances, containers, names)
    requests = [drawn] if isinstance(drawn, StartTaskRequest) else list(drawn)
    return [(names.name_of(request) or "", _placed(request, options)) for request in requests]


def _placed(request: StartTaskRequest, options: RunOptions) -> RunRequest:
    return run_task_request(options, request) if options.uses_run_task else request


def placement_options(options: RunOptions) -> dict[str, Any]:
    """Return the options of `Client.run` that say where aioecs places a task; none if it doesn't."""
    if not options.places:
        return {}
    task = options.task
    return {
        "placement": task.placement,
        "constraints": task.constraints,
        "wait_for_capacity": task.wait_for_capacity or 0.0,
    }
