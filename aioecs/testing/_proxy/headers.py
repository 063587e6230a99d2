"""Which headers pass through the proxy, and what a SigV4 Authorization header says."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import attrs

# Of one connection, not of the message [RFC 9110, section 7.6.1]; the length is that of the body which is sent.
_HOP_BY_HOP = frozenset(
    {"connection", "content-length", "expect", "keep-alive", "proxy-authenticate", "proxy-authorization"}
    | {"proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"}
)
_SIGNATURE = frozenset({"authorization", "host", "x-amz-content-sha256", "x-amz-date", "x-amz-security-token"})
_CREDENTIAL = re.compile(r"Credential=([^/,\s]+)/\d+/([a-z0-9-]+)/([a-z0-9-]+)/")
_SIGNED = re.compile(r"SignedHeaders=([^,\s]+)")


@attrs.frozen
class Scope:
    """What a request is signed with: the access key id, for a Region and a service."""

    access_key: str
    region: str
    service: str


def scope_of(headers: Mapping[str, str]) -> Scope | None:
    """Return the scope of a request's signature, None if it has none."""
    found = _CREDENTIAL.search(headers.get("Authorization", ""))
    return Scope(*found.groups()) if found else None


def request_headers(raw: Iterable[tuple[bytes, bytes]], signed: str) -> list[tuple[str, str]]:
    """Return the headers to pass on. The answer is asked for uncompressed, unless that header was signed.

    signed: the Authorization header, which names the signed headers.
    """
    found = _SIGNED.search(signed)
    keep_encoding = found is not None and "accept-encoding" in found[1].lower().split(";")
    dropped = _HOP_BY_HOP if keep_encoding else _HOP_BY_HOP | {"accept-encoding"}
    return [
        *((name, value) for name, value in _decoded(raw) if name.lower() not in dropped),
        *([] if keep_encoding else [("Accept-Encoding", "identity")]),
    ]


def unsigned(headers: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return headers without those of a signature."""
    return [(name, value) for name, value in headers if name.lower() not in _SIGNATURE]


def response_headers(raw: Iterable[tuple[bytes, bytes]]) -> tuple[tuple[str, str], ...]:
    """Return the headers of an answer to pass on."""
    return tuple((name, value) for name, value in _decoded(raw) if name.lower() not in _HOP_BY_HOP)


def _decoded(raw: Iterable[tuple[bytes, bytes]]) -> Iterable[tuple[str, str]]:
    return ((name.decode("latin-1"), value.decode("utf-8", "surrogateescape")) for name, value in raw)
