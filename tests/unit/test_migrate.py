"""What becomes of each part of a configuration of vLLM Semantic Router."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pointsman.cli.main import main
from support.config_files import LABELS, MINIMAL, plain, write, write_manifest

GUIDE = Path(__file__).parent / "data" / "guide.yaml"

TODAY = """\
version: v0.3
listeners:
  - {name: http, address: 0.0.0.0, port: 8801, timeout: 5m}
  - {name: grpc-50051, address: 0.0.0.0, port: 50051}
providers:
  defaults:
    default_model: house
    default_reasoning_effort: low
    reasoning_families:
      qwen3: {type: chat_template_kwargs, parameter: enable_thinking}
      small: {type: top_level_reasoning_effort, parameter: reasoning_effort}
      dotted: {type: reasoning_effort, parameter: reasoning.effort}
      odd: {type: magic, parameter: x}
  models:
    - name: house
      provider_model_id: org/house-8b
      reasoning_family: qwen3
      pricing: {prompt_per_1m: 0.5, cached_input_per_1m: 0.1}
      backend_refs:
        - {name: main, endpoint: "10.0.0.1:8000/v1", protocol: http, weight: 3, api_key_env: HOUSE_KEY}
        - {name: spare, base_url: "https://gpu.example/team/v1", weight: 1}
    - name: cloud
      backend_refs: [{name: far, base_url: "https://api.example.com/v1", provider: anthropic, api_key: sk-very-secret}]
routing:
  modelCards:
    - name: house
      tags: [fast]
      loras: [{name: law-lora, description: Statutes}, {name: code-lora}]
    - {name: law-lora}
    - {name: cloud}
  signals:
    domains:
      - {name: law, description: Legal questions, mmlu_categories: [law]}
      - {name: science, mmlu_categories: [physics, chemistry, alchemy]}
      - {name: health}
    keywords: [{name: urgent, operator: OR, keywords: [now]}]
  decisions:
    - name: guard
      priority: 900
      rules: {operator: OR, conditions: [{type: jailbreak, name: attack}]}
      plugins: [{type: fast_response, configuration: {message: No.}}]
    - name: urgent_law
      priority: 500
      rules: {operator: AND, conditions: [{type: domain, name: law}, {type: keyword, name: urgent}]}
      modelRefs: [{model: house}]
    - name: legal
      priority: 100
      rules: {operator: AND, conditions: [{type: domain, name: law}]}
      modelRefs: [{model: house, lora_name: law-lora, use_reasoning: true, reasoning_effort: high}]
      plugins:
        - {type: system_prompt, configuration: {enabled: true, system_prompt: "Cite.\\nAlways.", mode: insert}}
        - {type: response_cache, configuration: {enabled: true}}
    - name: lab
      priority: 100
      rules: {operator: OR, conditions: [{type: domain, name: science}, {type: domain, name: health}]}
      modelRefs: [{model: cloud}, {model: code-lora}]
      algorithm: {type: fusion}
    - name: rest
      priority: 1
      rules: {operator: AND, conditions: []}
      modelRefs: [{model: house}]
global:
  router: {auto_model_names: [auto, house-auto], strategy: priority}
  stores: {memory: {enabled: false}}
  model_catalog:
    modules:
      prompt_guard: {enabled: true}
      classifier:
        domain: {model_id: models/missing, threshold: 0.5, use_cpu: false}
"""


class Done:
    """A migration through the command line, and the check of its result."""

    def __init__(self, folder: Path, text: str, capsys: pytest.CaptureFixture[str]) -> None:
        self.code = main(["migrate", str(write(folder, text))])
        self.yaml, self.report = capsys.readouterr()
        self.config: dict[str, Any] = plain(self.yaml or "{}")
        result = folder / "result.yaml"
        result.write_text(self.yaml, "utf-8")
        self.checked = main(["check", str(result)])
        self.check = capsys.readouterr().out

    def said(self, *words: str) -> bool:
        """Whether one line of the report has all the words."""
        return any(all(word in line for word in words) for line in self.report.splitlines())

    @property
    def categories(self) -> dict[str, Any]:
        return {one["name"]: one for one in self.config["categories"]}


def test_the_guides_configuration_becomes_one_that_starts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its classifier's folder does not exist: the built-in one takes its place, and a line says so."""
    done = Done(tmp_path, GUIDE.read_text("utf-8"), capsys)

    assert (done.code, done.checked) == (0, 0)
    assert done.said("changed", "config.yaml:4:", "model_id", "no such folder", "built-in")
    assert done.config["classifier"]["category_model"] == {"model_id": "builtin", "threshold": 0.6}
    assert done.categories["medical"]["mmlu_categories"] == ["health"]
    assert "mmlu_categories" not in done.categories["general"]
    assert done.categories["legal"]["model_scores"][0]["lora_name"] == "legal-lora"


