"""Parse the command line of `pointsman fit` and run it."""

from __future__ import annotations

import argparse
import os
import resource
import sys
import time
from pathlib import Path

from pointsman import files
from pointsman.errors import CannotStart
from pointsman.improve.folder import ARTIFACTS, LABELS
from pointsman_export.common.command import languages, run

_DESCRIPTION = """\
Make a head for your own labels on the encoder of an artifact, from labeled examples of each (20 to 200), and write it
as an artifact that `pointsman serve` runs. It takes seconds on a CPU, and needs nothing but what serves. For a few
examples or descriptions there is no need to fit anything: write them into the config."""

_EPILOG = """\
FILE holds one JSON object per line: {"text": "what's my balance", "label": "banking"}. Add a label `other` for prompts
that you do not want to route: without one, each prompt is forced into one of the labels.

With --labelled, the classifier of a config is corrected by the labels of `pointsman label`, ten at least. It keeps its
own labels, and decides as before what is not like a labeled text. It is judged by labeled texts that it did not see,
and by what it changes for the texts that the service has kept. `pointsman classifier promote` puts it to use.

With --again, a head is made anew on the built-in encoder of this release, from the rows beside it.

The figures of --data come from cross-validation: each row is judged by a head that was not trained on it. They hold for
prompts that are like the rows, so use prompts that your users wrote."""

# A service on the same host has priority.
NICE = 10
MIN_MEMORY_MB = 128


def main(argv: list[str]) -> int:
    """Fit according to `argv` and return the exit code: 0 for success, 1 for failure.

    Wrong usage raises SystemExit with code 2.
    """
    options = command_parser().parse_args(argv)
    if options.output is None and options.data is not None:
        command_parser().error("-o is required")
    # OpenBLAS reads this when numpy is imported. The regression's products are small: on a busy machine, two threads
    # that wait for each other took 13 times as long as one.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

    if options.data is None:
        return _aside(options)

    def work() -> str:
        # slow to import, and --help does not need it
        from pointsman_export.fit.pipeline import FitRequest, fit
        from pointsman_export.fit.progress import Progress

        request = FitRequest(
            data=options.data,
            base=options.base or "builtin",
            output=options.output,
            precision=options.precision,
            languages=options.languages,
            keeps_rows=not options.no_rows,
            force=options.force,
        )
        report = fit(request, Progress(sys.stderr)).table()
        files.hand_over_folder(options.output)
        return report

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
        "--labelled",
        type=Path,
        nargs="?",
        const=files.service_state() / LABELS,
        metavar="FILE",
        help="labels of `pointsman label`; without FILE, those in the state directory",
    )
    source.add_argument(
        "--again",
        metavar="HEAD",
        help="folder of a head: make it anew from the rows and labels beside it, with its settings",
    )
    parser.add_argument(
        "--base",
        metavar="ARTIFACT",
        help='folder of an artifact, or "builtin" (the default; with --labelled, the classifier that the config names)',
    )
    parser.add_argument(
        "-o",
        dest="output",
        type=Path,
        metavar="DIR",
        help="folder of the artifact; must not exist yet (default without --data: a new one in the state directory)",
    )
    parser.add_argument(
        "--no-rows",
        action="store_true",
        help="do not keep rows and labels, which are texts of people, beside the head (rows.jsonl, labels.jsonl)",
    )
    parser.add_argument("--config", type=Path, metavar="FILE", help="with labels, the config with the categories")
    parser.add_argument("--json", type=Path, metavar="FILE", help="with --labelled, also write the report as JSON")
    parser.add_argument(
        "--memory-mb",
        type=_memory,
        default=2048,
        metavar="N",
        help="without --data, take no more memory than this (default: %(default)s)",
    )
    parser.add_argument(
        "--languages",
        type=languages,
        metavar="CODES",
        help="with --data, languages of your prompts, such as en,de (ISO 639-1): texts in others are not classified "
        "(default: those of --base)",
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


def _aside(options: argparse.Namespace) -> int:
    """Correct or renew at a low priority: a service may need this host's cores and memory more."""
    output = options.output or files.service_state() / ARTIFACTS / time.strftime("%Y%m%d-%H%M%S")

    def work() -> str:
        os.setpriority(os.PRIO_PROCESS, 0, max(NICE, os.getpriority(os.PRIO_PROCESS, 0)))
        limit = options.memory_mb << 20
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
        from pointsman_export.correct.command import correct_by
        from pointsman_export.fit.again import fit_again

        files.make_folder(output.parent)

        try:
            return fit_again(options, output) if options.labelled is None else correct_by(options, output)
        except MemoryError as error:
            raise CannotStart(f"{options.memory_mb:,} MiB of memory do not suffice; raise --memory-mb") from error

    return run("fit", output, work)


def _memory(text: str) -> int:
    value = int(text)
    if not MIN_MEMORY_MB <= value <= 1 << 20:
        raise argparse.ArgumentTypeError(f"{text} is not {MIN_MEMORY_MB} or more")
    return value


def _share(text: str) -> float:
    value = float(text)
    if not 0 < value <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not above 0 and at most 1")
    return value
