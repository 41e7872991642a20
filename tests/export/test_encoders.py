"""Encoders without a head: their features are those of transformers, pooled as sentence-transformers' files say."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
import torch
import transformers

from pointsman.classify import artifact
from pointsman.classify.artifact import Artifact
from pointsman.classify.encoder import Encoder
from pointsman.classify.engine import Engine
from pointsman.classify.providers import default_providers
from pointsman.classify.tokenizer import TextWindow, Tokenizer
from pointsman.config.model import ClassifierOptions
from pointsman_export.common.errors import AgreementError
from pointsman_export.export import fidelity
from pointsman_export.export.architectures import ENCODERS
from pointsman_export.export.checkpoint import open_checkpoint
from pointsman_export.export.graph.build import build_graph, build_half_graph
from pointsman_export.export.libraries import quiet
from pointsman_export.export.runtime import Logits, OnnxGraph, alone
from pointsman_export.export.texts import BUILT_IN
from pointsman_export.export.verify import torch_logits
from pointsman_export.fit.main import main as fit
from support.checkpoint import FAMILY, TINY, edit_json, folded, make_checkpoint, write_modules
from support.classifiers import opened

if TYPE_CHECKING:
    from pointsman.classify.tokenizer import Ids
    from pointsman.evaluation.metrics import Floats
    from support.export import Export, Outcome

SHAPES = {name: FAMILY.get(name.replace("Model", "ForSequenceClassification"), TINY) for name in ENCODERS}
PROMPTS: list[Ids] = [np.random.default_rng(3).integers(3, 2000, length) for length in (1, 2, 5, 64, 200, 513)]
POOLINGS: dict[str, dict[str, Any]] = {
    "cls": {"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False},
    "mean": {"pooling_mode_cls_token": False, "pooling_mode_mean_tokens": True, "pooling_mode_max_tokens": False},
}
ENOUGH = ("--max-error", "0.05")
"""Random weights lose more by int8 than trained ones."""

Make = Callable[..., Path]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Makes a small checkpoint of an encoder; not to be changed."""
    made: dict[str, Path] = {}

    def of(torch_class: str) -> Path:
        if torch_class not in made:
            made[torch_class] = tmp_path_factory.mktemp("encoder") / torch_class
            make_checkpoint(made[torch_class], BUILT_IN, SHAPES[torch_class], torch_class)
        return made[torch_class]

    return of


@pytest.fixture
def sentence(encoder: Callable[[str], Path], tmp_path: Path) -> Make:
    """Copies an encoder, with the files of sentence-transformers."""

    def make(pooling: str | None = "mean", *modules: str, torch_class: str = "BertModel") -> Path:
        folder = shutil.copytree(encoder(torch_class), tmp_path / f"{torch_class}-{pooling}")
        if pooling is not None:
            write_modules(folder, *modules, **POOLINGS[pooling])
        return folder

    return make


