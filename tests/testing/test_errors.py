"""_errors: the errors of the local ECS."""

from __future__ import annotations

import copy
import pickle

from aioecs.testing._errors import AwsError, client_error, invalid, malformed


def test_the_body_of_an_error() -> None:
    """It has the shape's name, the message and the further members."""
    error = AwsError("ConflictException", "in use", 400, {"resourceIds": ["a"]})
    assert error.body() == {"__type": "ConflictException", "message": "in use", "resourceIds": ["a"]}
    assert str(error) == "ConflictException: in use"


def test_each_function_has_its_code() -> None:
    """Each makes one exception shape, with status 400."""
    made = [invalid("m"), client_error("m"), malformed("m")]
    assert [error.code for error in made] == ["InvalidParameterException", "ClientException", "SerializationException"]
    assert {error.status for error in made} == {400}


def test_an_error_survives_pickle_and_copy() -> None:
    """With the same members."""
    error = AwsError("ServerException", "oops", 500, {"a": 1})
    for again in (pickle.loads(pickle.dumps(error)), copy.copy(error)):  # noqa: S301 - our own bytes
        assert (again.code, again.message, again.status, again.members) == ("ServerException", "oops", 500, {"a": 1})
