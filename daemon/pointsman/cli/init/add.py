"""Run `pointsman init --add`: write a category for each adapter that none names, into the existing config."""

from __future__ import annotations

import asyncio
import codecs
import dataclasses
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from pointsman import files
from pointsman.classify import artifact
from pointsman.cli.init.card import Card, read_cards
from pointsman.cli.init.insert import CannotInsert, inserted
from pointsman.cli.init.plan import InitPlan, TextCategory, describe, plan
from pointsman.cli.init.served import Adapter, InitError, VllmInventory, ask_vllm
from pointsman.cli.init.text import label_category, lora, remarks, shown, text_category
from pointsman.config import load
from pointsman.config.labels import cover
from pointsman.config.model import Config, Endpoint, Lora
from pointsman.config.secret import read_secret
from pointsman.config.words import show
from pointsman.errors import CommandFailed, ConfigError

TO_PASTE = 4
"""The exit status where lines are printed, for somebody to paste."""


@dataclass(frozen=True, slots=True)
class Additions:
    """New entries of a config, and lines about adapters that get none."""

    planned: InitPlan
    described: tuple[TextCategory, ...]
    loras: Mapping[str, Sequence[Adapter]]
    left: tuple[str, ...]

    @property
    def categories(self) -> list[str]:
        """Return the lines of the new categories."""
        labels = (line for category in self.planned.categories for line in label_category(category))
        return [*labels, *(line for category in self.described for line in text_category(category))]


def add(path: Path, out: TextIO, err: TextIO) -> int:
    """Ask the endpoints of a config, and add to it; return 0, or TO_PASTE. Raises CommandFailed and CannotStart."""
    content = load.content(path)
    text = load.decoded(content, path)
    loaded = load.load_text(text, path)
    model_id = loaded.config.classifier.category_model.model_id
    manifest = artifact.read_manifest(artifact.resolve(model_id, loaded.folder))
    served = asyncio.run(_ask(loaded.config, err))
    found = additions(loaded.config, served, manifest.labels, describes=manifest.features is not None)
    for line in found.left:
        print(shown(line), file=out)
    if not found.categories:
        print(f"{path}: nothing to add", file=out)
        return 0
    try:
        _write(path, content, edited(text, loaded, found))
    except CannotInsert as error:
        print(f"{path}: not changed: {error}. Lines to paste:", file=out)
        print("\n".join(_to_paste(found, loaded)), file=out)
        return TO_PASTE
    print(f"{path}: changed", file=out)
    for adapter, remark in remarks(found.planned, found.described).items():
        print(f"  {shown(adapter.name)}  {shown(remark)}", file=out)
    print(f"next: `pointsman check {path}`", file=out)
    return 0


async def _ask(config: Config, err: TextIO) -> VllmInventory:
    """Return the models of all endpoints that answer; raises CommandFailed if none does, and CannotStart."""
    file = config.pointsman.relay.api_key_file
    key = None if file is None else read_secret(file, "pointsman.relay.api_key_file")

    async def ask(endpoint: Endpoint) -> VllmInventory | CommandFailed:
        try:
            return await ask_vllm(endpoint, key)
        except CommandFailed as error:
            return error

    answers = await asyncio.gather(*map(ask, config.vllm_endpoints))
    served = [answer for answer in answers if isinstance(answer, VllmInventory)]
    failed = [answer for answer in answers if isinstance(answer, CommandFailed)]
    if not served:
        raise failed[0]
    for error in failed:
        print(f"pointsman init: left out: {error}", file=err)
    bases = {base: root for one in served for base, root in one.bases.items()}
    return VllmInventory(None, bases, tuple({x.name: x for one in served for x in one.adapters}.values()))


