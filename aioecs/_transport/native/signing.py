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


class HmacKey:
    """A key of HMAC-SHA-256, whose part in each digest is computed once [RFC 2104]. The repr doesn't hold it."""

    def __init__(self, key: bytes) -> None:
        block = (key if len(key) <= _BLOCK else sha256(key).digest()).ljust(_BLOCK, b"\0")
        self._inner = sha256(block.translate(_INNER))
        self._outer = sha256(block.translate(_OUTER))

    def hexdigest(self, message: bytes) -> str:
        """Return the digest of a message in hexadecimal."""
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(message)
        outer.update(inner.digest())
        return outer.hexdigest()


_BLOCK = 64  # in bytes
_INNER, _OUTER = bytes(byte ^ 0x36 for byte in range(256)), bytes(byte ^ 0x5C for byte in range(256))


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
    return HmacKey(key).hexdigest(f"{before_digest(timestamp, scope)}{sha256(request.encode()).hexdigest()}".encode())


def before_digest(timestamp: str, scope: Scope) -> str:
    """Return the string to sign, up to the digest of the canonical request."""
    return f"{ALGORITHM}\n{timestamp}\n{timestamp[:8]}/{scope.region}/{scope.service}/aws4_request\n"


def format_timestamp(seconds: int) -> str:
    """Format seconds since the epoch as a signature's timestamp, such as `20150830T123600Z`."""
    at = gmtime(seconds)
    return f"{at[0]:04}{at[1]:02}{at[2]:02}T{at[3]:02}{at[4]:02}{at[5]:02}Z"


class Signer:
    """Signs POST requests for one host and scope.

    It caches what depends on the second and on the credentials used last, and no other secret.
    """

    def __init__(self, host: str, scope: Scope) -> None:
        self._host = host
        self._scope = scope
        self._second = -1
        self._keys: Keys | None = None
        self._day = ""
        self._day_key = HmacKey(b"")
        self._before_target = self._before_digest = self._after_target = self._before_signature = ""

    def header_lines(self, target: str, body: bytes, keys: Keys, now: float) -> str:
        """Return the header lines that sign a body: date, authorization and, if there is one, session token."""
        if int(now) != self._second or keys is not self._keys:
            self._prepare(keys, int(now))
        request = f"{self._before_target}{target}{self._after_target}{sha256(body).hexdigest()}"
        text = f"{self._before_digest}{sha256(request.encode()).hexdigest()}"
        return f"{self._before_signature}{self._day_key.hexdigest(text.encode())}\r\n"

    def _prepare(self, keys: Keys, second: int) -> None:
        """Cache what depends on the credentials and the second."""
        timestamp, token = format_timestamp(second), keys.token
        day = timestamp[:8]
        if keys is not self._keys or day != self._day:
            self._day_key = HmacKey(derive_signing_key(keys.secret_key, day, self._scope))
        self._keys, self._second, self._day = keys, second, day
        token_line = f"x-amz-security-token:{' '.join(token.split())}\n" if token is not None else ""
        names = f"content-type;host;x-amz-date;{'x-amz-security-token;' if token is not None else ''}x-amz-target"
        self._before_target = (
            f"POST\n/\n\ncontent-type:{CONTENT_TYPE}\nhost:{self._host}\nx-amz-date:{timestamp}\n{token_line}"
            "x-amz-target:"
        )
        self._after_target = f"\n\n{names}\n"
        self._before_digest = before_digest(timestamp, self._scope)
        sent_token = f"X-Amz-Security-Token: {token}\r\n" if token is not None else ""
        self._before_signature = (
            f"X-Amz-Date: {timestamp}\r\n{sent_token}Authorization: {ALGORITHM} Credential={keys.access_key}/{day}/"
            f"{self._scope.region}/{self._scope.service}/aws4_request, SignedHeaders={names}, Signature="
        )
