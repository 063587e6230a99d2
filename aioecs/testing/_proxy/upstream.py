"""The endpoint behind the proxy: passes a request on once, never twice, and returns its answer as it came."""

from __future__ import annotations

import ssl
from urllib.parse import urlsplit

import aiohttp
import attrs

from aioecs.testing._proxy.headers import Scope, request_headers, response_headers, scope_of, unsigned
from aioecs.testing._proxy.signing import FaultProxyError, Signer
from aioecs.testing._serving.backend import LOGS_TARGET, Incoming, Reply

LARGEST_ANSWER = 8 << 20  # bytes of an answer; a hundred full task descriptions have less than one MiB
_CONNECT = 10.0  # seconds
_READ = 300.0  # seconds without a byte of the answer
_IDLE = 3.0  # seconds for which a connection is reused: less than any server keeps one, as a stale one loses requests


class UpstreamError(Exception):
    """The upstream gave no answer. sent: whether the request may have reached it."""

    def __init__(self, reason: str, *, sent: bool) -> None:
        super().__init__(reason)
        self.sent = sent


def endpoint(url: str) -> str:
    """Return the URL of an endpoint without a trailing slash.

    Raises:
        ValueError: it is no URL of an endpoint.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("the upstream is a URL such as http://127.0.0.1:8080 or https://ecs.eu-west-1.amazonaws.com")
    if parts.path not in ("", "/") or parts.query or parts.fragment or "@" in parts.netloc:
        raise ValueError("the URL of the upstream has no path, no query, and no user name")
    return f"{parts.scheme}://{parts.netloc}"


@attrs.define
class Upstream:
    """Passes requests on to an endpoint.

    signer: signs them anew; None passes their own signature on. A request whose Host is the endpoint's keeps its own
        signature in any case.  region: for what is signed anew; by default the one that the client signed for.
    """

    url: str
    signer: Signer | None = None
    region: str | None = None
    tls: ssl.SSLContext | None = None
    _session: aiohttp.ClientSession | None = None

    @property
    def host(self) -> str:
        """The endpoint's host and port, as in a Host header."""
        return urlsplit(self.url).netloc.lower()

    async def open(self) -> None:
        """Find the credentials, and be ready to connect.

        Raises:
            FaultProxyError: there are no credentials.
        """
        if self.signer is not None:
            await self.signer.open()
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=_IDLE, ssl=self.tls or True),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT, sock_read=_READ),
            auto_decompress=False,
            skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
        )

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()

    async def send(self, incoming: Incoming) -> Reply:
        """Pass a request on, and return the answer.

        Raises:
            UpstreamError: there was none.
        """
        assert self._session is not None  # noqa: S101 the proxy opens it before it serves
        try:
            headers = await self._headers(incoming)
            async with self._session.post(
                f"{self.url}/", data=incoming.body, headers=headers, allow_redirects=False
            ) as answer:
                return Reply(answer.status, await _read(answer), response_headers(answer.raw_headers))
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise UpstreamError(f"can't connect: {error}", sent=False) from error
        except FaultProxyError as error:
            raise UpstreamError(str(error), sent=False) from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise UpstreamError(f"no answer: {type(error).__name__}: {error}", sent=True) from error

    async def _headers(self, incoming: Incoming) -> list[tuple[str, str]]:
        passed = request_headers(incoming.raw_headers, incoming.headers.get("Authorization", ""))
        if not self.signs(incoming):
            return passed
        assert self.signer is not None  # noqa: S101 `signs` says so
        scope = scope_of(incoming.headers) or Scope("", "", "")
        service = "logs" if incoming.headers.get("X-Amz-Target", "").startswith(LOGS_TARGET) else "ecs"
        return await self.signer.sign(
            f"{self.url}/", unsigned(passed), incoming.body, service=service, region=self.region or scope.region
        )

    def signs(self, incoming: Incoming) -> bool:
        """Return whether a request is signed anew: its own signature is for another Host."""
        return self.signer is not None and incoming.headers.get("Host", "").lower() != self.host


async def _read(answer: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for part in answer.content.iter_any():
        body += part
        if len(body) > LARGEST_ANSWER:
            raise ValueError(f"the answer has more than {LARGEST_ANSWER} bytes")
    return bytes(body)
