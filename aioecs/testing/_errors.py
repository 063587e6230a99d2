"""The errors that the local ECS answers with: code, message and HTTP status of the service."""

from __future__ import annotations

from typing import Any


class AwsError(Exception):
    """An error as ECS answers it.

    `code` is the name of the exception shape, `message` its text, `status` the HTTP status; `members` are further
    members of the response body (ConflictException has `resourceIds`).
    """

    def __init__(self, code: str, message: str, status: int = 400, members: dict[str, Any] | None = None) -> None:
        super().__init__(code, message, status, members)
        self.code = code
        self.message = message
        self.status = status
        self.members: dict[str, Any] = members or {}

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"

    def body(self) -> dict[str, Any]:
        """Return the error as a body of AWS JSON 1.1."""
        return {"__type": self.code, "message": self.message, **self.members}


def invalid(message: str) -> AwsError:
    """Return an InvalidParameterException."""
    return AwsError("InvalidParameterException", message)


def client_error(message: str) -> AwsError:
    """Return a ClientException."""
    return AwsError("ClientException", message)


def malformed(message: str) -> AwsError:
    """Return a SerializationException, for a body that doesn't match the service model."""
    return AwsError("SerializationException", message)
