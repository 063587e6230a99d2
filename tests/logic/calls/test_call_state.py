"""The state machine of a call, in a world that lies, loses, delays and repeats: no loop, no socket, no clock."""

from __future__ import annotations

import random
from collections import Counter
from datetime import UTC, datetime
from typing import cast

import attrs
import pytest
from run_task_fixtures import answered_run, run_record, run_task_at

from aioecs import Outcome, Retries, StartTaskRequest, StartTaskResponse, Timeouts
from aioecs._logic.calls import call_state
from aioecs._logic.calls.actions import (
    SEND,
    Action,
    BackOff,
    BackoffEnded,
    CallInput,
    ClockEnded,
    Finish,
    LookUp,
    LookupDone,
    Send,
    Stop,
    Stopped,
    Withdrawn,
)
from aioecs._logic.calls.call_record import CallRecord, Phase
from aioecs._logic.calls.call_result import result_of
from aioecs._logic.calls.retry import LATE_LOOKUP_DELAY
from aioecs._logic.calls.token import stop_reason
from aioecs._model.attempt import Answered, Lost, NotSent, Rejected
from aioecs._model.options import Delivery, OnCancel
from aioecs._model.shapes.task import Failure, Task
from aioecs.errors import (
    AccessDeniedException,
    AnswerLost,
    ClusterNotFoundException,
    ConfigurationError,
    ConflictException,
    ConnectionFailed,
    ECSError,
    ECSServiceError,
    IdempotencyMismatch,
    ServerException,
    StartUnknown,
    ThrottlingException,
)
from tests.effort import EFFORT

TOKEN = "aioecs-token"


def record(*instances: str, **given: object) -> CallRecord:
    """Make a call's record with quick clocks."""
    request = StartTaskRequest(task_definition="demo", container_instances=instances or ("a",))
    settings: dict[str, object] = {
        "request": request,
        "token": TOKEN,
        "timeouts": Timeouts(consistency=30),
        "retries": Retries(),
        "delivery": "at_most_once",
        "deadline": 90.0,
    }
    return CallRecord(**(settings | given))  # type: ignore[arg-type]


def task(name: str, instance: str = "a", at: float = 0.0, **given: object) -> Task:
    """Make a task as ECS would show it."""
    created = datetime.fromtimestamp(at, UTC)
    return Task(task_arn=name, container_instance_arn=f"arn/{instance}", created_at=created, started_by=TOKEN, **given)  # type: ignore[arg-type]


def answered(*tasks: Task, failures: tuple[Failure, ...] = ()) -> Answered[StartTaskResponse]:
    """Make an answer."""
    return Answered(StartTaskResponse(tasks=tasks, failures=failures))


THROTTLED = Rejected(ThrottlingException("Rate exceeded"))
REFUSED = Rejected(ClusterNotFoundException("Cluster not found."))
LOST = Lost(ServerException("fault", status=500))
UNSENT = NotSent(ConnectionFailed("refused"))


# ------------------------------------------------------------------------------------------------- line by line


def outcomes(call: CallRecord) -> list[Outcome]:
    """Return what the starts came to."""
    return [start.outcome for start in call.starts()]


def test_answered_ends_the_call() -> None:
    """An answer that covers all starts ends the call, each start with its own task or refusal."""
    call = record("a", "b", "b")
    assert call_state.begin(call, 0) is SEND
    assert call.freeze() == ("a", "b", "b")
    failure = Failure(arn="arn/b", reason="AGENT")
    assert isinstance(call_state.handle(call, answered(task("2", "b"), task("1"), failures=(failure,)), 1), Finish)
    assert outcomes(call) == [Outcome.STARTED, Outcome.STARTED, Outcome.REFUSED]
    response = result_of(call)
    assert isinstance(response, StartTaskResponse)
    assert (len(response.tasks), response.failures, response.attempts) == (2, (failure,), 1)


@pytest.mark.parametrize("what", [UNSENT, THROTTLED])
def test_what_was_not_acted_on_is_sent_again(what: NotSent | Rejected) -> None:
    """A request that never left, or was throttled, backs off and is sent again."""
    call = record()
    call_state.begin(call, 0)
    backoff = call_state.handle(call, what, 1, 0.5)
    assert isinstance(backoff, BackOff)
    assert backoff.until == pytest.approx(1.05)
    assert isinstance(call_state.handle(call, BackoffEnded(), backoff.until), Send)


