"""errors: the tree, the class of a code, what may be retried, and errors that survive pickle and copy."""

from __future__ import annotations

import asyncio
import copy
import inspect
import itertools
import pickle
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from aioecs import errors
from aioecs._model.shapes.overrides import TaskOverride
from aioecs._model.shapes.start_task import StartTaskRequest
from aioecs._model.shapes.start_task_response import StartTaskResponse
from aioecs._model.shapes.task import Failure, Task
from aioecs._model.start_result import Outcome, StartResult
from aioecs._model.task_result import TaskResult
from aioecs.errors import (
    AccessDeniedException,
    AnswerLost,
    BlockedException,
    CallCancelled,
    CallTimeout,
    ClientException,
    ClientStateError,
    ClusterNotFoundException,
    ConfigurationError,
    ConflictException,
    ConnectionFailed,
    ECSError,
    ECSServiceError,
    IdempotencyMismatch,
    InvalidParameterException,
    InvalidRequest,
    NamespaceNotFoundException,
    PlatformTaskDefinitionIncompatibilityException,
    PlatformUnknownException,
    ServerException,
    StartCancelled,
    StartError,
    StartIncomplete,
    StartRefused,
    StartTimeout,
    StartUnknown,
    TaskFailed,
    TaskMissing,
    TaskStopped,
    ThrottlingException,
    UnsupportedFeatureException,
    WaitCancelled,
    WaitError,
    WaitTimeout,
    find_start_error,
    is_retry_safe,
    service_error,
)

REQUEST = StartTaskRequest(cluster="render", task_definition="frame:42", container_instances=["0a1b"])
TASK = Task(task_arn="arn:aws:ecs:eu-west-1:123456789012:task/render/4c54")
STOPPED = TASK.replace(stop_code="TaskFailedToStart", stopped_reason="CannotPullContainerError")
FAILURE = Failure(arn="arn:aws:ecs:eu-west-1:123456789012:container-instance/render/0a1b", reason="AGENT")

BY_CODE: dict[str, type[ECSServiceError]] = {
    "AccessDeniedException": AccessDeniedException,
    "BlockedException": BlockedException,
    "ClientException": ClientException,
    "ClusterNotFoundException": ClusterNotFoundException,
    "ConflictException": ConflictException,
    "InvalidParameterException": InvalidParameterException,
    "NamespaceNotFoundException": NamespaceNotFoundException,
    "PlatformTaskDefinitionIncompatibilityException": PlatformTaskDefinitionIncompatibilityException,
    "PlatformUnknownException": PlatformUnknownException,
    "ServerException": ServerException,
    "ThrottlingException": ThrottlingException,
    "UnsupportedFeatureException": UnsupportedFeatureException,
}
OURS: list[type[ECSError]] = [
    ECSError,
    InvalidRequest,
    ConfigurationError,
    ClientStateError,
    ConnectionFailed,
    AnswerLost,
    CallCancelled,
    StartError,
    StartUnknown,
    StartIncomplete,
    StartRefused,
    StartCancelled,
    StartTimeout,
    IdempotencyMismatch,
    CallTimeout,
    WaitError,
    TaskStopped,
    TaskFailed,
    TaskMissing,
    WaitCancelled,
    WaitTimeout,
]
CLASSES: list[type[ECSError]] = [*OURS, ECSServiceError, *BY_CODE.values()]


def start(outcome: Outcome = Outcome.STARTED, **members: Any) -> StartResult:
    return StartResult(request=REQUEST, container_instance="0a1b", outcome=outcome, **members)


def full(kind: type[ECSError]) -> ECSError:
    """Make an error of this class with every fact that it can carry."""
    facts: dict[str, Any] = {
        "code": "SomeCode",
        "request_id": "r-1",
        "status": 400,
        "operation": "StartTask",
        "path": "overrides.cpu",
        "rule": "a string",
        "found": 17,
        "starts": [start(task=TASK)],
        "token": "aioecs-1",
        "candidates": [TASK],
        "response": StartTaskResponse(tasks=[TASK], failures=[FAILURE]),
        "reason": "shutdown",
        "known": [TASK],
        "waiting_for": [TASK.task_arn],
        "task": TASK,
        "exit_codes": {"main": 3},
        "result": TaskResult(task=TASK, succeeded=False, exit_code=3),
        "arn": TASK.task_arn,
        "resource_ids": (TASK.task_arn,),
    }
    takes = inspect.signature(kind.__init__).parameters
    return kind(*["what happened"] * ("path" not in takes), **{name: facts[name] for name in takes if name in facts})


