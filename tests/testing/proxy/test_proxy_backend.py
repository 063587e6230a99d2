"""proxy_backend: what is passed on, what is refused, and what is recorded of it."""

from __future__ import annotations

import json

import pytest

from aioecs.testing import AwsError
from aioecs.testing._proxy.proxy_backend import ProxyBackend
from aioecs.testing._proxy.record import Record
from aioecs.testing._proxy.signing import Signer
from aioecs.testing._proxy.upstream import Upstream, UpstreamError
from aioecs.testing._serving.backend import TARGET, Incoming, Reply

SIGNED = "AWS4-HMAC-SHA256 Credential={key}/20260101/eu-west-1/ecs/aws4_request, SignedHeaders=host, Signature=0"


class ScriptedUpstream(Upstream):
    """An upstream that answers or fails as scripted."""

    outcome: Reply | UpstreamError = Reply(200, b'{"tasks":[{"taskArn":"a1"}]}', ())

    async def send(self, incoming: Incoming) -> Reply:
        """Answer or fail."""
        if isinstance(self.outcome, UpstreamError):
            raise self.outcome
        return self.outcome


def backend(outcome: Reply | UpstreamError | None = None, **members: object) -> tuple[ProxyBackend, Record]:
    """Return a backend with its record."""
    upstream, record = ScriptedUpstream("http://up:1"), Record()
    upstream.outcome = outcome or ScriptedUpstream.outcome
    return ProxyBackend(upstream, record), record


def accepted(of: ProxyBackend, body: bytes = b'{"startedBy":"t"}') -> Incoming:
    """Accept a start."""
    return of.accept({"X-Amz-Target": f"{TARGET}StartTask", "Authorization": SIGNED.format(key="x")}, (), body)


async def test_a_request_is_passed_on_and_recorded() -> None:
    """The reply has the number of its call."""
    served, record = backend()
    reply = await served.execute(accepted(served), "delay")
    assert (reply.status, reply.call) == (200, 1)
    (call,) = record.truth.calls()
    assert (call.token, call.tasks, call.fault, call.executed, call.answered) == ("t", ("a1",), "delay", True, True)
    served.record_unanswered(reply.call)
    assert not record.truth.calls()[0].answered


@pytest.mark.parametrize(("sent", "error"), [(True, "UpstreamGaveNoAnswer"), (False, "UpstreamNotReached")])
async def test_an_upstream_without_an_answer_is_a_502(sent: bool, error: str) -> None:
    """The record says whether it may have acted."""
    served, record = backend(UpstreamError("gone", sent=sent))
    reply = await served.execute(accepted(served), None)
    assert (reply.status, json.loads(reply.body)["message"]) == (502, "The fault proxy's upstream: gone")
    (call,) = record.truth.calls()
    assert (call.executed, call.answered, call.error) == (sent, False, error)


def test_any_body_is_accepted() -> None:
    """It is the upstream's to refuse."""
    served, _ = backend()
    assert [accepted(served, body).request for body in (b"<", b"[]", b"{}")] == [{}, {}, {}]


@pytest.mark.parametrize(
    ("host", "authorization", "refused"),
    [
        ("127.0.0.1:9", SIGNED.format(key="pass"), False),
        ("127.0.0.1:9", SIGNED.format(key="other"), True),
        ("127.0.0.1:9", SIGNED.format(key="p\u00e4ss"), True),
        ("127.0.0.1:9", "", True),
        ("127.0.0.1:80", SIGNED.format(key="\udcff"), True),
        ("up:1", SIGNED.format(key="own"), False),
    ],
)
def test_only_the_access_key_that_it_gave_is_signed_for(host: str, authorization: str, refused: bool) -> None:
    """Another process of the machine can't use the credentials; a client with a signature of its own is passed on."""
    served = ProxyBackend(Upstream("http://up:1", Signer()), Record(), "pass")
    headers = {"Host": host, "Authorization": authorization, "X-Amz-Target": f"{TARGET}StartTask"}
    if refused:
        with pytest.raises(AwsError, match="UnrecognizedClientException"):
            served.accept(headers, (), b"{}")
    else:
        served.accept(headers, (), b"{}")


def test_what_a_fault_kept_back_is_recorded() -> None:
    """Not executed, not answered; throttles are counted."""
    served, record = backend()
    served.record_not_executed("StartTask", {"startedBy": "t"}, "reset")
    assert served.throttle("StartTask").code == "ThrottlingException"
    (call,) = record.truth.calls()
    assert (call.fault, call.executed, call.answered) == ("reset", False, False)
    assert served.truth_as_json()["throttled"] == {"StartTask": 1}
