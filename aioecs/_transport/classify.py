"""Failure classification: whether a failed attempt was rejected, not sent, or lost (ECS may have acted).

The `SentMarker` decides on both transports, whatever was raised: before the first byte of the body nothing was sent;
after it ECS may have acted. Two facts take precedence:

- an answer of ECS to this operation, which is classified by its code;
- a TLS alert about the client's certificate. It ends the handshake, so the server has read nothing of what was written
  after the client's last handshake message. [RFC 8446, 4.4.2.4 and 6.2]

A server may also reset the connection right after that alert, and the reset may discard the alert before it is read.
The attempt is lost then, and its error names the likely cause (`tls_rejection`). In TLS 1.3 the client learns of a
rejected certificate only after the handshake, and Python's ssl reports neither that the server requested a certificate
nor that it accepted the handshake, so the body can't wait for that. Set `config.client_cert` where the server needs
one.

An error of another service, such as STS, is no answer of ECS. What was not sent is a `ConfigurationError` where another
try can't help, else a `ConnectionFailed`:

=================================================== ==================
raised                                              classified as
=================================================== ==================
DNS, refused, timed out, TLS, proxy, reset          ConnectionFailed
another service's throttle or fault (5xx)           ConnectionFailed
another service's refusal, no credentials           ConfigurationError
a file that is missing or can't be read             ConfigurationError
a certificate that the server wants and doesn't get ConfigurationError
anything else: settings, handlers, malformed URLs   ConfigurationError
=================================================== ==================
"""

from __future__ import annotations

import errno
import ssl
from typing import TypeVar

import aiohttp
from botocore import exceptions as botocore

from aioecs._model.attempt import Lost, NotSent, Rejected
from aioecs._transport.redaction import error_chain, redacted_cause, redacted_text
from aioecs.errors import AnswerLost, ConfigurationError, ConnectionFailed, ECSServiceError, service_error

E = TypeVar("E", bound=Exception)

_FILE_ERRNOS = (errno.ENOENT, errno.EISDIR, errno.ENOTDIR, errno.EACCES, errno.EPERM, errno.ELOOP)
_CONNECTION_ERRORS = (
    botocore.ConnectionError,
    botocore.SSLError,
    botocore.ConnectionClosedError,
    aiohttp.ClientConnectionError,
    aiohttp.ClientPayloadError,
    aiohttp.ClientResponseError,
)
_CLIENT_CERTIFICATE_ALERTS = (
    "ALERT_CERTIFICATE_REQUIRED",
    "ALERT_BAD_CERTIFICATE",
    "ALERT_CERTIFICATE_EXPIRED",
    "ALERT_CERTIFICATE_REVOKED",
    "ALERT_CERTIFICATE_UNKNOWN",
    "ALERT_NO_CERTIFICATE",
    "ALERT_UNKNOWN_CA",
    "ALERT_UNSUPPORTED_CERTIFICATE",
)


def classify_failure(error: Exception, operation: str, body_started: bool) -> Rejected | NotSent | Lost:
    """Classify a failed attempt; `body_started` says whether the first byte of the body was written."""
    if isinstance(error, botocore.ClientError) and error.operation_name == operation:
        return _answered(error, operation)
    if not body_started or is_client_certificate_alert(error):
        return NotSent(not_sent_error(error, operation))
    lost = AnswerLost(f"{operation} was sent and its answer was lost: {_describe_lost(error)}")
    lost.__cause__ = redacted_cause(error)
    return Lost(lost)


def is_client_certificate_alert(error: BaseException) -> bool:
    """Return whether the server ended TLS because it got no client certificate that it accepts."""
    reasons = (str(getattr(each, "reason", "")) for each in error_chain(error) if isinstance(each, ssl.SSLError))
    return any(reason.endswith(_CLIENT_CERTIFICATE_ALERTS) for reason in reasons)


def not_sent_error(error: Exception, operation: str, source: str = "") -> ConfigurationError | ConnectionFailed:
    """Return the error of a request that was not sent; `source` names the credential source, if that failed."""
    if is_client_certificate_alert(error):
        text = "the server wants a client certificate and got none that it accepts: set config.client_cert"
        return _with_cause(ConfigurationError(f"{operation} was not sent: {text}"), error)
    kind = ConnectionFailed if _may_succeed_later(error) else ConfigurationError
    where = f"credentials ({source}): " if source else ""
    return _with_cause(kind(f"{operation} was not sent: {where}{_describe(error)}"), error)


def opening_error(error: Exception, text: str | None = None) -> ConfigurationError:
    """Return the error of a client that can't be opened, without the secrets that the cause's text may hold."""
    return _with_cause(ConfigurationError(text if text is not None else _describe(error)), error)


def _with_cause(raised: E, cause: BaseException) -> E:
    raised.__cause__ = redacted_cause(cause)
    return raised


def _may_succeed_later(error: BaseException) -> bool:
    """Return whether another attempt may succeed without any change of settings."""
    if isinstance(error, botocore.ClientError):
        error_of_service = _service_error(error, error.operation_name)
        return error_of_service.throttled or not error_of_service.rejected
    wrapped = getattr(error, "kwargs", {}).get("error") if type(error) is botocore.HTTPClientError else None
    if isinstance(wrapped, BaseException):
        return _may_succeed_later(wrapped)
    if isinstance(error, ValueError):  # a malformed URL; some of aiohttp's errors are ValueErrors too
        return False
    if isinstance(error, OSError) and not isinstance(error, aiohttp.ClientError):
        return error.errno not in _FILE_ERRNOS and not isinstance(error, ssl.SSLError)
    return isinstance(error, _CONNECTION_ERRORS)


def _describe(error: BaseException) -> str:
    """Describe an error, with the name of its service where botocore's text lacks it."""
    if isinstance(error, botocore.ClientError) and error.operation_name.startswith(("AssumeRole", "GetSession")):
        return f"STS: {redacted_text(error)}"
    return redacted_text(error)


def _answered(error: botocore.ClientError, operation: str) -> Rejected | Lost:
    problem = _service_error(error, operation)
    return Rejected(problem) if problem.rejected else Lost(problem)


def _service_error(error: botocore.ClientError, operation: str) -> ECSServiceError:
    details = error.response.get("Error", {})
    metadata = error.response.get("ResponseMetadata", {})
    status = metadata.get("HTTPStatusCode")
    return service_error(
        str(details.get("Code") or status or ""),
        str(details.get("Message") or ""),
        status=status,
        request_id=metadata.get("RequestId"),
        operation=operation,
    )


def _describe_lost(error: Exception) -> str:
    """Describe a lost answer by the inner error: botocore's own text says "could not connect" of a reset, too."""
    inner = error.kwargs.get("error") if isinstance(error, botocore.BotoCoreError) else None
    if inner is None and isinstance(error, OSError) and not isinstance(error, TimeoutError):
        inner = error
    return f"{type(inner).__name__}: {redacted_text(inner)}" if isinstance(inner, Exception) else redacted_text(error)
