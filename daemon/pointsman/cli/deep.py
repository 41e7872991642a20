"""Judge the described categories of a config with its encoder, for `pointsman check --deep`."""

from __future__ import annotations

from collections.abc import Iterator

from pointsman.classify import artifact, nearness
from pointsman.classify.category_head import Texts, features_of, texts_of
from pointsman.classify.encoder import load_encoder
from pointsman.classify.nearness import Nearness
from pointsman.columns import columns
from pointsman.config.category import MAX_QUOTED
from pointsman.config.load import LoadedConfig
from pointsman.config.words import listing

NEAR_SHARE = 0.25
MAX_SHOWN_PAIRS = 5
MAX_SHOWN_STRAYS = 8
MAX_SHOWN_WANTING = 3


def lines(loaded: LoadedConfig) -> Iterator[str]:
    """Yield what the encoder says of the described categories; raises CannotStart."""
    found = artifact.load(artifact.resolve(loaded.config.classifier.category_model.model_id, loaded.folder))
    texts = texts_of(loaded.config, found.manifest)
    if not texts:
        yield "no category is described by texts, so there is nothing to compare"
        return
    encoder = load_encoder(loaded.config, found.encoder)
    try:
        categories, ordinary = features_of(texts, found, encoder.features)
    finally:
        encoder.close()
    yield from _report(nearness.judge(categories, ordinary), texts)


def _report(found: Nearness, texts: Texts) -> Iterator[str]:
    near = [pair.names for pair in found.pairs if pair.share >= NEAR_SHARE][:MAX_SHOWN_PAIRS]
    crossing = [set(names) for names in near]
    strays = sorted(found.strays, key=lambda one: {one.category, one.chosen} not in crossing)
    if found.judged:
        lost = sum(one.chosen is None for one in strays)
        yield (
            f"of {found.judged} examples, each judged without itself, {found.judged - len(strays)} go to their "
            f"category, {len(strays) - lost} to another, {lost} to none"
        )
    if near:
        pairs = [(" and ".join(names), _crossing(names, found, texts)) for names in near]
        yield from columns([("near each other", "examples that go to the other"), *pairs])
    if strays:
        rows = [(one.category, one.chosen or "(none)", _quoted(texts[one.category][1][one.position])) for one in strays]
        yield from columns([("example of", "goes to", "text"), *rows[:MAX_SHOWN_STRAYS]])
        if (more := len(rows) - MAX_SHOWN_STRAYS) > 0:
            yield f"and {more} more"
    counts = [f"{name} (has {len(texts[name][1]) or 'none'})" for name in found.wanting]
    yield f"more examples would help most: {listing(counts[:MAX_SHOWN_WANTING])}"


def _crossing(names: tuple[str, str], found: Nearness, texts: Texts) -> str:
    count = sum({one.category, one.chosen} == set(names) for one in found.strays)
    return f"{count} of {total}" if (total := sum(len(texts[name][1]) for name in names)) else "-"


def _quoted(text: str) -> str:
    line = " ".join(text.split())
    return repr(line if len(line) <= MAX_QUOTED else f"{line[:MAX_QUOTED]}…")
