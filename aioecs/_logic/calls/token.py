"""Tokens: the identity of a call, which its tasks have as `startedBy`.

A token has to fit ECS's 36 characters. All begin alike, so that a person who looks at a task sees who started it:
`aioecs-` and 29 characters of base64, 174 bits, derived from a key or random.
"""

from __future__ import annotations

import hashlib
from binascii import b2a_base64

PREFIX = "aioecs-"
LENGTH = 36  # [model] StartTaskRequest.startedBy
ENTROPY = 32  # in bytes, what `fresh` takes
WITHDRAWN = "aioecs:withdrawn:"
CLIENT_TOKEN_KNOWN = 3_600.0
"""In seconds: how long after the first send ECS knows a `clientToken` in any case.

ECS knows it for 24 hours, or until one hour after its tasks have ended, whichever is shorter. [docs, "Ensuring
idempotency"]
"""
CLIENT_TOKEN_FORGOTTEN = 86_400.0
"""In seconds: how long after the first send ECS knows a `clientToken` at most. [docs, as above]"""

_URL_SAFE = bytes.maketrans(b"+/", b"-_")


def fresh(random_bytes: bytes) -> str:
    """Make a token of random bytes, `ENTROPY` of them; the same bytes give the same token.

    Raises:
        ValueError: there are fewer, and the token would be short or padded.
    """
    if len(random_bytes) < ENTROPY:
        raise ValueError(f"a token is made of {ENTROPY} random bytes, not of {len(random_bytes)}")
    return PREFIX + b2a_base64(random_bytes).translate(_URL_SAFE)[: LENGTH - len(PREFIX)].decode()


def derived(key: str) -> str:
    """Make the token of an idempotency key: the same on every machine, no matter how long the key is."""
    return fresh(hashlib.sha256(b"aioecs idempotency key\0" + key.encode("utf-8", "surrogatepass")).digest())


def stop_reason(token: str) -> str:
    """Return the reason that aioecs sends when it stops a task of its own; such a task is not adopted again."""
    return WITHDRAWN + token
