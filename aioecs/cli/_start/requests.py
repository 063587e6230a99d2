"""Draws the requests of `aioecs start`, each with a name where results or idempotency keys need one. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import cycle

import attrs

from aioecs import StartTaskRequest
from aioecs.cli._start.jobs import needs_container, with_container
from aioecs.cli._start.options import StartOptions, requests, template


@attrs.define
class RequestNames:
    """The names of the requests whose starts have no outcome yet, found by the request itself."""

    _names: dict[int, tuple[StartTaskRequest, str]] = attrs.field(factory=dict[int, "tuple[StartTaskRequest, str]"])
    _open: dict[int, int] = attrs.field(factory=dict[int, int])

    def add(self, request: StartTaskRequest, name: str) -> StartTaskRequest:
        """Name a request, and return it; it is kept until each of its starts has been taken."""
        self._names[id(request)] = (request, name)
        self._open[id(request)] = len(request.container_instances) or 1
        return request

    def name_of(self, request: object) -> str | None:
        """Return a request's name; None if it has none."""
        held = self._names.get(id(request))
        return held[1] if held is not None and held[0] is request else None

    def take(self, request: object) -> str | None:
        """Return the name of a request, one of whose starts has its outcome."""
        if (name := self.name_of(request)) is None:
            return None
        self._open[id(request)] -= 1
        if not self._open[id(request)]:
            del self._open[id(request)], self._names[id(request)]
        return name


def open_definitions(options: StartOptions) -> list[str]:
    """Return the task definitions whose only container has to be looked up, each once."""
    requests = [template(options)] if options.jobs is None else [job.request for job in options.jobs]
    return list(dict.fromkeys(request.task_definition for request in requests if needs_container(request)))


def drawn_requests(
    options: StartOptions, instances: Sequence[str], containers: Mapping[str, str], names: RequestNames
) -> StartTaskRequest | Iterable[StartTaskRequest]:
    """Return what to start: a template for `count` placed tasks, or the requests one by one.

    `containers` has the container that is overridden, by the task definition that it was looked up in.
    """
    if options.jobs is not None:
        return _of_jobs(options, instances, containers, names)
    request = template(options)
    request = with_container(request, containers.get(request.task_definition, ""))
    if options.idempotency_key is None:
        return requests(request, instances, options.count) if instances else request
    return _numbered(request, instances, options.count, names)


def _of_jobs(
    options: StartOptions, instances: Sequence[str], containers: Mapping[str, str], names: RequestNames
) -> Iterator[StartTaskRequest]:
    round_robin = cycle(instances)
    for job in options.jobs or ():
        request = with_container(job.request, containers.get(job.request.task_definition, ""))
        request = request.replace(container_instances=(next(round_robin),)) if instances else request.replace()
        yield names.add(request, job.name)


def _numbered(
    request: StartTaskRequest, instances: Sequence[str], count: int, names: RequestNames
) -> Iterator[StartTaskRequest]:
    """Yield requests that are named by the position of their first start."""
    at = 0
    for each in requests(request, instances, count) if instances else _copies(request, count):
        yield names.add(each, str(at))
        at += len(each.container_instances) or 1


def _copies(request: StartTaskRequest, count: int) -> Iterator[StartTaskRequest]:
    for _ in range(count):
        yield request.replace()


def key_of(options: StartOptions, name: str | None) -> str:
    """Return the idempotency key of a named request: `--idempotency-key` itself if there is one task without a name."""
    key = options.idempotency_key or ""
    return key if options.jobs is None and options.count == 1 else f"{key}/{name}"
