"""OpenTelemetry for aioecs, in the extra `otel`: spans and metrics made from a client's events.

    import aioecs.otel

    instrumentation = aioecs.otel.Instrumentation()  # one for all clients
    async with aioecs.Client(region_name="eu-west-1", on_event=instrumentation) as ecs: ...

Spans are named and described as OpenTelemetry's semantic conventions for AWS SDKs and messaging ask, as far as they go:
`rpc.system`, `rpc.service`, `rpc.method`, `aws.request_id`, `aws.ecs.task.arn`, `error.type`, `messaging.*`.

- A call (one StartTask or RunTask with its retries and lookups, at most ten starts) is the span `aioecs.start_task` or
  `aioecs.run_task`, a child of the span that was current in its caller. Where a batch lets callers share a call, the
  others' spans are its links. Each attempt is a child of it, `ECS.StartTask` or `ECS.RunTask`. What else happens is
  an event of the call's span: `throttled`, `ambiguous`, `lookup completed`, `task adopted`, `refused`, `not sent`,
  `rate limited`.
- A StopTask is the span `ECS.StopTask`, a wait is `aioecs.wait_until_running`, `aioecs.wait_until_stopped` or
  `aioecs.wait_until_healthy`, both children of their callers' spans.
- An attempt of a worker to do the job of a message is the span `process QUEUE`.

====================== ============== ========= ======================================================================
metric                 instrument     unit      what
====================== ============== ========= ======================================================================
aioecs.starts          counter        {start}   starts by the outcome that their callers got (`aioecs.outcome`)
aioecs.stops           counter        {request} StopTask requests, by `error.type` where they failed
aioecs.jobs            counter        {attempt} attempts of workers, by `aioecs.outcome`
aioecs.throttles       counter        {request} attempts that ECS throttled
aioecs.lookups         counter        {lookup}  lookups of ambiguous calls and of idempotency keys
aioecs.calls.in_flight up-down        {call}    calls in flight
aioecs.call.duration   histogram      s         from the beginning of a call to its end
aioecs.wait.duration   histogram      s         how long waits for tasks took, by `aioecs.goal`
aioecs.pacing.wait     histogram      s         how long the rate limiter delayed a call
aioecs.rate            gauge          {call}/s  the rate limit as it is learned; none where rate limiting is off
====================== ============== ========= ======================================================================

No span and no metric holds a request's overrides or environment.
"""

from __future__ import annotations

import math
import time
import weakref
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextvars import Context

import attrs

from aioecs import Event, Outcome, __version__
from aioecs.types import (
    CallAmbiguous,
    CallBegun,
    CallSettled,
    JobAttempted,
    LookupCompleted,
    RequestAnswered,
    RequestNotSent,
    RequestRateLimited,
    RequestRejected,
    RequestSent,
    RequestThrottled,
    StartSettled,
    StopSettled,
    TaskAdopted,
    WaitSettled,
)

try:
    from opentelemetry import metrics, trace
    from opentelemetry.trace import Link, Span, SpanKind, Status, StatusCode
    from opentelemetry.util.types import AttributeValue
except ImportError as _missing:
    raise ImportError("aioecs.otel needs OpenTelemetry: install aioecs[otel]") from _missing

__all__ = ["Instrumentation"]

RPC = {"rpc.system": "aws-api", "rpc.service": "ECS"}
"""What the semantic conventions for AWS SDKs ask of a span, beside the method.
[opentelemetry.io/docs/specs/semconv/cloud-providers/aws-sdk]"""
METHODS = {"StartTask": "aioecs.start_task", "RunTask": "aioecs.run_task"}
"""The span of a call, by its operation."""

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 90.0)
"""Buckets of the histograms: from an answer at once to the default clock of a call."""
WAIT_SECONDS = (1.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 14400.0)
"""Buckets of the waits for tasks."""

STARTED = (Outcome.STARTED, Outcome.STOPPED)


@attrs.define(eq=False)
class _Call:
    """A call in flight."""

    span: Span
    operation: str
    began: float
    attempt: Span | None = None

    def close(self, request_id: str | None = None, error: str | None = None) -> None:
        """End the attempt that is open, if one is."""
        attempt, self.attempt = self.attempt, None
        if attempt is None:
            return
        if request_id is not None:
            attempt.set_attribute("aws.request_id", request_id)
        if error is not None:
            attempt.set_attribute("error.type", error)
            attempt.set_status(Status(StatusCode.ERROR))
        attempt.end()