def test_attempts_bound_what_was_not_sent_and_time_alone_what_was_throttled() -> None:
    """Five connections that fail are the end; fifty throttles are not, as long as time remains."""
    call = record()
    call_state.begin(call, 0)
    for _ in range(4):
        call_state.handle(call, UNSENT, 0)
        call_state.handle(call, BackoffEnded(), 0)
    assert isinstance(call_state.handle(call, UNSENT, 0), Finish)
    assert isinstance(result_of(call), ConnectionFailed)

    call = record()
    call_state.begin(call, 0)
    for _ in range(50):
        assert isinstance(call_state.handle(call, THROTTLED, 0), BackOff)
        assert isinstance(call_state.handle(call, BackoffEnded(), 0), Send)
    assert call.starts()[0].attempts == 1
    assert isinstance(call_state.handle(call, THROTTLED, 89.99), Finish)
    assert outcomes(call) == [Outcome.NOT_SENT]
    assert isinstance(result_of(call), TimeoutError)


def test_a_backoff_that_does_not_fit_is_not_begun() -> None:
    """The deadline of an enclosing scope bounds backoffs as the call's clock does."""
    call = record(scope_deadline=1.02)
    call_state.begin(call, 0)
    assert isinstance(call_state.handle(call, THROTTLED, 1, 1.0), Finish)
    assert outcomes(call) == [Outcome.NOT_SENT]


def test_settings_that_cannot_work_are_not_tried_again() -> None:
    """No credentials stay no credentials."""
    call = record()
    call_state.begin(call, 0)
    assert isinstance(call_state.handle(call, NotSent(ConfigurationError("none")), 0), Finish)
    assert isinstance(result_of(call), ConfigurationError)


def test_rejected_is_raised_as_it_came() -> None:
    """An error of ECS's ends the call; its starts are refused, and the error carries them."""
    call = record("a", "b")
    call_state.begin(call, 0)
    assert isinstance(call_state.handle(call, REFUSED, 0), Finish)
    error = result_of(call)
    assert error is REFUSED.error
    assert isinstance(error, ECSError)
    assert [start.outcome for start in error.starts] == [Outcome.REFUSED] * 2


def lost(call: CallRecord, at: float = 1.0) -> Action | None:
    """Begin a call and lose its answer."""
    call_state.begin(call, 0)
    return call_state.handle(call, LOST, at)


def test_lost_is_looked_up_and_never_sent() -> None:
    """A lost answer leads to looks, early ones prove nothing, and what is found is adopted."""
    call = record()
    action = lost(call)
    for lookups, now in enumerate((2.0, 5.0, 12.0, 30.9), 1):
        assert isinstance(action, BackOff)
        lookup = call_state.handle(call, BackoffEnded(), now)
        assert isinstance(lookup, LookUp)
        assert (lookup.confirm, lookup.stopped) == (False, lookups > 2), "at first the task runs, if there is one"
        action = call_state.handle(call, LookupDone((), whole=True, began=now), now)
    assert isinstance(action, BackOff)
    call_state.handle(call, BackoffEnded(), 31.0)
    assert isinstance(call_state.handle(call, LookupDone((task("1"),), whole=True, began=31.0), 31.1), Finish)
    assert outcomes(call) == [Outcome.STARTED]


def test_the_last_backoff_ends_when_a_lookup_begins_to_prove_absence() -> None:
    """No backoff jumps over the time from which a lookup is conclusive."""
    call = record()
    action = lost(call)
    now = 1.0
    while isinstance(action, BackOff) and action.until < 31.0:
        now = action.until
        assert isinstance(call_state.handle(call, BackoffEnded(), now), LookUp)
        action = call_state.handle(call, LookupDone((), whole=True, began=now), now)
    assert action == BackOff(31.0)
    assert call.lookups == 5, "each backoff is three times as long as the last"
    lookup = call_state.handle(call, BackoffEnded(), 31.0)
    assert lookup == LookUp(confirm=True, stopped=True, max_wait=LATE_LOOKUP_DELAY)


def late(call: CallRecord, **given: object) -> Action | None:
    """Lose an answer, then look late and whole, or as given."""
    lost(call)
    call_state.handle(call, BackoffEnded(), 31.0)
    return call_state.handle(call, LookupDone(**({"tasks": (), "whole": True, "began": 31.0} | given)), 31.1)  # type: ignore[arg-type]


