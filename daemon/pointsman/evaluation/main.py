"""Implement `pointsman eval`."""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from pointsman.arguments import ArgumentParser
from pointsman.classify import artifact
from pointsman.classify.artifact import Artifact
from pointsman.classify.category_head import make_head
from pointsman.classify.hash_key import read_key
from pointsman.config import kept_examples
from pointsman.config.lint import lint
from pointsman.config.load import LoadedConfig, load, state_of
from pointsman.config.model import Config
from pointsman.errors import ArtifactError, ConfigError, EvaluationError
from pointsman.evaluation import replay, table
from pointsman.evaluation.dataset import read_rows
from pointsman.evaluation.decisions import PrecomputedClassifier, decide, results
from pointsman.evaluation.evaluate import evaluate
from pointsman.evaluation.fitted_rows import unseen
from pointsman.evaluation.provenance import file_id, provenance
from pointsman.evaluation.reader import ArtifactRunner, TextPredictions
from pointsman.evaluation.replayed import replayable
from pointsman.evaluation.scheme import CategoryScheme, LabelScheme, Scheme
from pointsman.formats import CHAT
from pointsman.routing.parsed_request import parse_request

_DESCRIPTION = """\
Measure a classifier on labeled requests, or show what another classifier or threshold would change for
the requests of a decision log."""

_EPILOG = """\
Of a row, the ask is classified, as in the service. Labels are those of the classifier or, with --config, the config's
categories; a request of no domain has the label out_of_scope. Rows that ARTIFACT was fitted on are left out, with a
warning.

A replay needs the texts: the file of the config's pointsman.log.texts_file, or --texts. It compares ARTIFACT
with --against, or its own threshold with --threshold, or, with --config only, the log with ARTIFACT's decisions. The
table shows some texts of each change, the JSON shows none."""


def main(argv: Sequence[str]) -> int:
    """Evaluate according to `argv`; return 0. Wrong usage raises SystemExit with 2.

    Raises EvaluationError for an unusable file, CannotStart for an unusable artifact or config.
    """
    parser = command_parser()
    return _run(parser, parser.parse_args(argv))


def replay_log(argv: Sequence[str]) -> int:
    """Run `pointsman eval --replay` as `pointsman replay LOG ARTIFACT`."""
    parser = command_parser()
    options = parser.parse_args(argv)
    if options.file is None:
        parser.error("give a LOG and an ARTIFACT")
    options.replay = [Path(options.artifact), *(options.replay or ())]
    options.artifact, options.file = str(options.file), None
    return _run(parser, options)


def _run(parser: argparse.ArgumentParser, options: argparse.Namespace) -> int:
    if fault := _misuse(options):
        parser.error(fault)
    return _replay(options) if options.replay else _evaluate(options)


