"""otel: spans that an in-memory exporter collected, and metrics that add up to what callers received."""

from __future__ import annotations

import asyncio
import gc
import math
import random
import subprocess
import sys
import weakref
from collections import Counter
from collections.abc import Iterator
from contextvars import copy_context
from typing import Any

import attrs
import pytest
from aiobotocore.session import AioSession
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

import aioecs
from aioecs import CancelToken, Outcome, Retries, StartTaskRequest, Timeouts
from aioecs._model.call_events import (
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
    TaskAdopted,
)
from aioecs.otel import Instrumentation
from aioecs.testing import Fault, LocalECS

SESSION = AioSession()  # which loads the service's model once for all clients
STORMY = [
    *(Fault(kind, when="after", times=None, chance=0.04) for kind in ("reset", "close", "error")),
    *(Fault(kind, when="before", times=None, chance=0.05) for kind in ("throttle", "reset")),
    Fault("delay", times=None, seconds=0.02),
]


@attrs.define
class Collected:
    """What an application would export."""

    spans: InMemorySpanExporter = attrs.Factory(InMemorySpanExporter)
    reader: InMemoryMetricReader = attrs.Factory(InMemoryMetricReader)
    tracers: TracerProvider = attrs.Factory(lambda: TracerProvider(shutdown_on_exit=False))
    meters: MeterProvider = attrs.field(init=False)
    receives: Instrumentation = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.tracers.add_span_processor(SimpleSpanProcessor(self.spans))
        self.meters = MeterProvider([self.reader], shutdown_on_exit=False)
        self.receives = Instrumentation(self.tracers, self.meters)

    def named(self, name: str) -> list[ReadableSpan]:
        """Return the spans of this name, as they ended."""
        return [span for span in self.spans.get_finished_spans() if span.name == name]

    def points(self, name: str) -> list[Any]:
        """Return the points of a metric."""
        data = self.reader.get_metrics_data()
        resources = data.resource_metrics if data is not None else ()
        scopes = [scope for resource in resources for scope in resource.scope_metrics]
        return [
            point for scope in scopes for each in scope.metrics if each.name == name for point in each.data.data_points
        ]

    def total(self, name: str) -> int:
        """Return the sum of a counter."""
        return sum(point.value for point in self.points(name))

    def outcomes(self) -> Counter[Outcome]:
        """Count the starts by outcome, as the metrics do."""
        return +Counter({Outcome(p.attributes["aioecs.outcome"]): p.value for p in self.points("aioecs.starts")})


@pytest.fixture
def collected() -> Iterator[Collected]:
    """Collect in memory."""
    made = Collected()
    yield made
    made.tracers.shutdown()
    made.meters.shutdown()


def a_client(local: LocalECS, receives: Instrumentation, **more: Any) -> aioecs.Client:
    """Make a client of a local ECS that is quick to try again."""
    given: dict[str, Any] = {
        **local.client_kwargs(),
        "session": SESSION,
        "retries": Retries(initial_backoff=0.01),
        **more,
    }
    return aioecs.Client(on_event=receives, **given)


def events_of(span: ReadableSpan) -> list[str]:
    """Name what happened in a span."""
    return [event.name for event in span.events]


BEGUN = CallBegun(call=7, token="t-7", cluster="render", task_definition="frame:42", starts=2)
SENT = RequestSent(call=7, attempt=1, instances=("i-1", "i-2"), rate=40.0)
SETTLED = CallSettled(call=7, token="t-7", outcomes=(Outcome.STARTED,) * 2, task_arns=("task/1",), withdrawn=None)


# Traces --------------------------------------------------------------------------------------------------------------


