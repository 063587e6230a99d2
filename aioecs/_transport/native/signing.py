"""Signature Version 4 as pure functions, and a signer that does each part of it once.

The canonical request of ECS's calls differs only in the time, the token of the session, the target and the body's
digest; the day's key only with the day and the secret. Source: AWS General Reference, "Signature Version 4 signing
process".
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from hashlib import sha256
from time import gmtime
from typing import Any

import attrs

from aioecs._transport.settings import find_control_character

ALGORITHM = "AWS4-HMAC-SHA256"
CONTENT_TYPE = "application/x-amz-json-1.1"
"""What ECS's protocol sends: JSON 1.1 [model]."""


@attrs.frozen
class Scope:
    """Where a signature holds."""

    region: str
    service: str


@attrs.frozen
class Keys:
    """Credentials at one moment. None of it is in the repr."""

    access_key: str = attrs.field(repr=False)
    secret_key: str = attrs.field(repr=False)
    token: str | None = attrs.field(repr=False, default=None)

    @classmethod
    def from_frozen(cls, frozen: Any) -> Keys:
        """Take what botocore froze; an empty session token is none."""
        return cls(frozen.access_key, frozen.secret_key, frozen.token or None)

    @property
    def fault(self) -> str | None:
        """Say which of them holds a control character, such as a line end, and where; None if none does."""
        for name, held in (
            ("access key", self.access_key),
            ("secret key", self.secret_key),
            ("session token", self.token or ""),
        ):
            found = find_control_character(held)
            if found is not None:
                return f"the {name} holds a control character ({found}), such as a line end, which no header can"
        return None


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.digest(key, text.encode(), "sha256")


def derive_signing_key(secret_key: str, day: str, scope: Scope) -> bytes:
    """Derive the key that signs for a day, as `20150830`, within a scope."""
    key = f"AWS4{secret_key}".encode()
    for part in (day, scope.region, scope.service, "aws4_request"):
        key = _hmac(key, part)
    return key


def canonical_request(method: str, path: str, query: str, headers: Mapping[str, str], digest: str) -> str:
    """Write the canonical request; headers by their names in lower case, path and query in canonical form."""
    names = sorted(headers)
    lines = "".join(f"{name}:{' '.join(headers[name].split())}\n" for name in names)
    return f"{method}\n{path}\n{query}\n{lines}\n{';'.join(names)}\n{digest}"


def signature(key: bytes, timestamp: str, scope: Scope, request: str) -> str:
    """Sign a canonical request with the day's key, at a time as `20150830T123600Z`."""
    where = f"{timestamp[:8]}/{scope.region}/{scope.service}/aws4_request"
    text = f"{ALGORITHM}\n{timestamp}\n{where}\n{sha256(request.encode()).hexdigest()}"
    return hmac.digest(key, text.encode(), "sha256").hex()


def format_timestamp(seconds: int) -> str:
    """Write a moment, in seconds since the epoch, as signatures have it."""
    at = gmtime(seconds)
    return f"{at[0]:04}{at[1]:02}{at[2]:02}T{at[3]:02}{at[4]:02}{at[5]:02}Z"


class Signer:
    """Signs POST requests for one host and scope.

    It keeps the stamp of the second, and of the credentials used last the day's key; no secret beyond that.
    """

    def __init__(self, host: str, scope: Scope) -> None:
        self._host = host
        self._scope = scope
        self._second = -1
        self._timestamp = ""
        self._keys: Keys | None = None
        self._day = ""
        self._day_key = b""
        self._token_line = ""
        self._names = ""
        self._before_signature = ""

    def headers(self, target: str, body: bytes, keys: Keys, now: float) -> dict[str, str]:
        """Return the headers that sign a body: the date, the authorization and, with a session, its token."""
        second = int(now)
        if second != self._second:
            self._second, self._timestamp = second, format_timestamp(second)
        timestamp = self._timestamp
        if keys != self._keys or timestamp[:8] != self._day:
            self._prepare(keys, timestamp[:8])
        request = (
            f"POST\n/\n\ncontent-type:{CONTENT_TYPE}\nhost:{self._host}\nx-amz-date:{timestamp}\n{self._token_line}"
            f"x-amz-target:{target}\n\n{self._names}\n{sha256(body).hexdigest()}"
        )
        signed = {
            "X-Amz-Date": timestamp,
            "Authorization": self._before_signature + signature(self._day_key, timestamp, self._scope, request),
        }
        if keys.token is not None:
            signed["X-Amz-Security-Token"] = keys.token
        return signed

    def _prepare(self, keys: Keys, day: str) -> None:
        """Prepare for other credentials or another day."""
        self._keys, self._day = keys, day
        self._day_key = derive_signing_key(keys.secret_key, day, self._scope)
        token = keys.token
        self._token_line = f"x-amz-security-token:{' '.join(token.split())}\n" if token is not None else ""
        between = "x-amz-security-token;" if token is not None else ""
        self._names = f"content-type;host;x-amz-date;{between}x-amz-target"
        self._before_signature = (
            f"{ALGORITHM} Credential={keys.access_key}/{day}/{self._scope.region}/{self._scope.service}/aws4_request, "
            f"SignedHeaders={self._names}, Signature="
        )