def command_parser() -> argparse.ArgumentParser:
    """Return the parser of this command."""
    parser = ArgumentParser(
        prog="pointsman eval",
        usage="%(prog)s ARTIFACT FILE.jsonl [--config FILE] [--json FILE]\n"
        "       %(prog)s --replay LOG ARTIFACT [--against ARTIFACT] [--threshold T] [--texts FILE] [--hash-key FILE]\n"
        "       [--config FILE] [--json FILE]",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("artifact", metavar="ARTIFACT", help="folder of an exported artifact, or `builtin`")
    parser.add_argument(
        "file", type=Path, nargs="?", metavar="FILE.jsonl", help='rows {"text", "label"} or {"messages", "label"}'
    )
    parser.add_argument("--config", type=Path, metavar="FILE", help="use the categories and threshold of this config")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the report as JSON")
    parser.add_argument(
        "--replay",
        type=Path,
        action="append",
        metavar="LOG",
        help="repeat the decisions of this log of `serve`, also of journalctl, compressed, or `-`; may be repeated",
    )
    parser.add_argument("--texts", type=Path, metavar="FILE", help='texts of the replay: rows {"hash", "text"}')
    parser.add_argument(
        "--hash-key", type=Path, metavar="FILE", help="the service's text_hash.key, for texts without a hash"
    )
    parser.add_argument("--against", metavar="ARTIFACT", help="artifact to compare with")
    parser.add_argument("--threshold", type=_share, metavar="T", help="threshold to compare with")
    return parser


def _share(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 1")
    return value


def _misuse(options: argparse.Namespace) -> str | None:
    """Return the error in the combination of options, or None."""
    if options.replay is None:
        if options.file is None:
            return "give a FILE.jsonl with labeled prompts, or a log with --replay"
        stray = [name for name in ("texts", "hash_key", "against", "threshold") if getattr(options, name) is not None]
        return f"--{stray[0]} needs --replay" if stray else None
    if options.file is not None:
        return "--replay takes an ARTIFACT but no file of labeled prompts"
    if options.against is None and options.threshold is None and options.config is None:
        return "nothing to compare: give --against, --threshold or --config"
    return None


def _evaluate(options: argparse.Namespace) -> int:
    found = _artifact(options.artifact)
    labels = found.manifest.labels
    config = _config(options.config, found)
    reader = _reader(found, config)
    scheme: Scheme = (
        LabelScheme(labels, found.manifest.suggested_threshold)
        if config is None
        else CategoryScheme(config, labels, found.calibration, reader.head)
    )
    every = read_rows(options.file, scheme)
    rows = unseen(every, found)
    decided: list[str | None] = []
    if config is None:
        reading = _read(reader, [parse_request(CHAT, row.body).text or row.text for row in rows])
    else:
        made = decide(rows, config, labels, lambda texts: _read(reader, texts), found.calibration, reader.head)
        reading, decided = made.reading, made.categories
    origin = provenance(found, file_id(options.file), options.config, fitted_rows=len(every) - len(rows))
    report = evaluate(rows, reading, scheme, origin, decided)
    _publish(options.json, report, table.render(report))
    return 0


def _replay(options: argparse.Namespace) -> int:
    artifacts = [_artifact(name) for name in (options.artifact, options.against) if name is not None]
    config, *_ = [_config(options.config, found) for found in artifacts]  # it must fit both
    lines = replay.read_log(options.replay)
    texts = replay.read_texts(_texts_file(options.texts, config), _hash_key(options.hash_key))
    known = [line for line in lines if line.text_hash in texts]
    if not known:
        names = replay.names_of(options.replay)
        raise EvaluationError(f"{names}: the file of texts has none of the texts of its {len(lines):,} decisions")
    decided = [line for line in lines if line.text_hash in texts or _without_text(line, config)]
    asked = [line.asked(texts.get(line.text_hash or "")) for line in decided]
    judges = [
        _judge(name, found, config, known, texts) for name, found in zip(_names(artifacts), artifacts, strict=True)
    ]
    first, last = judges[0], judges[-1]
    alone = options.against is None and options.threshold is None
    threshold = last.threshold if options.threshold is None else options.threshold
    before = replay.as_logged(decided) if alone else first.routed(first.threshold, asked)
    after = last.routed(threshold, asked)
    sweep = replay.swept(replay.as_logged(known) if alone else first.side(first.threshold), last)
    origin = provenance(artifacts[0], replay.identity(options.replay, lines), options.config, *artifacts[1:])
    result = replay.compare(decided, len(lines), before, after, sweep, origin)
    samples = replay.samples(before, after, [one.text for one in asked])
    _publish(options.json, result, replay.render(result, samples))
    return 0


def _without_text(line: replay.LoggedDecision, config: Config | None) -> bool:
    """Return whether a request whose text was not classified can be decided: by its conversation, or the same rule."""
    if config is None or line.text_hash is not None:
        return False
    return config.pointsman.routing.sticky if line.rule is None else replayable(line.rule, config)


def _artifact(name: str) -> Artifact:
    return artifact.load(artifact.resolve(name, Path.cwd()))


def _names(artifacts: Sequence[Artifact]) -> list[str]:
    """Return the folder names, with the start of the model's hash if two are the same."""
    names = [found.folder.name for found in artifacts]
    if len(set(names)) == len(names):
        return names
    return [f"{found.folder.name} {found.manifest.scores_sha256[:8]}" for found in artifacts]


def _config(path: Path | None, found: Artifact) -> Config | None:
    """Return the config, checked as `serve` does with this artifact."""
    if path is None:
        if not found.manifest.labels:
            raise EvaluationError(f"{found.folder}: has no labels; give --config with described categories")
        return None
    loaded = load(path)
    labels, describes = found.manifest.labels, found.manifest.features is not None
    findings = lint(loaded, labels, shadow=_either(loaded), describes=describes)
    if findings.errors:
        raise ConfigError(str(path), findings.errors)
    if not loaded.config.categories:
        raise EvaluationError(f"{path}: has no categories; omit --config to use the classifier's labels")
    kept = kept_examples.added(loaded.config, labels, state_of(path), describes=describes)
    for warning in kept.warnings:
        print(f"pointsman: {warning}", file=sys.stderr)
    return kept.config


def _either(loaded: LoadedConfig) -> list[str]:
    """Return the labels that categories may list while a classifier is in shadow: those of both, as far as known."""
    shadow = loaded.config.pointsman.classifier.shadow
    if shadow is None:
        return []
    found = []
    for model_id in (loaded.config.classifier.category_model.model_id, shadow):
        with contextlib.suppress(ArtifactError):
            found += artifact.read_manifest(artifact.resolve(model_id, loaded.folder)).labels
    return found


def _texts_file(given: Path | None, config: Config | None) -> Path:
    configured = None if config is None else config.pointsman.log.texts_file
    if given is None and configured is None:
        raise EvaluationError("no texts to replay: give --texts FILE, or --config with pointsman.log.texts_file set")
    return given or Path(str(configured))


def _hash_key(file: Path | None) -> bytes:
    if file is None:
        return b""
    try:
        return read_key(file)
    except OSError as error:
        raise EvaluationError(f"--hash-key: {file} cannot be used ({error.strerror})") from error


def _judge(
    name: str, found: Artifact, config: Config | None, lines: Sequence[replay.LoggedDecision], texts: dict[str, str]
) -> replay.ReplayDecider:
    """Return an artifact's classification of each line; each text is classified once."""
    position = {line.text_hash or "": 0 for line in lines}
    position = {text_hash: index for index, text_hash in enumerate(position)}
    distinct = [texts[text_hash] for text_hash in position]
    reader = _reader(found, config)
    read = _read(reader, distinct)
    rows = [position[line.text_hash or ""] for line in lines]
    labels = found.manifest.labels
    classified = dict(zip(distinct, results(read, len(labels)), strict=True))
    known = PrecomputedClassifier(labels, found.calibration, classified, reader.head)
    return replay.ReplayDecider(name, found, config, read.probabilities[rows], read.supported[rows], known)


def _reader(found: Artifact, config: Config | None) -> ArtifactRunner:
    if config is None:
        return ArtifactRunner(found)
    return ArtifactRunner(
        found,
        config.pointsman.classifier,
        config.classifier.category_model,
        lambda read: make_head(config, found, read),
    )


def _read(reader: ArtifactRunner, texts: Sequence[str]) -> TextPredictions:
    return reader.read(texts, _progress) if sys.stderr.isatty() else reader.read(texts)


def _progress(done: int, total: int) -> None:
    if done == total:
        print("\r\x1b[K", end="", file=sys.stderr, flush=True)
    elif done % 20 == 0:
        print(f"\r{done:,} of {total:,} prompts", end="", file=sys.stderr, flush=True)


def _publish(path: Path | None, report: object, text: str) -> None:
    """Print a report and write it as JSON to `path`, even if the reader of the output, such as `head`, left."""
    try:
        print(text, flush=True)
    finally:
        if path is not None:
            _write(path, report)


def _write(path: Path, report: object) -> None:
    try:
        path.write_bytes(msgspec.json.format(msgspec.json.encode(report)) + b"\n")
    except OSError as error:
        raise EvaluationError(f"{path}: cannot be written ({error.strerror}); check path and permissions") from error
