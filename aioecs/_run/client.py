"""The client: every door of it checks first, then asks the rooms below."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Sequence
from contextlib import AsyncExitStack
from functools import partial
from types import TracebackType
from typing import Any, Self, TypeVar

import anyio

from aioecs._model import limits
from aioecs._model._shape import Shape
from aioecs._model.container_instance import (
    ContainerInstance,
    DescribeContainerInstancesRequest,
    DescribeContainerInstancesResponse,
    ListContainerInstancesRequest,
    ListContainerInstancesResponse,
)
from aioecs._model.pacing import Pacing
from aioecs._model.placement import Constraint, MemberOf, Placement, Spread
from aioecs._model.report import BatchReport
from aioecs._model.run_task import RunTaskRequest, RunTaskResponse
from aioecs._model.settings import OnCancel, OnDoubt, Retries, Timeouts, choice
from aioecs._model.start_task import StartTaskRequest
from aioecs._model.start_task_response import StartTaskResponse
from aioecs._model.stop_task import StopTaskRequest, StopTaskResponse
from aioecs._model.tags import Tag
from aioecs._model.task import (
    DescribeTasksRequest,
    DescribeTasksResponse,
    Failure,
    ListTasksRequest,
    ListTasksResponse,
    Task,
)
from aioecs._model.task_definition import DescribeTaskDefinitionRequest, DescribeTaskDefinitionResponse, TaskDefinition
from aioecs._plan import token as tokens
from aioecs._plan.demand import demand
from aioecs._plan.placement import Placer
from aioecs._plan.record import Record
from aioecs._plan.verdict import cancelled
from aioecs._run.batch import Batch
from aioecs._run.call import Call
from aioecs._run.core import Core, OnSettled, log
from aioecs._run.desk import TAG, Desk
from aioecs._run.hub import Cancellable, expect
from aioecs._run.inventory import Inventory, filter_of
from aioecs._run.listing import Listing
from aioecs._run.pacer import Pace
from aioecs._run.placing import Layout, Wish
from aioecs._run.slots import Slots, Turn
from aioecs._run.waiting import Party, Wait, over, refuse_if_cancelled
from aioecs._wire.connect import Settings, connected
from aioecs._wire.port import (
    DESCRIBE_CONTAINER_INSTANCES,
    DESCRIBE_TASK_DEFINITION,
    DESCRIBE_TASKS,
    LIST_CONTAINER_INSTANCES,
    LIST_TASKS,
    RUN_TASK,
    STOP_TASK,
    Operation,
)
from aioecs.errors import ClientStateError, IdempotencyMismatch, InvalidRequest

R = TypeVar("R", bound=Shape)


class Client:
    """An async client for Amazon ECS that never starts a task twice, never loses one, and never lies about one.

    An async context manager: `async with aioecs.Client(region_name="eu-west-1") as ecs: ...`. It may be entered in
    one task and left in another, of one event loop. Leaving it waits for what is still on its way, `timeouts.drain`
    seconds at most; what is open then is logged as UNKNOWN with its token.

    Args:
        region_name: the Region; by default as botocore finds it.
        endpoint_url: another endpoint than the Region's own.
        profile_name: the profile in the AWS configuration to take settings and credentials from.
        session: an aiobotocore session; by default one of the client's own.
        config: an aiobotocore AioConfig. Its retries and timeouts don't count: `retries` and `timeouts` do.
        aws_access_key_id, aws_secret_access_key, aws_session_token: credentials; by default botocore's chain.
        timeouts: the clocks, see `Timeouts`.
        retries: how often and how soon, see `Retries`.
        pacing: how fast, see `Pacing`: learnt from what is throttled, or pinned; None sends as fast as asked. All
            clients of a process that are known to drink from the same bucket share what they learn.
        max_in_flight: requests at once; at most the size of the connection pool, so that none waits unseen.
        on_cancel: what a request in flight leaves behind when it is cancelled: "stop" learns the answer and stops
            what started, "settle" learns it and leaves it running, "abandon" goes at once, with outcome UNKNOWN.
        on_doubt: what is done about a start whose answer was lost and that can't be found: "at_most_once" says
            UNKNOWN, "at_least_once" sends it again and sweeps up what turns out to be double.
        on_settled: a plain function that hears of outcomes which no caller is left to hear, as
            `on_settled(starts, reason)`, on the loop.
        tag_tokens: put the token in the tag `aioecs:token` where a request has a `started_by` of its own, so that
            such starts can be told apart, adopted and swept like others. Needs the permission to tag (TagResource).

    Raises:
        ConfigurationError: on entering, if there is no Region, or settings contradict each other.
    """

    def __init__(
        self,
        region_name: str | None = None,
        *,
        endpoint_url: str | None = None,
        profile_name: str | None = None,
        session: Any = None,
        config: Any = None,
        aws_access_key_id: str | None = None,
        aws_secret_access_key: str | None = None,
        aws_session_token: str | None = None,
        timeouts: Timeouts = Timeouts(),  # noqa: B008 frozen
        retries: Retries = Retries(),  # noqa: B008 frozen
        pacing: Pacing | None = Pacing(),  # noqa: B008 frozen
        max_in_flight: int = 50,
        on_cancel: OnCancel = "stop",
        on_doubt: OnDoubt = "at_most_once",
        on_settled: OnSettled | None = None,
        tag_tokens: bool = False,
    ) -> None:
        self._settings = Settings(
            region_name=region_name,
            endpoint_url=endpoint_url,
            profile_name=profile_name,
            session=session,
            config=config,
            aws_access_key_id=aws_access_key_id,
            aws_secret_access_key=aws_secret_access_key,
            aws_session_token=aws_session_token,
            timeouts=timeouts,
            max_in_flight=limits.positive(max_in_flight, "max_in_flight"),
        )
        self._retries = retries
        self._pacing = pacing
        self._on_cancel: OnCancel = choice(on_cancel, OnCancel, "on_cancel")
        self._on_doubt: OnDoubt = choice(on_doubt, OnDoubt, "on_doubt")
        self._on_settled = on_settled
        self._tag_tokens = tag_tokens
        self._opened: Core | None = None
        self._raw: Any = None
        self._stack = AsyncExitStack()
        self._state = "not entered"
        self._desks: dict[str | None, Desk] = {}
        self._inventories: dict[tuple[str | None, str | None, tuple[str, ...] | None], Inventory] = {}

    # ---------------------------------------------------------------------------------------------- opening, closing

    async def __aenter__(self) -> Self:
        if self._state != "not entered":
            raise ClientStateError(f"this client is {self._state}: make a new one, it can be entered once")
        self._state = "open"
        try:
            port, self._raw = await self._stack.enter_async_context(connected(self._settings))
        except BaseException:
            self._state = "closed"
            raise
        self._opened = Core(
            port=port,
            slots=Slots(min(self._settings.max_in_flight, self._settings.pool)),
            timeouts=self._settings.timeouts,
            retries=self._retries,
            loop=asyncio.get_running_loop(),
            on_cancel=self._on_cancel,
            on_settled=self._on_settled,
            starts=Pace.shared(port.who, "starts", self._pacing),
            looks=Pace.shared(port.who, "reads", self._pacing),
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        core = self._core()
        self._state = "closed"
        with anyio.CancelScope(shield=True):
            try:
                await self._drain(core)
            finally:
                await self._stack.aclose()

    async def _drain(self, core: Core) -> None:
        """Wait for what is on its way, and end what is left then; a cancel shortens the wait to `settle`."""
        try:
            await core.custody.drained(core.timeouts.drain)
        except asyncio.CancelledError:
            await core.custody.drained(core.timeouts.settle)
            raise
        finally:
            core.closing = True
            core.custody.cancel()
            await core.custody.drained(core.timeouts.settle)

    def _core(self) -> Core:
        """Return the inside of the client, if it may be used here."""
        core = self._opened
        if core is None or self._state != "open":
            raise ClientStateError(f"this client is {self._state}: use it inside `async with aioecs.Client(...)`")
        if core.loop is not asyncio.get_running_loop():
            raise ClientStateError("this client belongs to another event loop: make one per loop")
        return core

    def __repr__(self) -> str:
        core = self._opened
        if core is None or self._state != "open":
            return f"<aioecs.Client {self._state}>"
        return (
            f"<aioecs.Client open, {core.port.region} at {core.port.endpoint_url}, "
            f"{core.slots.in_use}/{core.slots.size} in flight, {core.slots.waiting} waiting, "
            f"{len(core.custody)} in custody>"
        )

    @property
    def raw(self) -> Any:
        """The aiobotocore client beneath, for the rest of ECS. It sends each request once: its retries are off."""
        self._core()
        return self._raw

    # ------------------------------------------------------------------------------------------------------ starting

    async def start_task(
        self,
        request: StartTaskRequest,
        cancel_scope: Cancellable | None = None,
        *,
        idempotency_key: str | None = None,
        on_cancel: OnCancel | None = None,
        on_doubt: OnDoubt | None = None,
    ) -> StartTaskResponse:
        """Start one task on each of the request's container instances, ten at most, each once.

        Refusals for an instance are in the answer's `failures`; they don't raise.

        `cancel_scope` is a CancelToken or an `anyio.CancelScope`, which is watched and never entered, so it may be
        handed to any number of calls. When it fires, or the caller is cancelled otherwise, what was not on the wire
        is not sent; for what was, `on_cancel` decides, and the caller waits `timeouts.settle` seconds at most to
        learn what came of it. A second cancel ends the wait; the client goes on, and `on_settled` hears the end.

        `idempotency_key`, of any length, makes the token: the call looks first, adopts what it finds, and starts
        only what is missing. It holds against retries in sequence, from any machine, for as long as ECS remembers
        a task: while it runs and about an hour after. It does not hold against two calls at the same moment on two
        machines, nor against one that follows another sooner than ECS shows its tasks (seconds). In one client,
        equal keys at the same time share one call.

        Raises:
            InvalidRequest: a documented rule is broken; nothing was sent.
            ECSServiceError: ECS said no, by the error of its code; nothing was started.
            ConnectionFailed, CallTimeout: nothing was started.
            StartUnknown: ECS may have started some of it; `starts` says which, `token` is to look them up by.
            StartIncomplete: some of it runs, and ECS refused the rest.
            StartCancelled: the scope or token fired; `starts` says what that left behind.
            IdempotencyMismatch: the key was used for something else; nothing was sent.
        """
        core = self._core()
        expect(cancel_scope)
        call = self._call(core, request, idempotency_key, on_doubt)
        policy: OnCancel = choice(on_cancel or self._on_cancel, OnCancel, "on_cancel")
        await refuse_if_cancelled(cancel_scope, partial(cancelled, call.record))
        party = await self._joined(core, call, idempotency_key, cancel_scope)
        with Wait(party, cancel_scope, policy, core.timeouts.settle) as wait:
            return await wait.answer()

    def _check(self, core: Core, request: StartTaskRequest, *, any_number: bool = False) -> None:
        """Hold a request against every documented limit."""
        limits.expect(request, StartTaskRequest)
        limits.check(request, any_number=any_number, region=self._own_region(core), partition=core.port.partition)

    def _call(
        self, core: Core, request: StartTaskRequest, key: Any, on_doubt: OnDoubt | None, *, fan_out: bool = False
    ) -> Call:
        """Prepare a call: nothing is begun, and nothing of it is signed or sent.

        What fans out was checked when it was asked for, and belongs to no scope that could end it.
        """
        limits.expect(request, StartTaskRequest)
        if key is not None and not (isinstance(key, str) and key):
            raise InvalidRequest("idempotency_key", "a string that isn't empty", f"a {type(key).__name__}")
        if key is not None and request.started_by is not None:
            raise InvalidRequest(
                "idempotency_key", "goes without started_by: the key makes the token that stands there"
            )
        token = tokens.derived(key) if key is not None else tokens.fresh(secrets.token_bytes(tokens.ENTROPY))
        sent_as, token, adopts = self._with_token(request, token)
        if not fan_out:
            self._check(core, sent_as)
        record = Record(
            request=request,
            token=token,
            timeouts=core.timeouts,
            retries=core.retries,
            on_doubt=choice(on_doubt or self._on_doubt, OnDoubt, "on_doubt"),
            deadline=core.now + core.timeouts.call,
            horizon=float("inf") if fan_out else anyio.current_effective_deadline(),
            paced=self._pacing is not None,
            keyed=key is not None,
            adopts=adopts,
        )
        return Call(core, record, sent_as, self._desk(core, request.cluster))

    def _with_token(self, request: StartTaskRequest, token: str) -> tuple[StartTaskRequest, str, bool]:
        """Return the request as it is sent, the token to look it up by, and whether what bears it is certainly ours."""
        if request.started_by is None:
            return request.replace(started_by=token), token, True
        if not self._tag_tokens:
            return request, request.started_by, False
        return request.replace(tags=(*(request.tags or ()), Tag(key=TAG, value=token))), token, True

    def _own_region(self, core: Core) -> str | None:
        return None if self._settings.endpoint_url is not None else core.port.region

    def _desk(self, core: Core, cluster: str | None) -> Desk:
        desk = self._desks.get(cluster)
        if desk is None:
            desk = self._desks[cluster] = Desk(core, cluster)
        return desk

    async def _joined(self, core: Core, call: Call, key: str | None, source: Cancellable | None) -> Party:
        """Begin the call, or join the one that is under way for the same key."""
        if key is None:
            call.begin()
            return Party(call)
        while (known := _party(core, key)) is not None and not known.over:
            if known.call.record.request != call.record.request:
                raise IdempotencyMismatch(
                    "the key is in use for another request in this client; nothing was sent", token=call.record.token
                )
            if known.call.withdrawn is None:
                known.lend(call.record)
                return known
            await over(core.loop, known.call, call.record, source)
        party = Party(call)
        call.begin()
        core.keys.put(key, party)
        return party

    async def start_tasks(
        self,
        requests: Iterable[StartTaskRequest] | AsyncIterable[StartTaskRequest],
        cancel_scope: Cancellable | None = None,
        *,
        key: Callable[[StartTaskRequest], str] | None = None,
        on_cancel: OnCancel | None = None,
        on_doubt: OnDoubt | None = None,
    ) -> BatchReport:
        """Start the tasks of many requests, each naming any number of instances; one start never fails another.

        The requests are drawn as they are needed. `key(request)` gives a request an idempotency key of its own.
        A cancel ends the drawing; what is on its way ends as `on_cancel` says.

        Raises:
            InvalidRequest: a request breaks a documented rule; what had been begun is withdrawn.
            StartCancelled: the scope or token fired; `starts` has what was drawn until then, in order.
        """
        expect(cancel_scope)
        async with self.batch(key=key, on_cancel=on_cancel, on_doubt=on_doubt) as batch:
            return await batch.report(requests, cancel_scope)

    def batch(
        self,
        *,
        key: Callable[[StartTaskRequest], str] | None = None,
        on_cancel: OnCancel | None = None,
        on_doubt: OnDoubt | None = None,
        window: float = 0.002,
        drain: float | None = None,
    ) -> Batch:
        """Return the engine of `start_tasks` with a life of its own: `async with client.batch() as batch`.

        Args:
            key: gives a request of `start_tasks` an idempotency key of its own; it then shares no call.
            on_cancel, on_doubt: as the client's, for what this batch starts.
            window: how long a start waits for equal ones to share its call with, in seconds.
            drain: how long leaving the block waits for what is on its way, in seconds; None waits for all of it.
        """
        core = self._core()
        doubt: OnDoubt = choice(on_doubt or self._on_doubt, OnDoubt, "on_doubt")
        return Batch(
            core,
            lambda request, group: self._call(core, request, group.key, group.on_doubt, fan_out=True),
            lambda request: self._check(core, request, any_number=True),
            partial(self._lay_out, core),
            key=key,
            on_cancel=choice(on_cancel or self._on_cancel, OnCancel, "on_cancel"),
            on_doubt=doubt,
            window=window,
            drain=drain,
        )

    async def place_tasks(
        self,
        request: StartTaskRequest,
        count: int,
        cancel_scope: Cancellable | None = None,
        *,
        placement: Placement = Spread(),  # noqa: B008 frozen
        constraints: Iterable[Constraint] = (),
        instances: Iterable[str] | None = None,
        wait_for_room: float = 0.0,
        confirm_refusals: bool = False,
        on_cancel: OnCancel | None = None,
        on_doubt: OnDoubt | None = None,
    ) -> BatchReport:
        """Start `count` tasks of a template on container instances that aioecs chooses, as a scheduler would.

        The cluster's ACTIVE instances are listed and described once and remembered for a minute; those without an
        agent, without an attribute that the task definition requires, or without room for its CPU, memory, GPUs and
        ports are left out. Each start is debited locally, so that ten thousand need no second look. A start that ECS
        refuses where it was placed goes elsewhere while there is an elsewhere; one in doubt is never moved.

        Args:
            request: the template; it names no instances.
            count: how many tasks, 1 or more.
            cancel_scope: as for `start_task`.
            placement: `Spread(by)`, `Binpack(by)` or `Random()`.
            constraints: `DistinctInstance()`, `MemberOf(expression)`.
            instances: only these, by id or ARN.
            wait_for_room: how long to wait for room where there is none, in seconds.
            confirm_refusals: look a refused start up before it is moved. ECS's documentation does not say so, but a
                public thread has AWS support say that a refusal may not prove that nothing started.
            on_cancel, on_doubt: as for `start_task`.

        Raises:
            InvalidRequest: a documented rule is broken; nothing was sent.
            ECSServiceError: the task definition or the instances could not be read; nothing was sent.
            StartCancelled: the scope or token fired; `starts` has them all, in order.
        """
        expect(cancel_scope)
        wish = Wish(placement, tuple(constraints), instances, wait_for_room, confirm_refusals)
        async with self.batch(on_cancel=on_cancel, on_doubt=on_doubt) as batch:
            return await batch.placed(request, count, cancel_scope, wish)

    async def _lay_out(self, core: Core, request: StartTaskRequest, wish: Wish) -> Layout:
        """Find out what a task of the template takes, and where there may be room for it."""
        limits.expect(request, StartTaskRequest)
        if request.container_instances:
            raise InvalidRequest("container_instances", "empty in a template: place_tasks chooses them")
        self._check(core, request.replace(container_instances=["0" * 32]))
        definition = DescribeTaskDefinitionRequest(task_definition=request.task_definition)
        described = (await self.describe_task_definition(definition)).task_definition or TaskDefinition()
        need = demand(described, request.overrides)
        rules = (*wish.constraints, *(MemberOf(expression) for expression in need.expressions))
        inventory = self._inventory(core, request.cluster, rules, wish.instances)
        placer = Placer(await inventory.current(), need, wish.placement, rules, core.dice)
        return Layout(placer, inventory, self._desk(core, request.cluster) if wish.confirm_refusals else None)

    def _inventory(
        self, core: Core, cluster: str | None, rules: tuple[Constraint, ...], instances: Iterable[str] | None
    ) -> Inventory:
        """Return the inventory of a cluster through one filter, the same for all who ask alike."""
        only = tuple(instances) if instances is not None else None
        known = self._inventories.get((cluster, filter_of(rules), only))
        if known is None:
            known = Inventory(core, cluster, constraints=rules, instances=only)
            self._inventories[cluster, filter_of(rules), only] = known
        return known

    # ------------------------------------------------------------------------------------------- the operations beside

    async def stop_task(self, request: StopTaskRequest) -> StopTaskResponse:
        """Stop a task; stopping one twice does no harm, so a lost answer is asked for again.

        A cancel of the caller lets a request that is on its way go through.
        """
        return await self._kept(STOP_TASK, request, Turn.STOP)

    async def run_task(self, request: RunTaskRequest) -> RunTaskResponse:
        """Let ECS place and start tasks, ten at most.

        RunTask has a token of its own (`client_token`), which is made here if it isn't given: so a lost answer is
        asked for again and starts nothing twice. A cancel of the caller lets it go through; its tasks are logged.
        """
        limits.expect(request, RunTaskRequest)
        if request.client_token is None:
            request = request.replace(client_token=tokens.fresh(secrets.token_bytes(tokens.ENTROPY)))
        return await self._kept(RUN_TASK, request, Turn.START)

    async def describe_tasks(self, request: DescribeTasksRequest) -> DescribeTasksResponse:
        """Describe any number of tasks, a hundred a call; what ECS doesn't know is in `failures`."""
        tasks: list[Task] = []
        failures: list[Failure] = []
        for some in self._hundreds(request, DescribeTasksRequest, "tasks"):
            answer = await self._read(DESCRIBE_TASKS, some)
            tasks += answer.tasks
            failures += answer.failures
        return DescribeTasksResponse(tasks=tasks, failures=failures)

    async def describe_container_instances(
        self, request: DescribeContainerInstancesRequest
    ) -> DescribeContainerInstancesResponse:
        """Describe any number of container instances, a hundred a call; what ECS doesn't know is in `failures`."""
        instances: list[ContainerInstance] = []
        failures: list[Failure] = []
        for some in self._hundreds(request, DescribeContainerInstancesRequest, "container_instances"):
            answer = await self._read(DESCRIBE_CONTAINER_INSTANCES, some)
            instances += answer.container_instances
            failures += answer.failures
        return DescribeContainerInstancesResponse(container_instances=instances, failures=failures)

    def list_tasks(self, request: ListTasksRequest = ListTasksRequest()) -> Listing[ListTasksResponse]:  # noqa: B008 frozen
        """List tasks, by default those whose desired status is RUNNING: await it for all, or iterate over the ARNs."""
        return Listing(
            lambda: self._pages(LIST_TASKS, request, lambda answer: (answer.task_arns, answer.next_token)),
            lambda arns: ListTasksResponse(task_arns=arns),
        )

    def list_container_instances(
        self,
        request: ListContainerInstancesRequest = ListContainerInstancesRequest(),  # noqa: B008 frozen
    ) -> Listing[ListContainerInstancesResponse]:
        """List container instances, draining ones too unless a status is given: await it, or iterate over the ARNs."""
        return Listing(
            lambda: self._pages(
                LIST_CONTAINER_INSTANCES, request, lambda answer: (answer.container_instance_arns, answer.next_token)
            ),
            lambda arns: ListContainerInstancesResponse(container_instance_arns=arns),
        )

    async def describe_task_definition(self, request: DescribeTaskDefinitionRequest) -> DescribeTaskDefinitionResponse:
        """Describe a task definition: a family's latest ACTIVE revision, or the one that is named."""
        return await self._read(DESCRIBE_TASK_DEFINITION, request)

    # ------------------------------------------------------------------------------------------------------- reading

    async def _read(self, operation: Operation[R], request: Shape) -> R:
        core = self._core()
        limits.expect(request, operation.request)
        limits.check(request)
        return (await core.harmless(operation, request, Turn.READ)).answer

    async def _kept(self, operation: Operation[R], request: Shape, turn: Turn) -> R:
        """Make a call in a task of the client's: what it does isn't lost with its caller."""
        core = self._core()
        limits.expect(request, operation.request)
        limits.check(request)
        task = core.custody.own(core.harmless(operation, request, turn), f"aioecs {operation.name}", heard=True)
        try:
            return (await asyncio.shield(task)).answer
        except asyncio.CancelledError:
            task.add_done_callback(lambda ended: _log_unheard(operation.name, ended))
            raise

    def _hundreds(self, request: R, shape: type[R], member: str) -> list[R]:
        """Split a request to ECS's limit; checked as a whole, so that nothing is sent if anything is wrong."""
        self._core()
        limits.expect(request, shape)
        held = getattr(request, member)
        size = limits.DESCRIBED_PER_CALL
        parts = [held[at : at + size] for at in range(0, len(held), size)] if isinstance(held, tuple) else []
        some = [request.replace(**{member: part}) for part in parts] or [request]
        for one in some:
            limits.check(one)
        return some

    async def _pages(
        self, operation: Operation[R], request: Shape, read: Callable[[R], tuple[Sequence[str], str | None]]
    ) -> AsyncIterator[tuple[str, ...]]:
        token: str | None = None
        while True:
            asked = request.replace(next_token=token) if token is not None else request
            arns, token = read(await self._read(operation, asked))
            yield tuple(arns)
            if not token:
                return


def _party(core: Core, key: str) -> Party | None:
    party: Party | None = core.keys.get(key)
    return party


def _log_unheard(operation: str, ended: asyncio.Task[Any]) -> None:
    if not ended.cancelled() and ended.exception() is None:
        answer = ended.result().answer
        arns = [task.task_arn for task in getattr(answer, "tasks", ())]
        log.info("%s went through after its caller had left: tasks %s", operation, arns)
