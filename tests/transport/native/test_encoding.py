"""encoding: whatever is remembered, the bytes are those that encoding it alone gives."""

from __future__ import annotations

import json

from aioecs._model import ContainerOverride, KeyValuePair, ListTasksRequest, StartTaskRequest, TaskOverride
from aioecs._model.codec.plain import to_plain
from aioecs._transport.native.encoding import Encoder, encode
from tests.transport.native.test_native_transport import REQUEST
from tests.transport.test_both_transports import RandomValues


def secret(value: str) -> TaskOverride:
    environment = [KeyValuePair(name="PASSWORD", value=value)]
    return TaskOverride(container_overrides=[ContainerOverride(name="main", environment=environment)])


def test_it_encodes_as_one_alone_would() -> None:
    """Of a thousand random requests in any order, each body is the JSON of that request and of no other."""
    random_values = RandomValues(7)
    requests = [random_values.shape(StartTaskRequest) for _ in range(100)]
    encoder = Encoder()
    for request in (random_values.choice(requests) for _ in range(1000)):
        moved = request.replace(
            container_instances=[f"{random_values.random()}"], started_by=f"t{random_values.random()}"
        )
        assert encoder.body(moved) == json.dumps(to_plain(moved)).encode()


def test_requests_that_differ_in_one_override_share_nothing() -> None:
    """A template is taken for what is equal in all but instances and token."""
    encoder = Encoder()
    for value in ("1", "2", "1"):
        request = REQUEST.replace(overrides=secret(value))
        assert json.loads(encoder.body(request)) == to_plain(request)


def test_what_only_python_takes_for_equal_shares_nothing() -> None:
    """A member that aioecs doesn't know, anywhere in a request, is sent as it is spelled."""
    encoder = Encoder()
    for held in (True, 1, 1.0, 0.0, -0.0, True):
        request = REQUEST.replace(overrides=TaskOverride(extra={"newer": [held]}))
        assert encoder.body(request) == encode(request)


def test_what_has_no_template_is_encoded_whole() -> None:
    """Other operations, members that aioecs doesn't know, and a request without a mark."""
    unmarked = StartTaskRequest(task_definition="demo", container_instances=["a"])
    for request in (ListTasksRequest(), REQUEST.replace(extra={"newer": 1}), unmarked):
        assert Encoder().body(request) == encode(request)


def test_it_keeps_few_and_forgets_all() -> None:
    """It holds four kinds of request at most, shows none of them, and holds none once nothing is in flight."""
    encoder = Encoder()
    for number in range(9):
        encoder.body(REQUEST.replace(overrides=secret(f"hunter{number}")))
    assert len(encoder._templates) == 4
    assert "hunter" not in repr(encoder._templates)
    encoder.forget()
    assert encoder._templates == []
