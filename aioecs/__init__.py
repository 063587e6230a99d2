"""Start Amazon ECS tasks from asyncio: never twice, never lost, never a lie.

`Client` is the door; requests and answers bear the names of ECS's service model. See the README for a tour.
"""

from aioecs._model import *  # noqa: F403 the values of the service model are all public
from aioecs._model import __all__ as _values
from aioecs._run.batch import Batch
from aioecs._run.cancel_token import CancelToken
from aioecs._run.client import Client
from aioecs.errors import (
    AccessDeniedException,
    AnswerLost,
    CallTimeout,
    ClientException,
    ClientStateError,
    ClusterNotFoundException,
    ConfigurationError,
    ConnectionFailed,
    ECSError,
    ECSServiceError,
    IdempotencyMismatch,
    InvalidParameterException,
    InvalidRequest,
    NamespaceNotFoundException,
    ServerException,
    StartCancelled,
    StartError,
    StartIncomplete,
    StartRefused,
    StartUnknown,
    ThrottlingException,
    UnsupportedFeatureException,
    is_retry_safe,
    outcome_of,
)

__version__ = "0.1.0"

__all__ = [  # noqa: PLE0604 the values name themselves
    "AccessDeniedException",
    "AnswerLost",
    "Batch",
    "CallTimeout",
    "CancelToken",
    "Client",
    "ClientException",
    "ClientStateError",
    "ClusterNotFoundException",
    "ConfigurationError",
    "ConnectionFailed",
    "ECSError",
    "ECSServiceError",
    "IdempotencyMismatch",
    "InvalidParameterException",
    "InvalidRequest",
    "NamespaceNotFoundException",
    "ServerException",
    "StartCancelled",
    "StartError",
    "StartIncomplete",
    "StartRefused",
    "StartUnknown",
    "ThrottlingException",
    "UnsupportedFeatureException",
    "is_retry_safe",
    "outcome_of",
    *_values,
]
