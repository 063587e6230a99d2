"""log_events: what an answer of CloudWatch Logs, or the lack of one, becomes."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from botocore.exceptions import ClientError, ConnectTimeoutError, NoCredentialsError

from aioecs._transport.botocore.log_events import LogPage, log_config, read_log_events
from aioecs.errors import AnswerLost, ConfigurationError, ECSServiceError


class Says:
    """A client that answers, or raises, what it is given."""

    def __init__(self, what: Any) -> None:
        self.what = what
        self.asked: dict[str, Any] = {}

    async def get_log_events(self, **members: Any) -> Any:
        self.asked = members
        if isinstance(self.what, Exception):
            raise self.what
        return self.what


def read(what: Any) -> LogPage | None:
    return asyncio.run(read_log_events(Says(what), "g", "s", {"startFromHead": True}))


@pytest.mark.parametrize(
    ("answer", "page"),
    [
        ({"events": [{"message": "a"}], "nextForwardToken": "t"}, LogPage([{"message": "a"}], "t")),
        ({"events": [], "nextForwardToken": None}, LogPage([], None)),
        ({"events": "no", "nextForwardToken": 3}, LogPage([], None)),
        ({"events": ["no"]}, LogPage([], None)),
    ],
)
def test_a_page(answer: Any, page: LogPage) -> None:
    """What is no event is left out."""
    assert read(answer) == page


def client_error(code: str, status: int = 400) -> ClientError:
    response: Any = {"Error": {"Code": code, "Message": "why"}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(response, "GetLogEvents")


def test_a_stream_that_is_not_there() -> None:
    """It may come yet."""
    assert read(client_error("ResourceNotFoundException")) is None


@pytest.mark.parametrize(
    ("code", "throttled"), [("ThrottlingException", True), ("AccessDeniedException", False), ("Else", False)]
)
def test_a_refusal(code: str, throttled: bool) -> None:
    """By its code, and it says whose it is."""
    with pytest.raises(ECSServiceError, match="CloudWatch Logs: why") as caught:
        read(client_error(code))
    assert (caught.value.code, caught.value.throttled) == (code, throttled)


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (NoCredentialsError(), ConfigurationError),
        (ConnectTimeoutError(endpoint_url="http://logs"), AnswerLost),
        (OSError("reset"), AnswerLost),
        (ValueError("no JSON"), AnswerLost),
    ],
)
def test_no_answer(error: Exception, raised: type[Exception]) -> None:
    """What passes is AnswerLost."""
    with pytest.raises(raised):
        read(error)


def test_each_request_is_sent_once() -> None:
    """The rate limit counts what is sent."""
    assert log_config().retries == {"total_max_attempts": 1}
