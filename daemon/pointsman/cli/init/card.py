"""Describe an adapter by the card in its folder: as one line of plain text, whatever the card's author wrote."""

from __future__ import annotations

import contextlib
import html
import itertools
import os
import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from pointsman import files
from pointsman.config import yaml_tree

MAX_CARDS = 200
MAX_CARD_BYTES = 64 << 10
"""Of each of the two files of a card."""
MAX_DESCRIPTION_CHARACTERS = 300
MAX_SENTENCES = 2
MAX_TOPICS = 8
MIN_LETTERS = 8
"""A paragraph with fewer says nothing."""
MAX_FRONT_MATTER_CHARACTERS = 8_000
"""A longer one is not read: YAML takes its time."""

_CONFIG, _README = "adapter_config.json", "README.md"
_HUB_NAME = re.compile(r"(\w[\w.-]{0,95})/(\w[\w.-]{0,95})", re.ASCII)
_HUB_BLOB = re.compile(r"\.\./\.\./blobs/[0-9a-f]{40,64}")
_FRONT_MATTER = re.compile(r"---[ \t]*\n(.*?)^---[ \t]*$", re.DOTALL | re.MULTILINE)
# What is not closed ends with the text, so that no part of it is read twice.
_MARKUP = re.compile(
    r"<!--(?:.*?-->|.*)|<(script|style)\b(?:.*?</\1|.*)|</?[a-z][^<>]{0,2000}>", re.DOTALL | re.IGNORECASE
)
_FENCE = re.compile(r"\s{0,3}(?:```|~~~)")
_UNDERLINE = re.compile(r"\s{0,3}(?:=+|-+)\s*")
_NO_PARAGRAPH = re.compile(r"\s{2}|\s?(?:#{1,6}\s|[-*+]\s|\d{1,9}[.)]\s|[>|]|\[[^\]]{1,99}\]:)")
_IMAGE = re.compile(r"!\[[^\[\]]{0,300}\]\([^()]{0,1000}\)")
_LINK = re.compile(r"\[([^\[\]]{0,300})\]\([^()]{0,1000}\)")
_NOISE = re.compile(r"https?://\S+|[*`~|<>]+|(?<!\w)_+|(?<!_)_+(?!\w)")
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+|(?<=[。！？])")
# What libraries write into a card before anybody else does.
_SAYS_NOTHING = re.compile(
    r"more information needed|generated using this raw template|achieves the following results|base template for new"
    r"|trained (?:\S+ faster )?(?:with|using) (?:axolotl|dpo|grpo|orpo|peft|sft|trl|unsloth)\b"
    r"|^this model is a fine-?tuned version of \S+(?: on (?:the|an) .{1,100} dataset)?\.?$",
    re.IGNORECASE,
)
_NO_TOPICS = re.compile(
    r"None|.*:.*|adapter|axolotl|causal-lm|conversational|dpo|generated_from_trainer|gguf|grpo|llama-?\d*|llama-factory"
    r"|lora|mistral|orpo|peft|pytorch|qlora|qwen\d*|safetensors|sft|text-generation(?:-inference)?|transformers|trl"
    r"|unsloth",
    re.IGNORECASE,
)


class CardUnread(Exception):
    """A card is there and cannot be read; the message names the file and the cause."""


@dataclass(frozen=True, slots=True)
class Card:
    """An adapter's card; both texts are of one line, and empty where it does not say."""

    description: str
    made_for: str
    """The base model and the task."""


class _AdapterConfig(msgspec.Struct):
    base_model_name_or_path: str | None = None
    task_type: str | None = None


def read_cards(paths: Mapping[str, str | None]) -> tuple[dict[str, Card], list[str]]:
    """Read the cards of adapters, by their names; return those that are there, and lines about those not read."""
    cards: dict[str, Card] = {}
    unread = []
    for name, path in itertools.islice(paths.items(), MAX_CARDS):
        try:
            card = read_card(path)
        except CardUnread as error:
            unread.append(f"card not read: {error}")
        else:
            cards |= {} if card is None else {name: card}
    if len(paths) > MAX_CARDS:
        unread.append(f"cards not read: those of {len(paths) - MAX_CARDS} adapters after the first {MAX_CARDS}")
    return cards, unread


