"""Redacts errors of other libraries: passwords in URLs, output of credential sources, and control characters.

Such errors may quote what they were given. A proxy URL may hold a password, `credential_process` may write anything to
stderr, a container's metadata server may answer with credentials, and a parser's error keeps the document that it could
not read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import urlsplit

from aiohttp import InvalidURL
from botocore.exceptions import BotoCoreError, CredentialRetrievalError

from aioecs._transport.settings import find_control_character

_MAX_TEXT = 600
"""Characters of another library's text that are kept."""
_USER = re.compile(r"(?<=//)[^\s\"'<>]*@|[^\s\"'<>/:@]+:[^\s\"'<>/]*@")
"""The user and password of a URL; without a scheme only where there is a password."""
_BODY = re.compile(r"(from container metadata): .*", re.DOTALL)
_SAFE_PROCESS_ERROR = re.compile(r"Missing required key in response: '\w+'|Unsupported version '[\w.]{1,8}' for .*")
_PORT = re.compile(r"(?i)\bport\b")
_MALFORMED_URL = "a URL in its settings, such as a proxy's, is malformed (not shown: it may hold a password)"


class Redacted(Exception):
    """Replaces an error that holds a secret: it has the error's type name, and its text without the secret."""


def proxy_url_fault(url: str) -> str | None:
    """Describe what is wrong with a proxy's URL, without quoting it; return None if nothing is."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return "its host or port can't be read"
    if find_control_character(url) or " " in url:
        return "it holds a space or a control character"
    if parts.scheme not in ("http", "https"):
        return "it is not of http or https"
    if not parts.hostname or port == 0:
        return "it names no host" if not parts.hostname else "its port is 0"
    return None


def redacted_text(error: BaseException) -> str:
    """Return the first line of an error's text without secrets; the name of its type if it has no text."""
    if any(_may_quote_url(each) for each in error_chain(error)):
        return _MALFORMED_URL
    if isinstance(error, CredentialRetrievalError) and error.kwargs.get("provider") == "custom-process":
        message = str(error.kwargs.get("error_msg"))
        is_safe = _SAFE_PROCESS_ERROR.fullmatch(message) is not None
        return f"credential_process: {message if is_safe else 'it failed (its output is withheld)'}"
    text = _scrub(str(error)).partition("\n")[0].strip()
    return "".join(each if each.isprintable() else " " for each in text[:_MAX_TEXT]) or type(error).__name__


def redacted_cause(error: BaseException) -> BaseException:
    """Return the error itself, or a `Redacted` in its place if it or one of its causes holds a secret."""
    if any(_contains_secret(each) for each in error_chain(error)):
        return Redacted(f"{type(error).__name__}: {redacted_text(error)}")
    return error


def _scrub(text: str) -> str:
    return _BODY.sub(r"\1 (its body is withheld)", _USER.sub("***@", text))


def _may_quote_url(error: BaseException) -> bool:
    """Return whether the text may quote part of a malformed URL, which no pattern can find."""
    return isinstance(error, InvalidURL) or (isinstance(error, ValueError) and _PORT.search(str(error)) is not None)


def _contains_secret(error: BaseException) -> bool:
    if _may_quote_url(error) or hasattr(error, "doc") or isinstance(error, UnicodeError):
        return True  # the document that could not be parsed or decoded
    if isinstance(error, CredentialRetrievalError) and error.kwargs.get("provider") == "custom-process":
        return True
    return any(_scrub(text) != text for text in (str(error), *map(str, error.args)))


def error_chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an error, its causes and contexts, and the errors that botocore wraps."""
    seen: set[int] = set()
    ahead: list[BaseException | None] = [error]
    while ahead:
        each = ahead.pop()
        if each is not None and id(each) not in seen:
            seen.add(id(each))
            yield each
            wrapped = each.kwargs.get("error") if isinstance(each, BotoCoreError) else None
            ahead += [each.__cause__, each.__context__, wrapped if isinstance(wrapped, BaseException) else None]