async def test_throttled_lost_looked_up_and_adopted(collected: Collected) -> None:
    """The trace of such a start shows just that: two attempts in the call, and what became of them, in order."""
    faults = [Fault("throttle"), Fault("reset", when="after")]
    tracer = collected.tracers.get_tracer("the caller's")
    async with LocalECS(faults=faults) as local, a_client(local, collected.receives, pacing=None) as client:
        request = StartTaskRequest(task_definition="demo", container_instances=local.instance_arns[:1])
        with tracer.start_as_current_span("the caller's") as outer:
            response = await client.start_task(request)
    (call,) = collected.named("aioecs.start_task")
    throttled, lost = collected.named("ECS.StartTask")
    assert events_of(call) == ["throttled", "ambiguous", "lookup completed", "task adopted"]
    assert call.parent == outer.get_span_context()
    assert call.kind is SpanKind.INTERNAL
    assert call.status.status_code is StatusCode.UNSET
    assert call.attributes is not None
    assert call.attributes["aioecs.token"] == response.token
    assert call.attributes["aioecs.starts.started"] == 1
    assert call.attributes["aioecs.task_arns"] == (response.tasks[0].task_arn,)
    for attempt in (throttled, lost):
        assert attempt.parent == call.get_span_context()
        assert attempt.kind is SpanKind.CLIENT
        assert attempt.status.status_code is StatusCode.ERROR
        assert attempt.attributes is not None
        described = {key: attempt.attributes[key] for key in ("rpc.system", "rpc.service", "rpc.method")}
        assert described == {"rpc.system": "aws-api", "rpc.service": "ECS", "rpc.method": "StartTask"}
        assert attempt.attributes["aioecs.container_instances"] == request.container_instances
    assert throttled.attributes is not None
    assert throttled.attributes["error.type"] == "throttled"
    assert throttled.attributes["aws.request_id"]
    assert lost.attributes is not None
    assert lost.attributes["error.type"] == "AnswerLost"
    assert "aws.request_id" not in lost.attributes
    assert collected.outcomes() == {Outcome.STARTED: 1}
    assert (collected.total("aioecs.throttles"), collected.total("aioecs.lookups")) == (1, 1)


async def test_run_task(collected: Collected) -> None:
    """Its spans bear its own names, and the ARN of its task by the convention's name."""
    async with LocalECS() as local, a_client(local, collected.receives) as client:
        response = await client.run_task(aioecs.RunTaskRequest(task_definition="demo", launch_type="EC2"))
    (call,), (attempt,) = collected.named("aioecs.run_task"), collected.named("ECS.RunTask")
    assert attempt.attributes is not None
    assert attempt.attributes["rpc.method"] == "RunTask"
    assert call.attributes is not None
    assert call.attributes["aws.ecs.task.arn"] == response.tasks[0].arn


async def test_stops_and_waits(collected: Collected) -> None:
    """Each is a span of its caller's, as long as it took; what failed is an error."""
    tracer = collected.tracers.get_tracer("the caller's")
    async with LocalECS() as local, a_client(local, collected.receives) as client:
        request = StartTaskRequest(task_definition="demo", container_instances=local.instance_arns[:1])
        (task,) = (await client.start_task(request)).tasks
        with tracer.start_as_current_span("the caller's") as outer:
            await client.stop_task(aioecs.StopTaskRequest(cluster="default", task=task.arn))
            await client.wait_until_stopped([task], timeout=20)
            with pytest.raises(aioecs.WaitTimeout):
                await client.wait_until_running(["0" * 32], timeout=0.05, cluster="default")
            with pytest.raises(aioecs.ECSServiceError):
                await client.stop_task(aioecs.StopTaskRequest(task="0" * 32))
        local.faults.add(Fault("delay", when="after", seconds=0.5))
        with pytest.raises(aioecs.StartTimeout):
            await client.start_task(request, timeout=0.1)
    stopped, refused, withdrawn = collected.named("ECS.StopTask")
    (waited,), (late,) = collected.named("aioecs.wait_until_stopped"), collected.named("aioecs.wait_until_running")
    for span in (stopped, refused, waited, late):
        assert span.parent == outer.get_span_context()
    for span, error in ((stopped, None), (waited, None), (refused, "InvalidParameterException"), (late, "WaitTimeout")):
        assert span.attributes is not None
        assert span.attributes.get("error.type") == error
        assert span.status.status_code is (StatusCode.UNSET if error is None else StatusCode.ERROR)
    assert stopped.kind is SpanKind.CLIENT
    assert stopped.attributes is not None
    assert {"rpc.method": "StopTask", "aws.ecs.task.arn": task.arn}.items() <= stopped.attributes.items()
    assert withdrawn.attributes is not None
    assert "error.type" not in withdrawn.attributes
    assert late.end_time is not None
    assert late.start_time is not None
    assert 0.04 < (late.end_time - late.start_time) / 1e9 < 5
    assert collected.total("aioecs.stops") == 3
    assert {point.attributes["aioecs.goal"] for point in collected.points("aioecs.wait.duration")} == {
        "RUNNING",
        "STOPPED",
    }


