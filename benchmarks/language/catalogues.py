"""Read what programs say in other languages: gettext's catalogues, which nobody here has written."""

from __future__ import annotations

import gettext
from collections.abc import Iterator
from pathlib import Path

MIN_CHARACTERS, MAX_CHARACTERS = 25, 300
"""Characters of a message that is a sentence, and no page of help."""


def translated(folder: Path) -> Iterator[tuple[str, str]]:
    """Yield the language and the text of each translated message below a folder."""
    for file in sorted(folder.glob("**/LC_MESSAGES/*.mo")):
        language = file.parts[-3].split("_")[0].split("@")[0]
        if language == "en":
            continue
        with file.open("rb") as opened:
            messages = gettext.GNUTranslations(opened)._catalog  # type: ignore[attr-defined]
        for message, text in messages.items():
            if text != message and MIN_CHARACTERS <= len(text) <= MAX_CHARACTERS:
                yield language, text
