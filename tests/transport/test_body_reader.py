"""body_reader: only what is certainly ECS's answer is read as one."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from functools import partial

import pytest

from aioecs._model import DescribeTasksResponse, Failure, ListTasksResponse, StartTaskResponse, StopTaskResponse, Task
from aioecs._model.codec.shape import Shape
from aioecs._transport import body_reader
from aioecs.errors import AnswerLost

read_answer = body_reader.read_answer
READERS = [body_reader.READER, body_reader.STANDARD]
"""With msgspec, then as where it isn't installed."""


@pytest.fixture(autouse=True, params=READERS, ids=["msgspec", "json"])
def reader(request: pytest.FixtureRequest) -> None:
    """Read with each."""
    pytest.importorskip("msgspec")
    assert body_reader.READER.started is not None
    global read_answer
    read_answer = partial(body_reader.read_answer, reader=request.param)


@pytest.mark.parametrize(
    ("text", "newer"),
    [
        (b'"\\ud800"', "\ud800"),
        (b"123456789012345678901234567890", 123456789012345678901234567890),
        (b"1e400", float("inf")),
        (b'"\xff"', "\ufffd"),
    ],
)
def test_what_a_reader_is_too_strict_for(text: bytes, newer: object) -> None:
    """It is ECS's answer all the same: a start is never lost over how something beside it is spelled."""
    body = b'{"tasks": [{"taskArn": "arn", "newer": %b}], "more": %b}' % (text, text)
    answer = read_answer(body, StartTaskResponse, "StartTask")
    assert [task.task_arn for task in answer.tasks] == ["arn"]
    assert answer.tasks[0].extra == {"newer": newer}
    assert answer.extra == {"more": newer}


@pytest.mark.parametrize("odd", [b"17", b"null", b'"text"', b'{"taskArn": 17}', b"[]"])
def test_what_stands_among_tasks_and_is_none(odd: bytes) -> None:
    """It is kept as it is found, and costs the others nothing."""
    answer = read_answer(b'{"tasks": [%b, {"taskArn": "arn"}]}' % odd, StartTaskResponse, "StartTask")
    assert len(answer.tasks) == 2
    assert answer.tasks[1].task_arn == "arn"
    assert answer.failures == ()


@pytest.mark.parametrize(
    ("body", "answer"),
    [
        (b"{}", StartTaskResponse()),
        (b' {"tasks": [], "failures": []}\n', StartTaskResponse()),
        (b'{"tasks": [{"taskArn": "arn"}]}', StartTaskResponse(tasks=[Task(task_arn="arn")])),
        (
            b'{"tasks": [{"taskArn": "arn", "createdAt": 1700000000.0}], "failures": [{"reason": "AGENT"}]}',
            StartTaskResponse(
                tasks=[Task(task_arn="arn", created_at=datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC))],
                failures=[Failure(reason="AGENT")],
            ),
        ),
        (
            b'{"taskArns": ["one", "two"], "nextToken": "t"}',
            ListTasksResponse(task_arns=["one", "two"], next_token="t"),
        ),
        (b'{"task": {"taskArn": "arn"}}', StopTaskResponse(task=Task(task_arn="arn"))),
        (b'{"tasks": null}', DescribeTasksResponse()),
        ('{"tasks": [{"group": "é"}]}'.encode(), StartTaskResponse(tasks=[Task(group="é")])),
    ],
)
def test_an_answer_is_read_into_values(body: bytes, answer: Shape) -> None:
    """A JSON object is ECS's answer, with whatever it has in it."""
    assert read_answer(body, type(answer), "StartTask") == answer


def test_unknown_members_are_kept() -> None:
    """What a newer ECS adds is in `extra`."""
    assert read_answer(b'{"newMember": {"deep": [1]}}', StartTaskResponse, "StartTask").extra == {
        "newMember": {"deep": [1]}
    }


@pytest.mark.parametrize(
    ("body", "what"),
    [
        (b"", "an empty body"),
        (b" ", "1 bytes that are no JSON object"),
        (b"<html></html>", "13 bytes that are no JSON object"),
        (b'{"tasks": [', "11 bytes that are no JSON object"),
        (b"[]", "2 bytes that are no JSON object"),
        (b"null", "4 bytes that are no JSON object"),
        (b"17", "2 bytes that are no JSON object"),
        (b'"text"', "6 bytes that are no JSON object"),
        (b"\xff\xfe\xfa", "3 bytes that are no JSON object"),
        (b"{}{}", "4 bytes that are no JSON object"),
    ],
)
def test_what_can_t_be_ecs_s_is_a_lost_answer(body: bytes, what: str) -> None:
    """A page of HTML, a cut or empty body and JSON that is no object say nothing of what came of the request."""
    with pytest.raises(AnswerLost) as caught:
        read_answer(body, StartTaskResponse, "StartTask")
    assert str(caught.value) == f"StartTask was answered with status 200 and {what}"


def test_a_lost_answer_shows_nothing_of_the_body() -> None:
    """What stood there may hold a secret."""
    with pytest.raises(AnswerLost) as caught:
        read_answer(json.dumps(["hunter2"]).encode(), StartTaskResponse, "StartTask")
    assert "hunter2" not in repr(caught.value)
