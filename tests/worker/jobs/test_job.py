"""A message's job: the user's functions, and the rules of a request and a key."""

from __future__ import annotations

from typing import Any

import pytest

from aioecs import RunTaskRequest, StartTaskRequest
from aioecs.errors import InvalidRequest
from aioecs.worker import Message
from aioecs.worker._jobs.job import attempt_key, broken_rule, check_request, instances_of, read_request

NAMED = StartTaskRequest(task_definition="demo", container_instances=["i1", "i2"])
PLACED = StartTaskRequest(task_definition="demo", container_instances=[])
RUN = RunTaskRequest(task_definition="demo", count=2)


@pytest.mark.parametrize(("request_", "instances"), [(NAMED, ("i1", "i2")), (PLACED, ()), (RUN, ())])
def test_three_kinds_of_requests(request_: Any, instances: tuple[str, ...]) -> None:
    """With instances named, without, and RunTask."""
    assert check_request(request_, "job") == (request_, "job")
    assert instances_of(request_) == instances


@pytest.mark.parametrize(("request_", "key"), [("demo", "job"), (None, "job"), (NAMED, ""), (RUN, 7)])
def test_a_request_or_key_that_is_none(request_: object, key: object) -> None:
    """Its rule is named, and never its value, which may be a part of the message."""
    with pytest.raises(InvalidRequest) as raised:
        check_request(request_, key)
    assert str(request_) not in broken_rule(raised.value)


async def test_the_functions_of_the_user() -> None:
    """Plain or async."""

    async def to_request(_: Message) -> StartTaskRequest:
        return PLACED

    message = Message(id="m", body="b")
    assert await read_request(message, to_request, lambda each: each.id) == (PLACED, "m")
    assert await read_request(message, lambda _: RUN, lambda each: each.body) == (RUN, "b")


def test_each_attempt_has_a_key_of_its_own() -> None:
    """The first one has the job's."""
    assert [attempt_key("job", number) for number in range(3)] == ["job", "job\0restart 1", "job\0restart 2"]
