"""signing: requests are signed with the machine's credentials, which never show."""

from __future__ import annotations

from pathlib import Path

import pytest

from aioecs.testing._proxy.headers import Scope, scope_of
from aioecs.testing._proxy.signing import FaultProxyError, Signer

HEADERS = [("Content-Type", "application/x-amz-json-1.1"), ("X-Amz-Target", "T.StartTask"), ("User-Agent", "test")]


async def test_a_request_is_signed(monkeypatch: pytest.MonkeyPatch) -> None:
    """For the service and Region asked for, with the session token; other headers are kept and not signed."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKID")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hidden-secret")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "token")
    signer = Signer()
    await signer.open()
    signed = dict(await signer.sign("https://ecs.x/", HEADERS, b"{}", service="ecs", region="eu-west-1"))
    assert scope_of(signed) == Scope("AKID", "eu-west-1", "ecs")
    assert "SignedHeaders=content-type;host;x-amz-date;x-amz-security-token;x-amz-target," in signed["Authorization"]
    assert (signed["User-Agent"], signed["X-Amz-Security-Token"]) == ("test", "token")
    assert "hidden" not in repr(signer) + repr(signed)


async def test_no_credentials() -> None:
    """It is said before anything is served."""
    with pytest.raises(FaultProxyError, match=r"^no AWS credentials were found"):
        await Signer().open()


async def test_an_unknown_profile() -> None:
    """The kind of error is named."""
    with pytest.raises(FaultProxyError, match=r"can't be read: ProfileNotFound$"):
        await Signer("nobody").open()


async def test_credentials_that_can_not_be_refreshed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An error shows its kind only: its text could hold what a credential process wrote."""
    config = tmp_path / "config"
    config.write_text("[profile p]\ncredential_process = sh -c 'echo hidden-secret >&2; exit 1'\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    with pytest.raises(FaultProxyError, match=r"CredentialRetrievalError$") as raised:
        await Signer("p").open()
    assert "hidden" not in str(raised.value)