def facts_of(error: ECSError) -> dict[str, Any]:
    return {**vars(error), "args": error.args, "str": str(error), "outcome": error.outcome, "tasks": error.tasks}


def pickled(error: Any) -> Any:
    return pickle.loads(pickle.dumps(error))  # noqa: S301 our own error, not anyone's data


each_class = pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
each_copy = pytest.mark.parametrize("again", [pickled, copy.copy, copy.deepcopy], ids=["pickle", "copy", "deepcopy"])


# --------------------------------------------------------------------------------------------------------- the tree


def drawn() -> Iterator[tuple[str, str, list[str]]]:
    """Read the tree that the module's docstring draws: name, name of the parent, further bases."""
    above: list[tuple[int, str]] = [(-1, "Exception")]
    for line in (errors.__doc__ or "").splitlines():
        found = re.match(r"(?:\s{4})([│├└─ ]*)(\w+)(?: \((\w+)\))?(?:\s|$)", line)
        if found and found[2][0].isupper() and (found[1] or found[2] == "ECSError"):
            depth = len(found[1])
            while above[-1][0] >= depth:
                above.pop()
            yield found[2], above[-1][1], [found[3]] if found[3] else []
            above.append((depth, found[2]))


def test_the_tree_is_as_drawn() -> None:
    """The docstring draws every class of the module, each under its parents, and no other."""
    tree = {name: [parent, *more] for name, parent, more in drawn()}
    there = {
        name: [base.__name__ for base in kind.__bases__]
        for name, kind in vars(errors).items()
        if inspect.isclass(kind) and kind.__module__ == errors.__name__
    }
    assert tree == there
    assert set(there) == {kind.__name__ for kind in CLASSES}


@pytest.mark.parametrize(
    ("kind", "builtin"),
    [
        (InvalidRequest, ValueError),
        (ConfigurationError, ValueError),
        (ClientStateError, RuntimeError),
        (ConnectionFailed, ConnectionError),
        (AnswerLost, ConnectionError),
        (CallTimeout, TimeoutError),
        (WaitTimeout, TimeoutError),
    ],
)
def test_errors_are_python_s_own_too(kind: type[ECSError], builtin: type[Exception]) -> None:
    """Who catches Python's error of that meaning catches ours."""
    assert issubclass(kind, builtin)


# ------------------------------------------------------------------------------------------------- errors of ECS's own


@pytest.mark.parametrize("status", [None, 200, 400, 403, 500, 503])
@pytest.mark.parametrize(("code", "kind"), [*BY_CODE.items(), ("SomethingNew", ECSServiceError)])
def test_the_class_comes_from_the_code_never_from_the_status(
    code: str, kind: type[ECSServiceError], status: int | None
) -> None:
    """A code has one class whatever status it came with."""
    assert type(service_error(code, "said", status=status)) is kind


def test_an_unknown_code_is_kept() -> None:
    """A code without a class of its own is an ECSServiceError that says it, with all its facts."""
    error = service_error("SomethingNew", "said", status=418, request_id="r-1", operation="StartTask")
    assert type(error) is ECSServiceError
    assert (error.code, error.message, error.status) == ("SomethingNew", "said", 418)
    assert (error.request_id, error.operation) == ("r-1", "StartTask")


@pytest.mark.parametrize("code", ["Throttling", "RequestLimitExceeded", "TooManyRequestsException"])
def test_a_throttle_s_other_names(code: str) -> None:
    """Each of the names of a throttle is a ThrottlingException, with its own code kept."""
    error = service_error(code, "slow down")
    assert (type(error), error.code, error.throttled) == (ThrottlingException, code, True)


HIDDEN = "Error retrieving security group information for [sg-1]: Rate exceeded (ErrorCode: Throttling)"


