"""What a config must hold beyond types: references, names, addresses, weights."""

from __future__ import annotations

from pathlib import Path

import pytest

from pointsman.config.lint import lint
from support.config_files import ENDPOINTS, LABELS, MINIMAL, MODELS, category, loaded, problems, the_problem

CATEGORIES = MINIMAL + "categories:\n"

PROBLEMS = [
    # rollout
    (
        CATEGORIES + category("law") + "pointsman: {routing: {mode: percent}}\n",
        "pointsman.routing.mode",
        16,
        "the share is missing",
        "add `percent:` from 0 to 100",
    ),
    (
        CATEGORIES + category("law") + "pointsman: {routing: {percent: 5}}\n",
        "pointsman.routing.percent",
        16,
        "percent has no effect without `mode: percent`",
        "write `mode: percent`, or remove it",
    ),
    (
        CATEGORIES + category("law") + "pointsman: {routing: {categories: {law: {mode: percent}}}}\n",
        "pointsman.routing.categories.law.mode",
        16,
        "the share is missing",
        "add `percent:`",
    ),
    (
        CATEGORIES + category("law") + "pointsman: {routing: {categories: {lawn: {mode: shadow}}}}\n",
        "pointsman.routing.categories.lawn",
        16,
        'no category is named "lawn"',
        "did you mean law?",
    ),
    (
        CATEGORIES + category("law") + "pointsman: {routing: {mode: percent, percent: 101}}\n",
        "pointsman.routing.percent",
        16,
        "expected a number from 0 to 100",
        "write a number from 0 to 100",
    ),
    # references
    (
        MINIMAL.replace("default_model: base", "default_model: lw-lora"),
        "default_model",
        10,
        '"lw-lora" is neither a model in model_config nor one of their loras',
        "did you mean law-lora?",
    ),
    (
        ENDPOINTS + "default_model: base\n",
        "default_model",
        5,
        '"base" is neither a model',
        "add it to model_config: `base: {}`",
    ),
    (
        CATEGORIES + category("law").replace("model: base", "model: law-lora"),
        "categories[0].model_scores[0].model",
        14,
        'the model "law-lora" is not defined in model_config',
        "write model: base and lora_name: law-lora",
    ),
    (
        CATEGORIES + category("law").replace("model: base", "model: base\n        lora_name: legal"),
        "categories[0].model_scores[0].lora_name",
        15,
        'lora_name "legal" is not defined in model "base" loras; available: law-lora, code-lora',
        "add it to the model's loras",
    ),
    (
        CATEGORIES.replace("  base:\n", "  plain: {}\n  base:\n")
        + category("law").replace("model: base", "model: plain\n        lora_name: law-lora"),
        "categories[0].model_scores[0].lora_name",
        16,
        "available: none",
        "add it to the model's loras",
    ),
    (
        CATEGORIES + category("law") + "classifier: {category_model: {fallback_category: Law}}\n",
        "classifier.category_model.fallback_category",
        16,
        'no category is named "Law"',
        "did you mean law?",
    ),
    (
        MINIMAL.replace("    loras:", "    preferred_endpoints: [a, b]\n    loras:"),
        "model_config.base.preferred_endpoints[1]",
        7,
        'no endpoint is named "b"',
        "choose one of: a",
    ),
    # names
    (CATEGORIES + category('""'), "categories[0].name", 12, "the name is empty", "write a name"),
    (
        CATEGORIES + category("law") + category("LAW"),
        "categories[1].name",
        16,
        'the name "LAW" is already used on line 12',
        "rename",
    ),
    (
        MINIMAL.replace("    port: 8000\n", "    port: 8000\n  - {name: a, address: b, port: 1}\n"),
        "vllm_endpoints[1].name",
        5,
        'the name "a" is already used on line 2',
        "rename",
    ),
    (
        MINIMAL.replace("default_model", "  two: {loras: [{name: law-lora}]}\ndefault_model"),
        "model_config.two.loras[0].name",
        10,
        'the name "law-lora" is already used on line 8',
        "rename",
    ),
    (
        MINIMAL.replace("law-lora", "base"),
        "model_config.base.loras[0].name",
        8,
        'the name "base" is already used on line 6',
        "rename",
    ),
    (MINIMAL + "auto_model_name: law-lora\n", "auto_model_name", 11, '"law-lora" requests routing', "rename"),
    (
        MINIMAL.replace("code-lora", "auto"),
        "model_config.base.loras[1].name",
        9,
        '"auto" requests routing',
        "rename",
    ),
    (MINIMAL.replace("code-lora", "MoM"), "model_config.base.loras[1].name", 9, '"MoM" requests routing', "rename"),
    (
        MINIMAL.replace("code-lora", "auto") + "auto_model_name: router\n",
        "model_config.base.loras[1].name",
        9,
        '"auto" requests routing',
        "rename",
    ),
    (MINIMAL + 'auto_model_name: ""\n', "auto_model_name", 11, "the name is empty", "remove the key"),
    (
        MINIMAL + "reasoning_families: {x: {type: reasoning_effort, parameter: ''}}\n",
        "reasoning_families.x.parameter",
        11,
        "the text is empty",
        "write the key",
    ),
    # categories
    (
        CATEGORIES + "  - {name: law, model_scores: []}\n",
        "categories[0].model_scores",
        12,
        "no model answers this category",
        "add an entry with model",
    ),
    (
        CATEGORIES + category("law").replace("model: base", "model: base\n        score: 0"),
        "categories[0].model_scores[0].score",
        15,
        "expected a number above 0, found the number 0",
        "above 0",
    ),
    (
        CATEGORIES + category("law", "labels: [law]", "mmlu_categories: [math]"),
        "categories[0].labels",
        13,
        "list different labels",
        "keep one",
    ),
    # endpoints
    ("vllm_endpoints: []\n" + MODELS, "vllm_endpoints", 1, "no endpoint is given", "add one"),
    (
        MINIMAL.replace("port: 8000", "port: 8000\n    weight: 0"),
        "vllm_endpoints[0].weight",
        5,
        "every endpoint has the weight 0",
        "above 0",
    ),
    (
        MINIMAL.replace(
            "    port: 8000\n", "    port: 8000\n    weight: 0\n  - {name: b, address: b, port: 1}\n"
        ).replace("    loras:", "    preferred_endpoints: [a]\n    loras:"),
        "model_config.base.preferred_endpoints",
        9,
        "every endpoint of base has the weight 0",
        "prefer another endpoint",
    ),
    # thresholds of categories
    (
        CATEGORIES + category("law") + "pointsman: {routing: {thresholds: {laws: 0.8}}}\n",
        "pointsman.routing.thresholds.laws",
        16,
        'no category is named "laws"',
        "did you mean law?",
    ),
    (
        MINIMAL + "pointsman: {routing: {thresholds: {law: 0.8}}}\n",
        "pointsman.routing.thresholds.law",
        11,
        'no category is named "law"',
        "remove it, or add the category",
    ),
    (
        CATEGORIES + category("law") + "pointsman: {routing: {thresholds: {law: 1.5}}}\n",
        "pointsman.routing.thresholds.law",
        16,
        "expected a number from 0 to 1, found the number 1.5",
        "write a number from 0 to 1",
    ),
    # adapters without tools
    (
        MINIMAL + "pointsman: {adapters: {tools: {law-lore: false}}}\n",
        "pointsman.adapters.tools.law-lore",
        11,
        'no adapter is named "law-lore"',
        "did you mean law-lora?",
    ),
    (
        MINIMAL + "pointsman: {adapters: {tools: {base: false}}}\n",
        "pointsman.adapters.tools.base",
        11,
        'no adapter is named "base"',
        "law-lora, code-lora",
    ),
    # limits on clients
    (
        MINIMAL + "pointsman: {server: {trusted_proxies: [127.0.0.1, 10.0.0.1/8]}}\n",
        "pointsman.server.trusted_proxies[1]",
        11,
        'expected a network, found "10.0.0.1/8"',
        "10.0.0.0/8",
    ),
    # web pages
    *(
        (
            MINIMAL + f"pointsman: {{cors: {{origins: [https://a.example, '{origin}']}}}}\n",
            "pointsman.cors.origins[1]",
            11,
            f'found "{origin}"',
            "https://chat.example",
        )
        for origin in ("chat.example", "https://chat.example/", "https://Chat.example", "null", "https://*.example", "")
    ),
    (
        MINIMAL + "pointsman: {cors: {origins: ['*'], credentials: true}}\n",
        "pointsman.cors.credentials",
        11,
        "any page could act for the person",
        "name the origins",
    ),
    (
        MINIMAL + "pointsman: {cors: {origins: ['*'], methods: [post]}}\n",
        "pointsman.cors.methods[0]",
        11,
        'found "post"',
        "such as POST",
    ),
    (
        MINIMAL + "pointsman: {cors: {origins: ['*'], headers: ['x y']}}\n",
        "pointsman.cors.headers[0]",
        11,
        'found "x y"',
        "such as Authorization",
    ),
    # paths
    (
        MINIMAL + "pointsman: {relay: {paths: {add: [POST /v2/embed, POST /sleep]}}}\n",
        "pointsman.relay.paths.add[1]",
        11,
        'expected a path, found "POST /sleep"',
        "vLLM's own address",
    ),
    (
        MINIMAL + "pointsman: {relay: {paths: {remove: [/tokenize]}}}\n",
        "pointsman.relay.paths.remove[0]",
        11,
        'expected a path, found "/tokenize"',
        "`POST /tokenize`",
    ),
    (
        MINIMAL + "pointsman: {relay: {scheduling_policy: priority, paths: {priorities: {POST /v1/embedding: 1}}}}\n",
        'pointsman.relay.paths.priorities."POST /v1/embedding"',
        11,
        'found "POST /v1/embedding"',
        "did you mean POST /v1/embeddings?",
    ),
    (
        MINIMAL + "pointsman: {relay: {paths: {priorities: {POST /v1/embeddings: 1}}}}\n",
        'pointsman.relay.paths.priorities."POST /v1/embeddings"',
        11,
        "vLLM ignores priorities",
        "--scheduling-policy priority",
    ),
    (
        MINIMAL + "pointsman: {server: {max_buffered_bytes: 134217727}}\n",
        "pointsman.server.max_buffered_bytes",
        11,
        "one client may hold a quarter of 134217727 bytes",
        "write at least 134217728",
    ),
    # listeners
    (
        MINIMAL + "pointsman: {server: {listen: []}}\n",
        "pointsman.server.listen",
        11,
        "no address is given",
        "127.0.0.1:8080",
    ),
    (
        MINIMAL + "pointsman: {server: {admin_listen: localhost}}\n",
        "pointsman.server.admin_listen",
        11,
        'expected an address, found "localhost"',
        "host:port",
    ),
    (
        MINIMAL + "pointsman: {server: {admin_listen: '127.0.0.1:8080'}}\n",
        "pointsman.server.admin_listen",
        11,
        'the address "127.0.0.1:8080" is given twice',
        "another port",
    ),
    (
        MINIMAL + "pointsman: {server: {listen: ['unix:/p', 'unix:/p']}}\n",
        "pointsman.server.listen[1]",
        11,
        'the address "unix:/p" is given twice',
        "another port",
    ),
    (
        MINIMAL + "pointsman: {server: {admin_listen: '127.0.0.1:9', status_listen: '127.0.0.1:9'}}\n",
        "pointsman.server.status_listen",
        11,
        'the address "127.0.0.1:9" is given twice',
        "another port",
    ),
    (
        MINIMAL + "pointsman: {server: {admin_listen: '0.0.0.0:9190'}}\n",
        "pointsman.server.admin_listen",
        11,
        "could change the service: it requires no token",
        "admin_token_file",
    ),
    (
        MINIMAL + "pointsman: {server: {admin_listen: 'gpu-1:9190'}}\n",
        "pointsman.server.admin_listen",
        11,
        "could change the service",
        "status_listen",
    ),
    (
        MINIMAL + "pointsman: {server: {allowed_hosts: ['gpu-1:9190']}}\n",
        "pointsman.server.allowed_hosts[0]",
        11,
        'expected a host, found "gpu-1:9190"',
        "without a port",
    ),
    (
        MINIMAL + "pointsman: {server: {unix_socket_mode: '0680'}}\n",
        "pointsman.server.unix_socket_mode",
        11,
        'expected permissions in octal, found "0680"',
        '"0660"',
    ),
    (
        MINIMAL + "pointsman: {server: {unix_socket_mode: 0660}}\n",
        "pointsman.server.unix_socket_mode",
        11,
        "expected text, found",
        'put it in quotes: "0660"',
    ),
]


