"""transport_factory: from settings to an open transport; wrong settings are refused before anything is sent."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiobotocore.config import AioConfig
from aiobotocore.httpsession import AIOHTTPSession
from aiobotocore.session import AioSession
from botocore.config import Config

from aioecs._model.options import Timeouts
from aioecs._transport.settings import Settings
from aioecs._transport.transport_factory import open_transport
from aioecs.errors import ConfigurationError

LOADER = AioSession().get_component("data_loader")  # shared, so that the service model is read once
HERE = "http://127.0.0.1:9"


def a_session(**given: Any) -> AioSession:
    """Make a session as a user would."""
    session = AioSession(**given)
    session.register_component("data_loader", LOADER)
    return session


async def open_meta(**given: Any) -> Any:
    """Open a transport, and return the meta of its aiobotocore client."""
    settings: dict[str, Any] = {"session": a_session(), **given}
    async with open_transport(Settings(**settings)) as (transport, client):
        assert transport.endpoint_url == client.meta.endpoint_url
        return client.meta


async def refusal(**given: Any) -> str:
    """Return the text of the ConfigurationError that the settings are refused with."""
    with pytest.raises(ConfigurationError) as caught:
        await open_meta(**given)
    return str(caught.value)


class Profile:
    """A test's own AWS config file, with the profile `default` in it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        path.write_text("[default]\n")

    def add(self, text: str) -> None:
        """Write more of it."""
        with self._path.open("a") as file:
            file.write(text)


@pytest.fixture
def profile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Profile:
    """Replace the machine's AWS config file by one of the test's own."""
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    return Profile(tmp_path / "config")


# ----------------------------------------------------------------------------------------------------------- Regions


async def test_no_region() -> None:
    """Without a Region there is no endpoint; the error names the places to set one."""
    assert await refusal() == (
        "no Region: pass region_name=, or set AWS_DEFAULT_REGION or AWS_REGION, or a region in the profile"
    )


async def test_region_precedence(profile: Profile, monkeypatch: pytest.MonkeyPatch) -> None:
    """The argument precedes the environment, which precedes the profile, as in botocore."""
    profile.add("region = eu-west-1\n[profile other]\nregion = eu-west-2\n")
    assert (await open_meta()).region_name == "eu-west-1"
    assert (await open_meta(session=None, profile_name="other")).region_name == "eu-west-2"
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-3")
    assert (await open_meta()).region_name == "eu-west-3"
    assert (await open_meta(region_name="eu-north-1")).region_name == "eu-north-1"


async def test_aws_region_comes_last(profile: Profile, monkeypatch: pytest.MonkeyPatch) -> None:
    """AWS_REGION, which other SDKs read, is used if neither argument, AWS_DEFAULT_REGION nor profile has a Region."""
    monkeypatch.setenv("AWS_REGION", "eu-west-4")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "")
    assert (await open_meta()).region_name == "eu-west-4"
    assert (await open_meta(session=None)).region_name == "eu-west-4"
    profile.add("region = eu-west-1\n")
    assert (await open_meta()).region_name == "eu-west-1"
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-3")
    assert (await open_meta()).region_name == "eu-west-3"
    assert (await open_meta(config=AioConfig(region_name="eu-west-5"))).region_name == "eu-west-5"
    assert (await open_meta(region_name="eu-north-1")).region_name == "eu-north-1"


@pytest.mark.parametrize("region", ["mars-1", "EU-WEST-1", "aws-global", "euwest1"])
async def test_an_unknown_region(region: str) -> None:
    """A Region that no partition has is refused; botocore would fail in the DNS."""
    assert await refusal(region_name=region) == f"unknown Region {region!r}: no partition of AWS has it"


@pytest.mark.parametrize("region", ["eu west 1", "eu_west_1", "eu-west-1 ", "a" * 64])
async def test_a_malformed_region(region: str) -> None:
    """A Region that can't be part of a host name is refused."""
    assert region in await refusal(region_name=region)


