"""FaultProxy: a fault server in front of an endpoint of ECS, as one async context manager."""

from __future__ import annotations

import secrets
import ssl
from collections.abc import Iterable
from ipaddress import ip_address
from types import TracebackType
from typing import Literal, Self
from urllib.parse import urlsplit

import anyio

from aioecs.testing._access import host_name
from aioecs.testing._faults import Fault, FaultScript
from aioecs.testing._local import ClientKwargs
from aioecs.testing._proxy.proxy_backend import ProxyBackend
from aioecs.testing._proxy.record import Record
from aioecs.testing._proxy.refresh import refresh
from aioecs.testing._proxy.signing import Signer
from aioecs.testing._proxy.upstream import Upstream, endpoint
from aioecs.testing._serving.fault_server import FaultServer
from aioecs.testing._state.truth import Truth


class FaultProxy:
    """Passes requests from any AWS SDK on to an endpoint of ECS, fails as scripted, and records what really happened::

        async with FaultProxy("http://127.0.0.1:8080", [Fault("reset", when="after")]) as proxy:
            client = session.create_client("ecs", **proxy.client_kwargs())
            ...
            assert proxy.truth.duplicates() == []

    A fault "before" keeps the request from the upstream; one "after" comes when the upstream has answered. A request is
    passed on once, and never repeated.

    upstream: the URL of the endpoint: a local ECS, moto's server, or that of a Region.
    faults: the script; `proxy.faults` changes it later.
    sign: a signature of AWS covers the host, so a real endpoint refuses one that a client made for the proxy's.
        "client" - requests are passed on with the signature of their client, whatever it is worth.
        "own" - they are signed anew with this machine's credentials. Only requests with the access key id of
        `client_kwargs()` are, which is random, so that no other process can use the credentials. A request whose Host
        is the endpoint's keeps its own signature: a client with the endpoint `http://ecs.REGION.amazonaws.com` and the
        proxy as its HTTP proxy sends such ones.
        None - "own" for an https URL that is not of this machine, "client" for others.
    profile: of the AWS configuration, for the credentials to sign with; None for the default chain.
    region: to sign for, and of `client_kwargs()`; by default the one that a client signs for, and us-east-1.
    host, port: where it listens; port 0 chooses a free one. With "own" it listens on loopback only.
    hosts: accepted names in the Host header, beside addresses, localhost and the endpoint's; others are refused.
    upstream_tls: how the endpoint's certificate is checked, by default as usual.
    seed: for the faults' `chance`.

    `truth` has each StartTask, RunTask and StopTask (`executed`: whether it was passed on; `error`: of the upstream,
    or UpstreamGaveNoAnswer or UpstreamNotReached), and the tasks in the upstream's answers. `refresh()` brings their
    states up to date. The last 50,000 tasks are kept, about 100 MB.

    Raises:
        ValueError: the upstream is no URL of an endpoint, or "own" is asked for on an address that is not loopback.
        FaultProxyError: on entering, if it has no credentials to sign with.
        LocalECSError: on entering, if it can't listen on the address (an OSError).
    """

    def __init__(
        self,
        upstream: str,
        faults: Iterable[Fault] = (),
        *,
        sign: Literal["client", "own"] | None = None,
        profile: str | None = None,
        region: str | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        hosts: Iterable[str] = (),
        upstream_tls: ssl.SSLContext | None = None,
        seed: int = 0,
    ) -> None:
        url = endpoint(upstream)
        own = sign == "own" or (sign is None and _is_remote(url))
        if own and not _is_loopback(host):
            raise ValueError("a proxy that signs with your credentials listens on loopback only, such as 127.0.0.1")
        self.faults: FaultScript = FaultScript(faults, seed=seed)
        self.region: str = region or "us-east-1"
        self._upstream = Upstream(url, Signer(profile) if own else None, region, upstream_tls)
        self._record = Record()
        self._access_key = f"aioecs-{secrets.token_hex(8)}" if own else "local"
        self._backend = ProxyBackend(self._upstream, self._record, self._access_key if own else None)
        self._server = FaultServer(self._backend, self.faults, (host, host_name(self._upstream.host), *hosts))
        self._address = (host, port)
        self._entered = False

    @property
    def truth(self) -> Truth:
        """What really happened, as far as it passed through the proxy."""
        return self._record.truth

    @property
    def upstream(self) -> str:
        """The URL of the endpoint behind it."""
        return self._upstream.url

    @property
    def signs(self) -> bool:
        """Whether it signs requests with this machine's credentials."""
        return self._upstream.signer is not None

    @property
    def url(self) -> str:
        """The URL to send requests to.

        Raises:
            RuntimeError: the block has not been entered.
        """
        if not self._entered:
            raise RuntimeError("FaultProxy is not serving: use it in `async with FaultProxy(...) as proxy`")
        host, port = self._address
        return f"http://{f'[{host}]' if ':' in host else host}:{port}"

    def client_kwargs(self) -> ClientKwargs:
        """Return the arguments with which a boto3, aiobotocore or aioecs client uses it.

        The keys in it are no credentials of AWS.
        """
        return {
            "endpoint_url": self.url,
            "region_name": self.region,
            "aws_access_key_id": self._access_key,
            "aws_secret_access_key": "local",
        }

    async def refresh(self) -> Truth:
        """Ask the upstream for the states of the tasks that have not stopped, and return the truth.

        Raises:
            FaultProxyError: the upstream did not answer, or refused.
        """
        await refresh(self._upstream, self._record, self.region)
        return self.truth

    async def __aenter__(self) -> Self:
        if self._entered:
            raise RuntimeError("FaultProxy can be entered only once")
        await self._upstream.open()
        try:
            self._address = await self._server.open(*self._address)
        except BaseException:  # a cancel too
            await self._upstream.close()
            raise
        self._entered = True
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with anyio.CancelScope(shield=True):
            try:
                await self._server.close()
            finally:  # this task may be cancelled
                await self._upstream.close()

    def __repr__(self) -> str:
        where = self.url if self._entered else "not serving"
        return f"<FaultProxy {where} for {self.upstream}, {self.truth!r}, {len(self.faults)} faults>"


def _is_remote(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme == "https" and not _is_loopback(parts.hostname or "")


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
