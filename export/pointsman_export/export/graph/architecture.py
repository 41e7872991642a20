"""Define the exporter's interface to a kind of classifier or encoder."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Protocol

from pointsman_export.common.errors import UnknownFormError
from pointsman_export.export.graph.parts import GraphParts
from pointsman_export.export.graph.rounding import Rounding
from pointsman_export.export.graph.weights import Floats, Weights
from pointsman_export.export.pooling import Pooling


class Architecture(Protocol):
    """A kind of classifier, or of encoder without a head, with the sizes of one checkpoint.

    Weights are named as in the checkpoint, without the prefix of the encoder (`model.`, `bert.`).
    """

    classifier: ClassVar[str]
    """The last linear layer, with an output for each label."""
    head: ClassVar[tuple[str, ...]]
    """The beginnings of the names of the weights after the pooling, which stay float32."""

    def __init__(self, config: Mapping[str, Any], pooling: Pooling | None = None) -> None:
        """Read the sizes in a config of transformers 4; raises KeyError if one is missing."""

    @property
    def pooling(self) -> Pooling | None:
        """Return how the features are made of an encoder without a head; None for a classifier."""

    @property
    def width(self) -> int:
        """Return the width of a token between layers."""

    @property
    def heads(self) -> int:
        """Return the number of attention heads."""

    @property
    def positions(self) -> int:
        """Return the most tokens that a text may have."""

    @property
    def layers(self) -> list[str]:
        """Return the names of the weights that can be int8: the token embeddings and the layers' matrices."""

    @property
    def smoothed(self) -> list[str]:
        """Return the names of layers for whose inputs `roundings` needs the ranges."""

    def roundings(self, weights: Weights, ranges: Mapping[str, Floats]) -> dict[str, Rounding]:
        """Return the rounding of layers' inputs to int8, for those that are not SYMMETRIC.

        `ranges` are the largest absolute values by channel, for the layers of `smoothed` or for none.
        """

    def check(self) -> None:
        """Raise UnknownFormError if the config needs a graph that `output` does not build."""

    def fold(self, weights: Weights) -> None:
        """Rewrite weights for speed and for int8, so that the graph computes the same in float."""

    def output(self, parts: GraphParts) -> str:
        """Add the nodes from the feed to the logits or features [prompts, columns], and return their name."""


def require(config: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
    """Raise UnknownFormError if the config has another value than `expected` for a key; it may have none."""
    for key, value in expected.items():
        if config.get(key, value) != value:
            raise UnknownFormError(f"{key} is {config[key]!r}, expected {value!r}")
