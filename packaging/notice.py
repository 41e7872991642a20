"""Write the NOTICE of what ships: `python packaging/notice.py SITE_PACKAGES > NOTICE`."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from importlib.metadata import Distribution, distributions
from pathlib import Path

LICENCE_FILE = re.compile(r"(?i)\b(licen[cs]e|copying|notice|authors|thirdpartynotices)")
RULE = "=" * 80


def notice(site_packages: Path) -> str:
    """Each package that is installed there, its licence, and the licence's text as far as the package has it."""
    found = sorted(distributions(path=[str(site_packages)]), key=lambda each: each.name.lower())
    listing = "".join(f"{each.name} {each.version}: {licence(each)}\n" for each in found)
    return f"This package contains:\n\n{listing}\n" + "".join(text for each in found for text in texts(each))


def licence(package: Distribution) -> str:
    """Return the license in its metadata: an expression, a classifier, or the first line of a text."""
    metadata = package.metadata
    classifiers = [
        each.rpartition(" :: ")[2] for each in metadata.get_all("Classifier", []) if each.startswith("License ::")
    ]
    free = (metadata.get("License") or "").strip().partition("\n")[0]
    found = metadata.get("License-Expression") or free or ", ".join(classifiers)
    if not found:
        raise SystemExit(f"{package.name} {package.version} does not say under which licence it is: do not ship it")
    return str(found)


def texts(package: Distribution) -> Iterator[str]:
    """The files of licences, notices and authors, each under a heading."""
    for file in package.files or []:
        if LICENCE_FILE.match(file.name) and (".dist-info" in file.parts[0] or len(file.parts) == 2):
            yield f"{RULE}\n{package.name} {package.version}: {file.name}\n{RULE}\n{read(Path(str(file.locate())))}\n"


def read(file: Path) -> str:
    return file.read_text("utf-8", "replace").lstrip("\ufeff").replace("\r\n", "\n")


if __name__ == "__main__":
    sys.stdout.write(notice(Path(sys.argv[1])))
