"""The face of the classifier: a text in, probabilities out, within a deadline, at most one run for one text."""

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

# Only a guess until the tokens are counted, in a worker: it bounds a batch and the estimate of the wait. Scripts differ
# less in the bytes of a token than in its characters.
BYTES_PER_TOKEN_GUESS = 4
WARM_UP_TEXTS = ("warm up", "What does the daemon measure first? " * 8)
# What a text may wait for others, beyond the time that the longest one takes beside others.
DEFAULT_WAIT_S = 0.25


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds; all zero for a hit."""

    queue: float = 0.0
    tokenize: float = 0.0
    infer: float = 0.0


@dataclass(frozen=True, slots=True)
class Classification:
    """`probabilities` are in the order of the labels and sum to 1; `cut`: only head and tail of the text were read."""

    probabilities: tuple[float, ...]
    tokens: int
    cut: bool
    timing: Timing
    source: str
    """`run`, `hit` (from the cache) or `coalesced` (shared a run with the same text)."""
    text_hash: str = ""
    """`text_key` of what was read of the text, in hex."""


@dataclass(slots=True)
class Lookups:
    """What became of the texts that came so far; a miss asks for a run, whether or not it gets one."""

    hits: int = 0
    misses: int = 0
    coalesced: int = 0


class Classifier:
    """Serves one artifact. Use from one event loop; `close` it."""

    def __init__(self, artifact: Artifact, options: ClassifierOptions, *, use_cpu: bool = True) -> None:
        """Loads, warms up, and measures what was not measured before; raises CannotStart or ArtifactError."""
        self.artifact = artifact
        self.labels = tuple(artifact.manifest.labels)
        own = artifact.manifest.max_tokens
        self._window = Window(min(options.max_tokens or own, own), options.head_share)
        # Otherwise it starts a thread for every core, whatever `threads` says, and a lone text gains nothing by them.
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
        self._tokenizer = Tokenizer(artifact.tokenizer_path, self._window)
        self._engine = Engine(
            artifact,
            options.providers or default_providers(use_cpu=use_cpu),
            threads=options.threads or usable_cores(),
            device=Device(options.device_id, options.gpu_mem_limit_mb),
        )
        self.notes: tuple[str, ...] = ()
        """What the operator should know of this host."""
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
        """False once nothing will ever be classified again."""
        return self._batcher.healthy

    @property
    def queued(self) -> int:
        """Texts that wait for a worker."""
        return self._batcher.queued

    @property
    def counts(self) -> Counts:
        """What the scheduler did so far."""
        return self._batcher.counts

    @property
    def evicted(self) -> int:
        """Classes that the cache forgot to make room."""
        return self._cache.evicted

    def settings(self) -> dict[str, Any]:
        """What was chosen for this host, for the log."""
        return {
            "provider": self._engine.provider,
            "workers": self.curve.workers,
            "batch_tokens": self._batch_tokens,
            "wide_from_tokens": self.curve.wide_from,
            "deadline_ms": round(self._deadline * 1000),
        }

    def read(self, text: str) -> str:
        """What a text is classified by: all of it, or the head and the tail of a very long one."""
        return self._window.cut_text(text)

    @property
    def at_once(self) -> int:
        """About how many texts the workers can take at the same time."""
        return self.curve.workers * max(1, self._batch_tokens // TYPICAL)

    async def classify(self, text: str, deadline: float | None = None) -> Classification:
        """The class of a text; raises DeadlineMissed, Overloaded, or ClassifierError. Cancel at will.

        `deadline`: seconds, by default what the options say.
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
            raise DeadlineMissed(f"no class within {deadline * 1000:.0f} ms")
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
        """In a worker thread: tokenize and run a batch."""
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
        """Run once, so that parts which do not fit together show now, and no request waits for what comes first.

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
        """This host's cost curve: kept from an earlier start, or measured now and kept for the next one."""
        engine, on_cpu = self._engine, self._engine.provider == "cpu"
        threads = threads if on_cpu else 1  # on a GPU, runs side by side take turns
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
        """Run so many tokens, in as few prompts as can hold them."""
        whole, rest = divmod(tokens, self._window.max_tokens)
        lengths = [self._window.max_tokens] * whole + [rest] * (rest > 0)
        self._engine.run([np.resize(self._sample_ids, length) for length in lengths], wide=wide)

    def close(self) -> None:
        """Wait for the running batches, stop the workers and give the memory back; it can classify no more."""
        self._executor.shutdown()
        # The scheduler refers to this object and this to the scheduler: what is large must not wait for a collection.
        self._cache.resize(0)
        vars(self).pop("_engine", None)
        vars(self).pop("_tokenizer", None)
        trim_memory()


def text_key(read: str) -> bytes:
    """The BLAKE2b hash, 16 bytes, by which a text is known to the cache and in the log."""
    return hashlib.blake2b(_bytes(read), digest_size=16).digest()


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def load_classifier(config: Config, artifact: Artifact) -> Classifier:
    """The classifier that a config asks for."""
    return Classifier(artifact, config.pointsman.classifier, use_cpu=config.classifier.category_model.use_cpu)
