"""Counting starts, grouping what went wrong, and the exit status that follows."""

from __future__ import annotations

import pytest

from aioecs import (
    AnswerLost,
    ClusterNotFoundException,
    ConfigurationError,
    ConnectionFailed,
    ECSError,
    Failure,
    InvalidRequest,
    Outcome,
    ServerException,
    StartCancelled,
    StartResult,
    StartTaskRequest,
    StartUnknown,
    ThrottlingException,
)
from aioecs.cli._display.start_counts import StartCounts, exit_status, is_final, readable, text_of
from aioecs.cli._options import UsageError

ARN = "arn:aws:ecs:eu-west-1:123456789012:container-instance/render/"
NOT_FOUND = ClusterNotFoundException("Cluster not found.", operation="StartTask", request_id="r1", status=400)


def start(
    outcome: Outcome,
    instance: str = "i1",
    *,
    reason: str | None = None,
    error: ECSError | None = None,
    token: str = "",
) -> StartResult:
    """Make a start with this outcome."""
    return StartResult(
        request=StartTaskRequest(task_definition="td"),
        container_instance=ARN + instance,
        outcome=outcome,
        failure=Failure(reason=reason) if reason is not None else None,
        error=error,
        token=token,
    )


def counts(requested: int, *starts: StartResult) -> StartCounts:
    """Make a tally of these starts."""
    made = StartCounts(requested)
    for each in starts:
        made.add(each)
    return made


def caused(error: ECSError, cause: Exception) -> ECSError:
    """Give an error its cause."""
    error.__cause__ = cause
    return error


def test_counts() -> None:
    """Every start counts once, and one without an outcome is unresolved."""
    made = counts(5, start(Outcome.STARTED), start(Outcome.STARTED), start(Outcome.STOPPED))
    assert (made.started, made.resolved, made.unresolved) == (2, 3, 2)
    assert made.count(Outcome.STOPPED) == 1


def test_what_was_never_drawn_is_not_sent() -> None:
    """At the end, starts that were never begun count as not sent, and those without an outcome as unresolved."""
    made = counts(10, start(Outcome.STARTED), start(Outcome.NOT_SENT))
    made.close(4)
    made.close(4)
    assert (made.count(Outcome.NOT_SENT), made.unresolved, made.resolved) == (7, 2, 8)


def test_refusals_by_reason() -> None:
    """Refusals are grouped by reason, with at most three different instances each."""
    refused = [start(Outcome.REFUSED, f"i{number // 2}", reason="RESOURCE:CPU") for number in range(10)]
    made = counts(11, *refused, start(Outcome.REFUSED, reason=""))
    assert made.refusals["RESOURCE:CPU"].count == 10
    assert made.refusals["RESOURCE:CPU"].examples == ["i0", "i1", "i2"]
    assert made.refusals["RESOURCE:CPU"].more
    assert made.refusals["no reason given"].count == 1
    assert not made.refusals["no reason given"].more
    assert not made.errors


def test_what_found_no_capacity() -> None:
    """It has no instance to name, and the first thing that was said of a reason is kept."""
    request = StartTaskRequest(task_definition="td")
    made = counts(3, start(Outcome.REFUSED, reason="RESOURCE:CPU"))
    for detail in ("no capacity", "other"):
        failure = Failure(reason="RESOURCE:CPU", detail=detail)
        made.add(StartResult(request=request, container_instance="", outcome=Outcome.REFUSED, failure=failure))
    group = made.refusals["RESOURCE:CPU"]
    assert (group.count, group.examples, group.more, group.detail) == (3, ["i1"], False, "no capacity")


def test_errors_by_text() -> None:
    """Errors are grouped by text without their request ids; started ones have none."""
    again = ClusterNotFoundException("Cluster not found.", operation="StartTask", request_id="r2", status=400)
    made = counts(
        3,
        start(Outcome.REFUSED, error=NOT_FOUND),
        start(Outcome.REFUSED, error=again),
        start(Outcome.STARTED, error=AnswerLost("lost at first")),
    )
    assert {text: group.count for text, group in made.errors.items()} == {
        "ClusterNotFoundException on StartTask: Cluster not found.": 2
    }