def test_absent_is_unknown_under_at_most_once() -> None:
    """A late and whole lookup that finds nothing ends in UNKNOWN, with the token and the cause."""
    call = record()
    assert isinstance(late(call), Finish)
    error = result_of(call)
    assert isinstance(error, StartUnknown)
    assert (error.token, error.__cause__) == (TOKEN, LOST.error)
    assert not error.starts[0].siblings_found


def test_siblings_found_say_that_it_was_probably_refused() -> None:
    """Where others of the same call were found, the missing one is UNKNOWN with siblings_found."""
    call = record("a", "b")
    assert isinstance(late(call, tasks=(task("1"),)), Finish)
    assert [(s.outcome, s.siblings_found) for s in call.starts()] == [
        (Outcome.STARTED, False),
        (Outcome.UNKNOWN, True),
    ]


@pytest.mark.parametrize("lookup", [{"whole": False}, {"began": 30.9}])
def test_a_partial_or_early_lookup_does_not_prove_absence(lookup: dict[str, object]) -> None:
    """Absence needs a lookup that is whole and was begun late enough."""
    assert isinstance(late(record(delivery="at_least_once"), **lookup), BackOff)


def test_at_least_once_sends_missing_starts_again_then_removes_duplicates() -> None:
    """Sent again after proven absence; of two that started the eldest is kept and the other stopped."""
    call = record("a", "b", delivery="at_least_once")
    assert late(call, tasks=(task("1"),)) is SEND
    assert call.freeze() == ("b",)
    assert isinstance(call_state.handle(call, answered(task("9", "b", at=32)), 32), BackOff)
    assert call.phase is Phase.REMOVING_DUPLICATES
    call_state.handle(call, BackoffEnded(), 33)
    eldest = task("8", "b", at=0.5)
    stop = call_state.handle(call, LookupDone((task("1"), eldest, task("9", "b", at=32)), whole=True, began=33), 33)
    assert isinstance(stop, Stop)
    assert [t.task_arn for t in stop.tasks] == ["9"]
    backoff = call_state.handle(call, Stopped(frozenset({"9"}), frozenset({"9"})), 33)
    assert isinstance(backoff, BackOff)
    call_state.handle(call, BackoffEnded(), 62)
    assert isinstance(call_state.handle(call, LookupDone((task("1"), eldest), whole=True, began=62), 62), Finish)
    response = result_of(call)
    assert isinstance(response, StartTaskResponse)
    assert sorted(t.task_arn or "" for t in response.tasks) == ["1", "8"]


def test_a_double_that_cannot_be_stopped_is_said_aloud() -> None:
    """Two run and one can't be stopped: StartUnknown names it among its candidates."""
    call = record(delivery="at_least_once")
    late(call)
    call_state.handle(call, answered(task("9", at=32)), 32)
    call_state.handle(call, BackoffEnded(), 62)
    call_state.handle(call, LookupDone((task("1"), task("9", at=32)), whole=True, began=62), 62)
    assert isinstance(call_state.handle(call, Stopped(frozenset({"9"}), frozenset()), 63), Finish)
    error = result_of(call)
    assert isinstance(error, StartUnknown)
    assert [t.task_arn for t in error.candidates] == ["9"]


def test_looking_denied_ends_in_unknown_at_once() -> None:
    """Without the permission to look up, waiting can't find more."""
    call = record()
    lost(call)
    call_state.handle(call, BackoffEnded(), 2)
    denied = LookupDone((), whole=False, began=2, error=AccessDeniedException("no"), denied=True)
    assert isinstance(call_state.handle(call, denied, 2), Finish)
    assert outcomes(call) == [Outcome.UNKNOWN]


def test_a_partial_answer_leaves_the_other_starts_ambiguous() -> None:
    """ECS is held to its answer: what it doesn't mention may run."""
    call = record("a", "b")
    call_state.begin(call, 0)
    assert isinstance(call_state.handle(call, answered(task("1")), 0), BackOff)
    assert call.phase is Phase.AMBIGUOUS
    assert outcomes(call) == [Outcome.STARTED, Outcome.UNKNOWN]


def test_a_key_is_looked_up_before_anything_is_sent() -> None:
    """What an earlier call started is adopted, and only what is missing is sent."""
    call = record("a", "b", keyed=True)
    action = call_state.begin(call, 100)
    assert isinstance(action, LookUp)
    assert action.confirm
    found = task("1", task_definition_arn="arn:x:task-definition/demo:7")
    assert call_state.handle(call, LookupDone((found,), whole=True, began=100), 100) is SEND
    assert call.freeze() == ("b",)
    call_state.handle(call, answered(task("2", "b")), 101)
    assert outcomes(call) == [Outcome.STARTED, Outcome.STARTED]


