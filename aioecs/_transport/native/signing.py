"""Signature Version 4 as pure functions, and a signer that caches what does not change between requests.

The canonical requests of ECS's calls differ only in the time, the session token, the target and the body's digest; the
signing key changes only with the day and the secret. Source: AWS General Reference, "Signature Version 4 signing
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
"""ECS's protocol is JSON 1.1 [service model]."""


@attrs.frozen
class Scope:
    """The Region and service that a signature is valid for."""

    region: str
    service: str


@attrs.frozen
class Keys:
    """Credentials at one moment. The repr holds none of them."""

    access_key: str = attrs.field(repr=False)
    secret_key: str = attrs.field(repr=False)
    token: str | None = attrs.field(repr=False, default=None)

    @classmethod
    def from_frozen(cls, frozen: Any) -> Keys:
        """Make them from botocore's frozen credentials; an empty session token counts as none."""
        return cls(frozen.access_key, frozen.secret_key, frozen.token or None)

    @property
    def fault(self) -> str | None:
        """Which of them holds a control character, such as a line end, and where; None if none does."""
        for name, value in (
            ("access key", self.access_key),
            ("secret key", self.secret_key),
            ("session token", self.token or ""),
        ):
            found = find_control_character(value)
            if found is not None:
                return f"the {name} holds a control character ({found}), such as a line end, which no header can"
        return None


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.digest(key, text.encode(), "sha256")


def derive_signing_key(secret_key: str, day: str, scope: Scope) -> bytes:
    """Derive the signing key of a day, such as `20150830`, and a scope."""
    key = f"AWS4{secret_key}".encode()
    for part in (day, scope.region, scope.service, "aws4_request"):
        key = _hmac(key, part)
    return key


def canonical_request(method: str, path: str, query: str, headers: Mapping[str, str], digest: str) -> str:
    """Return the canonical request; header names must be in lower case, path and query in canonical form."""
    names = sorted(headers)
    lines = "".join(f"{name}:{' '.join(headers[name].split())}\n" for name in names)
    return f"{method}\n{path}\n{query}\n{lines}\n{';'.join(names)}\n{digest}"


def signature(key: bytes, timestamp: str, scope: Scope, request: str) -> str:
    """Sign a canonical request with the day's signing key, at a time such as `20150830T123600Z`."""
    where = f"{timestamp[:8]}/{scope.region}/{scope.service}/aws4_request"
    text = f"{ALGORITHM}\n{timestamp}\n{where}\n{sha256(request.encode()).hexdigest()}"
    return hmac.digest(key, text.encode(), "sha256").hex()


def format_timestamp(seconds: int) -> str:
    """Format seconds since the epoch as a signature's timestamp, such as `20150830T123600Z`."""
    at = gmtime(seconds)
    return f"{at[0]:04}{at[1]:02}{at[2]:02}T{at[3]:02}{at[4]:02}{at[5]:02}Z"


class Signer:
    """Signs POST requests for one host and scope.

    It caches the timestamp of the second and the signing key of the credentials used last, and no other secret.
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
        """Return the headers that sign a body: the date, the authorization and, if there is one, the session token."""
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
        """Cache what depends on the credentials and the day."""
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
