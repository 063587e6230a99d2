"""Was it sent? What each way of failing says about it.

On the fast way the witness knows, whatever was raised. On the plain way, measured on real sockets with aiobotocore's
aiohttp session; `error` is what botocore's exception wraps:

======================== ========================================== =========
raised                   wraps                                      was it sent
======================== ========================================== =========
EndpointConnectionError  ClientConnectorError (DNS, refused, TLS)   no
ConnectTimeoutError                                                 no
NoCredentialsError …     raised while preparing or signing          no
EndpointConnectionError  ClientOSError (reset)                      not known
ConnectionClosedError                                               not known
ReadTimeoutError                                                    not known
HTTPClientError          anything else                              not known
ClientError              the code of an answer                      read the code
======================== ========================================== =========

ClientConnectorError is a subclass of ClientOSError, so it is tested first. The witness, who sees the body being
written, beats the table: what failed after the body began is not known, and what failed before it is not sent wherever
the witness has shown that it sees, however the exception reads.
"""

from __future__ import annotations

import aiohttp
from botocore import exceptions as botocore

from aioecs._model.attempt import Lost, NotSent, Rejected
from aioecs.errors import AnswerLost, ConfigurationError, ConnectionFailed, service_error

_UNSIGNED = (
    botocore.NoCredentialsError,
    botocore.PartialCredentialsError,
    botocore.CredentialRetrievalError,
    botocore.NoAuthTokenError,
    botocore.TokenRetrievalError,
    botocore.SSOError,
    botocore.MetadataRetrievalError,
    botocore.UnknownSignatureVersionError,
    botocore.ConfigNotFound,
    botocore.ProfileNotFound,
    botocore.InvalidConfigError,
    botocore.ParamValidationError,
    botocore.EndpointProviderError,
)

_NEVER_CONNECTED = (
    aiohttp.ClientConnectorError,
    aiohttp.ClientConnectorDNSError,
    aiohttp.ClientConnectorCertificateError,
    aiohttp.ServerFingerprintMismatch,
)


def certainly_not_sent(error: BaseException) -> bool:
    """Read the table: True where the exception alone proves that nothing was sent."""
    if isinstance(error, (*_UNSIGNED, botocore.ConnectTimeoutError, botocore.ProxyConnectionError)):
        return True
    if isinstance(error, (botocore.EndpointConnectionError, botocore.SSLError)):
        return isinstance(error.kwargs.get("error"), _NEVER_CONNECTED)
    return False


def judge(error: Exception, operation: str, on_wire: bool, proven: bool) -> Rejected | NotSent | Lost:
    """Say what a failed attempt came to.

    `on_wire` is the witness's word; `proven` tells whether this witness has been seen to see.
    """
    if isinstance(error, botocore.ClientError):
        return _answered(error, operation)
    if not on_wire and (certainly_not_sent(error) or proven):
        return NotSent(_unsent(error, operation))
    lost = AnswerLost(f"{operation} was sent and its answer was lost: {_broke(error)}")
    lost.__cause__ = error
    return Lost(lost)


def _answered(error: botocore.ClientError, operation: str) -> Rejected | Lost:
    said = error.response.get("Error", {})
    about = error.response.get("ResponseMetadata", {})
    status = about.get("HTTPStatusCode")
    problem = service_error(
        str(said.get("Code") or status or ""),
        str(said.get("Message") or ""),
        status=status,
        request_id=about.get("RequestId"),
        operation=operation,
    )
    return Rejected(problem) if problem.rejected else Lost(problem)


def never_signed(error: Exception, operation: str) -> ConfigurationError | ConnectionFailed:
    """Say of whatever kept the credentials back that the request was not sent."""
    return _unsent(error, operation)


def _unsent(error: Exception, operation: str) -> ConfigurationError | ConnectionFailed:
    kind = ConfigurationError if isinstance(error, _UNSIGNED) else ConnectionFailed
    unsent = kind(f"{operation} was not sent: {_first_line(error)}")
    unsent.__cause__ = error
    return unsent


def _broke(error: Exception) -> str:
    """Say how it broke in the words of the transport: botocore's say "could not connect" of a reset as well."""
    inner = error.kwargs.get("error") if isinstance(error, botocore.BotoCoreError) else None
    if inner is None and isinstance(error, OSError) and not isinstance(error, TimeoutError):
        inner = error
    return f"{type(inner).__name__}: {_first_line(inner)}" if isinstance(inner, Exception) else _first_line(error)


def _first_line(error: BaseException) -> str:
    return str(error).partition("\n")[0] or type(error).__name__