@pytest.mark.parametrize(
    ("code", "message", "status", "throttled", "rejected", "retry_safe"),
    [
        # Throttles, openly and in another code's clothes.
        ("ThrottlingException", "Rate exceeded", 400, True, True, True),
        ("ThrottlingException", "", 503, True, True, True),
        ("RequestLimitExceeded", "", 503, True, True, True),
        ("InvalidParameterException", HIDDEN, 400, True, True, True),
        ("ClientException", "RATE EXCEEDED", 400, True, True, True),
        ("InvalidParameterException", "(Service: AmazonEC2; Error Code: Throttling)", 400, True, True, True),
        ("SomethingNew", "ErrorCode: Throttling", None, True, True, True),
        # Prose can't clear a fault.
        ("ServerException", HIDDEN, 500, False, False, None),
        ("InternalFailure", "Rate exceeded", 400, False, False, None),
        ("SomethingNew", "Rate exceeded", 500, False, False, None),
        ("503", "Rate exceeded", 503, False, False, None),
        # Refusals: another try can't mend them.
        ("AccessDeniedException", "no", 400, False, True, False),
        ("ClientException", "no", 400, False, True, False),
        ("ClusterNotFoundException", "no", 400, False, True, False),
        ("InvalidParameterException", "the rate is exceeded by none", 400, False, True, False),
        ("ExpiredTokenException", "no", 403, False, True, False),
        ("LimitExceededException", "a quota of yours", 400, False, True, False),
        ("SomethingNew", "no", 400, False, True, False),
        ("SomethingNew", "no", None, False, True, False),
        # Faults: ECS may have acted.
        ("ServerException", "oops", 500, False, False, None),
        ("ServerException", "oops", 400, False, False, None),
        ("ServerException", "oops", None, False, False, None),
        ("ServiceUnavailableException", "oops", 503, False, False, None),
        ("RequestTimeout", "oops", 408, False, False, None),
        ("SomethingNew", "oops", 500, False, False, None),
        # No code: not an answer of ECS, so nothing is known.
        ("400", "Bad Request", 400, False, False, None),
        ("502", "Bad Gateway", 502, False, False, None),
    ],
)
def test_what_a_code_says_about_the_request(
    code: str, message: str, status: int | None, throttled: bool, rejected: bool, retry_safe: bool | None
) -> None:
    """Whether it was a matter of rate, whether ECS certainly did nothing, and whether to try again."""
    error = service_error(code, message, status=status)
    assert (error.throttled, error.rejected, error.retry_safe) == (throttled, rejected, retry_safe)


# ------------------------------------------------------------------------------------------------------ pickle, copy


@each_copy
@each_class
def test_every_error_survives(kind: type[ECSError], again: Callable[[Any], Any]) -> None:
    """Class, arguments, facts and text come through pickle and copy."""
    error = full(kind)
    twin = again(error)
    assert type(twin) is kind
    assert facts_of(twin) == facts_of(error)


@each_copy
@each_class
def test_every_error_survives_with_starts_that_refer_back(kind: type[ECSError], again: Callable[[Any], Any]) -> None:
    """An error whose starts hold it as their own error comes through whole, and the circle is closed again."""
    error = full(kind)
    error.starts = (start(Outcome.REFUSED, error=error, failure=FAILURE), start(task=TASK))
    twin = again(error)
    assert twin.outcome is Outcome.STARTED
    assert type(twin.starts[0].error) is kind
    if again is not copy.copy:
        assert twin.starts[0].error is twin


@each_class
def test_every_error_can_be_made_without_arguments(kind: type[ECSError]) -> None:
    """No parameter is needed, and the text of an empty one is still a text."""
    assert isinstance(str(kind()), str)


@pytest.mark.parametrize(
    ("kind", "facts"), [(StartCancelled, {"token": "aioecs-1"}), (WaitCancelled, {"known": (TASK,)})]
)
def test_a_scope_stays_in_its_process(kind: type[StartCancelled | WaitCancelled], facts: dict[str, Any]) -> None:
    """What a cancel raises is pickled without its scope or token, and keeps it for those at home."""
    source = asyncio.Event()
    error = kind("cancelled", reason="shutdown", source=source, **facts)
    twin = pickled(error)
    assert (twin.source, twin.reason) == (None, "shutdown")
    assert {name: getattr(twin, name) for name in facts} == facts
    assert error.source is source


# ------------------------------------------------------------------------------------------------------------- texts


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (service_error("ClientException", "no"), "ClientException: no"),
        (service_error("ClientException", "no", operation="StartTask"), "ClientException on StartTask: no"),
        (service_error("New", "no", status=400), "New: no (HTTP 400)"),
        (
            service_error("New", "no", status=400, request_id="r-1", operation="StartTask"),
            "New on StartTask: no (HTTP 400, request id r-1)",
        ),
        (ClientException("no"), "ClientException: no"),
        (InvalidRequest("tags", "at most 50 tags", 51), "tags: at most 50 tags, not 51"),
        (InvalidRequest("tags[0].key", "is required"), "tags[0].key: is required"),
        (StartUnknown("1 unknown", token="aioecs-1"), "1 unknown"),
        (ConfigurationError("no Region"), "no Region"),
    ],
)
def test_the_text_is_made_of_the_facts(error: ECSError, text: str) -> None:
    """str() says what is known, and leaves out what is not."""
    assert str(error) == text


