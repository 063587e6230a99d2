"""classify: failures on real sockets, and the table of exceptions with and without a written body."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest
from aiobotocore.session import AioSession
from botocore import exceptions as botocore
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from raw_server import Exchange, RawServer

from aioecs._model.attempt import Answered, Attempt, Lost, NotSent, Rejected
from aioecs._model.options import Timeouts
from aioecs._model.shapes.start_task import StartTaskRequest
from aioecs._model.shapes.start_task_response import StartTaskResponse
from aioecs._transport.classify import classify_failure
from aioecs._transport.settings import Settings
from aioecs._transport.transport import START_TASK, SentMarker
from aioecs._transport.transport_factory import open_transport
from aioecs.errors import (
    AnswerLost,
    ClientException,
    ConfigurationError,
    ConnectionFailed,
    ECSServiceError,
    InvalidParameterException,
    ServerException,
    ThrottlingException,
)

REQUEST = StartTaskRequest(task_definition="demo", container_instances=["0a1b"])
ACCESS: dict[str, Any] = {
    "region_name": "us-east-1",
    "aws_access_key_id": "local",
    "aws_secret_access_key": "local",
    "session": AioSession(),  # shared, so that the service model is read once
}
USUAL = Timeouts()
# For what ends by its clock alone: the clock decides nothing but when, as no answer ever comes there.
CONNECT = Timeouts(connect=0.15)
ATTEMPT = Timeouts(attempt=0.15)


async def attempt(url: str, timeouts: Timeouts = USUAL) -> tuple[Attempt[StartTaskResponse], bool]:
    """Make one attempt through a new transport; return its outcome, and whether the body was started."""
    async with open_transport(Settings(transport="botocore", **ACCESS, endpoint_url=url, timeouts=timeouts)) as (
        transport,
        _,
    ):
        sent_marker = SentMarker()
        return await transport.attempt(START_TASK, REQUEST, sent_marker), sent_marker.body_started


def exception_names(outcome: Attempt[Any]) -> tuple[str, str]:
    """Return the name of botocore's exception, and of the one it wraps."""
    assert not isinstance(outcome, Answered)
    cause: Any = outcome.error.__cause__
    return type(cause).__name__, type(getattr(cause, "kwargs", {}).get("error")).__name__


# -------------------------------------------------------------------------------------------------------- no connection


@asynccontextmanager
async def closed_port() -> AsyncGenerator[str]:
    """A port without a listener."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        transport = free.getsockname()[1]
    yield f"http://127.0.0.1:{transport}"


@asynccontextmanager
async def unknown_name() -> AsyncGenerator[str]:
    """A name that the DNS doesn't know (RFC 6761)."""
    yield "http://nowhere.invalid"


@asynccontextmanager
async def full_backlog() -> AsyncGenerator[str]:
    """A listener with a full queue that accepts nothing: a SYN gets no answer."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        waiting = [socket.socket() for _ in range(4)]
        try:
            for each in waiting:
                each.setblocking(False)
                each.connect_ex(listener.getsockname())
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            for each in waiting:
                each.close()


async def stall(exchange: Exchange) -> None:
    """Accept the connection, and send nothing."""
    await asyncio.Event().wait()


async def hang_up(exchange: Exchange) -> None:
    """Accept the connection, and close it."""
    exchange.close()


async def answer_in_plain_http(exchange: Exchange) -> None:
    """Answer a TLS hello in plain HTTP."""
    exchange.answer(400)
    exchange.close()


def https_to(behave: Callable[[Exchange], Awaitable[object]]) -> Callable[[], Any]:
    """A server that is called by https and speaks no TLS."""

    @asynccontextmanager
    async def served() -> AsyncGenerator[str]:
        async with RawServer(behave) as server:
            yield server.url.replace("http:", "https:")
            assert server.heads == []

    return served


@pytest.mark.parametrize(
    ("endpoint", "timeouts", "exception", "wrapped"),
    [
        (closed_port, USUAL, "EndpointConnectionError", "ClientConnectorError"),
        (unknown_name, USUAL, "EndpointConnectionError", "ClientConnectorDNSError"),
        (full_backlog, CONNECT, "ConnectTimeoutError", "ConnectionTimeoutError"),
        (https_to(stall), CONNECT, "ConnectTimeoutError", "ConnectionTimeoutError"),
        (https_to(hang_up), USUAL, "EndpointConnectionError", "ClientConnectorError"),
        (https_to(answer_in_plain_http), USUAL, "SSLError", "ClientConnectorSSLError"),
    ],
    ids=["refused", "DNS", "connect timeout", "TLS stalled", "TLS closed", "no TLS"],
)
async def test_no_connection_is_not_sent(
    endpoint: Callable[[], Any], timeouts: Timeouts, exception: str, wrapped: str
) -> None:
    """Where no connection could be opened nothing was sent."""
    async with endpoint() as url:
        outcome, body_started = await attempt(url, timeouts)
    assert isinstance(outcome, NotSent)
    assert isinstance(outcome.error, ConnectionFailed)
    assert str(outcome.error).startswith("StartTask was not sent: ")
    assert exception_names(outcome) == (exception, wrapped)
    assert not body_started


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """Make a self-signed certificate for 127.0.0.1, with its key in the same file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "aioecs test")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, hashes.SHA256())
    )
    unprotected = serialization.NoEncryption()
    path = tmp_path / "certificate.pem"
    path.write_bytes(
        made.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, unprotected)
    )
    return path