def test_an_attempt_of_a_worker(collected: Collected) -> None:
    """A span by the conventions for messaging."""
    collected.receives(
        JobAttempted(
            queue="https://sqs.us-east-1.amazonaws.com/123456789012/jobs",
            message_id="m-1",
            outcome="started",
            task_arns=("arn:aws:ecs:us-east-1:123456789012:task/default/1",),
            seconds=0.2,
        )
    )
    (span,) = collected.named("process jobs")
    assert span.kind is SpanKind.CONSUMER
    assert span.attributes is not None
    assert {
        "messaging.system": "aws_sqs",
        "messaging.destination.name": "jobs",
        "messaging.message.id": "m-1",
        "aioecs.outcome": "started",
    }.items() <= span.attributes.items()
    (point,) = collected.points("aioecs.jobs")
    assert (point.value, dict(point.attributes)) == (1, {"aioecs.outcome": "started"})


async def test_callers_that_share_a_call(collected: Collected) -> None:
    """The first is the parent, each other one a link, once, however many starts it asked for."""
    tracer = collected.tracers.get_tracer("the callers'")
    async with LocalECS() as local, a_client(local, collected.receives) as client, client.batch(window=0.05) as batch:

        async def ask(name: str) -> None:
            with tracer.start_as_current_span(name):
                await batch.start_task(
                    StartTaskRequest(task_definition="demo", container_instances=local.instance_arns[:2])
                )

        await asyncio.gather(*map(ask, ("first", "second", "third")))
    first, second, third = (collected.named(name)[0].get_span_context() for name in ("first", "second", "third"))
    (call,) = collected.named("aioecs.start_task")
    assert call.parent == first
    assert [link.context for link in call.links] == [second, third]
    assert collected.outcomes() == {Outcome.STARTED: 6}


@pytest.mark.parametrize(
    ("what", "reported", "error"),
    [
        (RequestAnswered(call=7, request_id="r", task_arns=("task/1",), reasons=()), [], None),
        (RequestAnswered(call=7, request_id="r", task_arns=(), reasons=("AGENT",)), ["refused"], None),
        (RequestThrottled(call=7, request_id="r", rate=9.0), ["throttled"], "throttled"),
        (RequestRejected(call=7, request_id="r", code="ClientException"), ["refused"], "ClientException"),
        (RequestNotSent(call=7, error="ConnectionFailed"), ["not sent"], None),
        (CallAmbiguous(call=7, error="AnswerLost"), ["ambiguous"], "AnswerLost"),
    ],
)
def test_what_ends_an_attempt(collected: Collected, what: Any, reported: list[str], error: str | None) -> None:
    """Its span ends there and then, with the request's id where ECS gave one, and the error if it was one."""
    for event in (BEGUN, SENT, what):
        collected.receives(event)
    (attempt,) = collected.named("ECS.StartTask")
    assert attempt.attributes is not None
    assert attempt.attributes.get("error.type") == error
    assert attempt.attributes.get("aws.request_id") == getattr(what, "request_id", None)
    assert attempt.status.status_code is (StatusCode.UNSET if error is None else StatusCode.ERROR)
    collected.receives(SETTLED)
    (call,) = collected.named("aioecs.start_task")
    assert events_of(call) == reported


def test_what_is_not_an_attempt(collected: Collected) -> None:
    """A wait, a lookup and what it found are events on the span of the call."""
    for event in (
        BEGUN,
        RequestRateLimited(call=7, waited=0.5),
        LookupCompleted(call=7, found=0, whole=False, error="AccessDeniedException"),
        LookupCompleted(call=7, found=1, whole=True, error=None),
        TaskAdopted(call=7, task_arns=("task/1",)),
        SETTLED,
    ):
        collected.receives(event)
    (call,) = collected.named("aioecs.start_task")
    assert events_of(call) == ["rate limited", "lookup completed", "lookup completed", "task adopted"]
    assert [dict(event.attributes or {}) for event in call.events] == [
        {"aioecs.waited": 0.5},
        {"aioecs.found": 0, "aioecs.whole": False, "error.type": "AccessDeniedException"},
        {"aioecs.found": 1, "aioecs.whole": True},
        {"aioecs.task_arns": ("task/1",)},
    ]
    assert call.attributes is not None
    assert call.attributes["aioecs.cluster"] == "render"


