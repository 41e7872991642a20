"""Tell whether messages have images; pure, and bounded."""

from __future__ import annotations

import re
from collections.abc import Sequence

from pointsman.routing.body import Message, kind

# The parts before a picture's bytes come first in a message; read only the beginning of longer messages.
MAX_READ_BYTES = 64 * 1024
MAX_READ_BYTES_IN_ALL = 1024 * 1024
# Text inside JSON has its quotes escaped, so it cannot match this.
_IMAGE = re.compile(rb'"type"\s*:\s*"(?:image_url|input_image|image)"')


def has_images(messages: Sequence[Message] | None) -> bool:
    """Return whether one of the messages has an image, the newest first."""
    room = MAX_READ_BYTES_IN_ALL
    for message in reversed(messages or ()):
        content = memoryview(message.content)[: min(room, MAX_READ_BYTES)]
        if kind(message.content) == b"[" and _IMAGE.search(content):
            return True
        room -= content.nbytes
        if room <= 0:
            return False
    return False
