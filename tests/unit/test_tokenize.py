"""Token ids, and what is kept of a text that is too long."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
import tokenizers
import tokenizers.processors

from pointsman.classify.tokenizer import TextWindow, Tokenizer
from pointsman.errors import ArtifactError
from support import toy_artifact

LETTERS = "abcdefghijklmnop"
CLS, SEP = 2, 3


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tokenizer that knows the letters."""
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    path.write_bytes(toy_artifact.tokenizer(dict.fromkeys(LETTERS, "law")))
    return path


def ids(letters: Sequence[str]) -> list[int]:
    return [CLS, *(4 + LETTERS.index(letter) for letter in letters), SEP]


@pytest.mark.parametrize("letters", ["", "a", "abcdef"])
def test_a_text_that_fits_is_whole(file: Path, letters: str) -> None:
    (encoded,) = Tokenizer(file).encode([" ".join(letters)], TextWindow(8, 0.5))
    assert (encoded.ids.tolist(), encoded.cut) == (ids(letters), False)


@pytest.mark.parametrize(
    ("share", "expected"),
    [(0.5, "abcnop"), (0.0, "klmnop"), (1.0, "abcdef"), (0.34, "abmnop"), (0.9, "abcdep")],
)
def test_of_a_longer_text_head_and_tail_are_kept_between_the_special_tokens(
    file: Path, share: float, expected: str
) -> None:
    (encoded,) = Tokenizer(file).encode([" ".join(LETTERS)], TextWindow(8, share))
    assert (encoded.ids.tolist(), encoded.cut) == (ids(expected), True)


@pytest.mark.parametrize(
    ("template", "expected"), [("[CLS] $A", [CLS, *ids("abcdnop")[1:-1]]), ("$A [SEP]", [*ids("abcdnop")[1:-1], SEP])]
)
def test_special_tokens_may_be_on_one_side_only(file: Path, tmp_path: Path, template: str, expected: list[int]) -> None:
    built = tokenizers.Tokenizer.from_file(str(file))
    built.post_processor = tokenizers.processors.TemplateProcessing(
        single=template, special_tokens=[("[CLS]", CLS), ("[SEP]", SEP)]
    )
    built.save(str(tmp_path / "tokenizer.json"))
    (encoded,) = Tokenizer(tmp_path / "tokenizer.json").encode([" ".join(LETTERS)], TextWindow(8, 0.5))
    assert encoded.ids.tolist() == expected


def test_one_token_too_many_is_cut(file: Path) -> None:
    (encoded,) = Tokenizer(file).encode(["a b c d e f g"], TextWindow(8, 0.5))
    assert (encoded.ids.tolist(), encoded.cut) == (ids("abcefg"), True)


def test_special_tokens_that_the_client_writes_do_not_upset_the_cut(file: Path) -> None:
    (encoded,) = Tokenizer(file).encode(["[SEP] " * 20 + "[CLS] a"], TextWindow(8, 0.5))
    assert encoded.ids.tolist() == [CLS, SEP, SEP, SEP, SEP, CLS, 4, SEP]


def test_each_text_of_a_batch_is_its_own_and_none_is_padded(file: Path) -> None:
    encoded = Tokenizer(file).encode(["a", " ".join(LETTERS), "b c"], TextWindow(8, 0.5))
    assert [item.ids.tolist() for item in encoded] == [ids("a"), ids("abcnop"), ids("bc")]
    assert [item.cut for item in encoded] == [False, True, False]


def test_truncation_and_padding_of_the_file_itself_do_not_count(file: Path, tmp_path: Path) -> None:
    built = tokenizers.Tokenizer.from_file(str(file))
    built.enable_truncation(3)
    built.enable_padding(length=16)
    built.save(str(tmp_path / "tokenizer.json"))
    (encoded,) = Tokenizer(tmp_path / "tokenizer.json").encode(["a b c d"], TextWindow(8, 0.5))
    assert encoded.ids.tolist() == ids("abcd")


@pytest.mark.parametrize("share", [0.0, 0.25, 0.5, 1.0])
def test_what_cannot_matter_of_a_very_long_text_is_cut_before_it_is_tokenized(share: float) -> None:
    limit = 10 * 12
    text = "".join(chr(0x4E00 + position) for position in range(10 * limit))
    head, tail = TextWindow(10, share).cut_text(text).split(" ")
    assert len(head) + len(tail) == limit
    assert len(head) == share * limit
    assert text.startswith(head)
    assert text.endswith(tail)


def test_a_text_at_the_limit_is_the_very_same_object() -> None:
    text = "x" * 10 * 12
    assert TextWindow(10, 0.5).cut_text(text) is text
    assert TextWindow(10, 0.5).cut_text(text + "x") != text + "x"


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff\x00", b"not JSON"])
def test_a_file_that_is_no_tokenizer_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_bytes(content)
    with pytest.raises(ArtifactError, match=str(path)):
        Tokenizer(path)