# ------------------------------------------------------------------------------------------------------ what it holds


@pytest.mark.parametrize(
    ("outcomes", "gravest"),
    [
        ([], None),
        ([Outcome.NOT_SENT], Outcome.NOT_SENT),
        ([Outcome.NOT_SENT, Outcome.REFUSED], Outcome.REFUSED),
        ([Outcome.STOPPED, Outcome.REFUSED], Outcome.STOPPED),
        ([Outcome.STOPPED, Outcome.STARTED, Outcome.NOT_SENT], Outcome.STARTED),
        ([Outcome.UNKNOWN, Outcome.STARTED], Outcome.UNKNOWN),
    ],
)
def test_the_outcome_is_the_gravest_of_its_starts(outcomes: list[Outcome], gravest: Outcome | None) -> None:
    """UNKNOWN > STARTED > STOPPED > REFUSED > NOT_SENT; None where nothing was sent."""
    assert StartError("x", starts=[start(outcome) for outcome in outcomes]).outcome is gravest


def test_tasks_and_failures_are_those_of_its_starts() -> None:
    """An error names what is known to have started, and what ECS refused."""
    error = StartIncomplete("x", starts=[start(task=TASK), start(Outcome.REFUSED, failure=FAILURE), start()])
    assert (error.tasks, error.failures) == ((TASK,), (FAILURE,))


def test_a_wait_error_has_the_last_known_tasks() -> None:
    """What was seen, what is not there yet, and how a task that never ran ended."""
    error = TaskStopped("x", known=[STOPPED], waiting_for=["arn"], task=STOPPED, exit_codes={"main": None})
    assert (error.tasks, error.known, error.waiting_for) == ((STOPPED,), (STOPPED,), ("arn",))
    assert (error.task, error.exit_codes) == (STOPPED, {"main": None})
    assert (error.stop_code, error.reason) == ("TaskFailedToStart", "CannotPullContainerError")
    assert (TaskStopped().stop_code, TaskStopped().reason, TaskStopped().exit_codes) == (None, None, {})


def test_a_refusal_has_its_answer() -> None:
    """StartRefused names the tasks and failures of the answer, or of its starts where there is none."""
    whole = StartRefused("x", response=StartTaskResponse(tasks=[TASK], failures=[FAILURE]))
    single = StartRefused("x", starts=[start(Outcome.REFUSED, failure=FAILURE)])
    assert (whole.tasks, whole.failures) == ((TASK,), (FAILURE,))
    assert (single.tasks, single.failures) == ((), (FAILURE,))


# -------------------------------------------------------------------------------- is_retry_safe, find_start_error


