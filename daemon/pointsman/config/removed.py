"""List what a config of an earlier release may still have; it serves, with a warning."""

from __future__ import annotations

from collections.abc import Mapping

from pointsman.config.words import Keys

_CLASSIFIER: Keys = ("pointsman", "classifier")

KEYS: Mapping[Keys, str] = {
    (*_CLASSIFIER, "cascade"): "remove it: the artifact that classifier.category_model.model_id names decides alone",
}
"""The remedy for each removed key."""

VALUES: Mapping[tuple[Keys, str], str] = {
    ((*_CLASSIFIER, "providers"), "tensorrt"): "cuda",
}
"""The value that counts in place of each removed item of a list."""
