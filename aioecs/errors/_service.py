"""Errors that ECS answered with: one class for each code that is known, chosen by the code alone."""

from __future__ import annotations

from collections.abc import Sequence

from aioecs.errors._base import ECSError

_REJECTED_AS_THROTTLE = frozenset(
    {
        # botocore's list (ThrottledRetryableChecker) less LimitExceededException, which is a quota in ECS.
        "Throttling",
        "ThrottlingException",
        "ThrottledException",
        "RequestThrottledException",
        "RequestThrottled",
        "TooManyRequestsException",
        "RequestLimitExceeded",
        "BandwidthLimitExceeded",
        "SlowDown",
        "PriorRequestNotComplete",
        "EC2ThrottledException",
    }
)
# A throttle of a service behind ECS comes under another code (dagster-io/dagster#33439).
_SAID_AS_THROTTLE = ("rate exceeded", "errorcode: throttling", "error code: throttling")

_FAULTS = frozenset(
    {
        "ServerException",
        "InternalError",
        "InternalFailure",
        "InternalServerError",
        "InternalServerException",
        "InternalServiceError",
        "RequestTimeout",
        "RequestTimeoutException",
        "ServiceUnavailable",
        "ServiceUnavailableException",
        "GatewayTimeout",
        "BadGateway",
    }
)


class ECSServiceError(ECSError):
    """ECS answered with an error. Codes without a class of their own come as this one, with the code kept."""

    def __init__(
        self,
        message: str = "",
        *,
        code: str = "",
        request_id: str | None = None,
        status: int | None = None,
        operation: str = "",
    ) -> None:
        super().__init__(message)
        self.message = message
        """ECS's own message; prose, so don't branch on it."""
        self.code: str = code or type(self).__name__
        """ECS's error code, as it came."""
        self.request_id = request_id
        """The id that AWS support asks for."""
        self.status = status
        """The HTTP status."""
        self.operation = operation
        """The operation that was called, such as `StartTask`."""

    def __str__(self) -> str:
        where = f" on {self.operation}" if self.operation else ""
        facts = [f"HTTP {self.status}"] if self.status else []
        facts += [f"request id {self.request_id}"] if self.request_id else []
        return f"{self.code}{where}: {self.message}" + (f" ({', '.join(facts)})" if facts else "")

    @property
    def throttled(self) -> bool:
        """Whether ECS rejected the request for its rate, whatever the code."""
        if self.code in _REJECTED_AS_THROTTLE:
            return True
        message = self.message.lower()  # prose can't clear a fault: a part of it may have been done before the throttle
        return self._refusal and any(phrase in message for phrase in _SAID_AS_THROTTLE)

    @property
    def rejected(self) -> bool:
        """Whether ECS certainly did nothing: the code says so, or a code came with a status below 500."""
        return self.throttled or self._refusal

    @property
    def _refusal(self) -> bool:
        if self.code in _FAULTS or self.code.isdigit():
            return False  # a bare number is botocore's stand-in for an answer without a code, so not an answer of ECS
        return self.status is None or self.status < 500

    @property
    def retry_safe(self) -> bool | None:  # type: ignore[override]  # pyright: ignore[reportIncompatibleVariableOverride]
        """True for a throttle, None for a fault that may have acted, False for what another try can't mend."""
        if self.throttled:
            return True
        return False if self.rejected else None


class AccessDeniedException(ECSServiceError):
    """The credentials may not do this."""


class BlockedException(ECSServiceError):
    """The account may not run tasks on AWS Fargate: AWS Support can lift that."""


class ClientException(ECSServiceError):
    """ECS can't do this for you, often an identifier that isn't valid, such as a task definition that doesn't exist."""


class ClusterNotFoundException(ECSServiceError):
    """The cluster doesn't exist in this account and Region."""


class ConflictException(ECSServiceError):
    """RunTask was sent with a `clientToken` that an earlier, different request used; nothing was started."""

    def __init__(
        self,
        message: str = "",
        *,
        code: str = "",
        request_id: str | None = None,
        status: int | None = None,
        operation: str = "",
        resource_ids: Sequence[str] = (),
    ) -> None:
        super().__init__(message, code=code, request_id=request_id, status=status, operation=operation)
        self.resource_ids: tuple[str, ...] = tuple(resource_ids)
        """ARNs of the tasks that the earlier request started."""


class InvalidParameterException(ECSServiceError):
    """A parameter isn't valid for the request."""


class NamespaceNotFoundException(ECSServiceError):
    """The Cloud Map namespace doesn't exist."""


class PlatformTaskDefinitionIncompatibilityException(ECSServiceError):
    """The platform version of AWS Fargate doesn't have what the task definition needs."""


class PlatformUnknownException(ECSServiceError):
    """The platform version of AWS Fargate doesn't exist."""


class ServerException(ECSServiceError):
    """A fault of ECS's own. Whether it acted is not known."""


class ThrottlingException(ECSServiceError):
    """The account's rate for this kind of call is used up; the request was not looked at."""


class UnsupportedFeatureException(ECSServiceError):
    """The task isn't supported in this Region."""


_BY_CODE: dict[str, type[ECSServiceError]] = {
    kind.__name__: kind
    for kind in (
        AccessDeniedException,
        BlockedException,
        ClientException,
        ClusterNotFoundException,
        ConflictException,
        InvalidParameterException,
        NamespaceNotFoundException,
        PlatformTaskDefinitionIncompatibilityException,
        PlatformUnknownException,
        ServerException,
        ThrottlingException,
        UnsupportedFeatureException,
    )
}


def service_error(
    code: str,
    message: str,
    *,
    status: int | None = None,
    request_id: str | None = None,
    operation: str = "",
    resource_ids: Sequence[str] = (),
) -> ECSServiceError:
    """Make the error of this code; the class is chosen by the code alone, never by the status."""
    kind = _BY_CODE.get(code) or (ThrottlingException if code in _REJECTED_AS_THROTTLE else ECSServiceError)
    error = kind(message, code=code, status=status, request_id=request_id, operation=operation)
    if isinstance(error, ConflictException):
        error.resource_ids = tuple(resource_ids)
    return error