class Instrumentation:
    """Creates spans and metrics from events: pass it to a client as `on_event`.

    One serves any number of clients, loops and threads. Make one for a process: an SDK warns of instruments that are
    made twice. Its `aioecs.rate` is the last one that any client reported, so give clients of several accounts or
    Regions one each, with a meter provider of its own.
    """

    def __init__(
        self,
        tracer_provider: trace.TracerProvider | None = None,
        meter_provider: metrics.MeterProvider | None = None,
    ) -> None:
        """Take where spans and metrics go; by default to the providers that are set for the process."""
        self._tracer = trace.get_tracer("aioecs", __version__, tracer_provider)
        meter = metrics.get_meter("aioecs", __version__, meter_provider)
        self._calls: dict[int, _Call] = {}
        self._rate = math.inf
        self._starts = meter.create_counter("aioecs.starts", "{start}", "Starts by the outcome that callers received")
        self._stops = meter.create_counter("aioecs.stops", "{request}", "StopTask requests")
        self._jobs = meter.create_counter("aioecs.jobs", "{attempt}", "Attempts of workers to do a job")
        self._throttles = meter.create_counter("aioecs.throttles", "{request}", "Attempts that ECS throttled")
        self._lookups = meter.create_counter("aioecs.lookups", "{lookup}", "Lookups by the token of a call")
        self._in_flight = meter.create_up_down_counter("aioecs.calls.in_flight", "{call}", "Calls in flight")
        self._duration = meter.create_histogram(
            "aioecs.call.duration",
            "s",
            "From the beginning of a call to its end",
            explicit_bucket_boundaries_advisory=SECONDS,
        )
        self._task_waits = meter.create_histogram(
            "aioecs.wait.duration",
            "s",
            "How long a wait for tasks took",
            explicit_bucket_boundaries_advisory=WAIT_SECONDS,
        )
        self._waits = meter.create_histogram(
            "aioecs.pacing.wait",
            "s",
            "How long the rate limiter delayed a call",
            explicit_bucket_boundaries_advisory=SECONDS,
        )
        meter.create_observable_gauge(
            "aioecs.rate", [_rate_of(weakref.ref(self))], "{call}/s", "The current rate limit"
        )

    def __call__(self, event: Event) -> None:
        """Record an event. Events of a call whose beginning was not recorded are left out of the spans."""
        match event:
            case CallBegun():
                self._begun(event)
            case StartSettled():
                self._starts.add(1, {"aioecs.outcome": event.outcome.value})
            case RequestRateLimited():
                self._rate_limited(event)
            case StopSettled():
                self._stop_settled(event)
            case WaitSettled():
                self._wait_settled(event)
            case JobAttempted():
                self._job_attempted(event)
            case CallSettled():
                self._settled(event)
            case _:
                self._count(event)
                if (call := self._calls.get(event.call)) is not None:
                    self._go_on(call, event)

    def _begun(self, event: CallBegun) -> None:
        described: dict[str, str | int] = {
            "aioecs.token": event.token,
            "aioecs.task_definition": event.task_definition,
            "aioecs.starts": event.starts,
        }
        if event.cluster is not None:
            described["aioecs.cluster"] = event.cluster
        span = self._tracer.start_span(
            METHODS[event.operation], kind=SpanKind.INTERNAL, attributes=described, links=_links(event.callers)
        )
        self._calls[event.call] = _Call(span, event.operation, time.perf_counter())
        self._in_flight.add(1)

    def _rate_limited(self, event: RequestRateLimited) -> None:
        self._waits.record(event.waited)
        call = self._calls.get(event.call) if event.call is not None else None
        if call is not None:
            call.span.add_event("rate limited", {"aioecs.waited": event.waited})

    def _count(self, event: Event) -> None:
        if isinstance(event, (RequestSent, RequestThrottled)):
            self._rate = event.rate
        if isinstance(event, RequestThrottled):
            self._throttles.add(1)
        elif isinstance(event, LookupCompleted):
            self._lookups.add(1)

    def _go_on(self, call: _Call, event: Event) -> None:
        """Record in the spans of a call what happened to it."""
        span = call.span
        match event:
            case RequestSent():
                self._sent(call, event)
            case RequestAnswered():
                call.close(event.request_id)
                if event.reasons:
                    span.add_event("refused", {"aioecs.reasons": event.reasons})
            case RequestThrottled():
                call.close(event.request_id, "throttled")
                span.add_event("throttled")
            case RequestRejected():
                call.close(event.request_id, event.code)
                span.add_event("refused", {"error.type": event.code})
            case RequestNotSent():
                call.close()  # no error: it may have been withdrawn
                span.add_event("not sent", {"aioecs.reason": event.error})
            case CallAmbiguous():
                call.close(error=event.error)
                span.add_event("ambiguous", {"error.type": event.error})
            case LookupCompleted():
                failed = {} if event.error is None else {"error.type": event.error}
                span.add_event("lookup completed", {"aioecs.found": event.found, "aioecs.whole": event.whole, **failed})
            case TaskAdopted():
                span.add_event("task adopted", {"aioecs.task_arns": event.task_arns})
            case _:
                pass

    def _sent(self, call: _Call, event: RequestSent) -> None:
        call.close()
        call.attempt = self._tracer.start_span(
            f"ECS.{call.operation}",
            trace.set_span_in_context(call.span),
            SpanKind.CLIENT,
            {
                **RPC,
                "rpc.method": call.operation,
                "aioecs.attempt": event.attempt,
                "aioecs.container_instances": event.instances,
            },
        )

    def _settled(self, event: CallSettled) -> None:
        """End a call. It is an error if it is ambiguous or nothing started, and none if it was cancelled."""
        call = self._calls.pop(event.call, None)
        if call is None:
            return  # it goes on to stop what it had started, after its end
        call.close()
        counted = Counter(event.outcomes)
        for outcome, count in counted.items():
            call.span.set_attribute(f"aioecs.starts.{outcome.value}", count)
        call.span.set_attributes(_tasks(event.task_arns))
        if event.withdrawn is not None:
            call.span.set_attribute("aioecs.withdrawn", event.withdrawn)
        elif Outcome.UNKNOWN in counted or not any(counted[outcome] for outcome in STARTED):
            call.span.set_status(Status(StatusCode.ERROR))
        call.span.end()
        self._in_flight.add(-1)
        self._duration.record(time.perf_counter() - call.began)

    def _stop_settled(self, event: StopSettled) -> None:
        failed = {"error.type": event.error} if event.error is not None else {}
        self._stops.add(1, failed)
        described = {**RPC, "rpc.method": "StopTask", **_tasks((event.task,))}
        if event.cluster is not None:
            described["aioecs.cluster"] = event.cluster
        self._past_span("ECS.StopTask", SpanKind.CLIENT, event.seconds, described, event.error)

    def _wait_settled(self, event: WaitSettled) -> None:
        self._task_waits.record(event.seconds, {"aioecs.goal": event.goal})
        name = f"aioecs.wait_until_{event.goal.lower()}"
        self._past_span(name, SpanKind.INTERNAL, event.seconds, _tasks(event.tasks), event.error)

    def _job_attempted(self, event: JobAttempted) -> None:
        self._jobs.add(1, {"aioecs.outcome": event.outcome})
        queue = event.queue.rpartition("/")[2]
        described = {
            "messaging.system": "aws_sqs",
            "messaging.operation.name": "process",
            "messaging.operation.type": "process",
            "messaging.destination.name": queue,
            "messaging.message.id": event.message_id,
            "aioecs.outcome": event.outcome,
            **_tasks(event.task_arns),
        }
        self._past_span(f"process {queue}", SpanKind.CONSUMER, event.seconds, described, None)

    def _past_span(
        self, name: str, kind: SpanKind, seconds: float, described: Mapping[str, AttributeValue], error: str | None
    ) -> None:
        """Record what has ended now, as a child of the current span."""
        ended = time.time_ns()
        span = self._tracer.start_span(
            name, kind=kind, attributes=described, start_time=ended - round(seconds * 1_000_000_000)
        )
        if error is not None:
            span.set_attribute("error.type", error)
            span.set_status(Status(StatusCode.ERROR))
        span.end(ended)

    @property
    def rate(self) -> float:
        """The rate limit that was reported last, in calls a second; infinite without rate limiting."""
        return self._rate


