"""What is said of a port's certificate and key, before a client finds out."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from pointsman.config.model import TlsOptions
from pointsman.config.tls import BadCertificate, read_certificate
from support import certificates
from support.certificates import Pair

DAY = 86_400.0


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    return certificates.make(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def another(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    return certificates.make(tmp_path_factory.mktemp("tls"), rsa=True)


def options(certificate: Path, key: Path, clients: Path | None = None) -> TlsOptions:
    found = None if clients is None else str(clients)
    return TlsOptions(certificate_file=str(certificate), key_file=str(key), client_ca_file=found)


def bad(given: TlsOptions) -> BadCertificate:
    with pytest.raises(BadCertificate) as caught:
        read_certificate(given)
    return caught.value


@pytest.mark.parametrize("which", ["pair", "another"])
def test_its_dates_are_those_that_openssl_reads(which: str, request: pytest.FixtureRequest) -> None:
    """For an elliptic curve and for RSA."""
    made: Pair = request.getfixturevalue(which)
    decoded = ssl._ssl._test_decode_cert(str(made.certificate))  # type: ignore[attr-defined]

    found = read_certificate(options(made.certificate, made.key))

    dates = [ssl.cert_time_to_seconds(decoded[name]) for name in ("notBefore", "notAfter")]
    assert [found.begins, found.ends] == dates


def test_only_tls_1_2_and_later_is_spoken(pair: Pair) -> None:
    context = read_certificate(options(pair.certificate, pair.key)).context

    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert context.verify_mode == ssl.CERT_NONE


def test_with_authorities_a_client_must_present_a_certificate(pair: Pair) -> None:
    context = read_certificate(options(pair.certificate, pair.key, pair.certificate)).context

    assert context.verify_mode == ssl.CERT_REQUIRED


def test_the_dates_are_warned_of_and_no_sooner_than_two_weeks_before(pair: Pair) -> None:
    found = read_certificate(options(pair.certificate, pair.key))

    def warning(now: float) -> str | None:
        trouble = found.trouble(now)
        return None if trouble is None else trouble[0]

    assert "is not valid before" in str(warning(found.begins - 1))
    assert warning(found.begins) is None
    assert warning(found.ends - 14 * DAY - 1) is None
    assert "expires on" in str(warning(found.ends - 14 * DAY))
    assert "expired on" in str(warning(found.ends))


def test_a_key_of_another_certificate_is_named(pair: Pair, another: Pair) -> None:
    for key in (another.key, certificates.make(another.key.parent, "third").key):
        error = bad(options(pair.certificate, key))
        assert error.option == "key_file"
        assert str(key) in error.message


def test_a_key_with_a_passphrase_is_refused_and_nobody_is_asked_for_it(pair: Pair, tmp_path: Path) -> None:
    locked = tmp_path / "locked.key"
    certificates.openssl("pkey", "-in", str(pair.key), "-aes256", "-passout", "pass:x", "-out", str(locked))

    error = bad(options(pair.certificate, locked))

    assert (error.option, "passphrase" in error.message) == ("key_file", True)


@pytest.mark.parametrize("option", ["certificate_file", "key_file", "client_ca_file"])
@pytest.mark.parametrize("content", [None, b"", b"\x30\x82\x01\x00 DER", b"x" * (4 * 2**20 + 1)])
def test_a_file_that_is_missing_or_something_else_is_named(
    pair: Pair, tmp_path: Path, option: str, content: bytes | None
) -> None:
    file = tmp_path / "file"
    if content is not None:
        file.write_bytes(content)
    given = {"certificate_file": str(pair.certificate), "key_file": str(pair.key), "client_ca_file": None}

    error = bad(TlsOptions(**{**given, option: str(file)}))  # type: ignore[arg-type]

    assert error.option == option
    assert str(file) in error.message


@pytest.mark.parametrize("option", ["certificate_file", "client_ca_file"])
def test_a_damaged_certificate_is_named(pair: Pair, tmp_path: Path, option: str) -> None:
    lines = pair.certificate.read_text().splitlines()
    file = tmp_path / "damaged.crt"
    file.write_text("\n".join([*lines[:3], "AAAA", *lines[5:]]))
    given = {"certificate_file": str(pair.certificate), "key_file": str(pair.key), "client_ca_file": None}

    error = bad(TlsOptions(**{**given, option: str(file)}))  # type: ignore[arg-type]

    assert error.option == option
    assert "cannot be used" in error.message


def test_the_same_files_have_the_same_digest_and_others_another(pair: Pair, another: Pair) -> None:
    given = [options(pair.certificate, pair.key), options(another.certificate, another.key)]
    given.append(options(pair.certificate, pair.key, another.certificate))

    assert read_certificate(given[0]).digest == read_certificate(given[0]).digest
    assert len({read_certificate(one).digest for one in given}) == 3
