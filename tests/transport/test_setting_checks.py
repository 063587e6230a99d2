"""setting_checks: TLS files are loaded as a client is opened; test_transport_factory.py tests the other checks."""

from __future__ import annotations

from pathlib import Path

import pytest
import trustme

from aioecs._transport.setting_checks import check_tls_files
from aioecs.errors import ConfigurationError


def test_valid_tls_files(tmp_path: Path) -> None:
    """A bundle, a certificate and a key in one file or two, and no files at all are accepted."""
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    issued.private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "both.pem"))
    issued.private_key_pem.write_to_path(str(tmp_path / "key.pem"))
    issued.cert_chain_pems[0].write_to_path(str(tmp_path / "cert.pem"))
    check_tls_files(None, None, None)
    check_tls_files(str(tmp_path / "ca.pem"), str(tmp_path / "both.pem"), None)
    check_tls_files(None, str(tmp_path / "cert.pem"), str(tmp_path / "key.pem"))


@pytest.mark.parametrize("what", ["CA bundle", "client certificate"])
@pytest.mark.parametrize("path", ["missing.pem", "text.pem"])
def test_the_error_names_a_file_that_can_t_be_loaded(what: str, path: str, tmp_path: Path) -> None:
    """ssl's own error does not name the file."""
    (tmp_path / "text.pem").write_text("no certificate")
    file = str(tmp_path / path)
    with pytest.raises(ConfigurationError, match=f"the {what} can't be read: {file}: "):
        check_tls_files(*(file, None, None) if what == "CA bundle" else (None, file, None))