def test_an_interrupt_is_not_an_error() -> None:
    """A cancel is reported once, not as the error of each start; its cause is an error."""
    cut = StartCancelled("cancelled: 1 not sent")
    throttled = caused(StartCancelled("cancelled"), ThrottlingException("Rate exceeded"))
    made = counts(2, start(Outcome.NOT_SENT, error=cut), start(Outcome.NOT_SENT, error=throttled))
    assert list(made.errors) == ["ThrottlingException: Rate exceeded"]


def test_unknown_starts_by_token() -> None:
    """Unknown starts are grouped by the token that finds them, with all instances of the call."""
    unknown_tokens = [start(Outcome.UNKNOWN, f"i{number}", token="t1") for number in range(10)]
    made = counts(11, *unknown_tokens, start(Outcome.UNKNOWN, token="t2", error=AnswerLost("no answer")))
    assert {token: group.count for token, group in made.unknown_tokens.items()} == {"t1": 10, "t2": 1}
    assert len(made.unknown_tokens["t1"].examples) == 10


@pytest.mark.parametrize(
    ("starts", "interrupted", "status"),
    [
        ([start(Outcome.STARTED)] * 2, False, 0),
        ([start(Outcome.STARTED)] * 2, True, 130),
        ([start(Outcome.STARTED)], False, 1),
        ([start(Outcome.STARTED), start(Outcome.REFUSED, reason="AGENT")], False, 1),
        ([start(Outcome.REFUSED, reason="AGENT")] * 2, False, 1),
        ([start(Outcome.REFUSED, error=NOT_FOUND)] * 2, False, 2),
        ([start(Outcome.REFUSED, error=NOT_FOUND), start(Outcome.NOT_SENT)], False, 2),
        ([start(Outcome.REFUSED, error=NOT_FOUND), start(Outcome.REFUSED, reason="AGENT")], False, 1),
        ([start(Outcome.REFUSED, error=NOT_FOUND), start(Outcome.STARTED)], False, 1),
        ([start(Outcome.REFUSED, error=NOT_FOUND), start(Outcome.STOPPED)], False, 1),
        ([start(Outcome.REFUSED, error=NOT_FOUND), start(Outcome.UNKNOWN, token="t")], False, 1),
        ([start(Outcome.REFUSED, error=NOT_FOUND)], False, 1),
        ([start(Outcome.NOT_SENT, error=ThrottlingException("Rate exceeded"))] * 2, False, 1),
        ([start(Outcome.NOT_SENT, error=ConnectionFailed("refused"))] * 2, False, 2),
    ],
)
def test_exit_status(starts: list[StartResult], interrupted: bool, status: int) -> None:
    """0 all started, 1 some not, 2 only where nothing can run and nothing can come of another try, 130 interrupted."""
    assert exit_status(counts(2, *starts), interrupted=interrupted) == status


@pytest.mark.parametrize(
    ("error", "final"),
    [
        (NOT_FOUND, True),
        (ThrottlingException("Rate exceeded"), False),
        (ServerException("oops", status=500), False),
        (InvalidRequest("cluster", "a name"), True),
        (ConfigurationError("no Region"), True),
        (ConnectionFailed("refused"), True),
        (UsageError("none"), True),
        (AnswerLost("reset"), False),
    ],
)
def test_is_final(error: Exception, final: bool) -> None:
    """Final is what has to be changed before another try can help."""
    assert is_final(error) is final


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (NOT_FOUND, "ClusterNotFoundException on StartTask: Cluster not found."),
        (ServerException("oops"), "ServerException: oops"),
        (AnswerLost("reset by peer"), "reset by peer"),
        (AnswerLost(), "AnswerLost"),
        (caused(StartUnknown("look up startedBy='t'"), AnswerLost("reset")), "reset"),
        (caused(StartUnknown("ambiguous"), ValueError("x")), "ambiguous"),
    ],
)
def test_text_of(error: ECSError, text: str) -> None:
    """A text is the same for all calls that failed alike."""
    assert text_of(error) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("no Region: pass region_name=, or set it", "no Region: pass --region, or set it"),
        ("503 <!DOCTYPE html><p>\nService", "503 (an HTML page)"),
        ("<html><body>" + "x" * 9000, "(an HTML page)"),
        ("x" * 9000, "x" * 297 + "..."),
        ("a < b", "a < b"),
    ],
)
def test_messages_can_be_read(text: str, shown: str) -> None:
    """They name the options, and are short."""
    assert readable(text) == shown
