"""redaction: errors keep their text, without the secrets that it may quote."""

from __future__ import annotations

import json
from typing import Any

import pytest
from aiohttp import InvalidURL
from botocore import exceptions as botocore

from aioecs._transport.redaction import Redacted, error_chain, proxy_url_fault, redacted_cause, redacted_text

SECRET = "hunter2"
CONTAINER = "Received non 200 response 500 from container metadata"


def decoding(text: str) -> Exception:
    try:
        json.loads(text)
    except ValueError as error:
        return error
    raise AssertionError


def caused(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (
            botocore.EndpointConnectionError(endpoint_url=f"http://me:{SECRET}@host/"),
            'Could not connect to the endpoint URL: "http://***@host/"',
        ),
        (ValueError(f"Invalid endpoint: me:{SECRET}@host"), "Invalid endpoint: ***@host"),
        (
            botocore.CredentialRetrievalError(provider="custom-process", error_msg=f"no {SECRET}\nfor you"),
            "credential_process: it failed (its output is withheld)",
        ),
        (
            botocore.CredentialRetrievalError(
                provider="custom-process", error_msg="Missing required key in response: 'SecretAccessKey'"
            ),
            "credential_process: Missing required key in response: 'SecretAccessKey'",
        ),
        (
            botocore.CredentialRetrievalError(
                provider="container-role",
                error_msg=f"{CONTAINER}: {SECRET}\n{SECRET}",
            ),
            f"Error when retrieving credentials from container-role: {CONTAINER} (its body is withheld)",
        ),
        (
            botocore.HTTPClientError(error=InvalidURL(f"http://me:{SECRET}@:x")),
            "a URL in its settings, such as a proxy's, is malformed (not shown: it may hold a password)",
        ),
        (
            ValueError(f"Port could not be cast to integer value as '{SECRET}'"),
            "a URL in its settings, such as a proxy's, is malformed (not shown: it may hold a password)",
        ),
        (decoding(SECRET), "Expecting value: line 1 column 1 (char 0)"),
        (caused(RuntimeError("said"), ValueError(f"at http://me:{SECRET}@host")), "said"),
    ],
)
def test_secrets_are_redacted(error: Exception, text: str) -> None:
    """The text holds no secret; nor does the redacted cause, which keeps the error's type name."""
    assert redacted_text(error) == text
    cause = redacted_cause(error)
    holds = SECRET in f"{error} {error.args} {vars(error)} {error.__cause__}"
    if holds:
        assert isinstance(cause, Redacted)
        assert str(cause) == f"{type(error).__name__}: {text}"
        assert SECRET not in f"{cause!r} {vars(cause)} {cause.__cause__!r} {cause.__context__!r}"


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (RuntimeError("first\nsecond"), "first"),
        (RuntimeError("a\x1b[31mb"), "a [31mb"),
        (TimeoutError(), "TimeoutError"),
        (RuntimeError("x" * 5000), "x" * 600),
        (FileNotFoundError(2, "No such file", "/token"), "[Errno 2] No such file: '/token'"),
    ],
)
def test_text_without_secrets_is_kept(error: Exception, text: str) -> None:
    """The text is the first line, bounded and printable; an error without secrets is its own cause."""
    assert redacted_text(error) == text
    assert redacted_cause(error) is error


def test_a_cyclic_error_chain_ends() -> None:
    """Each error of a cyclic chain is visited once."""
    first, second = RuntimeError("1"), RuntimeError("2")
    first.__cause__, second.__cause__ = second, first
    assert set(error_chain(first)) == {first, second}


@pytest.mark.parametrize(
    ("url", "fault"),
    [
        ("http://proxy:3128", None),
        ("https://me:pass@proxy", None),
        ("http://me:pa/ss@proxy:3128", "its host or port can't be read"),
        ("http://proxy:port", "its host or port can't be read"),
        ("http://[::1", "its host or port can't be read"),
        ("http://pro xy:1", "it holds a space or a control character"),
        ("http://proxy\n:1", "it holds a space or a control character"),
        ("socks5://proxy:1", "it is not of http or https"),
        ("http://", "it names no host"),
        ("http://proxy:0", "its port is 0"),
    ],
)
def test_proxy_url_faults(url: str, fault: Any) -> None:
    """The fault of a proxy's URL is described without quoting the URL."""
    assert proxy_url_fault(url) == fault
