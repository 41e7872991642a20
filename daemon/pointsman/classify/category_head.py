"""Make the head of a config's described categories: read their texts with the encoder, and fit.

Features are kept in memory and in the state directory, so that only new texts are read. All of it runs on threads of
low priority, a few texts at a time, beside the requests.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import msgspec
import numpy as np

from pointsman import files
from pointsman.classify import artifact, described
from pointsman.classify.artifact import Artifact
from pointsman.classify.classification import as_bytes
from pointsman.classify.described import EMPTY, CategoryTexts, DescribedHead, Languages
from pointsman.classify.engine import Array
from pointsman.classify.language import LanguageGate
from pointsman.classify.manifest import ORDINARY, Manifest
from pointsman.classify.taught import Taught, TaughtPrompts, description_hash
from pointsman.classify.workers import NICE_BACKGROUND, workers
from pointsman.config.labels import cover
from pointsman.config.model import Config
from pointsman.errors import ArtifactError, CannotStart

MAX_TEXT_TOKENS = 128
FEATURES = "features.bin"
MAX_FEATURES_BYTES = 64 << 20

RUN_TEXTS = 4
"""Texts of a run, which has the price of one or two; longer runs would keep requests from a core for longer."""
READERS = 2

MAX_NAMED = 5
"""Categories in a warning."""

NOTHING = Taught({}, np.zeros((0, 0), np.float32))
"""Of a classifier that was taught nothing."""

Read = Callable[[Sequence[str], int], Array | None]
"""Returns the features of texts, of at most so many tokens each, shape [texts, width]."""
Texts = dict[str, tuple[tuple[str, ...], tuple[str, ...]]]
"""Described category to its descriptions and examples."""


def make_head(
    config: Config,
    loaded: Artifact,
    read: Read,
    previous: DescribedHead | None = None,
    warn: Callable[[str], object] = lambda _: None,
) -> DescribedHead | None:
    """Return the head of the described categories, None if there are none; raises CannotStart.

    `previous` is returned if nothing has changed. `warn` gets what the operator should know.
    """
    texts = texts_of(config, loaded.manifest)
    if not texts:
        return None
    taught = _current(artifact.read_taught(loaded), texts, warn)
    key = _key(loaded.manifest, texts, taught)
    if previous is not None and previous.key == key:
        return previous
    if taught.head is not None and taught.head.key == key:
        return taught.head

    def made() -> DescribedHead:
        categories, ordinary = features_of(texts, loaded, read, warn)
        return fitted(loaded, texts, categories, ordinary, taught)

    with workers(1, nice=NICE_BACKGROUND, name="heads") as thread:
        return thread.submit(made).result()


def fitted(
    loaded: Artifact, texts: Texts, categories: Mapping[str, CategoryTexts], ordinary: Array, taught: Taught
) -> DescribedHead:
    """Return the head of texts whose features are known, with what they were taught."""
    prompts = taught.categories
    learned = {
        name: dataclasses.replace(one, taught=prompts[name].features) if name in prompts else one
        for name, one in categories.items()
    }
    languages = dict(_languages(loaded, texts))
    for name, one in prompts.items():
        languages[name] = languages.get(name, frozenset()) | one.languages
    nobody = taught.nobody if prompts else None
    return described.fit(learned, ordinary, _key(loaded.manifest, texts, taught), languages, nobody)


def _current(taught: Taught | None, texts: Texts, warn: Callable[[str], object]) -> Taught:
    """Return what was taught for the descriptions as they are now; `warn` of the others, which the config describes."""
    if taught is None:
        return NOTHING
    if (stale := untaught(taught, texts)) is not None:
        warn(stale)
    current = {name: one for name, one in taught.categories.items() if _is_current(name, one, texts)}
    return dataclasses.replace(taught, categories=current)


def untaught(taught: Taught, texts: Texts) -> str | None:
    """Return the warning of described categories that were taught nothing, or for another description."""
    found = taught.categories
    stale = [name for name in sorted(texts) if name not in found or not _is_current(name, found[name], texts)]
    if not stale:
        return None
    return (
        f"the classifier was taught before {', '.join(stale[:MAX_NAMED])}{' …' * (len(stale) > MAX_NAMED)} had this "
        "description; there it knows the config alone: run `pointsman teach` again"
    )


def _is_current(name: str, one: TaughtPrompts, texts: Texts) -> bool:
    return name in texts and one.of == description_hash(texts[name][0])


def _key(manifest: Manifest, texts: Texts, taught: Taught) -> str:
    made_of = [manifest.encoder, manifest.files.get(ORDINARY), manifest.languages, texts]
    if taught.categories:
        made_of += [taught.key, sorted(taught.categories)]
    return hashlib.sha256(msgspec.json.encode(made_of)).hexdigest()


def texts_of(config: Config, manifest: Manifest) -> Texts:
    """Return the descriptions and the examples of each described category."""
    if manifest.features is None:
        return {}
    examples = {category.name: category.examples for category in config.categories}
    descriptions = cover(config, manifest.labels).descriptions
    return {name: (given, examples[name]) for name, given in descriptions.items()}


def features_of(
    texts: Texts, loaded: Artifact, read: Read, warn: Callable[[str], object] = lambda _: None
) -> tuple[dict[str, CategoryTexts], Array]:
    """Return the features of texts by category, and of ordinary requests; raises CannotStart."""
    ordinary = artifact.read_ordinary(loaded)
    if ordinary is None:
        raise ArtifactError(f"{loaded.folder}: has no ordinary requests to compare with; export the classifier again")
    known = _KnownFeatures(loaded.manifest.encoder or "", ordinary.shape[1])
    known.read(read, [text for some in texts.values() for of in some for text in of])
    categories = {name: CategoryTexts(known.of(given), known.of(examples)) for name, (given, examples) in texts.items()}
    if (trouble := known.store()) is not None:
        warn(trouble)
    return categories, ordinary


def _languages(loaded: Artifact, texts: Texts) -> Languages:
    """Return the languages of each category's examples, as far as they are certain."""
    if not loaded.manifest.languages:
        return EMPTY
    gate = LanguageGate(loaded.manifest.languages)
    return {
        name: frozenset(found for text in examples if (found := gate.judge(text).language) is not None)
        for name, (_, examples) in texts.items()
        if examples
    }