@pytest.mark.parametrize(
    ("outcomes", "withdrawn", "status"),
    [
        ((Outcome.STARTED, Outcome.REFUSED), None, StatusCode.UNSET),
        ((Outcome.STARTED, Outcome.UNKNOWN), None, StatusCode.ERROR),
        ((Outcome.REFUSED, Outcome.REFUSED), None, StatusCode.ERROR),
        ((Outcome.NOT_SENT,), None, StatusCode.ERROR),
        ((Outcome.NOT_SENT,), "left", StatusCode.UNSET),
        ((Outcome.UNKNOWN,), "left", StatusCode.UNSET),
        ((Outcome.STOPPED,), "left", StatusCode.UNSET),
    ],
)
def test_the_status_of_a_call(
    collected: Collected, outcomes: tuple[Outcome, ...], withdrawn: str | None, status: StatusCode
) -> None:
    """An error is an ambiguous call or one that started nothing; a cancel is none."""
    collected.receives(BEGUN)
    collected.receives(attrs.evolve(SETTLED, outcomes=outcomes, withdrawn=withdrawn))
    (call,) = collected.named("aioecs.start_task")
    assert call.status.status_code is status
    assert call.attributes is not None
    assert call.attributes.get("aioecs.withdrawn") == withdrawn


def test_an_end_without_a_beginning(collected: Collected) -> None:
    """An event of a call that is not known, or a repeat, makes no span and moves no count of calls in flight."""
    answered = RequestAnswered(call=7, request_id="r", task_arns=(), reasons=())
    for event in (
        SENT,
        answered,
        CallAmbiguous(call=7, error="AnswerLost"),
        SETTLED,
        RequestRateLimited(call=7, waited=1.0),
    ):
        collected.receives(event)
    assert collected.spans.get_finished_spans() == ()
    for once_more in (BEGUN, SETTLED, SETTLED):
        collected.receives(once_more)
    assert len(collected.spans.get_finished_spans()) == 1
    assert collected.total("aioecs.calls.in_flight") == 0
    assert [point.count for point in collected.points("aioecs.call.duration")] == [1]


def test_an_attempt_that_nothing_ended(collected: Collected) -> None:
    """The end of its call ends it, and so does the next attempt."""
    for event in (BEGUN, SENT, SENT, SETTLED):
        collected.receives(event)
    assert len(collected.named("ECS.StartTask")) == 2


def test_callers_without_a_span(collected: Collected) -> None:
    """They are no links."""
    collected.receives(attrs.evolve(BEGUN, callers=(copy_context(), copy_context())))
    collected.receives(SETTLED)
    (call,) = collected.named("aioecs.start_task")
    assert (call.parent, len(call.links)) == (None, 0)


# Metrics -------------------------------------------------------------------------------------------------------------


