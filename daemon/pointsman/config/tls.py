"""Define the certificate of a port, read it with its key, and report their problems."""

from __future__ import annotations

import hashlib
import ssl
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from pointsman import files
from pointsman.config.option import option
from pointsman.config.secret import exposure_warnings
from pointsman.config.source_map import SourceMap
from pointsman.errors import PointsmanError, Problem

MAX_PEM_BYTES = 4 * 2**20  # a file of all public authorities has less than 1 MiB
SOON_SECONDS = 14 * 86_400
_VERSION, _UTC_TIME = 0xA0, 0x17
_BEGIN, _END = b"-----BEGIN CERTIFICATE-----", b"-----END CERTIFICATE-----"


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsOptions:
    certificate_file: str = option(
        "File (relative to this one) with the certificate in PEM form, followed by those that sign it. This and the "
        "other files are read again when they change.",
        file=True,
    )
    key_file: str = option("File with its private key in PEM form, without a passphrase.", file=True)
    client_ca_file: str | None = option(
        "File with the certificates of authorities; a client must then present a certificate that one of them signed.",
        None,
        file=True,
    )


class BadCertificate(PointsmanError):
    """A file that cannot be used; `option` names it, and `fix` says what to do."""

    def __init__(self, option: str, message: str, fix: str) -> None:
        super().__init__(f"{message}; {fix}")
        self.option = option
        self.message = message
        self.fix = fix


class Certificate(NamedTuple):
    """The files of a port for TLS; `digest` is the same as long as all files are, and times are since the epoch."""

    context: ssl.SSLContext
    digest: bytes
    begins: float
    ends: float

    def trouble(self, now: float) -> tuple[str, str] | None:
        """Return the problem that clients will have with its dates, now or soon, and the fix; or None."""
        renew = "renew it; the files are read again when they change"
        if now < self.begins:
            return f"the certificate is not valid before {_date(self.begins)}", "check the clock of this host"
        if now >= self.ends:
            return f"the certificate expired on {_date(self.ends)}, so clients refuse it", renew
        if now >= self.ends - SOON_SECONDS:
            return f"the certificate expires on {_date(self.ends)}", renew
        return None


def read_certificate(options: TlsOptions) -> Certificate:
    """Read the files of a port; raises BadCertificate."""
    certificate = _read("certificate_file", options.certificate_file, _BEGIN, "certificate")
    key = _read("key_file", options.key_file, b"PRIVATE KEY-----", "private key")
    if b"ENCRYPTED" in key:
        message = f"the key in {options.key_file} has a passphrase"
        raise BadCertificate("key_file", message, "store it without: openssl pkey -in KEY -out NEW")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(options.certificate_file, options.key_file, password="")
        begins, ends = _validity(ssl.PEM_cert_to_DER_cert(_first(certificate)))
    except (ssl.SSLError, OSError, ValueError, IndexError) as error:
        raise _unusable(options, error) from error
    clients = b""
    if options.client_ca_file is not None:
        clients = _read("client_ca_file", options.client_ca_file, _BEGIN, "certificate")
        try:
            context.load_verify_locations(cadata=clients.decode("ascii", errors="replace"))
        except ssl.SSLError as error:
            message = f"the certificates in {options.client_ca_file} cannot be used ({_reason(error)})"
            raise BadCertificate("client_ca_file", message, "write them in PEM form, one after the other") from error
        context.verify_mode = ssl.CERT_REQUIRED
    digest = hashlib.sha256(b"".join(hashlib.sha256(one).digest() for one in (certificate, key, clients))).digest()
    return Certificate(context, digest, begins, ends)


def findings(options: TlsOptions, source_map: SourceMap) -> tuple[list[Problem], list[Problem]]:
    """Return the errors and warnings about the files of a port."""
    try:
        trouble = read_certificate(options).trouble(time.time())
    except BadCertificate as error:
        return [source_map.problem((error.option,), error.message, error.fix)], []
    found = [] if trouble is None else [source_map.problem(("certificate_file",), *trouble)]
    return [], [*found, *exposure_warnings(options.key_file, source_map.below("key_file"))]


def _read(option: str, file: str, mark: bytes, what: str) -> bytes:
    try:
        content = files.read(Path(file), MAX_PEM_BYTES)
    except OSError as error:
        message = f"{file} cannot be read ({error.strerror})"
        raise BadCertificate(option, message, "check path and permissions") from error
    if mark not in content:
        raise BadCertificate(option, f"{file} holds no {what} in PEM form", "convert it with openssl")
    return content


def _unusable(options: TlsOptions, error: Exception) -> BadCertificate:
    reason = _reason(error)
    if reason in {"KEY_VALUES_MISMATCH", "NO_CERTIFICATE_ASSIGNED"}:
        message = f"the key in {options.key_file} is not that of the certificate in {options.certificate_file}"
        return BadCertificate("key_file", message, "name the two files that were made together")
    message = f"{options.certificate_file} and {options.key_file} cannot be used ({reason})"
    return BadCertificate("certificate_file", message, "check both with `openssl x509` and `openssl pkey`")


def _reason(error: Exception) -> str:
    return getattr(error, "reason", None) or str(error)


def _first(pem: bytes) -> str:
    """Return the port's own certificate, which comes first."""
    start = pem.index(_BEGIN)
    return pem[start : pem.index(_END, start) + len(_END)].decode("ascii")


def _validity(der: bytes) -> tuple[float, float]:
    """Return the times between which a certificate is valid; raises ValueError or IndexError."""
    _, at, _ = _element(der, 0)
    _, at, _ = _element(der, at)
    tag, _, end = _element(der, at)
    at = end if tag == _VERSION else at
    for _ in ("serial number", "algorithm", "issuer"):
        _, _, at = _element(der, at)
    _, at, _ = _element(der, at)
    first_tag, start, end = _element(der, at)
    last_tag, later, last = _element(der, end)
    return _time(first_tag, der[start:end]), _time(last_tag, der[later:last])


def _element(der: bytes, at: int) -> tuple[int, int, int]:
    """Return the tag of the DER element at an offset, and where its content begins and ends."""
    length, start = der[at + 1], at + 2
    if length & 0x80:
        start += length & 0x7F
        length = int.from_bytes(der[at + 2 : start])
    return der[at], start, start + length


def _time(tag: int, text: bytes) -> float:
    form = "%y%m%d%H%M%SZ" if tag == _UTC_TIME else "%Y%m%d%H%M%SZ"
    return datetime.strptime(text.decode("ascii"), form).replace(tzinfo=UTC).timestamp()


def _date(when: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(when))
