"""Why an export or a fit failed; every message says what was found, what was expected, and how to mend it.

ExportError
├── CheckpointError         the source is not a complete ModernBERT classifier
├── TextsError              the file of --texts cannot be used
├── RowsError               the file of --calibrate or --labelled cannot be used
├── DestinationError        the artifact cannot be written where it was asked for
├── GraphError              the graph does not have the form that the quantizer or `pointsman fit` knows
├── UnknownFormError        the checkpoint is none that the fast graph is built for
├── FitDataError            the rows of `pointsman fit` cannot be used
└── VerificationError       the graph was made, and the proof found a difference
    ├── NamesError
    ├── AxesError
    ├── ShapeError
    ├── ValuesError
    ├── BatchError
    ├── PaddingError
    ├── AgreementError
    └── AccuracyError
"""

from __future__ import annotations

from pointsman.errors import PointsmanError


class ExportError(PointsmanError):
    """Root of what `pointsman export` and `pointsman fit` report and exit with 1 for."""


class CheckpointError(ExportError):
    """The source is not a complete ModernBERT classifier."""


class TextsError(ExportError):
    """The file of texts cannot be used."""


class RowsError(ExportError):
    """The file of labelled rows cannot be used."""


class DestinationError(ExportError):
    """The artifact cannot be written where it was asked for."""


class GraphError(ExportError):
    """A graph does not have the form that the quantizer or `pointsman fit` knows."""


class UnknownFormError(ExportError):
    """The checkpoint is none that the fast graph is built for; `--level plain` takes any."""


class FitDataError(ExportError):
    """The labelled rows cannot be used."""


class VerificationError(ExportError):
    """The graph does not do what the checkpoint does."""


class NamesError(VerificationError):
    """The graph's inputs or outputs have other names."""


class AxesError(VerificationError):
    """An input or output has other dynamic axes."""


class ShapeError(VerificationError):
    """The logits have another shape."""


class ValuesError(VerificationError):
    """The float graph's logits are not the torch model's, or a fitted graph's not the fitted head's."""


class BatchError(VerificationError):
    """A prompt's logits depend on what it is batched with."""


class PaddingError(VerificationError):
    """A prompt's logits depend on how far it is padded."""


class AgreementError(VerificationError):
    """The int8 graph chooses another label than the float graph too often."""


class AccuracyError(VerificationError):
    """The int8 graph is right less often than the float graph by too much."""
