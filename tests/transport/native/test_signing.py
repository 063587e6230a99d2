"""signing: AWS's published vectors, and botocore's own signer for any body, time, token and Region."""

from __future__ import annotations

import datetime as dt
from hashlib import sha256
from typing import Any
from unittest import mock

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given, settings
from hypothesis import strategies as st

from aioecs._transport.native.signing import (
    CONTENT_TYPE,
    Keys,
    Scope,
    Signer,
    canonical_request,
    derive_signing_key,
    format_timestamp,
    signature,
)

AT = "20150830T123600Z"
SUITE = Scope("us-east-1", "service")
SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
HEADERS = {"host": "example.amazonaws.com", "x-amz-date": AT}
FORM = {"content-type": "application/x-www-form-urlencoded"}
EMPTY = sha256(b"").hexdigest()


@pytest.mark.parametrize(
    ("method", "more", "body", "signed"),
    [
        ("GET", {}, b"", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
        ("POST", {}, b"", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
        ("POST", FORM, b"Param1=value1", "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a"),
    ],
    ids=["get-vanilla", "post-vanilla", "post-x-www-form-urlencoded"],
)
def test_the_published_vectors(method: str, more: dict[str, str], body: bytes, signed: str) -> None:
    """AWS's Signature Version 4 test suite, for requests without a query or an unusual path."""
    whole = canonical_request(method, "/", "", HEADERS | more, sha256(body).hexdigest())
    assert signature(derive_signing_key(SECRET, AT[:8], SUITE), AT, SUITE, whole) == signed


def sign_with_botocore(host: str, scope: Scope, target: str, body: bytes, keys: Keys, now: float) -> dict[str, str]:
    """Sign a request with botocore's signer at this time."""
    at = dt.datetime.fromtimestamp(now, dt.UTC).replace(tzinfo=None)
    headers = {"Content-Type": CONTENT_TYPE, "X-Amz-Target": target}
    request = AWSRequest(method="POST", url=f"https://{host}/", data=body, headers=headers)
    with mock.patch("botocore.auth.get_current_datetime", return_value=at):
        SigV4Auth(Credentials(keys.access_key, keys.secret_key, keys.token), scope.service, scope.region).add_auth(
            request
        )
    names = ("X-Amz-Date", "Authorization", "X-Amz-Security-Token")
    return {name: request.headers[name] for name in names if name in request.headers}


key_text = st.text("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/+=", min_size=1, max_size=40)
keys = st.builds(Keys, key_text, key_text, st.none() | key_text)
DAY = 86_400


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.tuples(keys, st.binary(max_size=200), st.integers(0, 40_000 * DAY) | st.sampled_from([DAY - 1, DAY])),
        min_size=1,
        max_size=4,
    ),
    st.sampled_from(["us-east-1", "cn-north-1", "us-gov-west-1", "local"]),
)
def test_botocore_s_own_signer_agrees(signings: list[tuple[Keys, bytes, int]], region: str) -> None:
    """One signer, with any credentials in any order, signs as botocore does, also across midnight."""
    scope, host = Scope(region, "ecs"), f"ecs.{region}.test"
    signer = Signer(host, scope)
    for held, body, now in signings:
        for _ in range(2):
            lines = signer.header_lines("Service.StartTask", body, held, now + 0.9).split("\r\n")
            assert lines.pop() == ""
            assert dict(line.split(": ", 1) for line in lines) == sign_with_botocore(
                host, scope, "Service.StartTask", body, held, now
            )


def test_format_timestamp() -> None:
    """A time is formatted in UTC, to the second."""
    assert format_timestamp(0) == "19700101T000000Z"
    assert format_timestamp(1_440_938_160) == AT


def test_the_repr_holds_no_secret() -> None:
    """The repr holds no credentials."""
    held: Any = Keys("an-access-key", "a-secret", "a-token")
    assert repr(held) == "Keys()"


@pytest.mark.parametrize("end", ["\r", "\n", "\0"])
def test_keys_with_control_characters(end: str) -> None:
    """A line end in any of them is found, and its value is not quoted."""
    fault_text = f"holds a control character (U+{ord(end):04X} at position 1), such as a line end, which no header can"
    assert Keys(f"a{end}", "s").fault == f"the access key {fault_text}"
    assert Keys("a", "s", f"t{end}").fault == f"the session token {fault_text}"
    assert Keys("a", f"s{end}").fault == f"the secret key {fault_text}"
    assert Keys("a", "s", "t").fault is None