@pytest.mark.parametrize(
    ("region", "partition", "endpoint"),
    [
        ("eu-west-1", "aws", "https://ecs.eu-west-1.amazonaws.com"),
        ("us-east-1", "aws", "https://ecs.us-east-1.amazonaws.com"),
        ("cn-north-1", "aws-cn", "https://ecs.cn-north-1.amazonaws.com.cn"),
        ("cn-northwest-1", "aws-cn", "https://ecs.cn-northwest-1.amazonaws.com.cn"),
        ("us-gov-west-1", "aws-us-gov", "https://ecs.us-gov-west-1.amazonaws.com"),
        ("us-gov-east-1", "aws-us-gov", "https://ecs.us-gov-east-1.amazonaws.com"),
        ("eusc-de-east-1", "aws-eusc", "https://ecs.eusc-de-east-1.amazonaws.eu"),
        ("us-iso-east-1", "aws-iso", "https://ecs.us-iso-east-1.c2s.ic.gov"),
        ("us-isob-east-1", "aws-iso-b", "https://ecs.us-isob-east-1.sc2s.sgov.gov"),
        ("eu-west-99", "aws", "https://ecs.eu-west-99.amazonaws.com"),
    ],
)
async def test_partitions(region: str, partition: str, endpoint: str) -> None:
    """Endpoints are botocore's in every partition, also for a Region that is newer than botocore."""
    meta = await open_meta(region_name=region)
    assert (meta.region_name, meta.partition, meta.endpoint_url) == (region, partition, endpoint)


@pytest.mark.parametrize("region", ["local", "mars-1", "EU-WEST-1"])
@pytest.mark.parametrize("endpoint", [HERE, "http://ecs.local:9", "http://ecs.mars-1.test", "https://eu-west-1.test"])
async def test_a_custom_endpoint_accepts_any_region(region: str, endpoint: str) -> None:
    """Whoever sets the endpoint decides what its Region is called."""
    assert (await open_meta(region_name=region, endpoint_url=endpoint)).endpoint_url == endpoint


async def test_a_custom_endpoint_of_the_environment_accepts_any_region(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same holds where the environment sets the endpoint."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", HERE)
    assert (await open_meta(region_name="mars-1")).endpoint_url == HERE


# --------------------------------------------------------------------------------------------- FIPS and dual-stack

FIPS, DUAL = "https://ecs-fips.eu-west-1.amazonaws.com", "https://ecs.eu-west-1.api.aws"
FLAGS = {"use_fips_endpoint": FIPS, "use_dualstack_endpoint": DUAL}


def flag_by_config(flag: str, profile: Profile, patch: pytest.MonkeyPatch) -> dict[str, Any]:
    return {"config": AioConfig(**{flag: True})}


def flag_by_environment(flag: str, profile: Profile, patch: pytest.MonkeyPatch) -> dict[str, Any]:
    patch.setenv(f"AWS_{flag.upper()}", "true")
    return {}


def flag_by_profile(flag: str, profile: Profile, patch: pytest.MonkeyPatch) -> dict[str, Any]:
    profile.add(f"{flag} = true\n")
    return {}


def url_by_argument(profile: Profile, patch: pytest.MonkeyPatch) -> dict[str, Any]:
    return {"endpoint_url": HERE}


def url_by_environment(profile: Profile, patch: pytest.MonkeyPatch) -> dict[str, Any]:
    patch.setenv("AWS_ENDPOINT_URL", HERE)
    return {}


def url_by_environment_of_ecs(profile: Profile, patch: pytest.MonkeyPatch) -> dict[str, Any]:
    patch.setenv("AWS_ENDPOINT_URL_ECS", HERE)
    return {}


def url_by_profile(profile: Profile, patch: pytest.MonkeyPatch) -> dict[str, Any]:
    profile.add(f"endpoint_url = {HERE}\n")
    return {}


each_flag = pytest.mark.parametrize("flag", FLAGS)
each_source = pytest.mark.parametrize("set_flag", [flag_by_config, flag_by_environment, flag_by_profile])


@each_flag
@each_source
async def test_a_flag_alone(flag: str, set_flag: Any, profile: Profile, monkeypatch: pytest.MonkeyPatch) -> None:
    """FIPS or dual-stack chooses the Region's endpoint of that kind, wherever it is set."""
    assert (await open_meta(region_name="eu-west-1", **set_flag(flag, profile, monkeypatch))).endpoint_url == FLAGS[
        flag
    ]


@each_flag
async def test_a_flag_and_an_endpoint_in_one_call(flag: str) -> None:
    """botocore would ignore the flag silently, so both in one call are refused."""
    text = await refusal(region_name="eu-west-1", endpoint_url=HERE, config=AioConfig(**{flag: True}))
    assert text == f"{flag} and endpoint_url ({HERE}) contradict each other: give one of them"