def test_a_key_that_cannot_be_looked_up_sends_nothing() -> None:
    """No lookup, no start: a denial is raised, and a failing lookup is retried until the clock ends."""
    call = record(keyed=True)
    call_state.begin(call, 0)
    denied = AccessDeniedException("no")
    assert isinstance(
        call_state.handle(call, LookupDone((), whole=False, began=0, error=denied, denied=True), 0), Finish
    )
    assert result_of(call) is denied

    call = record(keyed=True)
    call_state.begin(call, 0)
    failed = AnswerLost("gone")
    assert isinstance(call_state.handle(call, LookupDone((), whole=False, began=0, error=failed), 0), BackOff)
    assert (
        isinstance(call_state.handle(call, LookupDone((), whole=False, began=89.9, error=failed), 89.99), Finish)
        is True
    )
    assert isinstance(result_of(call), TimeoutError)


@pytest.mark.parametrize(
    "found",
    [
        task("1", "z", task_definition_arn="x/demo:1"),
        task("1", "a", task_definition_arn="x/other:1"),
    ],
)
def test_a_key_used_for_something_else_is_a_mismatch(found: Task) -> None:
    """Another instance or another definition under the key: nothing is sent."""
    call = record(keyed=True)
    call_state.begin(call, 0)
    assert isinstance(call_state.handle(call, LookupDone((found,), whole=True, began=0), 0), Finish)
    assert type(result_of(call)).__name__ == "IdempotencyMismatch"
    assert outcomes(call) == [Outcome.NOT_SENT]


def test_our_own_stop_is_not_adopted() -> None:
    """A task that aioecs stopped for this very token is none that the key has started."""
    ours = task("1", task_definition_arn="x/demo:1", stop_code="UserInitiated", stopped_reason=stop_reason(TOKEN))
    call = record(keyed=True)
    call_state.begin(call, 0)
    assert isinstance(call_state.handle(call, LookupDone((ours,), whole=True, began=0), 0), Send)


def test_nothing_is_adopted_on_a_guess() -> None:
    """Under the caller's own started_by, matches are candidates; delivery doesn't send beside them."""
    call = record(adopts=False, delivery="at_least_once")
    assert isinstance(late(call, tasks=(task("1"), task("2", "z"))), Finish)
    error = result_of(call)
    assert isinstance(error, StartUnknown)
    assert [t.task_arn for t in error.candidates] == ["1"]
    assert outcomes(call) == [Outcome.UNKNOWN]


def test_incomplete_after_something_is_known_to_run() -> None:
    """A refusal after an adoption is StartIncomplete, with the refusal as its cause."""
    call = record("a", "b", delivery="at_least_once")
    assert late(call, tasks=(task("1"),)) is SEND
    assert call.freeze() == ("b",)
    call_state.handle(call, REFUSED, 32)
    error = result_of(call)
    assert type(error).__name__ == "StartIncomplete"
    assert cast("ECSError", error).__cause__ is REFUSED.error
    assert outcomes(call) == [Outcome.STARTED, Outcome.REFUSED]


@pytest.mark.parametrize("on_cancel", ["stop", "keep", "abandon"])
def test_withdrawn_in_flight_waits_for_the_answer(on_cancel: OnCancel) -> None:
    """Only the answer shows the outcome; then what started is stopped if that is wanted."""
    call = record()
    call_state.begin(call, 0)
    assert call_state.handle(call, Withdrawn(on_cancel), 1) is None
    assert outcomes(call) == [Outcome.UNKNOWN]
    action = call_state.handle(call, answered(task("1")), 2)
    if on_cancel == "stop":
        assert action == Stop((task("1"),))
        action = call_state.handle(call, Stopped(frozenset({"1"}), frozenset({"1"})), 3)
    assert isinstance(action, Finish)
    assert outcomes(call) == [Outcome.STOPPED if on_cancel == "stop" else Outcome.STARTED]


def test_withdrawn_before_it_was_sent_begins_nothing() -> None:
    """During a backoff nothing is in flight: NOT_SENT at once."""
    call = record()
    call_state.begin(call, 0)
    call_state.handle(call, THROTTLED, 0)
    assert isinstance(call_state.handle(call, Withdrawn("stop"), 0), Finish)
    assert outcomes(call) == [Outcome.NOT_SENT]


