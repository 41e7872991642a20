"""When an adapter that could not be loaded is tried again."""

from __future__ import annotations

import pytest

from pointsman.adapters.loader import pause


@pytest.mark.parametrize(("times", "seconds"), [(1, 10), (2, 20), (5, 160), (6, 300), (7, 300), (10_000, 300)])
def test_what_vllm_refuses_is_tried_again_ever_more_seldom_down_to_once_in_five_minutes(
    times: int, seconds: float
) -> None:
    assert pause(times, deadly=False) == seconds


@pytest.mark.parametrize(
    ("times", "seconds"), [(1, 10), (6, 320), (13, 40_960), (14, 81_920), (15, 86_400), (10_000, 86_400)]
)
def test_what_may_have_killed_vllm_is_tried_ever_more_seldom_down_to_once_a_day(times: int, seconds: float) -> None:
    assert pause(times, deadly=True) == seconds