@each_flag
@each_source
@pytest.mark.parametrize("url", [url_by_argument, url_by_environment, url_by_environment_of_ecs, url_by_profile])
async def test_a_flag_and_an_endpoint_from_different_places(
    flag: str,
    set_flag: Any,
    url: Any,
    profile: Profile,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The endpoint wins, with one warning: FIPS may be a company's policy."""
    if (set_flag, url) == (flag_by_config, url_by_argument):
        pytest.skip("in one call: refused, see above")
    given = {**set_flag(flag, profile, monkeypatch), **url(profile, monkeypatch)}
    assert (await open_meta(region_name="eu-west-1", **given)).endpoint_url == HERE
    warned = [each.getMessage() for each in caplog.records if flag in each.getMessage()]
    assert warned == [f"{flag} is ignored: requests go to the endpoint that is set, {HERE}"]


@each_flag
async def test_a_flag_and_an_endpoint_of_that_kind(flag: str) -> None:
    """An endpoint of the kind that the flag asks for is accepted."""
    config = AioConfig(**{flag: True})
    url = FLAGS[flag]
    assert (await open_meta(region_name="eu-west-1", endpoint_url=url, config=config)).endpoint_url == url


@pytest.mark.parametrize("url", [url_by_environment, url_by_environment_of_ecs, url_by_profile])
async def test_an_endpoint_of_environment_or_profile(
    url: Any, profile: Profile, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The endpoint may be set as in every AWS SDK; the argument precedes it."""
    url(profile, monkeypatch)
    assert (await open_meta(region_name="eu-west-1")).endpoint_url == HERE
    other = "http://127.0.0.1:10"
    assert (await open_meta(region_name="eu-west-1", endpoint_url=other)).endpoint_url == other


@pytest.mark.parametrize("url", ["not a url", "", "ftp://127.0.0.1", "127.0.0.1:9"])
async def test_a_malformed_endpoint(url: str) -> None:
    """A URL that can't be called is refused at once."""
    assert "endpoint" in await refusal(region_name="eu-west-1", endpoint_url=url)


# ---------------------------------------------------------------------------------------------- profiles, sessions


async def test_an_unknown_profile(profile: Profile) -> None:
    """The error names a profile that no file has."""
    assert await refusal(session=None, region_name="eu-west-1", profile_name="nobody") == (
        "The config profile (nobody) could not be found"
    )


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[default\nregion", "Unable to parse config file"),
        ("credential_process = /nowhere/to-be-found\n", "/nowhere/to-be-found"),
    ],
)
async def test_a_broken_profile(profile: Profile, text: str, reason: str) -> None:
    """An unreadable config file, or a missing credential process, is a ConfigurationError."""
    profile.add(text)
    assert reason in await refusal(region_name="eu-west-1")


@pytest.mark.parametrize("given", ["aws_access_key_id", "aws_secret_access_key"])
async def test_partial_credentials(given: str) -> None:
    """One half of a key pair is refused, and not quoted."""
    text = await refusal(region_name="eu-west-1", **{given: "hunter2"})
    assert "Partial credentials" in text
    assert "hunter2" not in text


async def test_a_subclass_of_the_http_session() -> None:
    """A subclass of aiobotocore's HTTP session is accepted."""
    own = type("Own", (AIOHTTPSession,), {})
    await open_meta(region_name="eu-west-1", config=AioConfig(http_session_cls=own))


async def test_the_caller_s_session(profile: Profile) -> None:
    """Its profile and default config are used, and the session can be used again."""
    profile.add("[profile other]\nregion = eu-west-2\n")
    session = a_session(profile="other")
    session.set_default_client_config(AioConfig(user_agent_extra="theirs"))
    for _ in range(2):
        meta = await open_meta(session=session)
        assert (meta.region_name, meta.config.user_agent_extra) == ("eu-west-2", "theirs")


class ClientCounter:
    """Counts the open clients of a session."""

    def __init__(self) -> None:
        self.session: Any = a_session()
        self.open = 0
        self._create = self.session.create_client
        self.session.create_client = self._counted

    @asynccontextmanager
    async def _counted(self, *args: Any, **given: Any) -> AsyncGenerator[Any]:
        async with self._create(*args, **given) as client:
            self.open += 1
            try:
                yield client
            finally:
                self.open -= 1


@pytest.mark.parametrize(
    "given",
    [
        {"region_name": "mars-1"},
        {"region_name": "eu-west-1", "endpoint_url": HERE, "config": AioConfig(use_fips_endpoint=True)},
        {"region_name": "eu-west-1", "endpoint_url": "ftp://127.0.0.1"},
    ],
)
async def test_a_refusal_leaves_nothing_open(given: dict[str, Any]) -> None:
    """A client that was created before the refusal is closed."""
    counter = ClientCounter()
    await refusal(session=counter.session, **given)
    assert counter.open == 0


async def test_leaving_closes_the_client() -> None:
    """The client is open within the block, and an error of the block passes unchanged."""
    counter, error = ClientCounter(), RuntimeError("the user's")
    with pytest.raises(RuntimeError) as caught:
        async with open_transport(Settings(region_name="eu-west-1", session=counter.session)):
            assert counter.open == 1
            raise error
    assert caught.value is error
    assert counter.open == 0


# ------------------------------------------------------------------------------------------------------ rate limit keys


async def rate_limit_key(session: Any, **given: Any) -> tuple[Any, bool]:
    """Return the client's rate limit key, and whether it shares that with no other client."""
    settings: dict[str, Any] = {"region_name": "eu-west-1", "session": session, **given}
    async with open_transport(Settings(**settings)) as (transport, _):
        return transport.rate_limit_key, transport.rate_limit_key is transport


KEYS = {"aws_access_key_id": "local", "aws_secret_access_key": "local"}


def in_environment(profile: Profile, patch: pytest.MonkeyPatch) -> None:
    """Keys in the environment."""
    for name, value in KEYS.items():
        patch.setenv(name.upper(), value)


def in_profile(profile: Profile, patch: pytest.MonkeyPatch) -> None:
    """Keys in the profile."""
    profile.add("".join(f"{name} = {value}\n" for name, value in KEYS.items()))


def by_process(profile: Profile, patch: pytest.MonkeyPatch) -> None:
    """Keys that expire, as roles have them."""
    expires = {"AccessKeyId": "local", "SecretAccessKey": "local", "Expiration": "2999-01-01T00:00:00Z", "Version": 1}
    profile.add(f"credential_process = echo '{json.dumps(expires)}'\n")


@pytest.mark.parametrize("keys", [in_environment, in_profile, by_process])
async def test_clients_of_one_session_share_a_rate_limit_key(
    keys: Callable[..., None], profile: Profile, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They share it wherever the credentials come from; another Region or endpoint has another key."""
    keys(profile, monkeypatch)
    session, other = a_session(), a_session()
    ours, alone = await rate_limit_key(session)
    assert not alone
    assert (await rate_limit_key(session))[0] == ours
    assert (await rate_limit_key(session, region_name="eu-west-2"))[0] != ours
    assert (await rate_limit_key(session, endpoint_url=HERE))[0] != ours
    assert (await rate_limit_key(other))[0] != ours


async def test_clients_of_one_account_share_a_rate_limit_key(profile: Profile, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where botocore knows the account's id, the session doesn't matter."""
    in_environment(profile, monkeypatch)
    monkeypatch.setenv("AWS_ACCOUNT_ID", "123456789012")
    assert await rate_limit_key(a_session()) == await rate_limit_key(a_session())


@pytest.mark.parametrize("keys", [KEYS, {}], ids=["its own keys", "no keys"])
async def test_a_client_with_its_own_keys_shares_with_none(keys: dict[str, Any]) -> None:
    """Keys given to the client itself, or no keys, identify no other client."""
    assert (await rate_limit_key(a_session(), **keys))[1]


# -------------------------------------------------------------------------------------------------- overridden settings


@pytest.mark.parametrize("config", [None, AioConfig(connect_timeout=60, read_timeout=60, retries={"max_attempts": 9})])
async def test_retries_and_timeouts_are_overridden(config: Any) -> None:
    """One attempt in every retry mode, and the timeouts of `timeouts`, whatever the config says."""
    meta = await open_meta(region_name="eu-west-1", config=config, timeouts=Timeouts(connect=1.5, attempt=2.5))
    assert meta.config.retries == {"total_max_attempts": 1, "mode": "standard"}
    assert (meta.config.connect_timeout, meta.config.read_timeout) == (1.5, 2.5)


@pytest.mark.parametrize("kind", [AioConfig, Config])
async def test_the_other_settings_of_a_config_are_kept(kind: Any) -> None:
    """Other members of the config stay; botocore's own Config is accepted, too."""
    theirs = kind(user_agent_extra="theirs", proxies={"http": "http://127.0.0.1:3128"}, max_pool_connections=7)
    config = (await open_meta(region_name="eu-west-1", config=theirs)).config
    assert (config.user_agent_extra, config.proxies) == ("theirs", {"http": "http://127.0.0.1:3128"})
    assert theirs.retries is None


@pytest.mark.parametrize("given", [None, 7, 100])
async def test_the_pool_size_of_the_client(given: int | None) -> None:
    """aiobotocore's client has as many connections as the settings say."""
    config = AioConfig() if given is None else AioConfig(max_pool_connections=given)
    settings = Settings(region_name="eu-west-1", session=a_session(), config=config, max_in_flight=20)
    async with open_transport(settings) as (_, client):
        assert client.meta.config.max_pool_connections == settings.pool_size
