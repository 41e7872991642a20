"""Parse the command line of `pointsman export` and run it."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from pointsman.classify.manifest import MIN_TOKENS
from pointsman_export.common.command import languages, run
from pointsman_export.export.libraries import quiet

_DESCRIPTION = """\
Convert a classifier to an artifact that `pointsman serve` runs: an ONNX graph (int8 for a CPU, fp16 for a GPU), the
tokenizer and a manifest. The graph is verified against the checkpoint before anything is written. Takes ModernBERT,
BERT (MiniLM too), RoBERTa, XLM-RoBERTa, CamemBERT and DistilBERT, fine-tuned as sequence classifiers with one label for
each text, from safetensors in float32, float16 or bfloat16; and encoders of these families without a head, such as
those of sentence-transformers (first token or mean), for categories that texts describe.

By default the graph is built from the weights, for speed: prompts are packed into one row without padding. With
--level plain, and for checkpoints that the builder does not support, optimum exports the graph. For a GPU that graph is
float32. For OpenVINO it is optimum's graph with int8 weights."""

_EPILOG = """\
The verification compares names, axes, shapes and values of the float graph with torch; a prompt's logits alone, in a
batch and, if the graph pads, padded; the labels of both graphs on real text; and their accuracy on labeled rows. If a
check fails, the error names it, nothing is written, and the exit code is 1. A graph for a GPU is verified on CUDA. If
this host has no CUDA, it is verified on the CPU, which rounds the weights to fp16 but not the activations.

Rows are JSON lines {"text": ..., "label": ...}, at least 100. A text of no domain has the label `other`, if the model
has it, or `out_of_scope`. The scores of up to 4,000 rows go into the artifact, without the texts: to them the daemon
fits a threshold for each category where a config states a precision. Calibrate on rows that the model was NOT trained
on and that are like what users write: a model is more confident on rows that it has seen, so a temperature and a
threshold from training rows promise a precision that users will not get."""


def main(argv: list[str]) -> int:
    """Export according to `argv` and return the exit code: 0 for success, 1 for failure.

    Wrong usage raises SystemExit with code 2.
    """
    parser = command_parser()
    options = parser.parse_args(argv)
    if options.level == "plain" and options.activations == "tensor":
        parser.error("--activations tensor needs --level fast: the plain graph has its scales per token")
    if options.target == "gpu" and options.activations == "tensor":
        parser.error("--activations tensor needs --target cpu: nothing is int8 on a GPU")
    if options.target == "openvino" and (options.level, options.activations) != ("fast", "token"):
        parser.error("--level and --activations are for ONNX Runtime; omit them with --target openvino")
    if options.target != "openvino" and options.arithmetic != "f32":
        parser.error("--arithmetic needs --target openvino")

    def work() -> str:
        with quiet():
            # torch and transformers take seconds to import, and --help does not need them
            from pointsman_export.export.pipeline import ExportRequest, export

            return export(ExportRequest(**vars(options)), _progress).table()

    return run("export", options.output, work)


def command_parser() -> argparse.ArgumentParser:
    """Return the parser of this command."""
    parser = argparse.ArgumentParser(
        prog="pointsman export",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("source", metavar="SOURCE", help="folder or Hugging Face hub id of the checkpoint")
    parser.add_argument(
        "-o", dest="output", type=Path, required=True, metavar="DIR", help="folder of the artifact; must not exist yet"
    )
    parser.add_argument(
        "--labels",
        type=Path,
        metavar="FILE",
        help="names of the labels, one on a line in the order of the outputs, for a checkpoint that names none",
    )
    parser.add_argument(
        "--gate",
        type=_share,
        default=0.99,
        metavar="SHARE",
        help="share of the texts that must keep their label, where there are labels (default: %(default)s)",
    )
    parser.add_argument(
        "--texts",
        type=Path,
        metavar="FILE",
        help='texts for --gate, one per line, plain or {"text": ...} (default: a built-in set)',
    )
    parser.add_argument(
        "--max-error",
        type=_share,
        default=0.02,
        metavar="SHARE",
        help="largest change of the logits (or features) by int8, as a share of their spread; to stay below it, as few "
        "layers as possible stay in float (default: %(default)s)",
    )
    parser.add_argument(
        "--labelled",
        type=Path,
        metavar="FILE",
        help="labelled rows to compare the accuracy with the float graph's on (default: those of --calibrate, unless "
        "they have `probabilities`)",
    )
    parser.add_argument(
        "--max-drop",
        type=_share,
        default=0.01,
        metavar="SHARE",
        help="accuracy that the graph may lose on these rows (default: %(default)s)",
    )
    parser.add_argument(
        "--calibrate",
        type=Path,
        metavar="FILE",
        help="labelled rows to fit the temperature and suggest a threshold on; not used for training, or with the "
        "`probabilities` of a model that did not see them",
    )
    parser.add_argument(
        "--precision",
        type=_share,
        default=0.9,
        metavar="SHARE",
        help="precision of the rows at or above the suggested threshold (default: %(default)s)",
    )
    parser.add_argument(
        "--max-tokens",
        type=_tokens,
        metavar="N",
        help="tokens that are read of a prompt (default: 512, or the model's limit if that is less)",
    )
    parser.add_argument(
        "--languages",
        type=languages,
        default=[],
        metavar="CODES",
        help="languages that the model was trained for, such as en,de (ISO 639-1): texts in others are not classified "
        "(default: all texts are)",
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
        help="one int8 scale per token, or one for all tokens of a run, which is a little faster but lets a "
        "prompt's score depend on the prompts of the same run (default: %(default)s)",
    )
    parser.add_argument("--force", action="store_true", help="replace an existing artifact")
    parser.add_argument(
        "--target",
        choices=["cpu", "gpu", "openvino"],
        default="cpu",
        help="what will run the artifact: ONNX Runtime on a CPU or GPU, or OpenVINO on a CPU. OpenVINO needs the extra "
        "pointsman[openvino], on this host and on those that serve, and the report compares it with ONNX Runtime "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--arithmetic",
        choices=["f32", "bf16"],
        default="f32",
        help="with --target openvino, the type of all that is not int8: bf16 is faster on CPUs that have it, and less "
        "exact (default: %(default)s)",
    )
    return parser


def _share(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 1")
    return value


def _tokens(text: str) -> int:
    value = int(text)
    if value < MIN_TOKENS:
        raise argparse.ArgumentTypeError(f"{text} is less than {MIN_TOKENS}")
    return value


def _progress(step: str) -> None:
    print(f"{step} …", file=sys.stderr, flush=True)