def reference(folder: Path, prompts: list[Ids], pooling: str | None, *, unit: bool = False) -> Floats:
    """What transformers gives, pooled here; without a pooling, the means of the middle and the last layer."""
    with quiet():
        model = transformers.AutoModel.from_pretrained(folder).eval()
    rows = []
    for prompt in prompts:
        with torch.no_grad():
            found = model(torch.from_numpy(prompt)[None], output_hidden_states=True)
        last = found.last_hidden_state[0]
        if pooling == "cls":
            rows.append(last[0])
        elif pooling == "mean":
            rows.append(last.mean(0))
        else:
            middle = found.hidden_states[model.config.num_hidden_layers // 2]
            normed = model.final_norm(middle) if hasattr(model, "final_norm") else middle
            rows.append(torch.cat([normed[0].mean(0), last.mean(0)]))
    features = torch.stack(rows).detach()
    pooled: Floats = (torch.nn.functional.normalize(features) if unit else features).numpy()
    return pooled


def served(found: Artifact, texts: list[str]) -> tuple[list[Ids], Floats]:
    """The tokens of texts, and the features that the service has of them."""
    engine = Engine(found, default_providers(found.manifest.target, use_cpu=True))
    encoded = Tokenizer(found.tokenizer_path).encode(texts, TextWindow.even(found.manifest.max_tokens))
    prompts = [one.ids for one in encoded]
    return prompts, np.concatenate([np.asarray(engine.read([prompt]).features) for prompt in prompts])


def near(found: Floats, expected: Floats) -> None:
    lengths = np.linalg.norm(found, axis=1), np.linalg.norm(expected, axis=1)
    assert ((found * expected).sum(1) / (lengths[0] * lengths[1])).min() >= 0.995
    np.testing.assert_allclose(*lengths, rtol=0.02)


@pytest.mark.parametrize("pooling", ["cls", "mean", None])
@pytest.mark.parametrize("torch_class", ["BertModel", "RobertaModel", "DistilBertModel", "ModernBertModel"])
def test_features_are_those_of_transformers(
    sentence: Make, tmp_path: Path, torch_class: str, pooling: str | None
) -> None:
    """Alone, and packed into one row in any order; and in the graph for a GPU."""
    folder = sentence(pooling, torch_class=torch_class)
    expected = reference(folder, PROMPTS, pooling)
    for name, built in (("float", build_graph(*folded(folder), None)), ("half", build_half_graph(*folded(folder)))):
        onnx.save(built, tmp_path / f"{name}.onnx")

    graph, half = OnnxGraph(tmp_path / "float.onnx"), OnnxGraph(tmp_path / "half.onnx", for_gpu=True)

    np.testing.assert_allclose(alone(graph, PROMPTS), expected, atol=1e-4)
    np.testing.assert_allclose(graph.logits(PROMPTS[::-1]), expected[::-1], atol=1e-4)
    near(half.logits(PROMPTS), expected)


@pytest.mark.parametrize("torch_class", ["BertModel", "RobertaModel", "DistilBertModel", "ModernBertModel"])
def test_the_artifact_is_served_and_is_a_base(sentence: Make, export: Export, tmp_path: Path, torch_class: str) -> None:
    """It has features, known answers of them and ordinary requests, and no labels; the daemon proves and runs it."""
    folder = sentence(torch_class=torch_class)
    outcome = export(folder, *ENOUGH)
    assert outcome.code == 0, outcome.err
    found = artifact.load(outcome.folder)
    manifest = found.manifest
    prompts, features = served(found, BUILT_IN[:20])

    Encoder(found, ClassifierOptions(threads=2)).close()

    near(features, reference(folder, prompts, "mean"))
    assert manifest.features is not None
    assert (manifest.labels, manifest.output, manifest.format_version) == ([], "", 4)
    assert (manifest.features.width, manifest.features.recipe) == (
        open_checkpoint(str(folder)).architecture.width,
        "mean of the tokens of the last layer",
    )
    assert {len(known.features) for known in manifest.known_answers} == {2 * manifest.features.width}
    ordinary = artifact.read_ordinary(found)
    assert ordinary is not None
    assert ordinary.shape == (len(BUILT_IN), manifest.features.width)
    near(ordinary[:20], features)
    assert manifest.verification["agreement"] is None
    assert manifest.verification["features"]["min_cosine"]["found"] >= 0.995
    assert " features, up to 512 tokens" in outcome.out

    rows = Path(__file__).parents[2] / "export" / "examples" / "five-domains.jsonl"
    assert fit(["--data", str(rows), "--base", str(found.folder), "-o", str(tmp_path / "head")]) == 0
    head = artifact.load(tmp_path / "head")
    with opened(head, ClassifierOptions(threads=1)):
        pass
    assert head.manifest.labels == ["banking", "cooking", "home devices", "travel", "work"]


@pytest.mark.parametrize(
    "options",
    [
        ("--level", "plain"),
        ("--target", "openvino"),
        ("--target", "gpu"),
        (),
    ],
    ids=["plain", "OpenVINO", "GPU", "fast"],
)
def test_features_of_length_1_on_each_target(sentence: Make, export: Export, options: tuple[str, ...]) -> None:
    folder = sentence("cls", "Normalize")
    outcome = export(folder, *options, *ENOUGH)
    assert outcome.code == 0, outcome.err
    found = artifact.load(outcome.folder)

    prompts, features = served(found, BUILT_IN[:20])

    near(features, reference(folder, prompts, "cls", unit=True))
    np.testing.assert_allclose(np.linalg.norm(features, axis=1), 1, rtol=1e-4)
    assert found.manifest.features is not None
    assert (found.manifest.source.sha256, found.manifest.files["tokenizer.json"], found.manifest.features.recipe) == (
        artifact.sha256(folder / "model.safetensors"),
        artifact.sha256(folder / "tokenizer.json"),
        "first token of the last layer, of length 1",
    ), "by which graphs share heads"


def test_a_masked_language_model_is_an_encoder(sentence: Make, tmp_path: Path) -> None:
    folder = sentence(None)
    edit_json(folder / "config.json", architectures=["BertForMaskedLM"])
    onnx.save(build_graph(*folded(folder), None), tmp_path / "graph.onnx")

    found = alone(OnnxGraph(tmp_path / "graph.onnx"), PROMPTS)

    np.testing.assert_allclose(found, reference(folder, PROMPTS, None), atol=1e-4)


def test_pooling_is_also_known_by_its_name(sentence: Make) -> None:
    """As later releases of sentence-transformers write it."""
    folder = sentence("mean")
    write_modules(folder, pooling_mode="cls")

    pooling = open_checkpoint(str(folder)).architecture.pooling

    assert pooling is not None
    assert pooling.first


def refused(outcome: Outcome, *parts: str) -> None:
    assert (outcome.code, outcome.left) == (1, [])
    for part in parts:
        assert part in outcome.message


@pytest.mark.parametrize(
    ("modules", "pooling", "words"),
    [
        ((), {"pooling_mode_max_tokens": True}, ("1_Pooling/config.json: pools by pooling_mode_max_tokens", "or mean")),
        ((), {"pooling_mode": "lasttoken"}, ("pools by lasttoken",)),
        ((), {"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": True}, ("pools by cls and mean",)),
        ((), {}, ("pools by nothing",)),
        (("Dense",), POOLINGS["mean"], ("modules.json: names the modules Transformer, Pooling, Dense", "take another")),
        (("Normalize", "Normalize"), POOLINGS["mean"], ("Normalize, Normalize",)),
    ],
)
def test_other_modules_and_poolings_are_refused(
    sentence: Make, export: Export, modules: tuple[str, ...], pooling: dict[str, Any], words: tuple[str, ...]
) -> None:
    folder = sentence()
    write_modules(folder, *modules, **pooling)

    refused(export(folder), *words)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{}", "expected a JSON array"),
        ("[]", "names the modules none"),
        ("[7]", "7 is no module with a type and a folder"),
        ('[{"type": "x.Transformer", "path": "../up"}]', "is no module with"),
        ('[{"type": "x.Transformer", "path": ".."}]', "is no module with"),
        (
            '[{"type": "x.Transformer", "path": "0_Transformer"}, {"type": "x.Pooling", "path": "1_Pooling"}]',
            "the encoder is in the folder 0_Transformer",
        ),
    ],
)
def test_modules_that_cannot_be_read(sentence: Make, export: Export, content: str, words: str) -> None:
    folder = sentence()
    (folder / "modules.json").write_text(content)

    refused(export(folder), str(folder / "modules.json"), words)


