"""The model of two workers with one ledger and one message: crashes, pauses, leases that end, lost answers.

The ledger (`JobEntries`), the decisions about a job (`decide`, `outcome_of_response`, `outcome_of_error`, `Lease`) and
the state machine of the call are the package's. What `aioecs.worker._jobs.job_starter` does between them is stated
here: it claims, starts the job under the lease, and writes down what came of it. The queue gives the message to any
worker at any time, until one deletes it.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator

import attrs

from aioecs._logic.calls.actions import Withdrawn
from aioecs._logic.calls.call_result import cancelled, result_of
from aioecs.errors import ECSError
from aioecs.worker._jobs.decisions import (
    IntentAction,
    JobOutcome,
    MessageAction,
    decide,
    may_be_surplus,
    outcome_of_claim,
)
from aioecs.worker._jobs.start_outcome import StartOutcome, outcome_of_error, outcome_of_response
from aioecs.worker._ledgers.claims import ClaimOutcome, Entry
from promise.call_process import TOKEN, CallProcess, new_call, steps
from promise.search import Step
from promise.service import Request, Service
from promise.worker_state import KEY, Worker, WorkerBounds, WorkersState

SURPLUS = "surplus"
States = Iterator[Step[WorkersState]]
CallStep = tuple[str, CallProcess, Service, StartOutcome | None]
"""What happens to a call, the call and ECS after it, and what the worker concludes."""


class WorkerModel:
    """Two workers, within bounds."""

    def __init__(self, bounds: WorkerBounds | None = None) -> None:
        self.bounds = bounds or WorkerBounds()
        self._steps_of_calls: dict[Hashable, list[CallStep]] = {}

    def initial(self) -> States:
        """Begin with a message that nobody has received."""
        first, second = self.bounds.ahead
        yield "begins", WorkersState(0, (Worker("A", first), Worker("B", second)))

    def steps(self, state: WorkersState) -> States:
        """Return what can happen: to a worker, in ECS, or by time alone."""
        for worker in state.workers:
            for name, after in self._worker_steps(state, worker):
                yield f"{state.now}: {worker.name} {name}", after
        for name, service in state.service.decisions(state.now, refuses=self.bounds.call.refuses):
            yield f"{state.now}: {name}", attrs.evolve(state, service=service)
        begun = state.entry is not None or state.service.written
        if begun and state.now < self.bounds.ends:
            yield from self._ticks(state)

    # --------------------------------------------------------------------------------------------------------- time

    def _may_wait(self, state: WorkersState, worker: Worker) -> bool:
        if worker.idle:
            return True
        lost = worker.cancelled_at is None and self._clock(state, worker) >= self._cutoff(worker)
        call = worker.call
        return not lost and worker.concluded is None and call is not None and call.may_wait(state.now, self.bounds.call)

    def _clock(self, state: WorkersState, worker: Worker) -> int:
        return state.now + worker.ahead

    def _cutoff(self, worker: Worker) -> float:
        return self.bounds.lease.cutoff(worker.lease)

    def _ticks(self, state: WorkersState) -> States:
        """Let time pass; a worker that has something to do at once is paused meanwhile, which is a fault."""
        busy = {worker.name for worker in state.workers if not self._may_wait(state, worker)}
        new = [worker for worker in state.workers if worker.name in busy and not worker.paused]
        faults = state.faults + len(new)
        if faults > self.bounds.faults or not all(map(self._may_be_paused, new)):
            return
        now = state.now + 1
        first, second = (
            attrs.evolve(worker, paused=True) if worker.name in busy else self._at(worker, now)
            for worker in state.workers
        )
        workers = (first, second)
        after = attrs.evolve(state, now=now, workers=workers, service=state.service.at(now), faults=faults)
        yield f"{state.now}: a tick passes{', paused: ' if busy else ''}{', '.join(sorted(busy))}", after

    def _may_be_paused(self, worker: Worker) -> bool:
        about_to_write = worker.call is not None and worker.call.allowed
        return "sleep" in self.bounds.kinds or ("pause" in self.bounds.kinds and about_to_write)

    def _at(self, worker: Worker, now: int) -> Worker:
        call = worker.call and worker.call.at(now, self.bounds.call.settle)
        unchanged = call is worker.call and not worker.paused
        return worker if unchanged else attrs.evolve(worker, call=call, paused=False)

    # -------------------------------------------------------------------------------------------------- one worker

    def _worker_steps(self, state: WorkersState, worker: Worker) -> States:
        if worker.paused:  # what it was about to write is written before it finds out how late it is
            about_to_write = worker.call is not None and worker.call.allowed
            worker = attrs.evolve(worker, paused=False) if about_to_write else self._at(worker, state.now)
        if worker.idle:
            if self._may_claim(state, worker):
                yield from self._claims(state, worker)
        else:
            yield from self._faults(state, worker)
            if worker.concluded is not None:
                yield from self._writes_down(state, worker, worker.concluded)
            elif worker.call is not None:
                yield from self._holds(state, worker)
                yield from self._starts(state, worker, worker.call)

    def _may_claim(self, state: WorkersState, worker: Worker) -> bool:
        """Return whether it receives the message, or holds it still because a duplicate of its own may run."""
        settled = state.entry is not None and state.entry.arns is not None
        if settled and (worker.ours or worker.lost):
            return state.now >= (worker.lookup_at or 0)
        return not state.deleted and state.attempts < self.bounds.attempts

    def _faults(self, state: WorkersState, worker: Worker) -> States:
        kinds, faults = self.bounds.kinds, state.faults + 1
        if faults > self.bounds.faults:
            return
        if "crash" in kinds:
            service = self._unawaited(state.service, worker)
            yield "crashes", state.with_worker(worker.without_job(), service=service, faults=faults)
        if "stop" in kinds and worker.cancelled_at is None and worker.call is not None:
            yield "is stopped", self._cancelled(state, worker, faults=faults)

    def _unawaited(self, service: Service, worker: Worker) -> Service:
        """Note that nobody waits for the answer to a worker's request any more."""
        number = worker.call.number if worker.call is not None else 0
        return service.given_up(number, float("inf")) if number else service

    # ------------------------------------------------------------------------------------------------------ claiming

    def _claims(self, state: WorkersState, worker: Worker) -> States:
        now = self._clock(state, worker)
        holder = f"{worker.name}{state.attempts + 1}"
        lease = now + self.bounds.lease.length
        intent = Entry(key=KEY, holder=holder, lease=lease, begun=now, fingerprint="f", instances=("a",))
        book = state.book()
        claimed = book.claim(intent, now, self.bounds.skew)
        entry = book.entries.get(KEY)
        after = attrs.evolve(state, entry=entry, attempts=state.attempts + 1)
        if claimed.outcome is ClaimOutcome.HELD:
            return  # the message comes again
        if claimed.outcome is ClaimOutcome.SETTLED:
            yield from self._finds_settled(after, worker, claimed.entry.arns or ())
        elif outcome_of_claim(claimed.outcome) is not None:
            yield f"finds it {claimed.outcome}", after.with_worker(worker)
        else:
            call = new_call(self.bounds.call, state.now, name=worker.name)
            inherited = claimed.entry.begun != intent.begun
            begun = attrs.evolve(
                worker, entry=claimed.entry, lease=claimed.entry.lease, inherited=inherited, call=call, renewals=0
            )
            yield "claims it", after.with_worker(attrs.evolve(begun, cancelled_at=None, sent=False))
            if "ledger" in self.bounds.kinds and state.faults < self.bounds.faults:
                yield "claims it, and doesn't learn that", after.with_worker(worker, faults=state.faults + 1)

    def _finds_settled(self, state: WorkersState, worker: Worker, arns: tuple[str, ...]) -> States:
        """Stop what is one too many; where it may have written too late, look that up before the message goes."""
        if worker.lookup_at is None:
            yield "finds it settled", self._settled(state, worker, arns)
            return
        for shown in state.service.shown(TOKEN, state.now):
            knows = attrs.evolve(worker, ours=frozenset(task.name for task in shown), lost=False)
            yield f"looks up {len(shown)} tasks", self._settled(state, knows, arns)

    def _settled(self, state: WorkersState, worker: Worker, arns: tuple[str, ...]) -> WorkersState:
        """Stop what is one too many, and delete the message; that waits where it may have written too late."""
        surplus = frozenset(worker.ours - set(arns))
        left = worker.without_job()
        if worker.lost:
            left = attrs.evolve(left, lost=True, lookup_at=state.now + self.bounds.call.consistency)
        service = state.service.stopped(surplus, SURPLUS)
        return state.with_worker(left, service=service, deleted=state.deleted or not worker.lost)

    # ------------------------------------------------------------------------------------------------- under a lease

    def _holds(self, state: WorkersState, worker: Worker) -> States:
        """Renew the lease, or lose it."""
        assert worker.entry is not None
        now = self._clock(state, worker)
        if worker.cancelled_at is not None:
            return
        if now >= self._cutoff(worker):
            yield "can't renew in time", self._cancelled(state, worker)
        elif worker.renewals < self.bounds.renewals and now > worker.lease - self.bounds.lease.length:
            book = state.book()
            lease = now + self.bounds.lease.length
            if book.renew(KEY, worker.entry.holder, lease):
                renewed = attrs.evolve(worker, lease=lease, renewals=worker.renewals + 1)
                yield "renews", state.with_worker(renewed, entry=book.entries[KEY])
            else:
                yield "learns that the job is another's", self._cancelled(state, worker)

    def _cancelled(self, state: WorkersState, worker: Worker, **changes: object) -> WorkersState:
        call = worker.call and worker.call.interrupted(Withdrawn("keep"), state.now, self.bounds.call.settle)
        return state.with_worker(attrs.evolve(worker, call=call, cancelled_at=state.now), **changes)

    def _starts(self, state: WorkersState, worker: Worker, call: CallProcess) -> States:
        gated = self._clock(state, worker) < self._cutoff(worker)
        for name, after, service, concluded in self._call_steps(call, state.service, state.now, gated=gated):
            late = service.written > state.service.written and self._is_late(state, worker)
            went_on = attrs.evolve(worker, call=after, concluded=concluded, sent=worker.sent or after.allowed)
            yield name, state.with_worker(went_on, service=service, written_late=state.written_late or late)
        if worker.cancelled_at is not None and state.now >= worker.cancelled_at + self.bounds.call.settle:
            concluded = outcome_of_error(cancelled(call.record, None, None))
            service = self._unawaited(state.service, worker)
            left = attrs.evolve(worker, call=None, concluded=concluded)
            yield "waits no longer", state.with_worker(left, service=service)

    def _call_steps(self, call: CallProcess, service: Service, now: int, *, gated: bool) -> list[CallStep]:
        """Return the steps of a call, which are made once: it meets the other worker in many states."""
        known = (call.name, call.key, service, now, gated)
        found = self._steps_of_calls.get(known)
        if found is None:
            made = steps(call, service, now, self.bounds.call, gated=gated)
            found = self._steps_of_calls[known] = [(*step, self._concluded(step[1])) for step in made]
        return found

    def _is_late(self, state: WorkersState, worker: Worker) -> bool:
        return self._clock(state, worker) >= self._cutoff(worker) + self.bounds.window

    def _concluded(self, call: CallProcess) -> StartOutcome | None:
        if not call.ended:
            return None
        record = call.record
        came = result_of(record) if record.withdrawal is None else cancelled(record, None, None)
        return outcome_of_error(came) if isinstance(came, ECSError) else outcome_of_response(came)

    # -------------------------------------------------------------------------------------------------- writing down

    def _writes_down(self, state: WorkersState, worker: Worker, concluded: StartOutcome) -> States:
        assert worker.entry is not None
        what = decide(concluded.outcome, inherited=worker.inherited, proven=concluded.proven)
        tried = self._tried(state, worker, concluded.outcome)
        book = state.book()
        if what.intent is IntentAction.SETTLE:
            if book.settle(KEY, worker.entry.holder, concluded.arns):
                kept = attrs.evolve(state, entry=book.entries[KEY])
                yield "writes its tasks down", self._settled(kept, worker, concluded.arns)
            else:
                ours = worker.ours | set(concluded.arns)
                lost = worker.lost or worker.sent
                yield "has lost the job", state.with_worker(attrs.evolve(tried, ours=ours, lost=lost))
        elif what.intent is IntentAction.RELEASE:
            book.release(KEY, worker.entry.holder)
            yield f"releases it: {concluded.outcome}", state.with_worker(tried, entry=book.entries.get(KEY))
        else:
            deleted = state.deleted or what.action is MessageAction.DELETE
            yield f"keeps it: {concluded.outcome}", state.with_worker(tried, deleted=deleted)
        if what.intent is not IntentAction.KEEP and "ledger" in self.bounds.kinds and state.faults < self.bounds.faults:
            unknown = JobOutcome.UNKNOWN if what.intent is IntentAction.SETTLE else concluded.outcome
            tried = self._tried(state, worker, unknown)
            yield "can't write it down", state.with_worker(tried, faults=state.faults + 1)

    def _tried(self, state: WorkersState, worker: Worker, outcome: JobOutcome) -> Worker:
        """Return a worker after a try that had this outcome; it remembers what it may have written too late."""
        surplus = may_be_surplus(outcome, late=self._clock(state, worker) >= self._cutoff(worker))
        lost = worker.lost or (worker.sent and surplus)
        return attrs.evolve(worker.without_job(), ours=worker.ours, lost=lost)

    # ---------------------------------------------------------------------------------------------------- invariants

    def wrong(self, state: WorkersState) -> str | None:
        """Return the first invariant that is broken."""
        checks = (self._twice, self._lost, self._untrue, self._left_running)
        return next((wrong for check in checks if (wrong := check(state)) is not None), None)

    def _twice(self, state: WorkersState) -> str | None:
        """Never twice: one task for the job, whoever crashes, pauses or loses an answer, save in the window."""
        names = [task.name for task in state.service.tasks]
        if len(names) > 1 and not state.written_late:
            return f"TWICE: {', '.join(names)}"
        return None

    def _lost(self, state: WorkersState) -> str | None:
        """Never lost: while a task runs, or ECS may start one, the ledger has the intent or names the task."""
        alive = [task.name for task in state.service.tasks if task.live]
        open_requests: list[Request] = state.service.open_requests()
        if state.entry is None and (alive or open_requests):
            what = alive[0] if alive else f"request {open_requests[0].number}"
            return f"LOST: {what}, and the ledger has no intent"
        if state.entry is not None and state.entry.arns is not None and not state.written_late:
            unnamed = [name for name in alive if name not in state.entry.arns]
            if unnamed or open_requests:
                return f"LOST: the ledger has {state.entry.arns}, and not {unnamed or 'what ECS may yet start'}"
        return None

    def _untrue(self, state: WorkersState) -> str | None:
        """Never a lie: the message goes only once the ledger names tasks that were started."""
        started = {task.name for task in state.service.tasks}
        arns = state.entry.arns if state.entry is not None else None
        if state.deleted and not arns:
            return "UNTRUE: the message is deleted, and the ledger names no task"
        if arns and not started.issuperset(arns):
            return f"UNTRUE: the ledger names {arns}, and there is no such task"
        return None

    def _left_running(self, state: WorkersState) -> str | None:
        """A duplicate of the window is stopped by the worker that was paused, whether or not its answer was lost."""
        done = all(worker.idle and not worker.ours and not worker.lost for worker in state.workers)
        if not state.deleted or not done or not self.bounds.kinds <= {"pause", "sleep"}:
            return None
        names = [task.name for task in state.service.tasks if task.live]
        return f"LEFT RUNNING: {', '.join(names)}" if len(names) > 1 else None

    def ended(self, state: WorkersState) -> bool:
        """Return whether it is an end: a job may have to wait for the end of a lease that lies beyond the last tick."""
        return bool(state.attempts)
