"""Reads standard input as text."""

from __future__ import annotations

import sys

from aioecs.cli._options import UsageError


def stdin_text() -> str:
    """Return what stands on standard input.

    Raises:
        UsageError: it is no text.
    """
    try:
        return sys.stdin.read()
    except UnicodeDecodeError as error:
        raise UsageError(f"standard input is no text in {error.encoding}") from None
