"""Certificates for tests, made with openssl."""

from __future__ import annotations

import ssl
import subprocess
import warnings
from dataclasses import dataclass
from pathlib import Path

from support import needs


@dataclass(frozen=True)
class Pair:
    """A certificate and its key."""

    certificate: Path
    key: Path

    def options(self, **more: str) -> dict[str, str]:
        """The keys of `tls` in a config."""
        return {"certificate_file": str(self.certificate), "key_file": str(self.key), **more}

    def serial(self) -> str:
        """Return the serial number of a certificate, as `getpeercert` has it."""
        done = openssl("x509", "-in", str(self.certificate), "-noout", "-serial")
        return done.strip().partition("=")[2]


def make(folder: Path, name: str = "server", *, rsa: bool = False, signed_by: Pair | None = None) -> Pair:
    """A certificate for localhost and 127.0.0.1, self-signed or signed by another."""
    needs.program("openssl")
    pair = Pair(folder / f"{name}.crt", folder / f"{name}.key")
    kind = ("rsa:2048",) if rsa else ("ec", "-pkeyopt", "ec_paramgen_curve:prime256v1")
    signer = () if signed_by is None else ("-CA", str(signed_by.certificate), "-CAkey", str(signed_by.key))
    names = ("-subj", f"/CN={name}", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1")
    output = ("-keyout", str(pair.key), "-out", str(pair.certificate))
    openssl("req", "-x509", "-newkey", *kind, "-noenc", *output, *names, "-days", "30", *signer)
    pair.key.chmod(0o600)
    return pair


def client(trusted: Pair, own: Pair | None = None, *, version: ssl.TLSVersion | None = None) -> ssl.SSLContext:
    """Return the TLS context of a client that trusts one certificate; with another `version` than 1.3 only that one."""
    context = ssl.create_default_context(cafile=str(trusted.certificate))
    if own is not None:
        context.load_cert_chain(own.certificate, own.key)
    if version is not None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            context.minimum_version = context.maximum_version = version
        context.set_ciphers("ALL:@SECLEVEL=0")  # otherwise this openssl would refuse it
    return context


def openssl(*arguments: str) -> str:
    """Run openssl, and return what it prints."""
    done = subprocess.run(["openssl", *arguments], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout
