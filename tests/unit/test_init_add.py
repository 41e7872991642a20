"""`pointsman init --add`: what is new in a config, and every byte of the old."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import yaml

from pointsman.cli.init.add import Additions, additions, edited
from pointsman.cli.init.insert import CannotInsert
from pointsman.cli.init.plan import plan
from pointsman.cli.init.served import Adapter, VllmInventory
from pointsman.cli.init.text import render
from pointsman.config.load import load_text
from pointsman.config.model import Endpoint
from support.config_files import LABELS, REPOSITORY

PATH = REPOSITORY / "config" / "config.yaml"
BLOCK = """\
vllm_endpoints:
  - name: a
    address: 127.0.0.1
    port: 8000
default_model: base
model_config:
  base:
    loras:
      - name: law-lora    # the first
categories:
  - name: law
    model_scores:
      - model: base
        lora_name: law-lora
        use_reasoning: false
        # score: 0.5

  - name: general
    model_scores: [{model: base, use_reasoning: false}]
    # The end of general.

  # Of nothing.
pointsman:
  log:
    level: info
"""


def found(text: str, *names: str, base: str | None = None, path: str | None = None) -> Additions:
    """What is missing for adapters of a base model, by default the config's first."""
    config = load_text(text, PATH).config
    parent = base or next(iter(config.model_config))
    adapters = tuple(Adapter(name, parent, path) for name in names)
    return additions(config, VllmInventory(None, {parent: None}, adapters), LABELS, describes=True)


def added(text: str, *names: str, path: str | None = None) -> str:
    return edited(text, load_text(text, PATH), found(text, *names, path=path))


def inserted(before: str, after: str) -> list[str]:
    """The lines that are new; all others must be as they were, in their order, line ends included."""
    old = before.splitlines(keepends=True)
    new = []
    for line in after.splitlines(keepends=True):
        if old and line == old[0]:
            old.pop(0)
        else:
            new.append(line)
    assert old == []
    return new


def same(one: str, other: str) -> int:
    """The number of characters at the beginning that two texts have in common."""
    return next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


def documented() -> dict[str, str]:
    """The whole configs in the repository's docs and folders, block style or not."""
    found = {file.name: file.read_text() for file in (REPOSITORY / "config").glob("*.yaml")}
    for page in [REPOSITORY / "README.md", *(REPOSITORY / "docs").rglob("*.md")]:
        for number, block in enumerate(re.findall(r"```yaml\n(.*?)```", page.read_text(), re.DOTALL)):
            if "vllm_endpoints:" in block and "categories:" in block:
                found[f"{page.name} {number}"] = block
    return found


def of_init(*names: str) -> str:
    served = VllmInventory(None, {"base": None, "other": None}, tuple(Adapter(name, "base", "/x") for name in names))
    return render(served, plan(served, LABELS), (), Endpoint(name="vllm", address="http://127.0.0.1:8000"), None)


def block(*changes: tuple[str, str]) -> str:
    text = BLOCK
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return text


