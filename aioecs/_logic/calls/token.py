"""Tokens: our identity of a call, borne by its tasks as `startedBy`.

A token has to fit ECS's 36 characters. Both kinds begin alike, so that a person who looks at a task sees who started
it: `aioecs-` and 29 characters of base64, 174 bits, whether they come from a key or from chance.
"""

from __future__ import annotations

import hashlib
from base64 import urlsafe_b64encode

PREFIX = "aioecs-"
LENGTH = 36  # [model] StartTaskRequest.startedBy
ENTROPY = 32  # in bytes, what `fresh` wants of its caller
WITHDRAWN = "aioecs:withdrawn:"
CLIENT_TOKEN_LIVES = 3_600.0
"""In seconds: how long after the first send ECS knows a `clientToken` in any case.

It lives for the lesser of 24 hours and the life of its tasks plus one hour. [docs, "Ensuring idempotency"]
"""
CLIENT_TOKEN_ENDS = 86_400.0
"""In seconds: how long after the first send ECS knows a `clientToken` at most. [docs, as above]"""


def fresh(chance: bytes) -> str:
    """Make a token of random bytes, `ENTROPY` of them; the same bytes give the same token.

    Raises:
        ValueError: there are fewer, and the token would be short or padded.
    """
    if len(chance) < ENTROPY:
        raise ValueError(f"a token is made of {ENTROPY} random bytes, not of {len(chance)}")
    return PREFIX + urlsafe_b64encode(chance).decode()[: LENGTH - len(PREFIX)]


def derived(key: str) -> str:
    """Make the token of an idempotency key: the same on every machine, no matter how long the key is."""
    return fresh(hashlib.sha256(b"aioecs idempotency key\0" + key.encode("utf-8", "surrogatepass")).digest())


def stop_reason(token: str) -> str:
    """Return the reason that aioecs gives when it stops a task of its own; such a task is not adopted again."""
    return WITHDRAWN + token