def read_card(path: str | None) -> Card | None:
    """Read the card of the adapter that vLLM has at a path or by a name on Hugging Face; None if there is none here.

    Raises CardUnread.
    """
    folder = _folder(path or "")
    config = None if folder is None else _content(folder / _CONFIG)
    if folder is None or config is None:
        return None
    try:
        made_for = msgspec.json.decode(config, type=_AdapterConfig)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise CardUnread(f"{folder / _CONFIG}: not an adapter's, {error}") from error
    readme = _content(folder / _README)
    facts = (made_for.base_model_name_or_path, made_for.task_type)
    return Card("" if readme is None else describe(readme), bounded(_plain(", ".join(filter(None, facts)))))


def _folder(path: str) -> Path | None:
    """Return the folder of an adapter: the path, or a download of the name in this user's cache of Hugging Face."""
    name = _HUB_NAME.fullmatch(path)
    if name is None:
        return Path(path) if path.startswith("/") and "\0" not in path else None
    home = Path(os.environ.get("HF_HOME") or "~/.cache/huggingface")
    hub = os.environ.get("HF_HUB_CACHE") or home / "hub"
    cached = Path(os.path.expanduser(hub), "--".join(("models", *name.groups())))  # noqa: PTH111 - Path's fails homeless
    revision = _content(cached / "refs/main")
    return None if revision is None or not re.fullmatch(r"\w+", revision) else cached / "snapshots" / revision


def _content(file: Path) -> str | None:
    """Return the text of a file, None if there is none; raises CardUnread.

    No link is followed but those of Hugging Face's cache, from a snapshot to the blob beside it.
    """
    try:
        with contextlib.suppress(OSError):
            if _HUB_BLOB.fullmatch(str(target := file.readlink())):
                file = file.parent / target
        return files.read(file, MAX_CARD_BYTES, follow=False).decode("utf-8-sig")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise CardUnread(f"{file}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise CardUnread(f"{file}: not UTF-8 text") from error


def describe(readme: str) -> str:
    """Return the first sentences of a card's first paragraph that says something, else the topics in its front matter.

    The time is linear in the text's length.
    """
    text = "\n".join(readme.splitlines())
    front = _FRONT_MATTER.match(text)
    body = text if front is None else text[front.end() :]
    for paragraph in _paragraphs(_MARKUP.sub(" ", body)):
        if said := _sentences(_plain(paragraph)):
            return bounded(said)
    return "" if front is None else bounded(", ".join(dict.fromkeys(_topics(front[1]))))


def bounded(text: str) -> str:
    """Return the text, cut between words where it is too long."""
    if len(text) <= MAX_DESCRIPTION_CHARACTERS:
        return text
    cut = text[: MAX_DESCRIPTION_CHARACTERS - 1]
    return (cut.rpartition(" ")[0] or cut) + "…"


def _paragraphs(body: str) -> Iterator[str]:
    """Yield the paragraphs of Markdown without headings, lists, quotes, tables and code."""
    lines: list[str] = []
    fenced = False
    for line in (*body.split("\n"), ""):
        fence = _FENCE.match(line) is not None
        fenced ^= fence
        if _UNDERLINE.fullmatch(line):
            lines.clear()  # they were a heading
        elif not (fence or fenced or not line.strip() or _NO_PARAGRAPH.match(line)):
            lines.append(line)
        elif lines:
            yield " ".join(lines)
            lines.clear()


def _plain(text: str) -> str:
    """Return text without Markdown, addresses, and characters that are not printed, on one line."""
    text = _NOISE.sub("", html.unescape(_LINK.sub(r"\1", _IMAGE.sub("", text))))
    printed = ("" if unicodedata.category(x) == "Cf" else x if x.isprintable() else " " for x in text)
    return " ".join("".join(printed).split())


def _sentences(text: str) -> str:
    said = [sentence for sentence in _SENTENCE_END.split(text) if not _SAYS_NOTHING.search(sentence)]
    found = " ".join(said[:MAX_SENTENCES]).strip()
    return found if sum(map(str.isalpha, found)) >= MIN_LETTERS else ""


def _topics(front_matter: str) -> Iterator[str]:
    """Yield what the adapter was tagged with and trained on."""
    root = yaml_tree.parse(front_matter).root if len(front_matter) <= MAX_FRONT_MATTER_CHARACTERS else None
    for key in ("tags", "datasets"):
        node = None if root is None else root.entries.get(key)
        items = node.items if isinstance(node, yaml_tree.Items) else () if node is None else (node,)
        texts = [item.text for item in items if isinstance(item, yaml_tree.Scalar)]
        found = (text.rpartition("/")[2] for text in texts if not _NO_TOPICS.fullmatch(text))
        yield from list(filter(None, (_plain(re.sub(r"[_-]+", " ", topic[:100])) for topic in found)))[:MAX_TOPICS]
