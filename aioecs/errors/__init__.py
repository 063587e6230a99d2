"""What can go wrong, and what is known of the starts when it does.

::

    ECSError
    ├── ECSServiceError                  ECS answered with an error; chosen by its code, which is kept
    │   ├── AccessDeniedException        no permission, or an expired or unknown credential said so by this code
    │   ├── BlockedException             the account may not run tasks on Fargate
    │   ├── ClientException              ECS can't do this for you: an unknown task definition, for example
    │   ├── ClusterNotFoundException
    │   ├── ConflictException            the clientToken belongs to another request; `resource_ids` are its tasks
    │   ├── InvalidParameterException
    │   ├── NamespaceNotFoundException
    │   ├── PlatformTaskDefinitionIncompatibilityException  the platform version can't run the task definition
    │   ├── PlatformUnknownException     no such platform version
    │   ├── ServerException              a fault of ECS: whether it acted is not known
    │   ├── ThrottlingException          throttled: rejected before execution
    │   └── UnsupportedFeatureException
    ├── InvalidRequest (ValueError)      a documented rule is broken; nothing was sent
    ├── ConfigurationError (ValueError)  no Region, no credentials, settings that contradict; nothing was sent
    ├── ClientStateError (RuntimeError)  a client used before, after or beside its `async with`; nothing was sent
    ├── ConnectionFailed (ConnectionError)  no connection came about; nothing was sent
    ├── AnswerLost (ConnectionError)     sent, and no answer that can be believed came back
    ├── CallCancelled                    the passed scope or token fired; the two below say what was under way
    ├── TaskFailed                       `raise_for_status()`: a task ended and did not succeed, or nobody can know
    ├── WaitError                        a wait ended without what it waited for; it starts and stops nothing
    │   ├── TaskMissing                  ECS doesn't know the task, and had time to
    │   ├── TaskStopped                  it stopped, and had never run
    │   ├── WaitCancelled (CallCancelled)  the passed scope or token fired during a wait
    │   └── WaitTimeout (TimeoutError)   the wait's clock ran out
    └── StartError                       what a start came to
        ├── StartUnknown                 ambiguous: ECS may have started it
        ├── StartIncomplete              refused after some of it was known to run
        ├── StartRefused                 `raise_for_failures()` found what ECS refused
        ├── StartCancelled (CallCancelled)  the passed scope or token fired during a start
        │   └── StartTimeout (TimeoutError)  the call's own `timeout` was over
        ├── IdempotencyMismatch          the key was used for something else
        └── CallTimeout (TimeoutError)   the call's clock ran out; nothing started

Every error raised after a request was sent carries `starts`, one `StartResult` per task asked for.
`retry_safe` is True where nothing was started and another try may help, False where it can't help or would
start twice, and None where not enough is known. All survive pickle and copy.
"""

from __future__ import annotations

from aioecs.errors._base import (
    AnswerLost,
    CallCancelled,
    ClientStateError,
    ConfigurationError,
    ConnectionFailed,
    ECSError,
    InvalidRequest,
)
from aioecs.errors._service import (
    AccessDeniedException,
    BlockedException,
    ClientException,
    ClusterNotFoundException,
    ConflictException,
    ECSServiceError,
    InvalidParameterException,
    NamespaceNotFoundException,
    PlatformTaskDefinitionIncompatibilityException,
    PlatformUnknownException,
    ServerException,
    ThrottlingException,
    UnsupportedFeatureException,
    service_error,
)
from aioecs.errors._start import (
    CallTimeout,
    IdempotencyMismatch,
    StartCancelled,
    StartError,
    StartIncomplete,
    StartRefused,
    StartTimeout,
    StartUnknown,
    find_start_error,
)
from aioecs.errors._wait import (
    TaskFailed,
    TaskMissing,
    TaskStopped,
    WaitCancelled,
    WaitError,
    WaitTimeout,
)

__all__ = [
    "AccessDeniedException",
    "AnswerLost",
    "BlockedException",
    "CallCancelled",
    "CallTimeout",
    "ClientException",
    "ClientStateError",
    "ClusterNotFoundException",
    "ConfigurationError",
    "ConflictException",
    "ConnectionFailed",
    "ECSError",
    "ECSServiceError",
    "IdempotencyMismatch",
    "InvalidParameterException",
    "InvalidRequest",
    "NamespaceNotFoundException",
    "PlatformTaskDefinitionIncompatibilityException",
    "PlatformUnknownException",
    "ServerException",
    "StartCancelled",
    "StartError",
    "StartIncomplete",
    "StartRefused",
    "StartTimeout",
    "StartUnknown",
    "TaskFailed",
    "TaskMissing",
    "TaskStopped",
    "ThrottlingException",
    "UnsupportedFeatureException",
    "WaitCancelled",
    "WaitError",
    "WaitTimeout",
    "find_start_error",
    "is_retry_safe",
    "service_error",
]


def is_retry_safe(error: BaseException) -> bool:
    """Return whether the call may be made again: nothing was started, and another try may help.

    Made for retry libraries: `stamina.retry(on=aioecs.is_retry_safe)`. An ambiguous start, a cancelled one and one
    that can't succeed are all False; anything that aioecs didn't raise is False.
    """
    return isinstance(error, ECSError) and error.retry_safe is True


for _name in __all__:  # a public class says the module that it is imported from, also in a pickle
    globals()[_name].__module__ = __name__
