"""headers: what passes through, and what a signature says."""

from __future__ import annotations

import pytest

from aioecs.testing._proxy.headers import Scope, request_headers, response_headers, scope_of, unsigned

AUTHORIZATION = (
    "AWS4-HMAC-SHA256 Credential=AKID/20260101/eu-west-1/ecs/aws4_request, SignedHeaders={signed}, Signature=0"
)


def test_scope_of() -> None:
    """The access key id, the Region and the service; none without a signature."""
    assert scope_of({"Authorization": AUTHORIZATION}) == Scope("AKID", "eu-west-1", "ecs")
    assert scope_of({}) is None
    assert scope_of({"Authorization": "Bearer x"}) is None


def test_headers_of_a_connection_do_not_pass() -> None:
    """Those of the message do, in order and as they were written."""
    raw = [(b"Host", b"h"), (b"Connection", b"keep-alive"), (b"X-A", b"1"), (b"X-A", b"2"), (b"Content-Length", b"3")]
    assert request_headers(raw, "") == [("Host", "h"), ("X-A", "1"), ("X-A", "2"), ("Accept-Encoding", "identity")]
    assert response_headers([(b"Date", b"d"), (b"Transfer-Encoding", b"chunked")]) == (("Date", "d"),)


@pytest.mark.parametrize(("signed", "passed"), [("accept-encoding;host", "gzip"), ("host", "identity")])
def test_the_answer_is_not_compressed_unless_the_client_signed_so(signed: str, passed: str) -> None:
    """A compressed body could not be recorded; a changed signed header would spoil the signature."""
    raw = [(b"accept-encoding", b"gzip")]
    assert [value for _, value in request_headers(raw, AUTHORIZATION.format(signed=signed))] == [passed]


def test_unsigned() -> None:
    """A new signature replaces all headers of the old one."""
    names = ["Authorization", "X-Amz-Date", "X-Amz-Security-Token", "Host", "X-Amz-Target", "User-Agent"]
    assert [name for name, _ in unsigned([(name, "") for name in names])] == ["X-Amz-Target", "User-Agent"]
