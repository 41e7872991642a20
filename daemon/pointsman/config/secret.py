"""Read a secret from a file that contains nothing else: an API key, or a token."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path

from pointsman import files
from pointsman.config.source_map import SourceMap
from pointsman.errors import CannotStart, Problem

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


def secret_warnings(file: str | None, source_map: SourceMap, content: str) -> Iterator[Problem]:
    """Yield the problems of a file that should have `content`, at its option."""
    if file is not None and not Path(file).is_file():
        fix = f"create it before the service starts, with {content}"
        yield source_map.problem((), f"the file {file} does not exist", fix)
    elif file is not None:
        yield from exposure_warnings(file, source_map)


def exposure_warnings(file: str, source_map: SourceMap) -> Iterator[Problem]:
    """Warn about a secret that everybody can read, at its option."""
    try:
        mode = Path(file).stat().st_mode
    except OSError:
        return
    if mode & stat.S_IROTH:
        message = f"every user of this host can read {file}"
        yield source_map.problem((), message, f"chmod 640 {file}, with the group of the service's user")