@pytest.mark.parametrize(("text", "path", "line", "message", "fix"), PROBLEMS)
def test_a_contradiction_is_one_problem_at_its_line(
    tmp_path: Path, text: str, path: str, line: int, message: str, fix: str
) -> None:
    """What refers to something must find it; names, weights and addresses must be usable."""
    problem = the_problem(tmp_path, text)

    assert (problem.path, problem.line) == (path, line)
    assert message in problem.message
    assert fix in problem.fix


ADDRESSES = [
    ("localhost", None, "add port"),
    ("localhost:8000", None, "address: localhost and port: 8000"),
    ("host:name", None, "an IP address or a host name"),
    ("8000", 80, "an IP address or a host name"),
    ("300.1.2.3", 80, "an IP address or a host name"),
    ("two words", 80, "an IP address or a host name"),
    ("http://h:80", 80, "given twice"),
    ("http://h:99999", None, "http://host:port/prefix"),
    ("http://h:", None, "after the colon"),
    ("http://", None, "an IP address or a host name"),
    ("http://h/p?x=1", None, "without spaces"),
    ("http://h/a b", None, "without spaces"),
    ("http://h/#x", None, "without spaces"),
    ("HTTP://h", None, "in lower case"),
    ("grpc://h:1", None, "http:// or https://"),
    ("unix:run/vllm.sock", None, "absolute path"),
    ("unix:/" + "x" * 107, None, "at most 107 bytes"),
    ("unix:/run/vllm.sock", 80, "remove port"),
]


