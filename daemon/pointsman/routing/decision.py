"""The decision about a request: the category, the model, and the reason."""

from __future__ import annotations

import enum

import msgspec

from pointsman.config.model import Endpoint
from pointsman.routing.canaries import Arm
from pointsman.routing.edits import Edits
from pointsman.routing.thresholds import Threshold


class Reason(enum.StrEnum):
    """The reason of a decision; these strings are stable, as headers, log and metrics show them."""

    EXPLICIT_MODEL = "explicit_model"
    CLASSIFIED = "classified"
    STICKY = "sticky"
    LOW_CONFIDENCE = "low_confidence"
    UNSUPPORTED_LANGUAGE = "unsupported_language"
    NO_TEXT = "no_text"
    HELPER_TASK = "helper_task"
    AMBIGUOUS = "ambiguous"
    MIXED_PROMPTS = "mixed_prompts"
    TOO_MANY_PARTS = "too_many_parts"
    DEADLINE = "deadline"
    OVERLOADED = "overloaded"
    CLASSIFIER_ERROR = "classifier_error"
    ADAPTER_MISSING = "adapter_missing"
    ADAPTER_WITHOUT_TOOLS = "adapter_without_tools"
    NO_CATEGORY = "no_category"
    NOT_ALLOWED = "not_allowed"
    RULE = "rule"
    SHADOW = "shadow"
    HOLDBACK = "holdback"
    OFF = "off"


class MissedThreshold(msgspec.Struct, frozen=True, gc=False):
    """The best category, if it was not chosen, and the threshold that its score did not reach."""

    category: str
    threshold: float


class RunnerUp(msgspec.Struct, frozen=True, gc=False):
    """A second category that has at least half of the best one's score."""

    category: str
    confidence: float


class CategoryChoice(msgspec.Struct, frozen=True, gc=False):
    """A category (None for no category), its confidence, and the reason for choosing it.

    `threshold` is the one that the best category's score was compared with, and `missed` that category and threshold if
    the score was too low. `model` answers, whatever the category, if a `rule` says so; `never` are adapters that must
    not answer, with the names of the rules that say so. `arm` is that of the category's canary, and `canary` the
    adapter that comes first on this arm.
    """

    category: str | None
    confidence: float | None
    reason: Reason
    missed: MissedThreshold | None = None
    model: str | None = None
    rule: str | None = None
    never: tuple[tuple[str, str], ...] = ()
    arm: Arm | None = None
    canary: str | None = None
    threshold: Threshold | None = None
    near: RunnerUp | None = None


class Counterfactual(msgspec.Struct, frozen=True, gc=False):
    """The model that would answer if the rollout did not withhold the request, and the reason."""

    model: str
    reason: Reason


class Decision(msgspec.Struct, frozen=True, gc=False):
    """A routing decision: `endpoints` are those that may serve `model`.

    `adapter`: `model` is an adapter that the client did not request by name. `missed` is that of the choice. `would` is
    None unless the rollout withholds the request from the category's models. `rule` is the name of the rule that
    decided, and `arm` the side of the category's canary.
    """

    model: str
    base_model: str
    endpoints: tuple[Endpoint, ...]
    category: str | None
    confidence: float | None
    reason: Reason
    edits: Edits
    adapter: bool = False
    missed: MissedThreshold | None = None
    would: Counterfactual | None = None
    rule: str | None = None
    arm: Arm | None = None
