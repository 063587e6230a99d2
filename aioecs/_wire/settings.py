"""How to reach ECS, as the caller gave it; what can be found wrong with it without asking anybody is found here.

aiobotocore takes longer to import than all of aioecs, so this module leaves it be until something of it was passed:
then its owner has imported it.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any, Literal

import attrs

from aioecs._model.settings import Timeouts
from aioecs.errors import ConfigurationError

Transport = Literal["auto", "botocore"]
"""How requests go: the fast way where it does all that is configured, or aiobotocore's own client always."""


@attrs.frozen(kw_only=True)
class Settings:
    """How to reach ECS, as the caller gave it. Credentials are in no repr."""

    region_name: str | None = None
    endpoint_url: str | None = None
    profile_name: str | None = None
    session: Any = attrs.field(default=None, repr=False)
    config: Any = attrs.field(default=None, repr=False)
    aws_access_key_id: str | None = attrs.field(default=None, repr=False)
    aws_secret_access_key: str | None = attrs.field(default=None, repr=False)
    aws_session_token: str | None = attrs.field(default=None, repr=False)
    timeouts: Timeouts = attrs.field(factory=Timeouts)
    max_in_flight: int = 50
    transport: Transport = "auto"

    def __attrs_post_init__(self) -> None:
        if self.session is not None and not isinstance(self.session, _aiobotocore("session", "AioSession")):
            raise ConfigurationError(f"session is an aiobotocore AioSession, not a {_kind(self.session)}")
        if self.session is not None and self.profile_name is not None:
            raise ConfigurationError("profile_name goes with a session of the client's own: give it to your session")
        if self.config is not None and not hasattr(self.config, "merge"):
            raise ConfigurationError(f"config is an aiobotocore AioConfig, not a {_kind(self.config)}")
        pool: Any = self.pool  # botocore takes anything there
        if not isinstance(pool, int) or pool < 1:
            raise ConfigurationError(f"config.max_pool_connections is a whole number, 1 or more, not {pool!r}")
        http_session = getattr(self.config, "http_session_cls", None)
        if http_session is not None and not (
            isinstance(http_session, type) and issubclass(http_session, _aiobotocore("httpsession", "AIOHTTPSession"))
        ):
            raise ConfigurationError(
                "config.http_session_cls must be aiobotocore's AIOHTTPSession: only there can aioecs see whether a "
                "request was sent"
            )

    @property
    def pool(self) -> int:
        """Connections in the pool: what the caller's config says, or as many as may be in flight."""
        given: int | None = getattr(self.config, "max_pool_connections", None)
        if given is None or given == _aiobotocore("config", "AioConfig")().max_pool_connections:
            return self.max_in_flight
        return given


def _aiobotocore(module: str, name: str) -> Any:
    return getattr(import_module(f"aiobotocore.{module}"), name)


def _kind(given: object) -> str:
    return f"{type(given).__module__}.{type(given).__qualname__}"