class TestToday:
    @pytest.fixture
    def done(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Done:
        return Done(tmp_path, TODAY, capsys)

    def test_the_result_passes_check_and_names_what_was_dropped(self, done: Done) -> None:
        assert (done.code, done.checked) == (0, 0), done.report
        for words in (
            ("dropped", "global.stores.memory"),
            ("dropped", "routing.signals.keywords[0]", '"urgent" are in no rule'),
            ("dropped", "modules.prompt_guard"),
            ("dropped", "pricing.cached_input_per_1m"),
            ("dropped", "backend_refs[0].api_key_env", "api_key_file"),
            ("dropped", '"guard" names no model'),
            ("dropped", '"urgent_law" answers nothing here', "keyword urgent"),
            ("dropped", "plugin response_cache"),
            ("dropped", "algorithm fusion"),
            ("dropped", 'no label "alchemy"'),
            ("dropped", "reasoning_families.odd"),
        ):
            assert done.said(*words), words

    def test_no_secret_is_written(self, done: Done) -> None:
        assert "sk-very-secret" not in done.yaml + done.report

    def test_backends_become_endpoints_with_a_port_and_without_v1(self, done: Done) -> None:
        assert done.config["vllm_endpoints"] == [
            {"name": "main", "address": "10.0.0.1", "port": 8000, "weight": 3},
            {"name": "spare", "address": "https://gpu.example:443/team"},
        ]
        assert done.said("dropped", "API of anthropic")

    def test_models_have_the_names_that_vllm_knows_them_by(self, done: Done) -> None:
        (name,) = done.config["model_config"]
        model = done.config["model_config"][name]

        assert (name, done.config["default_model"]) == ("org/house-8b", "org/house-8b")
        assert model["preferred_endpoints"] == ["main", "spare"]
        assert [lora["name"] for lora in model["loras"]] == ["law-lora", "code-lora"]
        assert done.said("changed", '"house" is "org/house-8b" here')
        assert done.said("changed", '"law-lora" is an adapter of house')

    def test_each_label_goes_to_the_decision_that_wins_it(self, done: Done) -> None:
        """A decision about one domain has that domain's name; the one without conditions takes the rest."""
        law, lab, rest = (done.categories[name] for name in ("law", "lab", "rest"))

        assert law["mmlu_categories"] == ["law"]
        assert set(lab["mmlu_categories"]) == {"physics", "chemistry", "health"}
        assert set(rest["mmlu_categories"]) == set(LABELS) - {"law", "physics", "chemistry", "health"}
        assert done.config["classifier"]["category_model"]["fallback_category"] == "rest"

    def test_a_decisions_prompt_and_models_are_its_categorys(self, done: Done) -> None:
        law = done.categories["law"]

        assert (law["system_prompt"], law["system_prompt_mode"]) == ("Cite.\nAlways.", "insert")
        entry = {"model": "org/house-8b", "lora_name": "law-lora", "use_reasoning": True, "reasoning_effort": "high"}
        assert law["model_scores"] == [entry]

    def test_an_adapter_named_as_a_model_answers_on_its_base(self, done: Done) -> None:
        """The model of another API is no longer among those who answer."""
        entry = {"model": "org/house-8b", "lora_name": "code-lora", "use_reasoning": False}
        assert done.categories["lab"]["model_scores"] == [entry]

    def test_listeners_settings_and_families_are_carried(self, done: Done) -> None:
        assert done.config["pointsman"] == {
            "server": {"listen": ["0.0.0.0:8801"]},
            "relay": {"total_timeout_ms": 300_000},
            "classifier": {"providers": ["cuda", "cpu"]},
        }
        assert (done.config["auto_model_name"], done.config["default_reasoning_effort"]) == ("house-auto", "low")
        families = done.config["reasoning_families"]
        assert families["small"] == families["dotted"] == {"type": "reasoning_effort", "parameter": "reasoning_effort"}
        assert "odd" not in families


DECISIONS = (
    MINIMAL
    + """\
strategy: priority
categories: [{name: law}, {name: code, mmlu_categories: [computer science]}]
decisions:
  - name: low
    priority: 1
    rules: {operator: OR, conditions: [{type: domain, name: law}]}
    modelRefs: [{model: base}]
  - name: high
    priority: 2
    rules: {operator: OR, conditions: [{type: domain, name: law}, {type: embedding, name: x}]}
    modelRefs: [{model: base, lora_name: law-lora, weight: 2}]
"""
)


def test_of_two_decisions_the_one_of_higher_priority_wins(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    done = Done(tmp_path, DECISIONS, capsys)

    assert (done.code, done.checked) == (0, 0)
    assert done.categories["law"]["model_scores"][0]["lora_name"] == "law-lora"
    assert done.said("dropped", '"low" answers nothing here: other decisions come first')
    assert done.said("changed", 'in "high" these conditions never match here: embedding x')
    assert done.said("dropped", 'no decision uses the domain "code"')


def test_a_lower_tier_wins_over_any_priority(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = DECISIONS.replace("priority: 1\n", "priority: 1\n    tier: 1\n").replace("priority: 2", "{}")
    done = Done(tmp_path, text.replace("    {}\n", "    priority: 2\n    tier: 2\n"), capsys)

    assert "lora_name" not in done.categories["law"]["model_scores"][0]
    assert not done.said("dropped", ".tier"), "it is not lost"
    assert done.categories["law"].keys() == {"name", "mmlu_categories", "model_scores"}, "nor does it stay"


def test_the_strategy_confidence_prefers_the_surer_rule(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A domain with a NOT is surer than the domain alone, whatever the priorities."""
    low = "{operator: OR, conditions: [{type: domain, name: law}]}"
    surer = (
        "{operator: AND, conditions: [{type: domain, name: law}, {operator: NOT, conditions: [{type: pii, name: p}]}]}"
    )
    text = DECISIONS.replace("strategy: priority", "strategy: confidence").replace(low, surer)
    done = Done(tmp_path, text, capsys)

    assert "lora_name" not in done.categories["law"]["model_scores"][0]


@pytest.mark.parametrize(
    ("old", "new", "missing"),
    [
        (
            "vllm_endpoints:\n  - name: a\n    address: 127.0.0.1\n    port: 8000\n",
            "vllm_endpoints: []\n",
            "no endpoint",
        ),
        ("default_model: base", "", "default_model"),
        ("127.0.0.1", "'{{ADDRESS}}'", "expected an IP"),
        ("127.0.0.1", f"'host:{'9' * 5000}'", "add port"),
        ("port: 8000", "port: 70000", "add port"),
        ("port: 8000", "port: .inf", "add port"),
        ("port: 8000", "port: 1" + "0" * 400, "add port"),
        ("    port: 8000\n", "", "add port"),
        ("  base:\n", "  base:\n    api_format: anthropic\n", "default_model"),
    ],
)
def test_what_cannot_be_known_is_named_and_the_exit_code_is_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], old: str, new: str, missing: str
) -> None:
    """The rest is written, and `check` finds the same."""
    assert old in DECISIONS
    done = Done(tmp_path, DECISIONS.replace(old, new), capsys)

    assert (done.code, done.checked) == (1, 1)
    assert done.said("missing", missing)
    assert done.config["classifier"]["category_model"]["model_id"] == "builtin"


def test_several_recipes_are_for_the_operator_to_choose_from(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    decisions = DECISIONS[DECISIONS.index("decisions:") :].replace("\n", "\n      ")
    recipe = "  - name: NAME\n    routing:\n      " + decisions.rstrip() + "\n"
    text = DECISIONS[: DECISIONS.index("decisions:")] + "recipes:\n" + recipe.replace("NAME", "one")
    entry = "entrypoints: [{model_names: [vm/one], recipe: one}]\n"
    several = Done(tmp_path, text + recipe.replace("NAME", "two") + entry, capsys)
    single = Done(tmp_path, text + entry, capsys)

    assert several.code == 1
    assert several.said("missing", "choose one of one, two")
    assert (single.code, single.config["auto_model_name"]) == (0, "vm/one")


def test_an_exported_classifier_is_kept_by_its_absolute_path(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """So that the result may stand in another folder."""
    folder = write_manifest(tmp_path / "mine")
    done = Done(tmp_path, DECISIONS + "classifier: {category_model: {model_id: mine}}\n", capsys)

    assert (done.code, done.config["classifier"]["category_model"]["model_id"]) == (0, str(folder))


def test_what_is_used_and_not_defined_is_added(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = DECISIONS.replace("lora_name: law-lora", "lora_name: new-lora").replace(
        "[{model: base}]", "[{model: other}]"
    )
    done = Done(tmp_path, text, capsys)

    assert done.code == 0
    assert done.config["model_config"]["other"] == {}
    assert "new-lora" in [lora["name"] for lora in done.config["model_config"]["base"]["loras"]]
    for name in ("new-lora", "other"):
        assert done.said("changed", f'"{name}" is used but not defined')


def test_a_value_of_a_wrong_type_is_dropped_and_no_key_is_taken_for_another(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    more = "default_reasoning_efort: high\nclassifier: {category_model: {threshold: HALF, use_cpu: MAYBE}}\n"
    done = Done(tmp_path, DECISIONS + more, capsys)

    assert done.code == 0
    assert done.said("dropped", "threshold", "HALF")
    assert done.said("dropped", "use_cpu", "MAYBE")
    assert done.said("dropped", "default_reasoning_efort")
    assert "default_reasoning_effort" not in done.config


def test_it_is_told_when_one_model_answers_everything(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    done = Done(tmp_path, DECISIONS.replace(", lora_name: law-lora", ""), capsys)

    assert done.said("changed", "base answers every prompt")


def test_a_model_with_the_usual_routing_name_leaves_auto(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    done = Done(tmp_path, DECISIONS.replace("  base:", "  MoM: {}\n  base:"), capsys)

    assert (done.code, done.config["auto_model_name"]) == (0, "auto")


def test_a_line_of_the_report_stays_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Names of the file are shown without line ends and other control characters."""
    done = Done(tmp_path, DECISIONS.replace("name: low", 'name: "l\\now\\e[1m"'), capsys)

    assert done.said("dropped", r'"l\now\x1b[1m" answers nothing here')


@pytest.mark.parametrize(("scheme", "port"), [("http", 80), ("https", 443)])
def test_a_backend_without_a_port_has_that_of_its_scheme(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], scheme: str, port: int
) -> None:
    text = TODAY.replace('"10.0.0.1:8000/v1", protocol: http', f'"vllm.example", protocol: {scheme}')
    endpoint = Done(tmp_path, text, capsys).config["vllm_endpoints"][0]

    assert str(port) in f"{endpoint['address']} {endpoint.get('port')}"


def test_an_address_is_one_endpoint_and_a_name_is_given_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    same, other = (f"  - {{name: a, address: 127.0.0.1, port: {port}}}\n" for port in (8000, 8001))
    done = Done(tmp_path, DECISIONS.replace("model_config:", same + other + "model_config:", 1), capsys)

    found = [(one["name"], one["port"]) for one in done.config["vllm_endpoints"]]
    assert (done.code, found) == (0, [("a", 8000), ("a-2", 8001)])


@pytest.mark.parametrize(("endpoint", "why"), [("10.0.0.1:8000", "expected a mapping"), ("{name: b}", "no address")])
def test_what_is_no_endpoint_is_dropped_and_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], endpoint: str, why: str
) -> None:
    done = Done(tmp_path, DECISIONS.replace("model_config:", f"  - {endpoint}\nmodel_config:", 1), capsys)

    assert (done.code, [one["name"] for one in done.config["vllm_endpoints"]]) == (0, ["a"])
    assert done.said("dropped", "vllm_endpoints[1]", why)


def test_a_category_of_labels_that_the_classifier_has_not_is_dropped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nor is its name taken for other labels: the file says what it means."""
    text = MINIMAL + "categories: [{name: code, mmlu_categories: [golf], model_scores: [{model: base, score: 1}]}]\n"
    done = Done(tmp_path, text, capsys)

    assert (done.code, "categories" in done.config) == (0, False)
    assert done.said("dropped", '"code"', "none of its labels")


def test_the_family_none_is_no_family(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    done = Done(tmp_path, DECISIONS.replace("  base:\n", "  base:\n    reasoning_family: none\n"), capsys)

    assert "reasoning_family" not in done.config["model_config"]["base"]


def test_what_is_null_is_not_carried(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    more = "classifier: {category_model: {threshold: 0.7, fallback_category: null}}\n"
    done = Done(tmp_path, DECISIONS + more, capsys)
    assert done.said("carried", "the threshold 0.7")
    assert "None" not in done.report