@pytest.mark.parametrize("option", ["--labels", "--labelled", "--calibrate"])
def test_what_needs_labels_is_refused(sentence: Make, export: Export, tmp_path: Path, option: str) -> None:
    refused(export(sentence(), option, str(tmp_path / "file")), option, "without a head", "`pointsman fit --base`")


def test_a_graph_with_other_features_is_refused(sentence: Make, export: Export, monkeypatch: Any) -> None:
    monkeypatch.setattr(fidelity, "torch_logits", lambda *given: torch_logits(*given) * 1.03)

    refused(export(sentence(), *ENOUGH), "int8: the features of", "lower --max-error")


def test_the_error_of_features_has_its_bounds() -> None:
    """A cosine of 0.995, and two percent of the length."""

    class Graph:
        provider, runs_alone = "none", True

        def __init__(self, *values: float) -> None:
            self._values = values

        def logits(self, prompts: Sequence[Ids], width: int = 0) -> Logits:
            return np.array([self._values], np.float32)

    def model(**_: Any) -> tuple[torch.Tensor]:
        return (torch.tensor([[1.0, 0.0]]),)

    prompts = [PROMPTS[0]]
    for good in (Graph(1.019, 0), Graph(0.981, 0), Graph(1, 0.09)):
        fidelity.check_features(model, good, "int8", prompts)
    for bad in (Graph(1.021, 0), Graph(0.979, 0), Graph(0.99, 0.11), Graph(np.nan, 0)):
        with pytest.raises(AgreementError):
            fidelity.check_features(model, bad, "int8", prompts)
