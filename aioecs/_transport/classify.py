"""Was it sent? What each way of failing says about it.

The marker that sees the first byte of the body decides, on both transports and whatever was raised: before it nothing
was sent, after it ECS may have acted. Two things stand above it:

- an answer of ECS to this very operation, which is read by its code;
- a TLS alert about the client's certificate. The server ended the handshake with it, so it has read nothing of what
  was written after the client's last flight. [RFC 8446, 4.4.2.4 and 6.2]

An error of another service, such as STS, is no answer of ECS. What was not sent is a `ConfigurationError` where another
try can't help, else a `ConnectionFailed`:

=================================================== ==================
raised                                              so it is
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
from aioecs._transport.redaction import chain, shown, shown_cause
from aioecs.errors import AnswerLost, ConfigurationError, ConnectionFailed, ECSServiceError, service_error

E = TypeVar("E", bound=Exception)

_OF_FILES = (errno.ENOENT, errno.EISDIR, errno.ENOTDIR, errno.EACCES, errno.EPERM, errno.ELOOP)
_OF_CONNECTIONS = (
    botocore.ConnectionError,
    botocore.SSLError,
    botocore.ConnectionClosedError,
    aiohttp.ClientConnectionError,
    aiohttp.ClientPayloadError,
    aiohttp.ClientResponseError,
)
_OF_CLIENT_CERTIFICATES = (
    "ALERT_CERTIFICATE_REQUIRED",
    "ALERT_BAD_CERTIFICATE",
    "ALERT_CERTIFICATE_EXPIRED",
    "ALERT_CERTIFICATE_REVOKED",
    "ALERT_CERTIFICATE_UNKNOWN",
    "ALERT_NO_CERTIFICATE",
    "ALERT_UNKNOWN_CA",
    "ALERT_UNSUPPORTED_CERTIFICATE",
)


def judge(error: Exception, operation: str, body_started: bool) -> Rejected | NotSent | Lost:
    """Say what a failed attempt came to; `on_wire` tells whether the first byte of the body was written."""
    if isinstance(error, botocore.ClientError) and error.operation_name == operation:
        return _answered(error, operation)
    if not body_started or wants_client_certificate(error):
        return NotSent(unsent(error, operation))
    lost = AnswerLost(f"{operation} was sent and its answer was lost: {_broke(error)}")
    lost.__cause__ = shown_cause(error)
    return Lost(lost)


def wants_client_certificate(error: BaseException) -> bool:
    """Tell whether the server ended TLS for want of a client certificate that it accepts."""
    reasons = (str(getattr(each, "reason", "")) for each in chain(error) if isinstance(each, ssl.SSLError))
    return any(reason.endswith(_OF_CLIENT_CERTIFICATES) for reason in reasons)


def unsent(error: Exception, operation: str, source: str = "") -> ConfigurationError | ConnectionFailed:
    """Say of whatever kept a request back that it was not sent; `source` names where credentials were to come from."""
    if wants_client_certificate(error):
        text = "the server wants a client certificate and got none that it accepts: set config.client_cert"
        return _caused(ConfigurationError(f"{operation} was not sent: {text}"), error)
    kind = ConnectionFailed if _may_heal(error) else ConfigurationError
    where = f"credentials ({source}): " if source else ""
    return _caused(kind(f"{operation} was not sent: {where}{_in_words(error)}"), error)


def opening_error(error: Exception, text: str | None = None) -> ConfigurationError:
    """Say why a client can't be opened, without the secrets that a text may hold."""
    return _caused(ConfigurationError(text if text is not None else _in_words(error)), error)


def _caused(raised: E, cause: BaseException) -> E:
    raised.__cause__ = shown_cause(cause)
    return raised


def _may_heal(error: BaseException) -> bool:
    """Tell whether another try may succeed though nothing is changed."""
    if isinstance(error, botocore.ClientError):
        other = _service_error(error, error.operation_name)
        return other.throttled or not other.rejected
    wrapped = getattr(error, "kwargs", {}).get("error") if type(error) is botocore.HTTPClientError else None
    if isinstance(wrapped, BaseException):
        return _may_heal(wrapped)
    if isinstance(error, ValueError):  # a malformed URL, also where aiohttp counts it among its own
        return False
    if isinstance(error, OSError) and not isinstance(error, aiohttp.ClientError):
        return error.errno not in _OF_FILES and not isinstance(error, ssl.SSLError)
    return isinstance(error, _OF_CONNECTIONS)


def _in_words(error: BaseException) -> str:
    """Name the service whose error it is, as far as botocore doesn't."""
    if isinstance(error, botocore.ClientError) and error.operation_name.startswith(("AssumeRole", "GetSession")):
        return f"STS: {shown(error)}"
    return shown(error)


def _answered(error: botocore.ClientError, operation: str) -> Rejected | Lost:
    problem = _service_error(error, operation)
    return Rejected(problem) if problem.rejected else Lost(problem)


def _service_error(error: botocore.ClientError, operation: str) -> ECSServiceError:
    said = error.response.get("Error", {})
    about = error.response.get("ResponseMetadata", {})
    status = about.get("HTTPStatusCode")
    return service_error(
        str(said.get("Code") or status or ""),
        str(said.get("Message") or ""),
        status=status,
        request_id=about.get("RequestId"),
        operation=operation,
    )


def _broke(error: Exception) -> str:
    """Say how it broke in the words of the transport: botocore's say "could not connect" of a reset as well."""
    inner = error.kwargs.get("error") if isinstance(error, botocore.BotoCoreError) else None
    if inner is None and isinstance(error, OSError) and not isinstance(error, TimeoutError):
        inner = error
    return f"{type(inner).__name__}: {shown(inner)}" if isinstance(inner, Exception) else shown(error)