@pytest.mark.parametrize(
    ("error", "safe"),
    [
        (ThrottlingException("Rate exceeded"), True),
        (InvalidParameterException(HIDDEN), True),
        (ConnectionFailed("refused"), True),
        (CallTimeout("in time"), True),
        (WaitTimeout("in time"), True),
        (TaskStopped("stopped"), False),
        (TaskMissing("missing"), False),
        (WaitCancelled("cancelled"), False),
        (ServerException("oops"), False),
        (ClientException("no"), False),
        (AnswerLost("reset"), False),
        (StartUnknown("ambiguous"), False),
        (StartCancelled("cancelled"), False),
        (StartTimeout("not finished"), False),
        (StartIncomplete("half"), False),
        (StartRefused("no"), False),
        (IdempotencyMismatch("other"), False),
        (InvalidRequest("tags", "at most 50"), False),
        (ConfigurationError("no Region"), False),
        (ClientStateError("closed"), False),
        (ECSError("?"), False),
        (TimeoutError(), False),
        (ConnectionError(), False),
        (asyncio.CancelledError(), False),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else str(value),
)
def test_is_retry_safe(error: BaseException, safe: bool) -> None:
    """True only where aioecs knows that nothing started and that another try may help."""
    assert is_retry_safe(error) is safe


def chain(*links: BaseException, by: str = "__cause__") -> BaseException:
    """Hang each error on the one before it, and return the first."""
    for outer, inner in itertools.pairwise(links):
        setattr(outer, by, inner)
    return links[0]


CANCELLED = StartCancelled("cancelled")


@pytest.mark.parametrize(
    ("error", "found"),
    [
        (None, None),
        (ValueError(), None),
        (CANCELLED, CANCELLED),
        (chain(asyncio.CancelledError(), CANCELLED), CANCELLED),
        (chain(TimeoutError(), asyncio.CancelledError(), CANCELLED), CANCELLED),
        (chain(TimeoutError(), asyncio.CancelledError(), CANCELLED, by="__context__"), CANCELLED),
        (chain(ValueError(), chain(KeyError(), CANCELLED, by="__context__")), CANCELLED),
        (chain(ValueError(), KeyError()), None),
    ],
)
def test_outcome_of(error: BaseException | None, found: StartCancelled | None) -> None:
    """The StartCancelled behind a timeout or cancellation is found through causes and contexts."""
    assert find_start_error(error) is found


def test_outcome_of_a_real_timeout() -> None:
    """asyncio.timeout's TimeoutError leads to the StartCancelled that the cancellation carried."""

    async def timed_out() -> BaseException:
        try:
            async with asyncio.timeout(0):
                try:
                    await asyncio.Event().wait()
                except asyncio.CancelledError as cancelled:
                    raise cancelled from CANCELLED
        except TimeoutError as error:
            return error
        raise AssertionError("it did not time out")

    assert find_start_error(asyncio.run(timed_out())) is CANCELLED


@pytest.mark.parametrize("by", ["__cause__", "__context__"])
def test_outcome_of_a_circle(by: str) -> None:
    """Errors that are each other's cause end the search."""
    one, other = ValueError(), KeyError()
    assert find_start_error(chain(one, other, one, by=by)) is None


def test_a_cause_beside_a_context() -> None:
    """Where an error has both, each is looked through."""
    error = chain(TimeoutError(), CANCELLED, by="__context__")
    error.__cause__ = ValueError()
    assert find_start_error(error) is CANCELLED


# ---------------------------------------------------------------------------------------------------------- secrets

CANARY = "hunter2-hunter2"
OVERRIDES: Any = TaskOverride
WITH_SECRETS: dict[str, Any] = {
    "pairs": TaskOverride.for_container("main", environment={"KEY": CANARY}),
    "string": OVERRIDES(container_overrides=[f"KEY={CANARY}"]),
    "extra": TaskOverride(extra={"newMember": {"value": CANARY}}),
    "dict": {"environment": CANARY},
}


def holding(kind: type[ECSError], overrides: Any) -> ECSError:
    """Make an error whose requests, tasks and inner errors all have these overrides."""
    error, task = full(kind), TASK.replace(overrides=overrides)
    inner = StartUnknown("inner", candidates=[task])
    held: dict[str, Any] = {
        "starts": (start(task=task, error=inner), StartResult(request=REQUEST.replace(overrides=overrides), **LONE)),
        "candidates": (task,),
        "known": (task,),
        "response": StartTaskResponse(tasks=[task], failures=[FAILURE]),
        "task": task,
        "result": TaskResult(task=task, succeeded=False),
    }
    for name in vars(error).keys() & held.keys():
        setattr(error, name, held[name])
    return error


LONE: dict[str, Any] = {"container_instance": "0a1b", "outcome": Outcome.UNKNOWN}


@pytest.mark.parametrize("overrides", WITH_SECRETS.values(), ids=WITH_SECRETS)
@each_class
def test_a_redacted_error_holds_no_secret(kind: type[ECSError], overrides: Any) -> None:
    """Of whatever class: its pickle holds no value of an environment variable, and the facts are the same."""
    error = holding(kind, overrides)
    secret = pickle.dumps(error)
    clean = error.redacted()
    assert CANARY.encode() not in pickle.dumps(clean)
    assert pickle.dumps(error) == secret  # it is a copy
    assert type(clean) is kind
    assert (clean.args, clean.outcome, len(clean.tasks)) == (error.args, error.outcome, len(error.tasks))
    assert [task.task_arn for task in clean.tasks] == [task.task_arn for task in error.tasks]


def test_names_are_kept_and_values_are_not() -> None:
    """What was redacted shows that it was."""
    overrides = WITH_SECRETS["pairs"].replace(extra={"newMember": CANARY})
    (one,) = holding(TaskStopped, overrides).redacted().tasks
    assert one.overrides == TaskOverride.for_container("main", environment={"KEY": "[redacted]"}).replace(
        extra={"newMember": "[redacted]"}
    )
    assert TASK.redacted() == TASK
