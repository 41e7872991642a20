"""Parse the command line of `pointsman fit` and run it."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from pointsman_export.common.command import languages, run

_DESCRIPTION = """\
Make a head for your own labels on the encoder of an artifact, from a few labelled examples of each (20 to 200) or from
descriptions of the labels, and write a new artifact that `pointsman serve` runs. It takes seconds on a CPU and needs
the extra pointsman[fit]."""

_EPILOG = """\
FILE holds one JSON object per line: {"text": "what's my balance", "label": "banking"}. Add a label `other` for prompts
that you do not want to route: without one, each prompt is forced into one of the labels.

Before you have such rows, --describe takes one or two sentences for each label, in the same form: {"text": "Questions
about accounts, cards and payments.", "label": "banking"}. Expect an accuracy of 0.70 to 0.80. Ten or more rows for each
label are better.

The figures of --data come from cross-validation: each row is judged by a head that was not trained on it. They hold for
prompts that are like the rows, so use prompts that your users wrote."""


def main(argv: list[str]) -> int:
    """Fit as `argv` says and return the exit code: 0 for success, 1 for failure.

    Wrong usage raises SystemExit with code 2.
    """
    options = command_parser().parse_args(argv)
    # OpenBLAS reads this when numpy is imported. The regression's products are small: on a busy machine, two threads
    # that wait for each other took 13 times as long as one.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

    def work() -> str:
        # onnx is in an extra that may not be installed, and --help must not need it
        from pointsman_export.fit.pipeline import FitRequest, fit
        from pointsman_export.fit.progress import Progress

        request = FitRequest(
            data=options.data or options.describe,
            described=options.data is None,
            base=options.base,
            output=options.output,
            precision=options.precision,
            languages=options.languages,
            force=options.force,
        )
        return fit(request, Progress(sys.stderr)).table()

    return run("fit", options.output, work)


def command_parser() -> argparse.ArgumentParser:
    """Return the parser of this command."""
    parser = argparse.ArgumentParser(
        prog="pointsman fit",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument(
        "--data", type=Path, metavar="FILE", help='labelled rows, one {"text": ..., "label": ...} per line'
    )
    source.add_argument(
        "--describe",
        type=Path,
        metavar="FILE",
        help="sentences that describe the labels, in the same form; to use them beside rows, add them to the rows",
    )
    parser.add_argument(
        "--base", default="builtin", metavar="ARTIFACT", help='folder of an artifact, or "builtin" (the default)'
    )
    parser.add_argument(
        "-o", dest="output", type=Path, required=True, metavar="DIR", help="folder of the artifact; must not exist yet"
    )
    parser.add_argument(
        "--languages",
        type=languages,
        metavar="CODES",
        help="languages of your prompts, such as en,de (ISO 639-1): texts in others are not classified (default: those "
        "of --base)",
    )
    parser.add_argument(
        "--precision",
        type=_share,
        default=0.95,
        metavar="SHARE",
        help="with --data, precision of the prompts at or above the suggested threshold (default: %(default)s)",
    )
    parser.add_argument("--force", action="store_true", help="replace an existing artifact")
    return parser


def _share(text: str) -> float:
    value = float(text)
    if not 0 < value <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not above 0 and at most 1")
    return value