END = "    # The end of general."
LORAS = "    loras:\n      - name: law-lora    # the first\n"
UNNAMED = ("        lora_name: law-lora\n", "")
CONFIGS = {
    "block": BLOCK,
    "indentless lists": yaml.safe_dump(yaml.safe_load(BLOCK), sort_keys=False),
    "a merged category": block(("name: law\n", "<<: &x {name: law}\n"), ("- name: gen", "- <<: *x\n    name: gen")),
    "a block scalar at the end": block((END, "    system_prompt: |\n      Be good.\n\n")),
    "a folded scalar at the end": block((END, "    system_prompt: >-\n      Be\n      good.\n")),
    "quoted text of two lines": block((END, '    system_prompt: "Be\n\n      # good."')),
    "nothing at the end": block((END, "    mmlu_categories: []")),
    "a list in brackets at the end": block((END, "    mmlu_categories: [\n      math,\n      other ]  # x")),
    "no loras": block((LORAS, "    preferred_endpoints: [a]  # all\n"), UNNAMED),
    "loras in brackets": block((LORAS, "    loras: [{name: law-lora},  # x\n      ]\n")),
    "a model in brackets": block((":\n" + LORAS, ": {loras: [{name: law-lora}]}\n")),
    "no loras in brackets": block((":\n" + LORAS, ": { preferred_endpoints: [a] }\n"), UNNAMED),
    "empty brackets": block((":\n" + LORAS, ": {  }\n"), UNNAMED),
    "empty list": block((LORAS, "    loras: []\n"), UNNAMED),
    "an anchor elsewhere": block(("address: 127.0.0.1", "address: &here 127.0.0.1")),
    "quoted keys": block(("categories:", "'categories' :  # all"), ("  base:", '  "base":')),
    "a comment at the margin": block(("  - name: general", "# margin\n  - name: general")),
    "init's own": of_init("law", "medical", "clinical"),
    "init's own without adapters": of_init(),
    **documented(),
}  # fmt: skip
LAYOUTS: dict[str, Callable[[str], str]] = {
    "as it is": lambda text: text,
    "CRLF": lambda text: text.replace("\n", "\r\n"),
    "no last newline": lambda text: text.rstrip("\n"),
    "document marks": lambda text: f"%YAML 1.1\n---\n{text}...\n",
    "categories last": lambda text: re.sub(r"(?ms)^(categories:\n.*?\n)(pointsman:.*)\Z", r"\2\1", text),
    "categories last and no newline": lambda text: re.sub(
        r"(?ms)^(categories:\n.*?\n)(pointsman:.*)\Z", r"\2\1", text
    ).rstrip(),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("config", CONFIGS)
def test_what_is_new_is_inserted_and_every_other_byte_stays(config: str, layout: str) -> None:
    before = LAYOUTS[layout](CONFIGS[config])
    after = added(before, "triage-v3", "captain_barnaby", path="/srv/x")
    new = yaml.safe_load(after)
    base = next(iter(new["model_config"]))
    loras = new["model_config"][base]["loras"]
    assert [loras.pop(), loras.pop()] == [
        {"name": "captain_barnaby", "path": "/srv/x"},
        {"name": "triage-v3", "path": "/srv/x"},
    ]
    categories = [new["categories"].pop(), new["categories"].pop()][::-1]
    assert [(one["name"], one["description"], one["model_scores"][0]["lora_name"]) for one in categories] == [
        ("triage-v3", "triage v3", "triage-v3"),
        ("captain_barnaby", "captain barnaby", "captain_barnaby"),
    ]
    old = yaml.safe_load(before)
    if not loras:  # none before
        new["model_config"][base].pop("loras")
        (old["model_config"][base] or {}).pop("loras", None)
    assert new == old
    start = same(before, after)
    end = min(same(before[::-1], after[::-1]), len(before) - start)
    assert before[start : len(before) - end] in after[start : len(after) - end], "two insertions, and no other change"
    if "\r" in before:
        assert "\n" not in after.replace("\r\n", "")


def test_the_lines_are_written_in_the_files_own_indentation_after_the_comments_of_the_last_entry() -> None:
    assert inserted(BLOCK, added(BLOCK, "sql-gen")) == [
        '      - name: "sql-gen"\n',
        '  - name: "sql-gen"\n',
        '    description: "sql gen"    # a guess from the name: say what it is for\n',
        "    model_scores:\n",
        '      - model: "base"\n',
        '        lora_name: "sql-gen"\n',
        "        use_reasoning: false\n",
    ]
    after = added(BLOCK, "sql-gen")
    assert '# the first\n      - name: "sql-gen"\ncategories:' in after
    assert '    # The end of general.\n  - name: "sql-gen"' in after
    assert after.endswith("use_reasoning: false\n\n  # Of nothing.\npointsman:\n  log:\n    level: info\n")


def test_where_there_is_no_place_nothing_is_written() -> None:
    flow = yaml.safe_dump(yaml.safe_load(BLOCK), default_flow_style=True)
    categories = "categories: [{name: general, model_scores: [{model: base}]}]\n"
    for before in (
        flow,
        re.sub(r"(?s)categories:.*(?=pointsman)", categories, BLOCK),
        re.sub(r"(?s)categories:.*(?=pointsman)", "", BLOCK),
        BLOCK.replace(END, "    description: *here").replace("address: ", "address: &here "),
        BLOCK.replace(END, "    system_prompt: |+\n      Be good.\n\n"),
        BLOCK.replace("    loras:\n      - name: law-lora", "    <<: {loras: [{name: law-lora}]}"),
    ):
        assert before != BLOCK
        load_text(before, PATH)
        with pytest.raises(CannotInsert):
            added(before, "sql-gen")


def left(text: str, *names: str, base: str | None = None) -> tuple[list[str], Sequence[str]]:
    """The names of the categories that are added, and what is said of the others."""
    new = found(text, *names, base=base)
    return [*(x.name for x in new.planned.categories), *(x.name for x in new.described)], new.left


def test_nothing_new_is_nothing_to_add() -> None:
    assert left(BLOCK, "law-lora") == ([], ())


def test_an_adapter_of_a_free_label_gets_it_and_one_of_a_taken_label_is_left() -> None:
    names, said = left(BLOCK, "math-lora", "legal-v2", "sql")
    assert names == ["math", "sql"]
    assert said == (
        "legal-v2: not added: the category law has its domain; name it there in model_scores, or as a canary",
    )


def test_an_adapter_that_the_config_lists_and_no_category_names_gets_one_by_its_description() -> None:
    text = BLOCK.replace("# the first", "\n      - name: sql\n        description: Writes SQL.")
    new = found(text)
    assert [(one.description, one.guessed) for one in new.described] == [("Writes SQL.", False)]
    assert new.loras == {}


def test_an_adapter_that_the_config_lists_without_a_description_is_described_by_its_card(tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text("{}")
    (tmp_path / "README.md").write_text("Writes SQL for us.")
    text = BLOCK.replace("# the first", f"\n      - name: sql\n        path: {tmp_path}")
    assert [one.description for one in found(text).described] == ["Writes SQL for us."]
    assert [one.description for one in found(text, "sql", path="/elsewhere").described] == ["sql"], "vLLM knows better"


def test_what_a_canary_or_a_rule_names_needs_no_category() -> None:
    routing = "  routing:\n    categories: {law: {canary: {adapter: law-v2, percent: 5}}}\n"
    routing += "    rules: [{name: x, keywords: [x], adapter: sql}]\n"
    text = BLOCK.replace("# the first", "\n      - name: law-v2\n      - name: sql\n      - name: plain") + routing
    assert left(text) == (["plain"], ())


def test_the_only_base_model_may_be_served_under_another_name_and_any_other_is_named() -> None:
    assert left(BLOCK, "sql", base="/models/base") == (["sql"], ())
    text = BLOCK.replace("  base:", "  second: {}\n  base:")
    assert left(text, "sql", base="third") == (
        [],
        ("sql: not added: its base model third is not in model_config; name it there",),
    )


def test_names_of_categories_are_new_and_no_labels() -> None:
    text = BLOCK.replace("name: law\n", "name: SQL\n    mmlu_categories: [law]\n")
    names = left(text, "sql", "sql ", "general", "!!!", "a/b")[0]
    assert names == ["sql-2", "sql-3", "general-2", "adapter", "a-b"]


def test_a_classifier_without_features_cannot_describe() -> None:
    config = load_text(BLOCK, PATH).config
    served = VllmInventory(None, {"base": None}, (Adapter("sql", "base", None), Adapter("math", "base", None)))
    new = additions(config, served, LABELS, describes=False)
    assert ([x.name for x in new.planned.categories], new.described) == (["math"], ())
    (said,) = new.left
    assert said.startswith("sql: not added: the classifier gives no features to compare prompts by; export it again")


def test_a_second_run_finds_nothing() -> None:
    after = added(BLOCK, "sql", "math")
    assert left(after, "sql", "math") == ([], ())