@pytest.mark.parametrize(("address", "port", "fix"), ADDRESSES)
def test_an_address_in_another_form_is_told_what_to_write(
    tmp_path: Path, address: str, port: int | None, fix: str
) -> None:
    """An IP or host name wants a port, a URL may hold one, a Unix socket has none."""
    given = "" if port is None else f"    port: {port}\n"
    text = f'vllm_endpoints:\n  - name: a\n    address: "{address}"\n{given}' + MODELS
    problem = the_problem(tmp_path, text)

    assert (problem.path, problem.line) == ("vllm_endpoints[0].address", 3)
    assert problem.message.endswith(f'found "{address}"' + ("" if port is None else f" and port {port}"))
    assert fix in problem.fix


@pytest.mark.parametrize(
    ("address", "port", "url"),
    [
        ("10.0.0.1", 8000, "http://10.0.0.1:8000"),
        ("::1", 8000, "http://[::1]:8000"),
        ("[::1]", 8000, "http://[::1]:8000"),
        ("vllm_1.internal", 8000, "http://vllm_1.internal:8000"),
        ("http://h", 8000, "http://h:8000"),
        ("http://h/prefix/", 8000, "http://h:8000/prefix"),
        ("https://h:8443/prefix", None, "https://h:8443/prefix"),
        ("https://vllm.example.com", None, "https://vllm.example.com"),
        ("http://[::1]:8000", None, "http://[::1]:8000"),
        ("unix:/run/vllm.sock", None, "http://localhost"),
    ],
)
def test_every_documented_form_of_address_loads(tmp_path: Path, address: str, port: int | None, url: str) -> None:
    """And means the URL that it should."""
    given = "" if port is None else f"    port: {port}\n"
    text = f'vllm_endpoints:\n  - name: a\n    address: "{address}"\n{given}' + MODELS

    assert loaded(tmp_path, text).config.vllm_endpoints[0].base_url == url


