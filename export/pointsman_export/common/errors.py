"""Errors of `pointsman export` and `pointsman fit`.

Every message says what was found, what was expected, and how to fix it.

ExportError
├── CheckpointError         the source is not a complete classifier or encoder of a known architecture
├── LabelsError             the file of --labels cannot be used
├── TextsError              the file of --texts cannot be used
├── RowsError               the file of --calibrate or --labelled cannot be used
├── LibraryError            a library that was asked for is not installed
├── DestinationError        the artifact cannot be written where it was asked for
├── GraphError              the graph has a form that the quantizer does not support, or gives no features
├── UnknownFormError        the fast graph cannot be built for the checkpoint
├── FitDataError            the rows of `pointsman fit` or `teach` cannot be used
├── TeachingError           no model can be asked, or no row came of it
└── VerificationError       the graph was built, and the verification found a difference
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
    """The base of all errors that `pointsman export` and `pointsman fit` report before they exit with 1."""


class CheckpointError(ExportError):
    """The source is not a complete classifier or encoder of a known architecture."""


class LabelsError(ExportError):
    """The file of `--labels` cannot be used."""


class TextsError(ExportError):
    """The file of `--texts` cannot be used."""


class RowsError(ExportError):
    """The file of `--calibrate` or `--labelled` cannot be used."""


class LibraryError(ExportError):
    """A library that an option needs is not installed."""


class DestinationError(ExportError):
    """The artifact cannot be written where it was asked for."""


class GraphError(ExportError):
    """A graph has a form that the quantizer does not support, or gives no features."""


class UnknownFormError(ExportError):
    """The fast graph cannot be built for this checkpoint; `--level plain` exports any."""


class FitDataError(ExportError):
    """The labeled rows of `pointsman fit` cannot be used."""


class TeachingError(ExportError):
    """No model can be asked for prompts, or no row came of it."""


class VerificationError(ExportError):
    """The graph does not compute what the checkpoint computes."""


class NamesError(VerificationError):
    """The graph's inputs or outputs have unexpected names."""


class AxesError(VerificationError):
    """An input or output has unexpected dynamic axes."""


class ShapeError(VerificationError):
    """The logits have an unexpected shape."""


class ValuesError(VerificationError):
    """The float graph's logits differ from the torch model's, or the service's scores from the fitted head's."""


class BatchError(VerificationError):
    """A prompt's logits depend on the other prompts of its batch."""


class PaddingError(VerificationError):
    """A prompt's logits depend on how far the prompt is padded."""


class AgreementError(VerificationError):
    """The shipped graph chooses another label than the float graph too often, or gives other features than torch."""


class AccuracyError(VerificationError):
    """The shipped graph's accuracy is too far below the float graph's, or a head's below that of the one before."""
