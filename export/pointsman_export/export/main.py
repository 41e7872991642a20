"""`pointsman export`: the command line of the export."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from pointsman_export.common.command import run
from pointsman_export.export.libraries import quiet

_DESCRIPTION = """\
Turn a ModernBERT classifier into an artifact that `pointsman serve` runs: an ONNX graph, int8 for the CPU or fp16 for
a GPU, the tokenizer and a manifest. The graph is proved against the checkpoint before anything is written.

By default the graph is built from the weights, for speed: prompts are packed into one row without padding. For a
checkpoint of a form that the builder does not know, and with --level plain, optimum exports it; for a GPU that graph
is float32, and TensorRT makes it fp16 when it loads it."""

_EPILOG = """\
The proof: names, axes, shapes and values of the float graph against torch; a prompt's logits alone, in a batch and,
where the graph pads, padded; the labels of both graphs on real text, and how often they are right on labelled rows.
What fails is named, nothing is written, and the exit code is 1. A graph for a GPU is proved on CUDA; where this host
has none, on the CPU, which rounds the weights to fp16 but not the activations.

Rows are JSON lines {"text": ..., "label": ...}, at least 100. Take rows for --calibrate that the model was NOT trained
on and that are like what users write: a model is surer of what it has seen, so a temperature and a threshold from
training rows promise a precision that users will not get."""

_LEAST_TOKENS = 8
"""The daemon's own least `max_tokens`."""


def main(argv: list[str]) -> int:
    """Export as `argv` says: 0 well, 1 failed; wrong usage leaves by SystemExit with 2."""
    parser = _parser()
    options = parser.parse_args(argv)
    if options.level == "plain" and options.activations == "tensor":
        parser.error("--activations tensor needs --level fast: the plain graph has its scales per token")
    if options.target == "gpu" and options.activations == "tensor":
        parser.error("--activations tensor needs --target cpu: nothing is int8 on a GPU")

    def work() -> str:
        with quiet():
            # torch and transformers take seconds to import, which --help need not wait for
            from pointsman_export.export.pipeline import Request, export

            return export(Request(**vars(options)), _progress).table()

    return run("export", options.output, work)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="pointsman export",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("source", metavar="SOURCE", help="folder or Hugging Face hub id of the checkpoint")
    parser.add_argument(
        "-o", dest="output", type=Path, required=True, metavar="DIR", help="the artifact's folder; must not exist yet"
    )
    parser.add_argument(
        "--gate",
        type=_share,
        default=0.99,
        metavar="SHARE",
        help="share of the texts that must keep their label (default: %(default)s)",
    )
    parser.add_argument(
        "--texts",
        type=Path,
        metavar="FILE",
        help='texts for the gate: a line each, plain or {"text": ...}; without it a built-in set',
    )
    parser.add_argument(
        "--max-error",
        type=_share,
        default=0.02,
        metavar="SHARE",
        help="how far int8 may move the logits, as a share of their spread; over it, the fewest layers that bring it "
        "under stay in float (default: %(default)s)",
    )
    parser.add_argument(
        "--labelled",
        type=Path,
        metavar="FILE",
        help="labelled rows on which the graph has to be about as often right as float (default: those of --calibrate)",
    )
    parser.add_argument(
        "--max-drop",
        type=_share,
        default=0.01,
        metavar="SHARE",
        help="accuracy that the graph may lose on the labelled rows (default: %(default)s)",
    )
    parser.add_argument(
        "--calibrate",
        type=Path,
        metavar="FILE",
        help="labelled rows, not used for training, to fit the temperature and to suggest a threshold on",
    )
    parser.add_argument(
        "--precision",
        type=_share,
        default=0.9,
        metavar="SHARE",
        help="share of the rows at or above the suggested threshold that have to be right (default: %(default)s)",
    )
    parser.add_argument(
        "--max-tokens",
        type=_tokens,
        metavar="N",
        help="tokens that are read of a prompt (default: 512, or what the model was made for)",
    )
    parser.add_argument(
        "--level",
        choices=["fast", "plain"],
        default="fast",
        help="fast: our own graph; plain: optimum's, up to three times slower (default: %(default)s)",
    )
    parser.add_argument(
        "--activations",
        choices=["token", "tensor"],
        default="token",
        help="what shares an int8 scale: the numbers of a token, or all of a run, which is up to a fifth faster but "
        "lets a prompt's score depend on what it is run with (default: %(default)s)",
    )
    parser.add_argument("--force", action="store_true", help="replace an artifact that is there already")
    parser.add_argument(
        "--target", choices=["cpu", "gpu"], default="cpu", help="where it will run (default: %(default)s)"
    )
    return parser


def _share(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 1")
    return value


def _tokens(text: str) -> int:
    value = int(text)
    if value < _LEAST_TOKENS:
        raise argparse.ArgumentTypeError(f"{text} is less than {_LEAST_TOKENS}")
    return value


def _progress(step: str) -> None:
    print(f"{step} …", file=sys.stderr, flush=True)