@pytest.mark.parametrize("credentials", ["user:hunter2", "hunter2", ":hunter2"])
def test_credentials_in_an_address_are_not_repeated(tmp_path: Path, credentials: str) -> None:
    """They would end up in a terminal or log."""
    text = f'vllm_endpoints:\n  - name: a\n    address: "http://{credentials}@h:8000"\n' + MODELS
    problem = the_problem(tmp_path, text)

    assert "hunter2" not in problem.render("config.yaml")
    assert "pointsman.relay.api_key_file" in problem.fix


def test_default_model_may_be_an_adapter(tmp_path: Path) -> None:
    """An adapter is as good a default as a base."""
    assert loaded(tmp_path, MINIMAL.replace("default_model: base", "default_model: law-lora")).config.default_model


def test_equal_labels_and_mmlu_categories_are_fine(tmp_path: Path) -> None:
    """Order and case do not make them different."""
    text = CATEGORIES + category("x", "labels: [law, math]", "mmlu_categories: [Math, LAW]")

    assert loaded(tmp_path, text).config.categories[0].labels == ("law", "math")


def test_free_ports_may_be_asked_for_twice(tmp_path: Path) -> None:
    """Port 0 is another port each time."""
    text = MINIMAL + 'pointsman: {server: {listen: ["127.0.0.1:0"], admin_listen: "127.0.0.1:0"}}\n'

    assert loaded(tmp_path, text).config.pointsman.server.admin_listen == "127.0.0.1:0"


