"""Classify texts: text in, probabilities out, within a deadline, with a cache, and one run for identical texts."""

from __future__ import annotations

import asyncio
import hashlib
import os
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from pointsman.classify import curve_file
from pointsman.classify.artifact import Artifact
from pointsman.classify.cost_model import Curve
from pointsman.classify.measure import TYPICAL, measure
from pointsman.classify.onnx_cpu import Engine, default_providers
from pointsman.classify.onnx_cuda import BUCKETS, Device
from pointsman.classify.runtime import trim_memory
from pointsman.classify.scheduler import Batcher, Counts, Job, usable_cores
from pointsman.classify.tokenizer import Tokenizer, Window
from pointsman.config.model import ClassifierOptions, Config
from pointsman.eager import in_task
from pointsman.errors import ArtifactError, ClassifierError, DeadlineMissed
from pointsman.lru import Lru

# Tokens are only counted in a worker; this estimate bounds batches and predicts waiting times. Bytes per token vary
# less between scripts than characters per token.
BYTES_PER_TOKEN_GUESS = 4
WARM_UP_TEXTS = ("warm up", "What does the daemon measure first? " * 8)
# The default deadline is this much plus the time of the longest text while all workers run.
DEFAULT_WAIT_S = 0.25


@dataclass(frozen=True, slots=True)
class Timing:
    """Durations in seconds; all zero for a cache hit."""

    queue: float = 0.0
    tokenize: float = 0.0
    infer: float = 0.0


@dataclass(frozen=True, slots=True)
class Classification:
    """A result: `probabilities` are in label order and sum to 1; `cut` if only head and tail of the text were read."""

    probabilities: tuple[float, ...]
    tokens: int
    cut: bool
    timing: Timing
    source: str
    """`run`, `hit` (from the cache) or `coalesced` (shared a run with an identical text)."""
    text_hash: str = ""
    """`text_key` of the part of the text that was read, in hex."""


@dataclass(slots=True)
class Lookups:
    """Counts of cache lookups; a miss requests a run, even if the run is then refused."""

    hits: int = 0
    misses: int = 0
    coalesced: int = 0


