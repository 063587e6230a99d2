"""members: reading a request by type."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from aioecs.testing._errors import AwsError
from aioecs.testing._operations.members import flag, integer, structure, structures, text, texts

Read = Callable[[dict[str, Any], str], Any]


@pytest.mark.parametrize(
    ("read", "good", "absent"),
    [
        (text, "x", None),
        (texts, ["x"], []),
        (structures, [{"a": 1}], []),
        (structure, {"a": 1}, None),
        (integer, 3, None),
        (flag, True, False),
    ],
)
def test_a_member_reads_as_it_is(read: Read, good: Any, absent: Any) -> None:
    """A member of the type is returned; absent and null are the same."""
    assert read({"m": good}, "m") == good
    assert read({}, "m") == absent
    assert read({"m": None}, "m") == absent


@pytest.mark.parametrize(
    ("read", "bad"),
    [
        (text, 3),
        (texts, "x"),
        (texts, ["x", 3]),
        (structures, {"a": 1}),
        (structures, ["x"]),
        (structure, []),
        (integer, True),
        (integer, 1.5),
        (flag, "yes"),
    ],
)
def test_a_member_of_another_type_is_a_serialization_exception(read: Read, bad: Any) -> None:
    """The error names the member."""
    with pytest.raises(AwsError, match="SerializationException: m: expected"):
        read({"m": bad}, "m")
