"""What is drawn: templates, requests in turn over instances, jobs; and the names of requests."""

from __future__ import annotations

from typing import Any

import pytest

from aioecs import StartTaskRequest
from aioecs.cli._start.options import StartOptions, with_jobs
from aioecs.cli._start.requests import RequestNames, drawn_requests, key_of, open_definitions

WHERE: dict[str, Any] = {"cluster": "c", "task_definition": "td"}


def drawn(options: StartOptions, *instances: str, names: RequestNames | None = None) -> list[StartTaskRequest]:
    """Draw all requests; a template is one."""
    made = drawn_requests(options, instances, {"td": "main"}, names or RequestNames())
    return [made] if isinstance(made, StartTaskRequest) else list(made)


def container_of(request: StartTaskRequest) -> str | None:
    """Name the container that is overridden."""
    assert request.overrides is not None
    [override] = request.overrides.container_overrides or ()
    return override.name


def test_a_template() -> None:
    """Placed without a key, `count` equal tasks are one template, its container filled in."""
    options = StartOptions(**WHERE, count=7, environment=(("A", "1"),))
    assert open_definitions(options) == ["td"]
    [request] = drawn(options)
    assert container_of(request) == "main"


def test_round_robin() -> None:
    """Over instances, ten starts share a request."""
    requests = drawn(StartOptions(**WHERE, count=12), "a", "b")
    assert [len(each.container_instances) for each in requests] == [10, 2]


def test_jobs() -> None:
    """One request each, under its name; in turn over instances if there are some."""
    options = with_jobs(StartOptions(**WHERE, jobs=()), ['{"name": "x"}', '{"environment": {"A": "1"}}', "{}"])
    names = RequestNames()
    requests = drawn(options, names=names)
    assert [names.name_of(each) for each in requests] == ["x", "2", "3"]
    assert open_definitions(options) == ["td"]
    assert container_of(requests[1]) == "main"
    assert [each.container_instances for each in drawn(options, "a", "b")] == [("a",), ("b",), ("a",)]


@pytest.mark.parametrize(("count", "keys"), [(1, ["k"]), (3, ["k/0", "k/1", "k/2"])])
def test_keys(count: int, keys: list[str]) -> None:
    """A key for each task, by its position; the key itself for the only one."""
    options = StartOptions(**WHERE, count=count, idempotency_key="k")
    names = RequestNames()
    assert [key_of(options, names.name_of(each)) for each in drawn(options, names=names)] == keys


def test_keys_of_jobs_and_of_instances() -> None:
    """By the job's name, or by the position of the first of ten."""
    jobs = with_jobs(StartOptions(**WHERE, jobs=(), idempotency_key="k"), ['{"name": "x"}'])
    names = RequestNames()
    assert [key_of(jobs, names.name_of(each)) for each in drawn(jobs, names=names)] == ["k/x"]
    options = StartOptions(**WHERE, count=12, idempotency_key="k")
    assert [key_of(options, names.name_of(each)) for each in drawn(options, "a", "b", names=names)] == ["k/0", "k/10"]


def test_names_are_kept_until_they_are_taken() -> None:
    """Once for each start of a request; then they are forgotten."""
    names = RequestNames()
    request = names.add(StartTaskRequest(task_definition="td", container_instances=["a", "b"]), "x")
    assert names.name_of(request.replace()) is None
    assert [names.take(request) for _ in range(3)] == ["x", "x", None]
