"""members: reading a request by type."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from aioecs.testing._errors import AwsError
from aioecs.testing._operations.members import flag, record, records, text, texts, whole

Read = Callable[[dict[str, Any], str], Any]


@pytest.mark.parametrize(
    ("read", "good", "absent"),
    [
        (text, "x", None),
        (texts, ["x"], []),
        (records, [{"a": 1}], []),
        (record, {"a": 1}, None),
        (whole, 3, None),
        (flag, True, False),
    ],
)
def test_a_member_reads_as_it_is(read: Read, good: Any, absent: Any) -> None:
    """A member of its type is given back; absent and null are the same."""
    assert read({"m": good}, "m") == good
    assert read({}, "m") == absent
    assert read({"m": None}, "m") == absent


@pytest.mark.parametrize(
    ("read", "bad"),
    [
        (text, 3),
        (texts, "x"),
        (texts, ["x", 3]),
        (records, {"a": 1}),
        (records, ["x"]),
        (record, []),
        (whole, True),
        (whole, 1.5),
        (flag, "yes"),
    ],
)
def test_a_member_of_another_type_is_a_serialization_exception(read: Read, bad: Any) -> None:
    """The error names the member."""
    with pytest.raises(AwsError, match="SerializationException: m: expected"):
        read({"m": bad}, "m")