class Classifier:
    """Serve one artifact. Use from one event loop; call `close` at the end."""

    def __init__(self, artifact: Artifact, options: ClassifierOptions, *, use_cpu: bool = True) -> None:
        """Load and warm up, and measure the host unless that was done before; raises CannotStart or ArtifactError."""
        self.artifact = artifact
        self.labels = tuple(artifact.manifest.labels)
        own = artifact.manifest.max_tokens
        self._window = Window(min(options.max_tokens or own, own), options.head_share)
        # By default it starts a thread for every core, regardless of `threads`, and a single text gains nothing from
        # them.
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
        self._tokenizer = Tokenizer(artifact.tokenizer_path, self._window)
        self._engine = Engine(
            artifact,
            options.providers or default_providers(use_cpu=use_cpu),
            threads=options.threads or usable_cores(),
            device=Device(options.device_id, options.gpu_mem_limit_mb),
        )
        self.notes: tuple[str, ...] = ()
        """Warnings about this host for the operator."""
        self._sample_ids = self._tokenizer.encode([WARM_UP_TEXTS[1]])[0].ids
        self._warm_up()
        self.curve = self._measured(options.threads or usable_cores())
        trim_memory()
        longest = self.curve.seconds(self._window.max_tokens)
        self._deadline = DEFAULT_WAIT_S + longest if options.deadline_ms is None else options.deadline_ms / 1000
        self._batch_tokens = options.batch_tokens or self.curve.batch_tokens
        self._executor = ThreadPoolExecutor(self.curve.workers, thread_name_prefix="classify")
        self._batcher: Batcher[Classification] = Batcher(
            self._work, self._executor, self.curve, batch_tokens=self._batch_tokens
        )
        self._cache: Lru[bytes, Classification] = Lru(options.cache_entries)
        self._running: dict[bytes, Job[Classification]] = {}
        self.lookups = Lookups()

    @property
    def healthy(self) -> bool:
        """Return False once no text can be classified any more, or while a worker hangs."""
        return self._batcher.healthy

    @property
    def queued(self) -> int:
        """Return the number of texts waiting for a worker."""
        return self._batcher.queued

    @property
    def counts(self) -> Counts:
        """Return the scheduler's counts so far."""
        return self._batcher.counts

    @property
    def evicted(self) -> int:
        """Return the number of classifications evicted from the cache."""
        return self._cache.evicted

    def settings(self) -> dict[str, Any]:
        """Return the settings chosen for this host, for the log."""
        return {
            "provider": self._engine.provider,
            "workers": self.curve.workers,
            "batch_tokens": self._batch_tokens,
            "wide_from_tokens": self.curve.wide_from,
            "deadline_ms": round(self._deadline * 1000),
        }

    def read(self, text: str) -> str:
        """Return the part of a text that is classified: all of it, or head and tail of a very long one."""
        return self._window.cut_text(text)

    @property
    def at_once(self) -> int:
        """Return about how many texts the workers can process at once."""
        return self.curve.workers * max(1, self._batch_tokens // TYPICAL)

    async def classify(self, text: str, deadline: float | None = None) -> Classification:
        """Classify a text; raises DeadlineMissed, Overloaded, or ClassifierError. May be cancelled.

        `deadline` is in seconds; by default the options' value.
        """
        deadline = self._deadline if deadline is None else deadline
        read = self.read(text)
        key = text_key(read)
        if (hit := self._cache.get(key)) is not None:
            self.lookups.hits += 1
            return hit if read is text or hit.cut else replace(hit, cut=True)
        job = self._running.get(key)
        if job is not None:
            source = "coalesced"
            self.lookups.coalesced += 1
        else:
            source = "run"
            self.lookups.misses += 1
            job = self._batcher.submit(read, self._guess(read), deadline, lambda result: self._remember(key, result))
            self._running[key] = job
        result = await self._wait(job, deadline)
        timing = replace(result.timing, queue=job.started_at - job.queued_at)
        return replace(result, timing=timing, source=source, cut=result.cut or read is not text, text_hash=key.hex())

    async def _wait(self, job: Job[Classification], deadline: float) -> Classification:
        job.waiters += 1
        try:
            await in_task()
            done, _ = await asyncio.wait({job.result}, timeout=deadline)
        finally:
            job.waiters -= 1
        if not done:
            raise DeadlineMissed(f"no classification within {deadline * 1000:.0f} ms")
        result = job.result.result()
        if isinstance(result, ClassifierError):
            raise result
        return result

    def _remember(self, key: bytes, result: Classification | ClassifierError) -> None:
        del self._running[key]
        if isinstance(result, Classification):
            self._cache.put(key, replace(result, timing=Timing(), source="hit", text_hash=key.hex()))

    def _guess(self, text: str) -> int:
        return min(self._window.max_tokens, 2 + len(_bytes(text)) // BYTES_PER_TOKEN_GUESS)

    def _work(self, texts: list[str], wide: bool) -> list[Classification]:
        """Tokenize and run a batch, in a worker thread."""
        started = time.perf_counter()
        encoded = self._tokenizer.encode(texts)
        tokenized = time.perf_counter()
        rows = self._engine.run([item.ids for item in encoded], wide=wide)
        timing = Timing(tokenize=tokenized - started, infer=time.perf_counter() - tokenized)
        return [
            Classification(tuple(row.tolist()), len(item.ids), item.cut, timing, "run")
            for item, row in zip(encoded, rows, strict=True)
        ]

    def _warm_up(self) -> None:
        """Run once, so that a broken artifact fails now and no request pays for lazy initialization.

        Raises ArtifactError.
        """
        try:
            for text in WARM_UP_TEXTS:
                self._work([text], False)
            for tokens in self._engine.captured:
                self._sample(tokens, False)
        except Exception as error:
            raise ArtifactError(
                f"{self.artifact.folder}: does not run ({error}); export the classifier again"
            ) from error

    def _measured(self, threads: int) -> Curve:
        """Return the host's cost curve: stored by an earlier start, or measured now and stored."""
        engine, on_cpu = self._engine, self._engine.provider == "cpu"
        threads = threads if on_cpu else 1  # concurrent runs on a GPU take turns
        places = curve_file.places(self.artifact)
        key = curve_file.key(
            self.artifact, runtime=engine.version, provider=engine.provider, cores=usable_cores(), threads=threads
        )
        curve = curve_file.load(places, key)
        note = None
        if curve is None:
            longest = self._window.max_tokens
            measured = measure(
                self._sample,
                threads=threads,
                wide=engine.has_wide,
                longest=longest if on_cpu else max(longest, *BUCKETS),
            )
            curve = measured.curve
            if measured.disturbed:
                note = "the host was busy while the classifier was measured; the next start measures again"
            else:
                note = curve_file.store(places, key, curve)
        self.notes = tuple(engine.notes) + (() if note is None else (note,))
        return curve

    def _sample(self, tokens: int, wide: bool) -> None:
        """Run this many tokens, in as few prompts as possible."""
        whole, rest = divmod(tokens, self._window.max_tokens)
        lengths = [self._window.max_tokens] * whole + [rest] * (rest > 0)
        self._engine.run([np.resize(self._sample_ids, length) for length in lengths], wide=wide)

    def close(self) -> None:
        """Wait for running batches, stop the workers and free the memory; the classifier cannot be used afterwards."""
        self._executor.shutdown()
        # The scheduler and this object refer to each other: free what is large now, not at the next garbage collection.
        self._cache.resize(0)
        vars(self).pop("_engine", None)
        vars(self).pop("_tokenizer", None)
        trim_memory()


def text_key(read: str) -> bytes:
    """Return a 16-byte BLAKE2b hash, which identifies a text in the cache and the log."""
    return hashlib.blake2b(_bytes(read), digest_size=16).digest()


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def load_classifier(config: Config, artifact: Artifact) -> Classifier:
    """Return the classifier for a config."""
    return Classifier(artifact, config.pointsman.classifier, use_cpu=config.classifier.category_model.use_cpu)
