"""What the local ECS answers when it says no: an error with the service's code, message and HTTP status."""

from __future__ import annotations

from typing import Any


class AwsError(Exception):
    """An error as ECS answers it.

    `code` is the name of the exception shape, `message` its prose, `status` the HTTP status; `members` are further
    members of the answer's body (ConflictException has `resourceIds`).
    """

    def __init__(self, code: str, message: str, status: int = 400, members: dict[str, Any] | None = None) -> None:
        super().__init__(code, message, status, members)
        self.code = code
        self.message = message
        self.status = status
        self.members = members or {}

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"

    def body(self) -> dict[str, Any]:
        """Give the error as AWS JSON 1.1 carries it."""
        return {"__type": self.code, "message": self.message, **self.members}


def invalid(message: str) -> AwsError:
    """Make an InvalidParameterException."""
    return AwsError("InvalidParameterException", message)


def client_error(message: str) -> AwsError:
    """Make a ClientException."""
    return AwsError("ClientException", message)


def malformed(message: str) -> AwsError:
    """Make the SerializationException that answers a body which is not what the model says."""
    return AwsError("SerializationException", message)