def test_a_withdrawal_never_stops_what_was_found_under_the_key() -> None:
    """Stopping is for what this call started itself."""
    call = record("a", "b", keyed=True)
    call_state.begin(call, 0)
    found = task("1", task_definition_arn="x/demo:1")
    call_state.handle(call, LookupDone((found,), whole=True, began=0), 0)
    call_state.handle(call, Withdrawn("stop"), 1)
    assert call_state.handle(call, answered(task("2", "b")), 2) == Stop((task("2", "b"),))


def test_a_withdrawal_after_the_end_stops_undelivered_tasks() -> None:
    """A caller that is cancelled as its answer arrives gets the tasks stopped, if it asked for that."""
    call = record()
    call_state.begin(call, 0)
    call_state.handle(call, answered(task("1")), 1)
    assert call_state.handle(call, Withdrawn("stop"), 1) == Stop((task("1"),))
    call_state.handle(call, Stopped(frozenset({"1"}), frozenset()), 2)
    assert outcomes(call) == [Outcome.STARTED], "the stop was not accepted, so it runs"


def test_a_clock_is_not_a_cancel() -> None:
    """At its end an answer in flight may still come, and nothing is stopped."""
    call = record()
    call_state.begin(call, 0)
    assert call_state.handle(call, ClockEnded(), 90) is None
    assert isinstance(call_state.handle(call, answered(task("1")), 91), Finish)
    assert outcomes(call) == [Outcome.STARTED]

    call = record()
    lost(call)
    assert isinstance(call_state.handle(call, ClockEnded(), 90), Finish)
    assert outcomes(call) == [Outcome.UNKNOWN]


def test_every_line_of_the_table_is_of_its_kind() -> None:
    """Nothing is ever sent while ambiguous: no phase but READY leads to a send without a lookup between."""
    assert {phase for phase, _ in call_state.TABLE} == set(Phase)
    assert (Phase.AMBIGUOUS, Answered) not in call_state.TABLE
    assert (Phase.SENT, BackoffEnded) not in call_state.TABLE


# --------------------------------------------------------------------------------------------------- 100,000 scripts


@attrs.define(eq=False)
class Thing:
    """A task as the world has it."""

    arn: str
    instance: str
    created: float
    shows: float
    stopped: bool = False

    def seen(self) -> Task:
        """Return it as ECS would describe it."""
        if self.stopped:
            return task(
                self.arn,
                self.instance,
                self.created,
                task_definition_arn="x/demo:1",
                desired_status="STOPPED",
                stop_code="UserInitiated",
                stopped_reason=stop_reason(TOKEN),
            )
        return task(self.arn, self.instance, self.created, task_definition_arn="x/demo:1")


@attrs.define(eq=False)
class World:
    """ECS and the network, as unkind as they can be within the facts; it keeps the truth."""

    rng: random.Random
    call: CallRecord
    now: float = 0.0
    things: list[Thing] = attrs.Factory(list)
    losses: list[float] = attrs.Factory(list)
    proven: float = -1.0
    """When the last whole and late look was begun."""
    sends: int = 0
    withdrawn: bool = False
    ambiguous: float = 0.5

    def carry_out(self, action: Action) -> CallInput:
        """Carry out an action, or fail to; the clock moves on."""
        if isinstance(action, BackOff):
            assert action.until >= self.now
            self.now = action.until
            return BackoffEnded()
        self.now += self.rng.choice((0.01, 0.1, 2.0))
        if isinstance(action, Send):
            return self.send()
        if isinstance(action, LookUp):
            return self.look_up()
        assert isinstance(action, Stop)
        return self.stop(action)

    def send(self) -> CallInput:
        """Act on a StartTask, or not, and answer it, or not."""
        assert not self.withdrawn, "nothing is begun after a withdrawal"
        self.sends += 1
        if self.losses:
            assert self.call.delivery == "at_least_once", "an ambiguous start is never sent again"
            assert self.proven >= max(self.losses) + self.call.timeouts.consistency, "absence was not proven"
        how = self.rng.random()
        if how < 0.1:
            return UNSENT
        if how < 0.2:
            return THROTTLED
        if how < 0.25:
            return Rejected(ClusterNotFoundException("no"))
        acted = how < 0.25 + 0.75 * self.ambiguous / 2 or how > 0.25 + 0.75 * self.ambiguous
        lost = how < 0.25 + 0.75 * self.ambiguous
        made: list[Thing] = []
        failures: list[Failure] = []
        for instance in self.call.freeze() if acted else ():
            if self.rng.random() < 0.2:
                failures.append(Failure(arn=f"arn/{instance}", reason="RESOURCE:CPU"))
            else:
                lag = self.rng.random() * 0.98 * self.call.timeouts.consistency
                made.append(Thing(f"t{len(self.things) + len(made)}", instance, self.now, self.now + lag))
        self.things += made
        if lost:
            self.losses.append(self.now)
            return LOST
        self.rng.shuffle(made)
        return answered(*(thing.seen() for thing in made), failures=tuple(failures))

    def look_up(self) -> CallInput:
        """Return the tasks that show by now; sometimes not all of them, and then the lookup is not whole."""
        began = self.now
        if self.rng.random() < 0.02:
            return LookupDone((), whole=False, began=began, error=AccessDeniedException("no"), denied=True)
        whole = self.rng.random() < 0.8
        shown = [thing.seen() for thing in self.things if thing.shows <= began and (whole or self.rng.random() < 0.5)]
        if whole:
            self.proven = began
        self.now += self.rng.random()
        return LookupDone(tuple(shown), whole=whole, began=began)

    def stop(self, action: Stop) -> CallInput:
        """Accept stops, or not."""
        accepted: set[str] = set()
        for wanted in action.tasks:
            if self.rng.random() < 0.85:
                accepted.add(wanted.task_arn or "")
                for thing in self.things:
                    thing.stopped |= thing.arn == wanted.task_arn
        return Stopped(frozenset(t.task_arn or "" for t in action.tasks), frozenset(accepted))