STAND_INS = [
    (
        "vllm_endpoints: 5\n" + MODELS.replace("    loras:", "    preferred_endpoints: [a]\n    loras:"),
        "vllm_endpoints",
    ),
    (
        MINIMAL.replace("    loras:", "    preferred_endpoints: [[a]]\n    loras:"),
        "model_config.base.preferred_endpoints[0]",
    ),
    (ENDPOINTS + "model_config: 5\ndefault_model: base\ncategories:\n" + category("law"), "model_config"),
    (MINIMAL.replace("default_model: base", "default_model: [x]"), "default_model"),
    (CATEGORIES + category("law").replace("model: base", "model: [x]"), "categories[0].model_scores[0].model"),
    (
        CATEGORIES + category("law").replace("model: base", "model: base\n        lora_name: [x]"),
        "categories[0].model_scores[0].lora_name",
    ),
    (
        MINIMAL.replace("    loras:\n      - name: law-lora\n      - name: code-lora\n", "    loras: law-lora\n")
        + ("categories:\n" + category("law").replace("model: base", "model: base\n        lora_name: law-lora")),
        "model_config.base.loras",
    ),
    (MINIMAL + "categories: 5\nclassifier: {category_model: {fallback_category: law}}\n", "categories"),
    (
        MINIMAL + "classifier: {category_model: {fallback_category: [x]}}\n",
        "classifier.category_model.fallback_category",
    ),
    (
        MINIMAL + "reasoning_families: {x: {type: reasoning_effort, parameter: []}}\n",
        "reasoning_families.x.parameter",
    ),
    (MINIMAL + "auto_model_name: []\n", "auto_model_name"),
    (MINIMAL + "pointsman: {server: {listen: [[]]}}\n", "pointsman.server.listen[0]"),
]


@pytest.mark.parametrize(("text", "path"), STAND_INS)
def test_a_wrong_value_is_not_judged_as_a_reference(tmp_path: Path, text: str, path: str) -> None:
    """What stands in for it makes nothing undefined, empty or missing."""
    assert [problem.path for problem in problems(tmp_path, text)] == [path]


def test_a_weight_has_no_upper_bound(tmp_path: Path) -> None:
    """Only whole numbers have one."""
    text = MINIMAL.replace("port: 8000", "port: 8000\n    weight: 3000000000")

    assert loaded(tmp_path, text).config.vllm_endpoints[0].weight == 3e9


@pytest.mark.parametrize(
    ("server", "total"),
    [("{}", 256), ("{max_body_bytes: 67108864}", 512), ("{max_buffered_bytes: 134217728}", 128)],
)
def test_the_default_budget_of_bytes_is_eight_of_the_largest_bodies(tmp_path: Path, server: str, total: int) -> None:
    options = loaded(tmp_path, MINIMAL + f"pointsman: {{server: {server}}}\n").config.pointsman.server
    assert options.buffered_bytes == total * 1024 * 1024


@pytest.mark.parametrize(
    "server",
    [
        "{admin_listen: '0.0.0.0:9190', admin_token_file: token}",
        "{admin_listen: 'localhost:9190'}",
        "{admin_listen: '[::1]:9190'}",
        "{admin_listen: 'unix:/a.sock', status_listen: '0.0.0.0:9190'}",
        "{status_listen: '127.0.0.1:9190'}",
    ],
)
def test_an_admin_port_that_only_the_operator_reaches_is_fine(tmp_path: Path, server: str) -> None:
    loaded(tmp_path, MINIMAL + f"pointsman: {{server: {server}}}\n")


@pytest.mark.parametrize("name", ["audio", "image", "input", "text", "video"])
def test_an_adapter_that_vllm_uses_by_its_name_alone_is_warned_of(name: str, tmp_path: Path) -> None:
    found = lint(loaded(tmp_path, MINIMAL.replace("law-lora", name)), LABELS)
    assert any(f'vLLM takes "{name}" for one of' in warning.message for warning in found.warnings)
