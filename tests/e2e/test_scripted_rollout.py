"""A whole rollout: in shadow, with a canary, compared, for all; then a bad canary that is rolled back by itself."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import toy_artifact
from support.lora_vllm import BASE
from support.scripted_rollout import BAD, GOOD, STABLE, play, question
from support.service import chat

WRAPPERS = (
    "{ask}",
    "<system-reminder>\nThe weather is fine. Ask the landlord.\n</system-reminder>\n{ask}",
    "<context>\nThe landlord must return the deposit.\n</context>\n\nQuestion: {ask}",
    "Use the following context to answer.\n\nContext:\nBlood pressure is measured twice.\n\nQuestion: {ask}",
)
"""What clients put around a question; the material in them is about other categories."""


def bodies() -> Iterator[bytes]:
    """Wrapped questions of one category, each the first turn of a conversation of its own."""
    for number, wrapper in zip(itertools.count(), itertools.cycle(WRAPPERS), strict=False):
        yield json.dumps(chat(wrapper.format(ask=question(number)))).encode()


@pytest.mark.long
async def test_a_rollout_from_shadow_to_a_bad_canary(tmp_path: Path) -> None:
    artifact = toy_artifact.build_measured(tmp_path / "toy")

    played = await play(tmp_path, str(artifact), bodies())

    assert played.shadow == {(BASE, "shadow"): 1_000}
    assert played.would == {STABLE: 1_000}, "a wrapper led to another category"
    assert set(played.canary) == {(STABLE, "classified"), (GOOD, "classified")}
    assert 0.03 < played.canary[GOOD, "classified"] / played.canary.total() < 0.25
    assert "verdict: canary fails less often than stable" in played.compared
    assert played.promoted == {(GOOD, "classified"): 100}
    assert set(played.bad) == {(GOOD, "classified"), (BAD, "classified")}
    (line,) = played.rollbacks
    assert (line["adapter"], line["state"], line["level"]) == (BAD, "rolled_back", "warning")
    assert played.after == {(GOOD, "classified"): 100}
