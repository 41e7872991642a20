"""`pointsman init`: the text of the config loads and routes, and so it does with what is commented out."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from pointsman.cli.init.plan import describe, plan
from pointsman.cli.init.served import Adapter, VllmInventory
from pointsman.cli.init.text import render
from pointsman.config.admin_address import with_admin_address
from pointsman.config.labels import cover
from pointsman.config.lint import lint
from pointsman.config.load import LoadedConfig, load_text
from pointsman.config.model import Endpoint
from support.config_files import LABELS

URL = "http://127.0.0.1:8000"
PATH = Path("/nowhere/config.yaml")


def served(*adapters: str, bases: tuple[str, ...] = ("base",), path: str | None = None) -> VllmInventory:
    """Adapters of the first base model."""
    return VllmInventory("0.32.0", dict.fromkeys(bases), tuple(Adapter(name, bases[0], path) for name in adapters))


def text(found: VllmInventory, address: str = URL, key_file: str | None = None) -> str:
    planned = plan(found, LABELS)
    described = describe(planned.unknown, {}, LABELS, [category.name for category in planned.categories])
    return render(found, planned, described, Endpoint(name="vllm", address=address), key_file)


def judged(content: str) -> LoadedConfig:
    """The config, which must have neither errors nor warnings, but that guesses say little."""
    loaded = load_text(content, PATH)
    findings = lint(loaded, LABELS)
    assert findings.errors == ()
    assert [one.message for one in findings.warnings if "hardly says what" not in one.message] == []
    return loaded


@pytest.mark.parametrize("adapters", [(), ("law",), ("law", "extra"), ("medical", "clinical", "extra", "more")])
def test_the_config_has_no_finding_and_names_all_that_is_served(adapters: tuple[str, ...]) -> None:
    config = judged(text(served(*adapters, path="/models/x"))).config

    assert [(lora.name, lora.path) for lora in config.model_config["base"].loras] == [
        (x, "/models/x") for x in adapters
    ]
    assert config.default_model == "base"
    assert config.categories[-1].name == "general"


def test_an_adapter_answers_its_domain_and_the_base_model_the_rest() -> None:
    config = judged(text(served("legal-lora"))).config

    assert {x.name: (x.mmlu_categories, x.model_scores[0].target) for x in config.categories} == {
        "legal": (("law",), "legal-lora"),
        "general": ((), "base"),
    }


def uncommented(content: str, first: str, lines: int) -> str:
    """The text with a block of comments, from the line that has `first` on, made lines of it."""
    rows = content.splitlines()
    start = next(i for i, row in enumerate(rows) if row.lstrip().startswith("# ") and first in row)
    rows[start : start + lines] = [re.sub(r"# ", "", row, count=1) for row in rows[start : start + lines]]
    return "\n".join(rows) + "\n"


def test_an_adapter_of_an_unknown_domain_is_described_by_its_name_which_is_marked_as_a_guess() -> None:
    content = text(served("law", "captain_barnaby-v2"))
    config = judged(content).config

    assert [(x.name, x.model_scores[0].target) for x in config.categories] == [
        ("law", "law"),
        ("captain_barnaby-v2", "captain_barnaby-v2"),
        ("general", "base"),
    ]
    assert cover(config, LABELS).descriptions == {"captain_barnaby-v2": ("captain barnaby v2",)}
    assert 'description: "captain barnaby v2"    # a guess from the name: say what it is for\n' in content


def test_an_adapter_of_the_same_domain_only_needs_to_be_uncommented() -> None:
    config = judged(uncommented(text(served("medical", "clinical")), "- model: ", 3)).config

    assert [entry.target for entry in config.categories[0].model_scores] == ["medical", "clinical"]


@pytest.mark.parametrize(
    "name",
    [
        'quo"te',
        "a: b",
        "# no comment",
        "line\nbreak",
        "\u2028\u0085\x7f\x00",
        "{{template}}",
        "'",
        "- x",
        "*",
        "yes",
        "42",
        "ünï",
        "🚂",
        " blank ",
        "x" * 500,
    ],
    ids=ascii,
)
def test_whatever_a_model_is_named_the_config_says_it(name: str) -> None:
    """In the values and in the comments."""
    found = VllmInventory(None, {name: None}, (Adapter(f"{name}1", name, name), Adapter(f"law {name}", name, name)))
    config = judged(text(found)).config

    assert config.default_model == name
    assert [lora.name for lora in config.model_config[name].loras] == [f"{name}1", f"law {name}"]


def test_the_base_model_with_the_most_adapters_is_the_default() -> None:
    found = VllmInventory(None, {"small": None, "large": None}, (Adapter("law", "large", None),))
    config = judged(text(found)).config

    assert config.default_model == "large"
    assert [*config.model_config] == ["small", "large"]
    assert config.categories[0].model_scores[0].model == "large"


@pytest.mark.parametrize(
    ("address", "written"),
    [
        ("http://127.0.0.1:8000", {"address": "127.0.0.1", "port": 8000}),
        ("http://vllm.example", {"address": "vllm.example", "port": 80}),
        ("http://[::1]:8000", {"address": "::1", "port": 8000}),
        ("https://vllm.example", {"address": "https://vllm.example"}),
        ("http://gateway:8000/vllm", {"address": "http://gateway:8000/vllm"}),
        ("unix:/run/vllm.sock", {"address": "unix:/run/vllm.sock"}),
    ],
)
def test_the_endpoint_is_where_vllm_was_found(address: str, written: dict[str, Any]) -> None:
    content = text(served(), address)
    endpoint = judged(content).config.vllm_endpoints[0]

    assert yaml.safe_load(content)["vllm_endpoints"] == [{"name": "vllm"} | written]
    assert endpoint.base_url in {address, f"{address}:80", "http://localhost"}


@pytest.mark.parametrize(
    ("port", "listen", "admin"),
    [
        (8000, "127.0.0.1:8080", "127.0.0.1:9190"),
        (8080, "127.0.0.1:8081", "127.0.0.1:9190"),
        (9190, "127.0.0.1:8080", "127.0.0.1:9191"),
    ],
)
def test_a_port_that_vllm_has_is_not_ours(port: int, listen: str, admin: str) -> None:
    server = judged(text(served(), f"http://localhost:{port}")).config.pointsman.server

    assert (server.listen, with_admin_address(server, None).admin_listen) == ((listen,), admin)


def test_the_key_file_is_named(tmp_path: Path) -> None:
    file = tmp_path / "key: #1"
    file.touch(0o600)

    assert judged(text(served(), key_file=str(file))).config.pointsman.relay.api_key_file == str(file)
