"""stdin: what stands on standard input."""

from __future__ import annotations

import io
import sys

import pytest

from aioecs.cli._options import UsageError
from aioecs.cli._stdin import stdin_text


def given(monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data), encoding="utf-8"))


def test_it_is_read_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """Line ends and all."""
    given(monkeypatch, "ä\nb\n".encode())
    assert stdin_text() == "ä\nb\n"


def test_what_is_no_text_is_an_error_of_usage(monkeypatch: pytest.MonkeyPatch) -> None:
    """It names the encoding, and quotes nothing."""
    given(monkeypatch, b"ok\n\xff\xfe")
    with pytest.raises(UsageError, match="standard input is no text in utf-8"):
        stdin_text()
