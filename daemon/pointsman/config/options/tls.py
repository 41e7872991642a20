"""Define the certificate of a port."""

from __future__ import annotations

from dataclasses import dataclass

from pointsman.config.options.option import option


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsOptions:
    certificate_file: str = option(
        "File (relative to this one) with the certificate in PEM form, followed by those that sign it. This and the "
        "other files are read again when they change."
    )
    key_file: str = option("File with its private key in PEM form, without a passphrase.")
    client_ca_file: str | None = option(
        "File with the certificates of authorities; a client must then present a certificate that one of them signed.",
        None,
    )
