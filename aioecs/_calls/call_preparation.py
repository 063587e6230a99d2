"""Prepares calls: checks a request, gives it its token and its deadlines. Nothing is begun, signed or sent here."""

from __future__ import annotations

import os
import time
from typing import Any, TypeVar

import attrs

from aioecs._calls.call import Call
from aioecs._calls.reconciler import TAG, Reconciler
from aioecs._logic.calls import token as tokens
from aioecs._logic.calls.call_record import CallRecord
from aioecs._model import limits
from aioecs._model.options import Delivery
from aioecs._model.shapes.run_task import RunTaskRequest
from aioecs._model.shapes.start_task import StartTaskRequest
from aioecs._model.shapes.tags import Tag
from aioecs._runtime.client_core import Core
from aioecs.errors import InvalidRequest

Asked = TypeVar("Asked", StartTaskRequest, RunTaskRequest)


def fresh_token() -> str:
    """Make a new token.

    Its random bytes are read anew each time: processes that are forked, or restored from one snapshot, would share a
    store of them.
    """
    return tokens.fresh(os.urandom(tokens.ENTROPY))


def _check_key(request: StartTaskRequest | RunTaskRequest, key: object) -> None:
    """Check an idempotency key.

    Raises:
        InvalidRequest: it isn't a non-empty string, or the request has a token of its own where the key's would go.
    """
    if not (isinstance(key, str) and key):
        raise InvalidRequest("idempotency_key", "a string that isn't empty", f"a {type(key).__name__}")
    if isinstance(request, RunTaskRequest):
        if request.client_token is not None:
            raise InvalidRequest("idempotency_key", "goes without client_token: the key makes the client token")
    elif request.started_by is not None:
        raise InvalidRequest("idempotency_key", "goes without started_by: the key makes the token that goes there")


@attrs.define(eq=False)
class Preparer:
    """Prepares the calls of one client, and holds the reconcilers that look them up."""

    core: Core
    region: str | None
    """The Region that ARNs must name; None where the endpoint is the caller's own."""
    rate_limited: bool
    tag_tokens: bool
    reconcilers: dict[str | None, Reconciler] = attrs.Factory(dict)
    """By cluster."""
    partition: str = attrs.field(default=attrs.Factory(lambda own: own.core.transport.partition, takes_self=True))
    """The AWS partition that ARNs must name."""

    def check(self, request: StartTaskRequest | RunTaskRequest, *, any_number: bool = False) -> None:
        """Check a request against every documented limit."""
        if not isinstance(request, RunTaskRequest):
            limits.expect(request, StartTaskRequest)
        limits.check(request, any_number=any_number, region=self.region, partition=self.partition)

    def fits(self, request: StartTaskRequest) -> bool:
        """Return whether its instances, of any number, keep the rules; its other members aren't checked."""
        return limits.fits(request, self.region, self.partition)

    def call(
        self, request: StartTaskRequest | RunTaskRequest, key: Any, delivery: Delivery, *, fan_out: bool = False
    ) -> Call:
        """Prepare a call. A fan-out was checked when it was requested, and no scope around it can end it.

        Raises:
            InvalidRequest: a documented rule is broken.
        """
        if not isinstance(request, RunTaskRequest):
            limits.expect(request, StartTaskRequest)
        if key is not None:
            _check_key(request, key)
        token = tokens.derived(key) if key is not None else fresh_token()
        as_sent = isinstance(request, RunTaskRequest) or (self.tag_tokens and request.started_by is not None)
        if not fan_out and not as_sent:
            self.check(request)  # without the token, which keeps the rules; the JSON is written by then
        shares_token = False
        sent_as: StartTaskRequest | RunTaskRequest
        if isinstance(request, RunTaskRequest):
            shares_token = key is not None or request.client_token is not None
            sent_as, token, adopts = self._with_client_token(request, token)
        else:
            sent_as, token, adopts = self._with_token(request, token)
        if not fan_out and as_sent:
            self.check(sent_as)  # with the tag, or the client token, that is put in
        core = self.core
        now = core.now
        record = CallRecord(
            request=request,
            token=token,
            timeouts=core.timeouts,
            retries=core.retries,
            delivery=delivery,
            deadline=now + core.timeouts.call,
            scope_deadline=float("inf") if fan_out else core.scope_deadline(),
            epoch=time.time() - now,
            rate_limited=self.rate_limited,
            keyed=key is not None,
            adopts=adopts,
            has_lookup=sent_as.started_by is not None,
            shares_token=shares_token,
        )
        return Call(core, record, sent_as, self.reconciler(request.cluster))

    def _with_client_token(self, request: RunTaskRequest, token: str) -> tuple[RunTaskRequest, str, bool]:
        """Return a RunTask as it is sent, its token, and whether every task that bears the token is this client's.

        With a `client_token` of the caller's the request is sent unchanged: a repeat from elsewhere must equal it.
        """
        if request.client_token is not None:
            return request, request.client_token, False
        sent_as, _, adopts = self._with_token(request, token, client_token=token)
        return sent_as, token, adopts

    def _with_token(self, request: Asked, token: str, **more: str) -> tuple[Asked, str, bool]:
        """Return the request as it is sent, its token, and whether every task that bears the token is this client's.

        The members `more` are set too: a copy of the request is made once.
        """
        if request.started_by is None:
            return request.replace(started_by=token, **more), token, True
        if not self.tag_tokens:
            return request.replace(**more) if more else request, request.started_by, False
        return request.replace(tags=(*(request.tags or ()), Tag(key=TAG, value=token)), **more), token, True

    def reconciler(self, cluster: str | None) -> Reconciler:
        """Return the reconciler of a cluster."""
        reconciler = self.reconcilers.get(cluster)
        if reconciler is None:
            reconciler = self.reconcilers[cluster] = Reconciler(self.core, cluster)
        return reconciler
