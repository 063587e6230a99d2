"""The caller's settings of how to reach ECS, and the checks that need neither a session nor a client.

aiobotocore takes longer to import than all of aioecs, so this module imports it only when one of its objects was
passed: the caller has imported it by then.
"""

from __future__ import annotations

import re
from importlib import import_module
from typing import Any, Literal

import attrs

from aioecs._model.options import Timeouts
from aioecs.errors import ConfigurationError

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")
"""The control characters of Unicode: those of ASCII, line ends among them, and those of ISO 8859-1."""
_USER_AND_QUERY = re.compile(r"(?<=//)[^\s]*@|\?.*")

Transport = Literal["auto", "botocore"]
"""`auto`: the native transport where it supports the configuration; `botocore`: aiobotocore's own client always."""


def _redacted_repr(url: str | None) -> str:
    return repr(redact_url(url))


def _none_if_empty(token: str | None) -> str | None:
    return token or None


@attrs.frozen(kw_only=True)
class Settings:
    """The caller's settings of how to reach ECS. The repr holds no credentials."""

    region_name: str | None = None
    endpoint_url: str | None = attrs.field(default=None, repr=_redacted_repr)
    profile_name: str | None = None
    session: Any = attrs.field(default=None, repr=False)
    config: Any = attrs.field(default=None, repr=False)
    aws_access_key_id: str | None = attrs.field(default=None, repr=False)
    aws_secret_access_key: str | None = attrs.field(default=None, repr=False)
    aws_session_token: str | None = attrs.field(default=None, repr=False, converter=_none_if_empty)
    timeouts: Timeouts = attrs.field(factory=Timeouts)
    max_in_flight: int = 50
    transport: Transport = "auto"

    def __attrs_post_init__(self) -> None:
        for name in _STRING_SETTINGS:
            reject_control_characters(name, getattr(self, name))
        for name in CONFIG_STRINGS:
            reject_control_characters(f"config.{name}", getattr(self.config, name, None))
        if self.session is not None and not isinstance(self.session, _aiobotocore("session", "AioSession")):
            raise ConfigurationError(f"session must be an aiobotocore AioSession, not a {_type_name(self.session)}")
        if self.session is not None and self.profile_name is not None:
            raise ConfigurationError("profile_name and session can't be combined: give the profile to your session")
        if self.config is not None and not hasattr(self.config, "merge"):
            raise ConfigurationError(f"config must be an aiobotocore AioConfig, not a {_type_name(self.config)}")
        pool_size: Any = self.pool_size  # botocore accepts any value
        if not isinstance(pool_size, int) or pool_size < 1:
            raise ConfigurationError(
                f"config.max_pool_connections must be a whole number, 1 or more, not {pool_size!r}"
            )
        http_session = getattr(self.config, "http_session_cls", None)
        if http_session is not None and not (
            isinstance(http_session, type) and issubclass(http_session, _aiobotocore("httpsession", "AIOHTTPSession"))
        ):
            raise ConfigurationError(
                "config.http_session_cls must be aiobotocore's AIOHTTPSession: only there can aioecs see whether a "
                "request was sent"
            )

    @property
    def pool_size(self) -> int:
        """Connections in the pool: as many as the caller's config says, else as many as may be in flight."""
        given: int | None = getattr(self.config, "max_pool_connections", None)
        if given is None or given == _aiobotocore("config", "AioConfig")().max_pool_connections:
            return self.max_in_flight
        return given


_STRING_SETTINGS = (
    *("region_name", "endpoint_url", "profile_name"),
    *("aws_access_key_id", "aws_secret_access_key", "aws_session_token"),
)
CONFIG_STRINGS = ("region_name", "user_agent", "user_agent_extra", "user_agent_appid")
"""Members of a botocore config that become part of a header or of the host."""


def find_control_character(text: str) -> str | None:
    """Describe the first control character, such as `U+000A at position 6`; None if there is none."""
    found = _CONTROL.search(text)
    return f"U+{ord(found[0]):04X} at position {found.start()}" if found else None


def reject_control_characters(name: str, value: object) -> None:
    """Refuse a setting that would end a line of a request or break it; the value is not quoted.

    Raises:
        ConfigurationError: it holds a control character.
    """
    found = find_control_character(value) if isinstance(value, str) else None
    if found is not None:
        raise ConfigurationError(f"{name} holds a control character ({found}), such as a line end, which no header can")


def redact_url(url: str | None) -> str | None:
    """Return a URL without its user, password and query, so that it may be logged."""
    return _USER_AND_QUERY.sub(lambda found: "***@" if found[0].endswith("@") else "", url) if url else url


def _aiobotocore(module: str, name: str) -> Any:
    return getattr(import_module(f"aiobotocore.{module}"), name)


def _type_name(given: object) -> str:
    return f"{type(given).__module__}.{type(given).__qualname__}"
