"""_aws: what an error of SQS or DynamoDB means, and what an answer's Date shows."""

from __future__ import annotations

import traceback
from typing import Any

import pytest
from botocore import exceptions as botocore

from aioecs.errors import ConfigurationError
from aioecs.worker._aws import code_of, enter_client, is_lasting, is_permanent, name_of, reading
from aioecs.worker._clock import ClockReading


def refused(code: Any) -> botocore.ClientError:
    """Make the error of a code."""
    return botocore.ClientError({"Error": {"Code": code}}, "operation")


@pytest.mark.parametrize(
    ("error", "name", "permanent"),
    [
        (refused("AccessDenied"), "AccessDenied", True),
        (refused("InvalidClientTokenId"), "InvalidClientTokenId", True),
        (refused("ExpiredToken"), "ExpiredToken", False),
        (refused("Throttling"), "Throttling", False),
        (refused(500), "500", False),
        (botocore.ClientError({}, "operation"), "ClientError", False),
        (botocore.NoCredentialsError(), "NoCredentialsError", True),
        (botocore.ProfileNotFound(profile="p"), "ProfileNotFound", True),
        (botocore.EndpointConnectionError(endpoint_url="u"), "EndpointConnectionError", False),
        (UnicodeDecodeError("utf-8", b"", 0, 1, "no"), "UnicodeDecodeError", False),
    ],
)
def test_what_an_error_means(error: Exception, name: str, permanent: bool) -> None:
    """Its code or its kind names it; only an error that a change of settings removes is permanent."""
    assert (name_of(error), is_permanent(error)) == (name, permanent)
    assert code_of(None) is None


@pytest.mark.parametrize(
    ("code", "failures", "for_good"),
    [("AccessDenied", 1, True), ("ExpiredToken", 4, False), ("ExpiredToken", 5, True), ("InternalError", 99, False)],
)
def test_expired_credentials_may_be_renewed(code: str, failures: int, for_good: bool) -> None:
    """So long; then somebody must."""
    assert is_lasting(refused(code), failures) is for_good


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (botocore.NoRegionError(), "the queue: no Region: pass region_name="),
        (botocore.ProfileNotFound(profile="p"), r"the queue: The config profile \(p\) could not be found"),
        (ValueError("Invalid endpoint: x"), "the queue: Invalid endpoint: x"),
        (ValueError("Invalid endpoint: http://user:hunter2@x y"), r"the queue: Invalid endpoint: http://\*\*\*@x y"),
        (
            botocore.CredentialRetrievalError(provider="custom-process", error_msg="hunter2"),
            r"the queue: credential_process: it failed \(its output is withheld\)",
        ),
    ],
)
async def test_settings_that_can_t_be_used(error: Exception, expected: str) -> None:
    """They are a ConfigurationError."""

    async def open_it() -> None:
        raise error

    with pytest.raises(ConfigurationError, match=expected) as raised:
        await enter_client("the queue", open_it())
    assert "hunter2" not in "".join(traceback.format_exception(raised.value))


@pytest.mark.parametrize(
    ("date", "found"),
    [
        ("Fri, 15 Jan 2027 08:00:00 GMT", ClockReading(1_800_000_000.0, 1, 2)),
        ("yesterday", None),
        ("Fri, 15 Jan 2027 08:00:00 +99999999", None),
        (7, None),
        (None, None),
    ],
)
def test_a_date_is_read_if_it_is_one(date: Any, found: ClockReading | None) -> None:
    """A missing or broken one is ignored."""
    assert reading({"ResponseMetadata": {"HTTPHeaders": {"date": date}}}, 1, 2) == found
    answers: list[Any] = [None, {}, {"ResponseMetadata": None}, {"ResponseMetadata": {"HTTPHeaders": []}}]
    for answer in answers:
        assert reading(answer, 1, 2) is None