def outside(call: CallRecord, action: Action, what: Withdrawn | ClockEnded, now: float) -> Action:
    """Give it the inputs from outside; a send that was decided on and not begun is not begun."""
    if isinstance(action, Send):
        action = call_state.handle(call, UNSENT, now) or action
    return call_state.handle(call, what, now) or action


def run(seed: int) -> World:
    """Run one script to its end."""
    rng = random.Random(seed)
    instances = [rng.choice("abc") for _ in range(rng.choice((1, 1, 2, 4, 10)))]
    delivery: Delivery = rng.choice(("at_most_once", "at_least_once"))
    call = record(
        *instances,
        delivery=delivery,
        keyed=rng.random() < 0.2,
        timeouts=Timeouts(consistency=rng.choice((0.0, 3.0, 30.0))),
        retries=Retries(max_attempts=rng.choice((1, 5))),
        deadline=rng.choice((1.0, 20.0, 90.0, 500.0)),
    )
    world = World(rng, call, ambiguous=rng.choice((0.0, 0.3, 0.9)))
    leave = rng.choice((None, None, rng.random(), rng.random() * 40))
    policy: OnCancel = rng.choice(("stop", "keep", "abandon"))
    action = call_state.begin(call, world.now)
    for _ in range(400):
        if isinstance(action, Finish):
            break
        if leave is not None and not world.withdrawn and isinstance(action, Send) and rng.random() < 0.5:
            # The withdrawal comes while the request is in flight.
            what = world.carry_out(action)
            world.withdrawn = world.now >= leave
            changes = call_state.handle(call, Withdrawn(policy), world.now) if world.withdrawn else None
            assert changes is None
        else:
            what = world.carry_out(action)
        reported = call_state.handle(call, what, world.now, rng.random())
        assert reported is not None
        action = reported
        if leave is not None and not world.withdrawn and world.now >= leave:
            world.withdrawn = True
            action = outside(call, action, Withdrawn(policy), world.now)
        elif world.now >= call.deadline and not call.clock_ended:
            action = outside(call, action, ClockEnded(), world.now)
    assert isinstance(action, Finish), "every run ends"
    check(world, policy)
    return world