async def test_metrics_add_up_to_the_report(collected: Collected) -> None:
    """Under random faults and cancels, by every method at once: each start counts once, as its caller received it."""
    reported: Counter[Outcome] = Counter()
    rng = random.Random(7)
    clocks = Timeouts(attempt=0.5, consistency=0.3, settle=5)
    async with (
        LocalECS(instances=20, cpu=10**6, memory=10**6, faults=STORMY) as local,
        a_client(local, collected.receives, timeouts=clocks, pacing=None, max_in_flight=20) as client,
        client.batch() as batch,
    ):
        hosts = local.instance_arns

        def request(number: int) -> StartTaskRequest:
            return StartTaskRequest(
                task_definition="demo", container_instances=[hosts[number % 20]], group=str(number // 3)
            )

        async def one(ask: Any, number: int) -> None:
            token = CancelToken()
            if number % 3 == 0:
                token.cancel_after(rng.random() * 0.2)
            try:
                response = await ask.start_task(request(number), token)
            except aioecs.ECSError as error:
                reported.update(start.outcome for start in error.starts)
            else:
                reported.update([Outcome.STARTED] * len(response.tasks) + [Outcome.REFUSED] * len(response.failures))

        async def cancel_midway(token: CancelToken) -> None:
            while len(local.truth.tasks()) < 60:
                await asyncio.sleep(0.001)
            token.cancel()

        async def many(token: CancelToken) -> None:
            try:
                starts = (await client.start_tasks(map(request, range(150)), token)).starts
            except aioecs.StartCancelled as error:
                starts = error.starts
            reported.update(start.outcome for start in starts)

        async with asyncio.TaskGroup() as group:
            group.create_task(many(CancelToken()))
            group.create_task(many(midway := CancelToken()))
            group.create_task(cancel_midway(midway))
            for number in range(60):
                group.create_task(one(client, number))
                group.create_task(one(batch, number))
        throttled = batch.statistics().throttled
    assert collected.outcomes() == reported
    assert reported[Outcome.STARTED] > 150
    assert reported[Outcome.NOT_SENT] > 0
    assert reported[Outcome.STOPPED] > 0
    assert collected.total("aioecs.throttles") == throttled > 0
    assert collected.total("aioecs.lookups") > 0
    assert collected.total("aioecs.calls.in_flight") == 0
    calls, attempts = collected.named("aioecs.start_task"), collected.named("ECS.StartTask")
    assert sum(point.count for point in collected.points("aioecs.call.duration")) == len(calls)
    unsent = sum(events_of(span).count("not sent") for span in calls)
    assert len(attempts) - unsent <= local.truth.requests["StartTask"] <= len(attempts)
    assert {span.parent.span_id for span in attempts if span.parent} <= {span.context.span_id for span in calls}
    assert sum(events_of(span).count("throttled") for span in calls) == throttled


def test_the_rate(collected: Collected) -> None:
    """It is the learned rate that was emitted last; without rate limiting there is none."""
    assert collected.points("aioecs.rate") == []
    collected.receives(attrs.evolve(SENT, rate=math.inf))
    assert collected.points("aioecs.rate") == []
    collected.receives(SENT)
    assert [point.value for point in collected.points("aioecs.rate")] == [40.0]
    collected.receives(RequestThrottled(call=7, request_id=None, rate=20.0))
    assert [point.value for point in collected.points("aioecs.rate")] == [20.0]


def test_calls_in_flight_and_waits(collected: Collected) -> None:
    """A call is in flight from its beginning to its end; a wait of a batch's has no call, and counts."""
    collected.receives(BEGUN)
    assert collected.total("aioecs.calls.in_flight") == 1
    collected.receives(RequestRateLimited(call=None, waited=0.5))
    (waits,) = collected.points("aioecs.pacing.wait")
    assert (waits.count, waits.sum) == (1, 0.5)
    collected.receives(SETTLED)
    assert collected.total("aioecs.calls.in_flight") == 0


def test_starts_by_outcome(collected: Collected) -> None:
    """Nothing but the outcome is in the metric: a token or an instance would make a series of each."""
    for outcome in Outcome:
        collected.receives(StartSettled(outcome=outcome, container_instance="i-1", token="t", task_arn=None))
    assert collected.outcomes() == dict.fromkeys(Outcome, 1)
    assert {tuple(point.attributes) for point in collected.points("aioecs.starts")} == {("aioecs.outcome",)}


def test_it_may_go(collected: Collected) -> None:
    """The meter provider doesn't keep it alive."""
    meters = MeterProvider([reader := InMemoryMetricReader()], shutdown_on_exit=False)
    receives = Instrumentation(collected.tracers, meters)
    receives(SENT)
    gone = weakref.ref(receives)
    del receives
    gc.collect()
    assert gone() is None
    assert reader.get_metrics_data() is None
    meters.shutdown()


async def test_no_secret_is_in_it(collected: Collected) -> None:
    """Neither a span nor a metric bears what a request's overrides hold."""
    environment = [aioecs.KeyValuePair(name="PASSWORD", value="swordfish")]
    overrides = aioecs.TaskOverride(
        container_overrides=[aioecs.ContainerOverride(name="main", environment=environment, command=["swordfish"])]
    )
    async with LocalECS() as local, a_client(local, collected.receives) as client:
        request = StartTaskRequest(
            task_definition="demo", container_instances=local.instance_arns[:1], overrides=overrides
        )
        await client.start_task(request)
    exported = [span.to_json() for span in collected.spans.get_finished_spans()]
    exported.append(str(collected.reader.get_metrics_data()))
    assert len(exported) == 3
    assert not any("swordfish" in text for text in exported)


def test_without_the_extra() -> None:
    """An import says what to install."""
    code = "import sys; sys.modules['opentelemetry'] = None; import aioecs.otel"
    ended = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert ended.returncode == 1
    assert ended.stderr.splitlines()[-1] == "ImportError: aioecs.otel needs OpenTelemetry: install aioecs[otel]"
