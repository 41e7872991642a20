"""Load a classifier: open its files, prove it, measure the host, and choose settings accordingly."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from pointsman.classify import curve_file
from pointsman.classify.artifact import Artifact
from pointsman.classify.cores import default_threads, usable_cores
from pointsman.classify.cost_model import CostCurve
from pointsman.classify.engine import Engine, probabilities
from pointsman.classify.language import LanguageGate
from pointsman.classify.measure import measure
from pointsman.classify.onnx_cuda import BUCKETS, WORKERS, Device
from pointsman.classify.proof import prove, proving
from pointsman.classify.providers import default_providers
from pointsman.classify.runtime import trim_memory
from pointsman.classify.tokenizer import Ids, TextWindow, Tokenizer
from pointsman.config.model import ClassifierOptions
from pointsman.errors import ArtifactError

WARM_UP_TEXTS = ("warm up", "What does the daemon measure first? " * 8)
# Time limit of the known answers on a CPU, which take milliseconds; a GPU loads its kernels in the first run.
PROOF_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A proven artifact, ready to run on this host; `notes` are warnings for the operator."""

    tokenizer: Tokenizer
    engine: Engine
    curve: CostCurve
    window: TextWindow
    notes: tuple[str, ...]


def load_model(
    artifact: Artifact,
    options: ClassifierOptions,
    *,
    use_cpu: bool,
    opened: Callable[[Engine], None] = lambda _: None,
) -> LoadedModel:
    """Return the model; raises CannotStart or ArtifactError.

    `opened` gets the engine before its first run, so that another thread can stop it.
    """
    # By default the library starts a thread for every core, regardless of `threads`, and a single text gains nothing
    # from them.
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    threads = options.threads or default_threads(usable_cores())
    tokenizer = Tokenizer(artifact.tokenizer_path)
    engine = Engine(
        artifact,
        options.providers or default_providers(artifact.manifest.target, use_cpu=use_cpu),
        threads=threads,
        device=Device(options.device_id, options.gpu_mem_limit_mb),
    )
    opened(engine)
    limit = options.load_timeout_ms / 1000
    own = artifact.manifest.max_tokens
    wanted = min(options.max_tokens or own, own)
    sample = _SampleRunner(tokenizer, engine, wanted)
    with proving(artifact, engine, min(PROOF_SECONDS, limit) if engine.on_cpu else limit):
        warm_up(artifact, tokenizer, engine)
        for tokens in engine.captured:
            sample(tokens, False)
    with proving(artifact, engine, limit):
        curve, measured = _measured(artifact, engine, sample, threads)
        max_tokens = min(wanted, curve.longest(max_run_seconds(options)))
        sample(max_tokens, False)
    trim_memory()
    notes = [*engine.notes, *measured]
    if not artifact.manifest.known_answers:
        notes.append(f"{artifact.folder} has no known answers, so it was not proven; export the classifier again")
    if max_tokens < wanted:
        notes.append(
            f"texts are read up to {max_tokens} of {wanted} tokens, whose run takes half of deadline_ms on this host; "
            "raise pointsman.classifier.deadline_ms to read more"
        )
    return LoadedModel(tokenizer, engine, curve, TextWindow(max_tokens, options.head_share), tuple(notes))


def language_gate(artifact: Artifact, options: ClassifierOptions) -> LanguageGate | None:
    """Return the gate for the languages of an artifact, or None if every text must be classified."""
    languages = artifact.manifest.languages if options.language_gate else []
    return LanguageGate(languages) if languages else None


def max_run_seconds(options: ClassifierOptions) -> float:
    """Return the seconds that the longest run may take; the other half of the deadline is for waiting."""
    return options.deadline_ms / 1000 / 2


class _SampleRunner:
    """Runs of any number of tokens, in as few prompts of up to `max_tokens` tokens as possible."""

    def __init__(self, tokenizer: Tokenizer, engine: Engine, max_tokens: int) -> None:
        self._engine = engine
        self.max_tokens = max_tokens
        self._ids: Ids = tokenizer.encode([WARM_UP_TEXTS[1]], TextWindow.even(max_tokens))[0].ids

    def __call__(self, tokens: int, wide: bool) -> None:
        whole, rest = divmod(tokens, self.max_tokens)
        lengths = [self.max_tokens] * whole + [rest] * (rest > 0)
        self._engine.run([np.resize(self._ids, length) for length in lengths], wide=wide)


def warm_up(artifact: Artifact, tokenizer: Tokenizer, engine: Engine) -> None:
    """Run texts and the known answers, so that a broken artifact fails now and no request pays for a first run."""
    window = TextWindow.even(artifact.manifest.max_tokens)
    for text in WARM_UP_TEXTS:
        run = engine.read([tokenizer.encode([text], window)[0].ids])
        if not run.finite.all() or np.isnan(probabilities(artifact, run)).any():
            raise ArtifactError(f"{artifact.folder}: the graph returns NaN or infinity; export the classifier again")
    prove(artifact, tokenizer, engine)


def _measured(artifact: Artifact, engine: Engine, sample: _SampleRunner, threads: int) -> tuple[CostCurve, list[str]]:
    """Return the host's cost curve, stored by an earlier start, or measured now and stored; and any problem."""
    threads = threads if engine.on_cpu else WORKERS
    max_tokens = sample.max_tokens if engine.on_cpu else max(sample.max_tokens, *BUCKETS)
    folders = curve_file.folders(artifact)
    key = curve_file.key(
        artifact,
        runtime=engine.version,
        provider=engine.provider,
        cores=usable_cores(),
        threads=threads,
        max_tokens=max_tokens,
    )
    if (stored := curve_file.load(folders, key)) is not None:
        return stored, []
    measured = measure(sample, threads=threads, wide=engine.has_wide, max_tokens=max_tokens)
    if measured.disturbed:
        return measured.curve, ["the host was busy while the classifier was measured; the next start measures again"]
    note = curve_file.store(folders, key, measured.curve)
    return measured.curve, [] if note is None else [note]
