"""Read the config's patterns for tags, labels and headings; pure."""

from __future__ import annotations

MAX_NAME_CHARACTERS = 60


def name_in(pattern: str) -> str | None:
    """Return the name in `<name>`, `[name]`, `name:` or `# name`, None if the pattern has none of these forms."""
    plain = pattern.strip()
    if (plain[:1] == "<" and plain[-1:] == ">") or (plain[:1] == "[" and plain[-1:] == "]"):
        name = plain[1:-1]
    elif plain[:1] == "#":
        name = plain.lstrip("#")
    elif plain[-1:] in (":", "：") and plain:
        name = plain[:-1]
    else:
        return None
    name = name.strip()
    usable = len(name.replace("*", "")) > 0 and len(name) <= MAX_NAME_CHARACTERS and not set(name) & set("<>[]#:\n")
    return name if usable else None
