"""The faults of `faults.yaml`. Pure, but for reading that file."""

from __future__ import annotations

from pathlib import Path

import msgspec

CLASSES = ("timing", "leak", "framing", "adapter", "upgrade", "packaging")


class PlantedFault(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """In `file`, which has `text` once, there is something else `instead`; one of `tests` must fail.

    Those are files of tests, or single tests.
    """

    name: str
    kind: str = msgspec.field(name="class")
    file: str
    text: str
    instead: str
    tests: list[str]

    def planted(self, source: str) -> str:
        """Return the file with the fault; raises ValueError where `text` is not there once."""
        times = source.count(self.text)
        if times != 1:
            raise ValueError(f"{self.name}: {self.file} has the text {times} times, and must have it once")
        return source.replace(self.text, self.instead)


def faults() -> list[PlantedFault]:
    """Return all of them; raises msgspec.ValidationError."""
    return msgspec.yaml.decode(Path(__file__).with_name("faults.yaml").read_bytes(), type=list[PlantedFault])


def unmatched(tests: list[str], collected: list[str]) -> list[str]:
    """Return those of `tests` of which none was `collected`."""

    def among(one: str) -> bool:
        return any(name == one or name.startswith((f"{one}::", f"{one}[")) for name in collected)

    return [one for one in tests if not among(one)]
