"""The arguments of a worker."""

from __future__ import annotations

import pytest

from aioecs.errors import InvalidRequest
from aioecs.worker import Message
from aioecs.worker._settings import message_id, seconds, whole


@pytest.mark.parametrize("given", [0, 11, True, 1.5, "5", None])
def test_what_is_no_whole_number(given: object) -> None:
    """Nor within the limits."""
    with pytest.raises(InvalidRequest, match="concurrency: a whole number from 1 to 10"):
        whole(given, "concurrency", 1, 10)


@pytest.mark.parametrize("given", [-1, float("inf"), float("nan"), True, "5", None])
def test_what_is_no_time(given: object) -> None:
    """It must be finite, and not negative."""
    with pytest.raises(InvalidRequest, match="drain: a number of seconds, 0 or more"):
        seconds(given, "drain")


def test_what_is_right_is_returned() -> None:
    """As a number; the id of a message is its key."""
    assert (whole(3, "concurrency", 1, 10), seconds(2, "drain"), seconds(0.5, "drain")) == (3, 2.0, 0.5)
    assert message_id(Message(id="m", body="")) == "m"