class _KnownFeatures:
    """The features of texts, from the file of an earlier start or from the encoder.

    A row of the file is 16 bytes of a hash of encoder and text, and the features as 32-bit floats.
    """

    def __init__(self, encoder: str, width: int) -> None:
        self._encoder = encoder.encode()
        self._form = np.dtype([("key", "S16"), ("values", "<f4", (width,))])
        folder = files.state_directory()
        self._file = None if folder is None else folder / FEATURES
        self._stored = {} if self._file is None else dict(self._kept(self._file))
        self._used: dict[bytes, Array] = {}

    def read(self, read: Read, texts: Iterable[str]) -> None:
        """Read the texts whose features are not known, with READERS threads; raises CannotStart."""
        keys = {self._key(text): text for text in texts}
        self._used = {key: self._stored[key] for key in keys if key in self._stored}
        new = [key for key in keys if key not in self._used]
        runs = [[keys[key] for key in new[at : at + RUN_TEXTS]] for at in range(0, len(new), RUN_TEXTS)]
        with workers(READERS, nice=NICE_BACKGROUND, name="features") as threads:
            rows = [row for found in threads.map(functools.partial(_run, read), runs) for row in found]
        self._used.update(zip(new, rows, strict=True))

    def of(self, texts: tuple[str, ...]) -> Array:
        """Return the features of texts that were read, shape [texts, width]."""
        rows = [self._used[self._key(text)] for text in texts]
        return np.array(rows, np.float32).reshape(len(rows), self._form["values"].shape[0])

    def store(self) -> str | None:
        """Write the features that were used, if some are new; return what the operator should know, if that fails."""
        if self._file is None or self._used.keys() == self._stored.keys():
            return None
        rows = np.array(list(self._used.items()), self._form)
        try:
            files.write(self._file, rows.tobytes(), replace=True, mode=0o600)
        except OSError as error:
            return f"{self._file} cannot be written ({error.strerror}): the next start reads all described texts again"
        return None

    def _key(self, text: str) -> bytes:
        return hashlib.blake2b(as_bytes(text), digest_size=16, key=self._encoder[:64]).digest()

    def _kept(self, file: Path) -> Iterator[tuple[bytes, Array]]:
        try:
            data = files.read(file, MAX_FEATURES_BYTES)
        except OSError:
            return
        if len(data) % self._form.itemsize == 0:  # else it is of an encoder of another width
            for row in np.frombuffer(data, self._form):
                if np.isfinite(row["values"]).all():
                    yield row["key"].ljust(16, b"\0"), row["values"]  # NumPy takes zeros at the end for padding


def _run(read: Read, texts: Sequence[str]) -> Array:
    """Return the features of texts, shape [texts, width]; raises CannotStart."""
    try:
        found = read(texts, MAX_TEXT_TOKENS)
    except Exception as error:
        raise CannotStart(f"the classifier failed on a text such as {texts[0][:80]!r}: {error}") from error
    for at, text in enumerate(texts):
        if found is None or not np.isfinite(found[at]).all():
            raise CannotStart(f"the classifier has no features for {text[:80]!r}")
    return np.asarray(found)