def check(world: World, policy: OnCancel) -> None:
    """Hold the outcomes against the truth."""
    call = world.call
    starts = call.starts()
    said = result_of(call)
    named = Counter(start.task.task_arn for start in starts if start.task is not None)
    assert not named or max(named.values()) == 1, "a task belongs to one start"
    extra = {t.task_arn for t in said.candidates} if isinstance(said, StartUnknown) else set[str | None]()
    for instance in {start.container_instance for start in starts}:
        here = [start for start in starts if start.container_instance == instance]
        things = [thing for thing in world.things if thing.instance == instance]
        unknown = sum(start.outcome is Outcome.UNKNOWN for start in here)
        if call.delivery == "at_most_once":
            assert len(things) <= len(here), "never twice"
        for start in here:
            by_arn = {thing.arn: thing for thing in things}
            if start.outcome is Outcome.STARTED:
                assert start.task is not None
                assert not by_arn[start.task.task_arn or ""].stopped, "what is said to run runs"
            if start.outcome is Outcome.STOPPED:
                assert start.task is not None
                assert by_arn[start.task.task_arn or ""].stopped, "what is said to be stopped was"
            if start.outcome in (Outcome.REFUSED, Outcome.NOT_SENT):
                assert start.task is None
        unnamed = [thing for thing in things if thing.arn not in named and not thing.stopped]
        if call.delivery == "at_most_once":
            assert len(unnamed) <= unknown, "never lost: what runs is named, or its start is said to be unknown"
        elif not (call.resent or call.clock_ended or unknown or world.withdrawn):
            assert not {thing.arn for thing in unnamed} - extra, "a double is stopped or named"
    if world.withdrawn and policy == "stop":
        for start in starts:
            if start.outcome is Outcome.STARTED and start.task is not None:
                assert start.task.task_arn in call.tried_to_stop or call.clock_ended, "a stop was tried"


def test_twenty_thousand_scripts() -> None:
    """No state sends while ambiguous, every run ends, and every outcome agrees with the truth."""
    worlds = map(run, range(20_000 * EFFORT))
    seen = Counter((start.outcome, world.call.delivery) for world in worlds for start in world.call.starts())
    assert len(seen) == 2 * len(Outcome), f"the scripts don't reach every outcome: {seen}"


def test_service_errors_are_kept_apart() -> None:
    """The world above uses the errors as the wire gives them."""
    assert isinstance(LOST.error, ECSServiceError)
    assert not LOST.error.rejected
    assert THROTTLED.error.throttled


def test_an_answer_is_read_as_it_is_found() -> None:
    """An unusual member of an answer costs no task beside it, and no start is reported as not started."""
    call = record("a", "b")
    call_state.begin(call, 0)
    good = task("1", "a")
    strange = good.replace(task_arn="2", container_instance_arn=cast("str", 5), created_at=cast("datetime", "noon"))
    response = StartTaskResponse(tasks=[good, cast("Task", 7), strange])
    assert isinstance(call_state.handle(call, Answered(response), 0), Finish)
    assert {start.task.task_arn for start in call.starts() if start.task is not None} == {"1", "2"}


@pytest.mark.parametrize(
    "response",
    [
        StartTaskResponse(tasks=[Task()]),
        StartTaskResponse(tasks=[Task(task_arn="")]),
        StartTaskResponse(tasks=[Task(task_arn=cast("str", ["x"]), container_instance_arn="arn/a")]),
        StartTaskResponse(tasks=cast("tuple[Task]", 17)),
        StartTaskResponse(failures=cast("tuple[Failure]", {"arn": "x"})),
        StartTaskResponse(failures=[Failure(arn="arn/a", reason=cast("str", ["AGENT"]))]),
        StartTaskResponse(failures=[Failure(arn=cast("str", 17))]),
        StartTaskResponse(failures=[cast("Failure", "AGENT")]),
    ],
)
def test_tasks_without_an_arn_and_unreadable_failures_are_ignored(response: StartTaskResponse) -> None:
    """It may have been started all the same: it is looked up, and never reported as started or refused."""
    call = record()
    call_state.begin(call, 0)
    assert isinstance(call_state.handle(call, Answered(response), 0), BackOff)
    assert call.phase is Phase.AMBIGUOUS
    assert outcomes(call) == [Outcome.UNKNOWN]


# ------------------------------------------------------------------------------------------------------------ RunTask


def ambiguous_run(count: int = 1, **given: object) -> CallRecord:
    """Begin a RunTask and lose its answer."""
    call = run_record(count, **given)
    assert isinstance(call_state.begin(call, 0), Send)
    assert isinstance(call_state.handle(call, LOST, 1), BackOff)
    return call


def test_an_ambiguous_run_is_sent_again_while_attempts_remain() -> None:
    """Under its client token that is no second start; after that it is looked up."""
    call = run_record(retries=Retries(max_attempts=3))
    assert isinstance(call_state.begin(call, 0), Send)
    for attempt in (1, 2):
        assert isinstance(call_state.handle(call, LOST, attempt), BackOff)
        assert isinstance(call_state.handle(call, BackoffEnded(), attempt), Send)
    assert isinstance(call_state.handle(call, LOST, 3), BackOff)
    assert isinstance(call_state.handle(call, BackoffEnded(), 3), LookUp)
    assert outcomes(call) == [Outcome.UNKNOWN]