def tls(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


async def accept(exchange: Exchange) -> None:
    """Answer as ECS does when it started nothing."""
    await exchange.request()
    exchange.answer(200, '{"tasks": [], "failures": []}', "x-amzn-RequestId: r-1")


async def test_an_untrusted_certificate(certificate: Path) -> None:
    """If the server's certificate is not trusted, nothing is sent."""
    async with RawServer(accept, tls=tls(certificate)) as server:
        outcome, body_started = await attempt(server.url)
    assert isinstance(outcome, NotSent)
    assert exception_names(outcome) == ("SSLError", "ClientConnectorCertificateError")
    assert (body_started, server.bodies) == (False, [])


async def test_a_trusted_certificate(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same server answers over TLS once its certificate is trusted."""
    monkeypatch.setenv("AWS_CA_BUNDLE", str(certificate))
    async with RawServer(accept, tls=tls(certificate)) as server:
        outcome, body_started = await attempt(server.url)
    assert outcome == Answered(StartTaskResponse(), "r-1")
    assert (body_started, len(server.bodies)) == (True, 1)


# ------------------------------------------------------------------------------------------------------ sent, then lost


async def reset_unread(exchange: Exchange) -> None:
    await exchange.head()
    exchange.reset()


async def reset(exchange: Exchange) -> None:
    await exchange.request()
    exchange.reset()


async def close_unread(exchange: Exchange) -> None:
    await exchange.head()
    exchange.close()


async def close(exchange: Exchange) -> None:
    await exchange.request()
    exchange.close()


async def hang(exchange: Exchange) -> None:
    await exchange.request()
    await asyncio.Event().wait()


async def cut_head(exchange: Exchange) -> None:
    await exchange.request()
    exchange.send(b"HTTP/1.1 200 OK\r\nContent-Le")
    exchange.close()


async def cut_body(exchange: Exchange) -> None:
    await exchange.request()
    exchange.answer(200, '{"tasks":[{"taskArn":"arn', length=4096)
    exchange.close()


async def hang_in_the_body(exchange: Exchange) -> None:
    await exchange.request()
    exchange.answer(200, '{"tasks":[{"taskArn":"arn', length=4096)
    await asyncio.Event().wait()


async def no_http(exchange: Exchange) -> None:
    await exchange.request()
    exchange.send(b"SSH-2.0-OpenSSH_9.6\r\n\r\n")
    exchange.close()


@pytest.mark.parametrize(
    ("behave", "timeouts", "exception", "wrapped"),
    [
        (reset_unread, USUAL, "EndpointConnectionError", "ClientOSError"),
        (reset, USUAL, "EndpointConnectionError", "ClientOSError"),
        (close_unread, USUAL, "ConnectionClosedError", "ServerDisconnectedError"),
        (close, USUAL, "ConnectionClosedError", "ServerDisconnectedError"),
        (hang, ATTEMPT, "ReadTimeoutError", "SocketTimeoutError"),
        (cut_head, USUAL, "ConnectionClosedError", "ServerDisconnectedError"),
        (cut_body, USUAL, "ConnectionClosedError", "ClientPayloadError"),
        (hang_in_the_body, ATTEMPT, "ReadTimeoutError", "SocketTimeoutError"),
        (no_http, USUAL, "HTTPClientError", "ClientResponseError"),
    ],
)
async def test_a_failure_after_the_body_is_lost(
    behave: Callable[[Exchange], Awaitable[None]], timeouts: Timeouts, exception: str, wrapped: str
) -> None:
    """If the connection fails once the body was written, ECS may have acted, and nothing is sent again."""
    async with RawServer(behave) as server:
        outcome, body_started = await attempt(server.url, timeouts)
    assert isinstance(outcome, Lost)
    assert isinstance(outcome.error, AnswerLost)
    assert str(outcome.error).startswith("StartTask was sent and its answer was lost: ")
    assert exception_names(outcome) == (exception, wrapped)
    assert (body_started, server.connections) == (True, 1)


# ------------------------------------------------------------------------------------------------------------- answered


def error_body(code: str, message: str = "said", *, kind: str = "__type") -> str:
    return f'{{"{kind}": "{code}", "message": "{message}"}}'


HTML = "<html><body><h1>502 Bad Gateway</h1></body></html>"


@pytest.mark.parametrize(
    ("status", "body", "outcome_type", "error", "code"),
    [
        # Refusals, by their code.
        (400, error_body("ClientException"), Rejected, ClientException, "ClientException"),
        (400, error_body("com.amazonaws.ecs#ClientException"), Rejected, ClientException, "ClientException"),
        (400, error_body("ThrottlingException", "Rate exceeded"), Rejected, ThrottlingException, "ThrottlingException"),
        (
            400,
            error_body("InvalidParameterException", "Rate exceeded (ErrorCode: Throttling)"),
            Rejected,
            InvalidParameterException,
            "InvalidParameterException",
        ),
        (503, error_body("ThrottlingException"), Rejected, ThrottlingException, "ThrottlingException"),
        (403, error_body("ExpiredTokenException"), Rejected, ECSServiceError, "ExpiredTokenException"),
        (400, error_body("SomethingNew"), Rejected, ECSServiceError, "SomethingNew"),
        # Faults: ECS may have acted.
        (500, error_body("ServerException"), Lost, ServerException, "ServerException"),
        (400, error_body("ServerException"), Lost, ServerException, "ServerException"),
        (503, error_body("ServiceUnavailableException"), Lost, ECSServiceError, "ServiceUnavailableException"),
        (500, error_body("SomethingNew"), Lost, ECSServiceError, "SomethingNew"),
        # No code: it is a proxy's answer, not ECS's.
        (400, HTML, Lost, ECSServiceError, "400"),
        (403, "", Lost, ECSServiceError, "403"),
        (429, HTML, Lost, ECSServiceError, "429"),
        (500, "", Lost, ECSServiceError, "500"),
        (502, HTML, Lost, ECSServiceError, "502"),
        (503, "{}", Lost, ECSServiceError, "503"),
    ],
)
async def test_an_error_is_classified_by_its_code(
    status: int, body: str, outcome_type: type, error: type[ECSServiceError], code: str
) -> None:
    """The code says whether ECS refused or may have acted; an answer without a code proves nothing."""

    async def behave(exchange: Exchange) -> None:
        await exchange.request()
        exchange.answer(status, body, "x-amzn-RequestId: r-1")

    async with RawServer(behave) as server:
        outcome, _ = await attempt(server.url)
    assert isinstance(outcome, outcome_type)
    assert isinstance(outcome, Rejected | Lost)
    assert type(outcome.error) is error
    assert isinstance(outcome.error, ECSServiceError)
    assert (outcome.error.code, outcome.error.status, outcome.error.operation) == (code, status, "StartTask")
    assert outcome.error.request_id == "r-1" or code.isdigit()  # botocore drops it where there is no code
    assert server.connections == 1


@pytest.mark.parametrize("body", [HTML, "", "[]", "null", '"text"', '{"tasks": [', "\x00"])
async def test_a_200_that_is_not_ecs_s_is_lost(body: str) -> None:
    """HTML, an empty body, or JSON that is no object is a lost answer, even with status 200."""

    async def behave(exchange: Exchange) -> None:
        await exchange.request()
        exchange.answer(200, body)

    async with RawServer(behave) as server:
        outcome, _ = await attempt(server.url)
    assert isinstance(outcome, Lost)
    assert isinstance(outcome.error, AnswerLost)


async def test_a_200_with_an_empty_object_is_an_answer() -> None:
    """`{}` may be ECS's; the caller decides what missing tasks and failures mean."""

    async def behave(exchange: Exchange) -> None:
        await exchange.request()
        exchange.answer(200, "{}")

    async with RawServer(behave) as server:
        outcome, _ = await attempt(server.url)
    assert outcome == Answered(StartTaskResponse(), None)


# ----------------------------------------------------------------------------------------------------- classify_failure


def os_error(kind: type[aiohttp.ClientConnectorError]) -> aiohttp.ClientConnectorError:
    key: Any = SimpleNamespace(host="127.0.0.1", port=443, ssl=True)
    return kind(key, OSError(111, "said"))


URL = {"endpoint_url": "http://127.0.0.1"}
UNSIGNED: list[Exception] = [
    botocore.NoCredentialsError(),
    botocore.PartialCredentialsError(provider="env", cred_var="AWS_SECRET_ACCESS_KEY"),
    botocore.CredentialRetrievalError(provider="process", error_msg="said"),
    botocore.MetadataRetrievalError(error_msg="said"),
    botocore.TokenRetrievalError(provider="sso", error_msg="said"),
    botocore.UnauthorizedSSOTokenError(),
    botocore.ProfileNotFound(profile="said"),
    botocore.ParamValidationError(report="said"),
    botocore.EndpointProviderError(msg="said"),
]
UNCONNECTED: list[Exception] = [
    botocore.ConnectTimeoutError(**URL),
    botocore.ProxyConnectionError(proxy_url="http://127.0.0.1"),
    botocore.EndpointConnectionError(**URL, error=os_error(aiohttp.ClientConnectorError)),
    botocore.EndpointConnectionError(**URL, error=os_error(aiohttp.ClientConnectorDNSError)),
    botocore.SSLError(**URL, error=os_error(aiohttp.ClientConnectorSSLError)),
]
UNCERTAIN: list[Exception] = [
    botocore.EndpointConnectionError(**URL, error=aiohttp.ClientOSError(104, "said")),
    botocore.EndpointConnectionError(**URL, error=None),
    botocore.SSLError(**URL, error=ssl.SSLError("said")),
    botocore.ConnectionClosedError(**URL),
    botocore.ReadTimeoutError(**URL),
    botocore.HTTPClientError(error=ValueError("said")),
    TimeoutError(),
    ConnectionResetError("said"),
    RuntimeError("said"),
]


def caused(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


def kind_of(error: Exception) -> str:
    return type(error).__name__


@pytest.mark.parametrize("error", [*UNSIGNED, *UNCONNECTED, *UNCERTAIN], ids=kind_of)
def test_without_the_first_byte_nothing_was_sent(error: Exception) -> None:
    """Any exception before the first byte of the body is not sent, and says whether another try may help."""
    outcome = classify_failure(error, "StartTask", False)
    assert isinstance(outcome, NotSent)
    settings = error in UNSIGNED or type(error) is RuntimeError or kind_of(error) == "HTTPClientError"
    assert type(outcome.error) is (ConfigurationError if settings else ConnectionFailed)
    assert outcome.error.__cause__ is error


@pytest.mark.parametrize("error", [*UNSIGNED, *UNCONNECTED, *UNCERTAIN], ids=kind_of)
def test_a_started_body_is_never_not_sent(error: Exception) -> None:
    """Once the marker is set, no exception proves otherwise: a second try may have raised it."""
    outcome = classify_failure(error, "StartTask", True)
    assert isinstance(outcome, Lost)
    assert outcome.error.__cause__ is error


@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [
        ("AccessDenied", 403, ConfigurationError),
        ("ExpiredToken", 400, ConfigurationError),
        ("InvalidIdentityToken", 400, ConfigurationError),
        ("Throttling", 400, ConnectionFailed),
        ("ServiceUnavailable", 503, ConnectionFailed),
        ("InternalFailure", 500, ConnectionFailed),
    ],
)
@pytest.mark.parametrize("body_started", [False, True])
def test_an_error_of_another_service_is_no_answer_of_ecs(
    code: str, status: int, kind: type, body_started: bool
) -> None:
    """An error of STS is not sent before the first byte and lost after it, and its text names STS."""
    error_body: Any = {"Error": {"Code": code, "Message": "said"}, "ResponseMetadata": {"HTTPStatusCode": status}}
    outcome = classify_failure(botocore.ClientError(error_body, "AssumeRoleWithWebIdentity"), "StartTask", body_started)
    assert isinstance(outcome, Lost if body_started else NotSent)
    assert isinstance(outcome, Lost | NotSent)
    if not body_started:
        assert type(outcome.error) is kind
        assert "STS: An error occurred" in str(outcome.error)
        assert code in str(outcome.error)


@pytest.mark.parametrize("alert", ["TLSV13_ALERT_CERTIFICATE_REQUIRED", "SSLV3_ALERT_BAD_CERTIFICATE"])
@pytest.mark.parametrize("native", [True, False])
def test_a_client_certificate_alert_proves_that_nothing_was_read(alert: str, native: bool) -> None:
    """The server ended TLS before it read the request, even if the body was written already."""
    error_body = ssl.SSLError(1, alert)
    error_body.reason = alert
    error: Exception = botocore.EndpointConnectionError(
        **URL, error=caused(aiohttp.ClientOSError(1, alert), error_body)
    )
    outcome = classify_failure(
        caused(ConnectionResetError("closed"), error_body) if native else error, "StartTask", True
    )
    assert isinstance(outcome, NotSent)
    assert isinstance(outcome.error, ConfigurationError)
    assert "the server wants a client certificate" in str(outcome.error)


@pytest.mark.parametrize("alert", ["TLSV1_ALERT_INTERNAL_ERROR", "SSLV3_ALERT_BAD_RECORD_MAC", "BAD_CERTIFICATE"])
def test_another_alert_proves_nothing(alert: str) -> None:
    """Another alert may come after the request was read."""
    error_body = ssl.SSLError(1, alert)
    error_body.reason = alert
    assert isinstance(classify_failure(caused(ConnectionResetError("closed"), error_body), "StartTask", True), Lost)


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (TimeoutError(), "StartTask was sent and its answer was lost: TimeoutError"),
        (RuntimeError("first\nsecond"), "StartTask was sent and its answer was lost: first"),
    ],
)
def test_the_text_is_the_first_line(error: Exception, text: str) -> None:
    """An exception without text is described by its name; of several lines the first is kept."""
    outcome = classify_failure(error, "StartTask", True)
    assert isinstance(outcome, Lost)
    assert str(outcome.error) == text


@pytest.mark.parametrize(
    ("response", "outcome_type", "code"),
    [
        ({}, Rejected, "ECSServiceError"),
        ({"Error": {"Code": None, "Message": None}, "ResponseMetadata": {"HTTPStatusCode": 502}}, Lost, "502"),
        ({"Error": {"Code": "ClientException"}}, Rejected, "ClientException"),
    ],
)
def test_an_error_with_missing_members(response: Any, outcome_type: type, code: str) -> None:
    """An error without details is classified, too: the status replaces a missing code."""
    outcome = classify_failure(botocore.ClientError(response, "StartTask"), "StartTask", True)
    assert isinstance(outcome, outcome_type)
    assert isinstance(outcome, Rejected | Lost)
    assert isinstance(outcome.error, ECSServiceError)
    assert outcome.error.code == code
