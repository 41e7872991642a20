"""The packed feed."""

from __future__ import annotations

import numpy as np

from pointsman.classify.packing import INPUTS, pack


def test_positions_restart_segments_count_and_starts_point_at_each_prompt() -> None:
    feed = pack([np.array([7, 8, 9]), np.array([5]), np.array([6, 4])])
    assert {name: values.tolist() for name, values in feed.items()} == {
        "input_ids": [7, 8, 9, 5, 6, 4],
        "position_ids": [0, 1, 2, 0, 0, 1],
        "segment_ids": [0, 0, 0, 1, 2, 2],
        "starts": [0, 3, 4],
    }
    assert tuple(feed) == INPUTS
    assert {values.dtype for values in feed.values()} == {np.dtype(np.int64)}


def test_filler_up_to_a_multiple_is_a_segment_of_its_own_without_a_row() -> None:
    feed = pack([np.array([7, 8, 9]), np.array([5])], 3)
    assert {name: values.tolist() for name, values in feed.items()} == {
        "input_ids": [7, 8, 9, 5, 0, 0],
        "position_ids": [0, 1, 2, 0, 0, 0],
        "segment_ids": [0, 0, 0, 1, -1, -1],
        "starts": [0, 3],
    }
    assert {values.dtype for values in feed.values()} == {np.dtype(np.int64)}
    assert pack([np.array([7, 8, 9])], 3)["input_ids"].tolist() == [7, 8, 9]