def test_a_token_that_may_be_forgotten_is_not_sent_again() -> None:
    """An hour after the first send ECS may have forgotten it: the call is looked up."""
    call = ambiguous_run(deadline=10_000.0)
    assert isinstance(call_state.handle(call, BackoffEnded(), 3_600), LookUp)


@pytest.mark.parametrize("what", [UNSENT, THROTTLED, REFUSED], ids=["unsent", "throttled", "refused"])
def test_what_comes_of_the_second_send_clears_nothing(what: NotSent | Rejected) -> None:
    """The first may have acted all the same: it stays ambiguous, and a refusal ends the sending."""
    call = ambiguous_run()
    assert isinstance(call_state.handle(call, BackoffEnded(), 2), Send)
    assert isinstance(call_state.handle(call, what, 3), BackOff)
    assert outcomes(call) == [Outcome.UNKNOWN]
    assert isinstance(call_state.handle(call, BackoffEnded(), 4), LookUp if what is REFUSED else Send)


def test_a_conflict_proves_that_nothing_of_this_call_was_started() -> None:
    """The token belongs to another request: a mismatch, with the tasks of that one."""
    call = ambiguous_run()
    call_state.handle(call, BackoffEnded(), 2)
    conflict = ConflictException("in use", resource_ids=["arn/1"])
    assert isinstance(call_state.handle(call, Rejected(conflict), 3), Finish)
    error = result_of(call)
    assert isinstance(error, IdempotencyMismatch)
    assert (error.resource_ids, error.__cause__) == (("arn/1",), conflict)


@pytest.mark.parametrize("has_lookup", [True, False])
def test_a_withdrawn_run_is_not_sent_again(has_lookup: bool) -> None:
    """That might start it anew: it is looked up where its tasks bear a mark, and else unknown."""
    call = ambiguous_run(has_lookup=has_lookup, adopts=has_lookup)
    action = call_state.handle(call, Withdrawn("stop"), 2)
    assert isinstance(action, LookUp if has_lookup else Finish)
    assert outcomes(call) == [Outcome.UNKNOWN]


def refused_after_a_lost_answer() -> CallRecord:
    """Return a RunTask whose first answer was lost, and which ECS refused when it was sent again at tick 1."""
    call = run_record()
    call_state.begin(call, 0.0)
    call_state.handle(call, LOST, 0.5)
    call_state.handle(call, BackoffEnded(), 0.6)
    step = call_state.handle(call, answered_run(failures=(Failure(reason="RESOURCE:CPU"),)), 1.0)
    assert isinstance(step, BackOff)
    return call


def test_a_refusal_after_a_lost_answer_is_unknown_until_a_late_lookup() -> None:
    """ECS may act on the first request after it has refused the second: only its absence proves the refusal."""
    call = refused_after_a_lost_answer()
    assert call.outcomes() == {Outcome.UNKNOWN}
    assert isinstance(call_state.handle(call, LookupDone((), whole=True, began=31.0), 31.0), Finish)
    assert call.outcomes() == {Outcome.REFUSED}


def test_a_task_that_shows_after_a_refusal_is_the_start_s() -> None:
    """The first request was acted on after all."""
    call = refused_after_a_lost_answer()
    found = LookupDone((run_task_at(1.0),), whole=False, began=5.0)
    call_state.handle(call, found, 5.0)
    assert call.outcomes() == {Outcome.STARTED}


def test_a_refusal_that_is_not_proven_in_time_stays_unknown() -> None:
    """The clock ends before absence could prove anything."""
    call = refused_after_a_lost_answer()
    assert isinstance(call_state.handle(call, ClockEnded(), 20.0), Finish)
    assert isinstance(result_of(call), StartUnknown)


def test_a_run_that_is_found_after_its_withdrawal_is_stopped() -> None:
    """It bears the token, and this call sent it."""
    call = ambiguous_run(2)
    call_state.handle(call, Withdrawn("stop"), 2)
    found = (run_task_at(1), run_task_at(2))
    action = call_state.handle(call, LookupDone(found, whole=False, began=2), 3)
    assert action == Stop(found)
    arns = frozenset(task.task_arn or "" for task in found)
    assert isinstance(call_state.handle(call, Stopped(arns, arns), 4), Finish)
    assert outcomes(call) == [Outcome.STOPPED] * 2