def additions(config: Config, served: VllmInventory, labels: Sequence[str], *, describes: bool) -> Additions:
    """Return what is missing for all adapters to have a category.

    `labels` are those of the classifier, which `describes` if it gives features of texts. Cards are read.
    """
    listed = {one.name: (base, one) for base, model in config.model_config.items() for one in model.loras}
    known = {one.name: one for one in served.adapters}
    routable = config.routable
    left: list[str] = []
    wanted = [
        Adapter(name, base, (known[name].path if name in known else None) or one.path)
        for name, (base, one) in listed.items()
        if name not in routable
    ]
    for one in known.values():
        if one.name in routable or one.name in listed:
            continue
        if (base := _base(config, served, one.base)) is None:
            left.append(f"{one.name}: not added: its base model {one.base} is not in model_config; name it there")
        else:
            wanted.append(dataclasses.replace(one, base=base))
    names = [category.name for category in config.categories]
    coverage = cover(config, labels, describes=describes)
    given = {x: name for name, has in coverage.labels_of.items() if name != coverage.rest for x in has}
    bases = {base: served.bases.get(base) for base in config.model_config}
    planned = plan(VllmInventory(None, bases, tuple(wanted)), labels, given, names)
    what = "name it there in model_scores, or as a canary"
    left += [f"{x.name}: not added: the category {name} has its domain; {what}" for x, name in planned.taken.items()]
    if not describes:
        why = "the classifier gives no features to compare prompts by; export it again with this release"
        left += [f"{x.name}: not added: {why}" for x in planned.unknown]
        planned = dataclasses.replace(planned, unknown=())
    cards, unread = read_cards({adapter.name: adapter.path for adapter in planned.unknown})
    cards |= {name: Card(one.description, "") for name, (_, one) in listed.items() if one.description.strip()}
    described = describe(planned.unknown, cards, labels, [*names, *(category.name for category in planned.categories)])
    new = [adapter for adapter in remarks(planned, described) if adapter.name not in listed]
    loras = {base: [x for x in new if x.base == base] for base in dict.fromkeys(x.base for x in new)}
    return Additions(planned, described, loras, (*left, *unread))


def _base(config: Config, served: VllmInventory, parent: str) -> str | None:
    """Return the config's name of a base model: its own, or that of the only one if vLLM does not know that name."""
    if parent in config.model_config:
        return parent
    unserved = [base for base in config.model_config if base not in served.bases]
    return unserved[0] if unserved and len(config.model_config) == 1 else None


def edited(text: str, loaded: load.LoadedConfig, found: Additions) -> str:
    """Return the text of the config with the additions.

    Raises CannotInsert unless it loads with these, and otherwise as before.
    """
    after = inserted(text, found.loras, found.categories)
    try:
        config = load.load_text(after, loaded.path).config
    except ConfigError as error:
        raise CannotInsert(f"it would not load ({error.problems[0].message})") from error
    before = loaded.config
    models = {
        base: dataclasses.replace(model, loras=(*model.loras, *map(_lora, found.loras.get(base, ()))))
        for base, model in before.model_config.items()
    }
    new = config.categories[len(before.categories) :]
    names = [*(one.name for one in found.planned.categories), *(one.name for one in found.described)]
    expected = dataclasses.replace(before, model_config=models, categories=(*before.categories, *new))
    if config != expected or [category.name for category in new] != names:
        raise CannotInsert("anchors, aliases or its layout leave no place for them")
    return after


def _lora(adapter: Adapter) -> Lora:
    return Lora(name=adapter.name, path=adapter.path)


def _write(path: Path, before: bytes, after: str) -> None:
    """Write the text unless the file has changed since it was read; a link stays one. Raises CannotInsert."""
    content = (codecs.BOM_UTF8 if before.startswith(codecs.BOM_UTF8) else b"") + after.encode()
    if len(content) > load.MAX_CONFIG_BYTES:
        raise CannotInsert(f"it would be larger than {load.MAX_CONFIG_BYTES:,} bytes")
    try:
        target = path.resolve()
        found = target.stat()
        if not os.access(target, os.W_OK):
            raise CannotInsert("it is not writable")
        if load.content(path) != before:
            raise InitError(f"{path}: it has changed meanwhile; run the command again")
        owner = (found.st_uid, found.st_gid) if os.geteuid() == 0 else None
        files.write(target, content, replace=True, owner=owner)
    except OSError as error:
        raise CannotInsert(f"it cannot be written ({error.strerror})") from error


def _to_paste(found: Additions, loaded: load.LoadedConfig) -> Iterator[str]:
    def place(*keys: str) -> str:
        line = loaded.source_map.at(*keys).line
        return shown(f"at the end of `{show(keys)}`" + ("" if line is None else f", which is at line {line}") + ":")

    for base, adapters in found.loras.items():
        yield place("model_config", base, "loras")
        yield from (f"      {line}" for adapter in adapters for line in lora(adapter))
    yield place("categories")
    yield from (f"  {line}" for line in found.categories)
