"""Long bodies: how they arrive and are edited, and where their memory goes."""

from __future__ import annotations

import gc
import json
import mmap
from pathlib import Path

import pytest

from pointsman.long_body import EditedLongBody, LongBody, pieces_of
from pointsman.routing.body import read_fields
from pointsman.routing.edits import changed, edited
from pointsman.routing.steps import finish
from support.bodies import worst

MIB = 2**20
PART = bytes(range(256)) * 1024


def gathered(count: int, expected: int) -> mmap.mmap:
    found = LongBody((PART, PART), expected)
    for _ in range(count - 2):
        found.add(PART)
    return found.whole()


@pytest.mark.parametrize("expected", [0, 40 * len(PART)])
def test_a_body_is_what_arrived_whether_its_length_was_known_or_not(expected: int) -> None:
    assert gathered(40, expected)[:] == PART * 40


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * mmap.PAGESIZE


def test_a_long_body_goes_back_to_the_kernel_at_once() -> None:
    """The heap would keep it, as smaller objects lie behind it."""
    gathered(8, 0)
    gc.collect()
    before = resident()
    bodies, between = [], []
    for _ in range(4):
        bodies.append(gathered(64, 0))
        between.append(bytes(100_000))
    assert resident() > before + 60 * MIB
    bodies.clear()
    assert resident() < before + 8 * MIB


def test_a_long_body_is_edited_without_a_copy() -> None:
    body = LongBody([worst(4 * MIB)["plain text"]], 0).whole()
    fields = finish(read_fields(body))
    sent = edited(fields, (changed(fields, "model", (b'"other"',)), changed(fields, "user", (b'"u"',)))).body
    assert isinstance(sent, EditedLongBody)
    assert len(bytes(sent)) == len(sent) == len(body) + len(b'"user":"u",') + len("other") - len("MoM")
    assert json.loads(bytes(sent)) == json.loads(body[:]) | {"model": "other", "user": "u"}
    views = [piece for piece in pieces_of(sent) if piece.obj is body]
    assert sum(map(len, views)) > 4 * MIB - 1000
