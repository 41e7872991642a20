"""Make the head of a config's described categories: read their texts with the encoder, and fit.

Features are kept in memory and in the state directory, so that only new texts are read. All of it runs on one thread of
low priority, text by text, beside the requests.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import numpy as np

from pointsman import files
from pointsman.classify import artifact, described
from pointsman.classify.artifact import Artifact
from pointsman.classify.described import EMPTY, CategoryTexts, DescribedHead, Languages
from pointsman.classify.engine import Array
from pointsman.classify.language import LanguageGate
from pointsman.classify.manifest import ORDINARY
from pointsman.classify.workers import NICE_BACKGROUND, workers
from pointsman.config.labels import cover
from pointsman.config.model import Config
from pointsman.errors import ArtifactError, CannotStart

MAX_TEXT_TOKENS = 128
FEATURES = "features.bin"
MAX_FEATURES_BYTES = 64 << 20

Read = Callable[[str, int], Array | None]
"""Returns the features of a text, of at most so many tokens, shape [width]."""


def make_head(
    config: Config, loaded: Artifact, read: Read, previous: DescribedHead | None = None
) -> DescribedHead | None:
    """Return the head of the described categories, None if there are none; raises CannotStart.

    `previous` is returned if nothing has changed.
    """
    manifest = loaded.manifest
    if manifest.features is None:
        return None
    descriptions = cover(config, manifest.labels).descriptions
    if not descriptions:
        return None
    examples = {category.name: category.examples for category in config.categories}
    texts = {name: (given, examples[name]) for name, given in descriptions.items()}
    made_of = [manifest.encoder, manifest.files.get(ORDINARY), manifest.languages, texts]
    key = hashlib.sha256(msgspec.json.encode(made_of)).hexdigest()
    if previous is not None and previous.key == key:
        return previous
    with workers(1, nice=NICE_BACKGROUND, name="heads") as thread:
        return thread.submit(_made, loaded, read, texts, key).result()


def _made(
    loaded: Artifact, read: Read, texts: dict[str, tuple[tuple[str, ...], tuple[str, ...]]], key: str
) -> DescribedHead:
    ordinary = artifact.read_ordinary(loaded)
    if ordinary is None:
        raise ArtifactError(f"{loaded.folder}: has no ordinary requests to compare with; export the classifier again")
    known = _KnownFeatures(read, loaded.manifest.encoder or "", ordinary.shape[1])
    categories = {name: CategoryTexts(known.of(given), known.of(examples)) for name, (given, examples) in texts.items()}
    known.store()
    return described.fit(categories, ordinary, key, _languages(loaded, texts))


def _languages(loaded: Artifact, texts: dict[str, tuple[tuple[str, ...], tuple[str, ...]]]) -> Languages:
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

    def __init__(self, read: Read, encoder: str, width: int) -> None:
        self._read = read
        self._encoder = encoder.encode()
        self._form = np.dtype([("key", "S16"), ("values", "<f4", (width,))])
        folder = files.state_directory()
        self._file = None if folder is None else folder / FEATURES
        self._stored = {} if self._file is None else dict(self._kept(self._file))
        self._used: dict[bytes, Array] = {}

    def of(self, texts: tuple[str, ...]) -> Array:
        """Return the features of texts, shape [texts, width]; raises CannotStart."""
        rows = [self._one(text) for text in texts]
        return np.array(rows, np.float32).reshape(len(rows), self._form["values"].shape[0])

    def store(self) -> None:
        """Write the features that were used, if some are new; without room, the next start reads the texts again."""
        if self._file is None or self._used.keys() == self._stored.keys():
            return
        rows = np.array(list(self._used.items()), self._form)
        try:
            files.write(self._file, rows.tobytes(), replace=True, mode=0o600)
        except OSError:
            return

    def _one(self, text: str) -> Array:
        key = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16, key=self._encoder[:64]).digest()
        found = self._used.get(key, self._stored.get(key))
        if found is None:
            try:
                found = self._read(text, MAX_TEXT_TOKENS)
            except Exception as error:
                raise CannotStart(f"the classifier failed on {text[:80]!r}: {error}") from error
            if found is None or not np.isfinite(found).all():
                raise CannotStart(f"the classifier has no features for {text[:80]!r}")
        self._used[key] = found
        return found

    def _kept(self, file: Path) -> Iterator[tuple[bytes, Array]]:
        try:
            data = files.read(file, MAX_FEATURES_BYTES)
        except OSError:
            return
        if len(data) % self._form.itemsize == 0:  # else it is of an encoder of another width
            for row in np.frombuffer(data, self._form):
                if np.isfinite(row["values"]).all():
                    yield row["key"].ljust(16, b"\0"), row["values"]  # NumPy takes zeros at the end for padding
