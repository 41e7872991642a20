"""Read a secret from a file that contains nothing else: an API key, or a token."""

from __future__ import annotations

import stat
from pathlib import Path

from pointsman import files
from pointsman.errors import CannotStart

MAX_SECRET_BYTES = 4096


def read_secret(file: str, named_by: str) -> bytes:
    """Return the secret in a file that the option `named_by` names; raises CannotStart."""
    try:
        secret = files.read(Path(file), MAX_SECRET_BYTES).decode().strip()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise CannotStart(f"{named_by}: {file} cannot be read ({why}); check path and permissions") from error
    if not secret or not secret.isascii() or not secret.isprintable():
        raise CannotStart(f"{named_by}: {file} holds no key; write the key on one line")
    return secret.encode()


def others_can_read(file: str) -> bool:
    """Return whether every user of this host can read a file; False if it is missing."""
    try:
        return bool(Path(file).stat().st_mode & stat.S_IROTH)
    except OSError:
        return False
