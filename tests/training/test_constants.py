"""Trying constants of described categories: fleets are routed as the service routes them."""

from __future__ import annotations

import numpy as np
import pytest

from training.constants import FleetFeatures, Floats, routed, shares

WIDTH = 16


def near(axis: int, count: int, seed: int) -> Floats:
    """Texts that are much alike: of one axis, with a little noise."""
    noise = np.random.default_rng(seed).normal(0, 0.05, (count, WIDTH))
    texts: Floats = (np.eye(WIDTH)[axis] + noise).astype(np.float32)
    return texts


@pytest.mark.parametrize("examples", [0, 3])
def test_of_two_adapters_that_are_apart_every_prompt_gets_its_own_and_every_other_none(examples: int) -> None:
    ordinary = np.concatenate([near(axis, 8, axis) for axis in range(4, WIDTH)])
    fleet = FleetFeatures(
        np.concatenate([near(0, 1, 20), near(1, 1, 21)]), [near(0, 8, 22), near(1, 8, 23)], ordinary[::12], ordinary
    )

    assert shares([fleet], examples) == (1.0, 1.0)


@pytest.mark.parametrize(
    ("probabilities", "position"),
    [
        ([0.5, 0.1, 0.4], 0),
        ([0.1, 0.3, 0.6], -1),  # nobody is likelier
        ([0.3, 0.4, 0.3], 1),
        ([*[0.1] * 8, 0.2], -1),  # the likeliest of eight is not likely enough
    ],
)
def test_a_text_gets_the_likeliest_adapter_unless_nobody_or_too_many_are_as_likely(
    probabilities: list[float], position: int
) -> None:
    assert routed(np.array([probabilities], np.float32)).tolist() == [position]
