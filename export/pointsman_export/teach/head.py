"""Make a head of taught rows: that of the served labels, and of the described categories with what they were taught."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import numpy as np

from pointsman.classify import artifact, head_rows, taught
from pointsman.classify.artifact import Artifact
from pointsman.classify.category_head import MAX_TEXT_TOKENS, features_of, fitted, make_head, texts_of
from pointsman.classify.described import DescribedHead
from pointsman.classify.language import LanguageGate
from pointsman.classify.linear_head import LinearHead
from pointsman.classify.manifest import CALIBRATION, HEAD, TAUGHT
from pointsman.classify.taught import FEATURES, Taught, TaughtPrompts, description_hash
from pointsman.config.model import Config
from pointsman.evaluation.metrics import Floats, Ints
from pointsman.evaluation.scheme import CategoryScheme
from pointsman.improve.taught_file import TaughtRow
from pointsman.improve.texts_file import TextRecord
from pointsman.routing.policy import Policy
from pointsman_export.common import destination, heads
from pointsman_export.common.encoder import EncodedTexts, EncoderReader
from pointsman_export.common.errors import FitDataError
from pointsman_export.common.languages import supported
from pointsman_export.common.stored_texts import latest_texts
from pointsman_export.fit.progress import Progress
from pointsman_export.teach.report import TeachingReport, judge, moved
from pointsman_export.teach.rows import write_rows

KIND = "teaching"
"""In the manifest's `verification`: the figures of what was taught."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TeachingRequest:
    """The config and the base of a head, and its folder; `texts` is the file of stored texts.

    With `keeps_rows` the rows are beside it.
    """

    config: Config
    base: Path
    texts: Path | None = None
    output: Path
    keeps_rows: bool
    force: bool


def make(request: TeachingRequest, rows: Sequence[TaughtRow], progress: Progress) -> TeachingReport:
    """Write the artifact and return the report; raises ExportError, CannotStart or ArtifactError.

    After an error nothing is left behind.
    """
    destination.check(request.output, force=request.force)
    base = artifact.load(request.base)
    config = request.config
    texts = texts_of(config, base.manifest)
    known = _in_turn([row for row in rows if row.label is None or row.label in texts])
    if not any(row.label is not None for row in known):
        raise FitDataError(f"no row is of a described category; these are described: {', '.join(texts) or 'none'}")
    reader = EncoderReader(base)
    reading = progress.step("reading the rows", len(known))
    read = reader.read([row.text for row in known], reading, max_tokens=MAX_TEXT_TOKENS)
    features = read.features.astype(FEATURES).astype(np.float32)

    def read_config(some: Sequence[str], max_tokens: int) -> Floats:
        return reader.read(some, max_tokens=max_tokens).features

    given, ordinary = features_of(texts, base, read_config)
    labels = [row.label for row in known]
    languages = _languages(base, known)
    hashes = {name: description_hash(descriptions) for name, (descriptions, _) in texts.items()}

    def learn(at: Ints) -> Taught:
        """Return what the rows at some positions teach."""
        places: dict[str | None, list[int]] = {}
        for one in at.tolist():
            places.setdefault(labels[one], []).append(one)
        nobody = features[places.pop(None, [])]
        found = {
            name: TaughtPrompts(hashes[name], features[some], languages[name])
            for name, some in places.items()
            if name is not None
        }
        learned = Taught(found, nobody)
        return replace(learned, key=taught.rows_key(learned))

    def fit(at: Ints) -> DescribedHead:
        return fitted(base, texts, given, ordinary, learn(at))

    judged = judge(features, labels, fit, lambda head, some: _chosen(config, base, head, some))
    everything = learn(np.arange(len(known)))
    head = fitted(base, texts, given, ordinary, everything)
    stored = latest_texts(request.texts)
    reading = progress.step("reading the stored texts", len(stored))
    traffic = reader.read([row.text for row in stored], reading)
    before, after = (
        _models(config, base, one, stored, traffic) for one in (make_head(config, base, read_config), head)
    )
    report = msgspec.structs.replace(judged, moved=moved(before, after, config.default_model))
    with destination.workspace(request.output) as work:
        built = work / "artifact"
        built.mkdir()
        for name in base.manifest.files if base.head is not None else (CALIBRATION,):
            if name not in (HEAD, TAUGHT) and (base.folder / name).exists():
                shutil.copyfile(base.folder / name, built / name)
        (built / TAUGHT).write_bytes(taught.encode(replace(everything, head=head)))
        verification = base.manifest.verification | {KIND: msgspec.to_builtins(report)}
        manifest = msgspec.structs.replace(base.manifest, verification=verification)
        found = heads.write_head(built, base, _labels_head(base), manifest, KIND)
        heads.prove(found, read.prompts, read.probabilities)
        if request.keeps_rows:
            write_rows(built / head_rows.TAUGHT_ROWS, rows)
            _keep_base_rows(base, built)
        destination.publish(built, request.output, force=request.force)
    return report


def _in_turn(rows: Sequence[TaughtRow]) -> list[TaughtRow]:
    """Return the first rows of all categories, then the second ones, and so on: any part has some of each."""
    known: Counter[str | None] = Counter()
    turns = []
    for row in rows:
        turns.append(known[row.label])
        known[row.label] += 1
    return [row for _, row in sorted(zip(turns, rows, strict=True), key=lambda one: one[0])]


def _languages(base: Artifact, rows: Sequence[TaughtRow]) -> dict[str, frozenset[str]]:
    """Return the languages of each category's rows, as far as they are certain."""
    gate = LanguageGate(base.manifest.languages)
    found: dict[str, set[str]] = {}
    for row in rows:
        if row.label is not None:
            own = found.setdefault(row.label, set())
            if (language := gate.judge(row.text).language) is not None:
                own.add(language)
    return {name: frozenset(own) for name, own in found.items()}


def _chosen(config: Config, base: Artifact, head: DescribedHead, features: Floats) -> list[str | None]:
    """Return the described category of each text, None for nobody's, without regard to labels."""
    policy = Policy(config, base.manifest.labels, calibration=base.calibration, head=head)
    found = (policy.choose_by_description(row) for row in head.probabilities(features).tolist())
    return [None if one is None else one.category for one in found]


def _models(
    config: Config, base: Artifact, head: DescribedHead | None, stored: Sequence[TextRecord], read: EncodedTexts
) -> list[str]:
    """Return the model that each stored text gets."""
    if head is None or not stored:
        return []
    scheme = CategoryScheme(config, base.manifest.labels, base.calibration, head)
    scores = np.hstack([read.probabilities, head.probabilities(read.features)])
    models = scheme.models()
    return [models[at] for at in scheme.chosen(scores, supported(base.manifest, (row.text for row in stored)))]


def _labels_head(base: Artifact) -> LinearHead:
    """Return the head of the served labels, which stay as they are."""
    if base.head is not None:
        return base.head
    width = 0 if base.manifest.features is None else base.manifest.features.width
    labels = len(base.manifest.labels)
    return LinearHead(np.zeros((labels, width), np.float32), np.zeros(labels, np.float32), added=True)


def _keep_base_rows(base: Artifact, built: Path) -> None:
    for name in (head_rows.ROWS, head_rows.LABELS):
        if os.access(base.folder / name, os.R_OK):
            shutil.copyfile(base.folder / name, built / name)
            (built / name).chmod(0o600)