def _tasks(arns: tuple[str, ...]) -> dict[str, AttributeValue]:
    """Return the attributes that name tasks: all of them, and the convention's own where there is one."""
    named: dict[str, AttributeValue] = {"aioecs.task_arns": arns}
    if len(arns) == 1 and arns[0].startswith("arn:"):
        named["aws.ecs.task.arn"] = arns[0]
    return named


def _links(callers: Iterable[Context]) -> list[Link]:
    """Link to the spans of those who share a call, each once; that of the first is the parent."""
    seen = {_place(trace.get_current_span().get_span_context())}
    links: list[Link] = []
    for caller in callers:
        span = caller.run(trace.get_current_span).get_span_context()
        if span.is_valid and _place(span) not in seen:
            seen.add(_place(span))
            links.append(Link(span))
    return links


def _place(span: trace.SpanContext) -> tuple[int, int]:
    return span.trace_id, span.span_id


def _rate_of(made: weakref.ref[Instrumentation]) -> Callable[[metrics.CallbackOptions], Iterable[metrics.Observation]]:
    """Return what observes the rate, without keeping an unused instrumentation alive."""

    def observe(_: metrics.CallbackOptions) -> Iterable[metrics.Observation]:
        instrumentation = made()
        if instrumentation is not None and math.isfinite(instrumentation.rate):
            yield metrics.Observation(instrumentation.rate)

    return observe
