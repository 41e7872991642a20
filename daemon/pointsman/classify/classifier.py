"""The face of the classifier: a text in, probabilities out, within a deadline, at most one run for one text."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from pointsman.classify.artifact import Artifact
from pointsman.classify.batch import Batcher, Job, usable_cores
from pointsman.classify.engine import Engine, default_providers
from pointsman.classify.tokenize import Tokenizer, Window
from pointsman.config.model import ClassifierOptions, Config
from pointsman.errors import ArtifactError, ClassifierError, DeadlineMissed
from pointsman.lru import Lru

# Only a guess until the tokens are counted, in a worker: it bounds a batch and the estimate of the wait.
CHARACTERS_PER_TOKEN_GUESS = 4
WARM_UP_TEXTS = ("warm up", "What does the daemon measure first? " * 8)


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


class Classifier:
    """Serves one artifact. Use from one event loop; `close` it."""

    def __init__(self, artifact: Artifact, options: ClassifierOptions, *, use_cpu: bool = True) -> None:
        """Loads and warms up, which takes a moment; raises CannotStart or ArtifactError."""
        self.artifact = artifact
        self.labels = tuple(artifact.manifest.labels)
        own = artifact.manifest.max_tokens
        self._window = Window(min(options.max_tokens or own, own), options.head_share)
        self._tokenizer = Tokenizer(artifact.tokenizer_path, self._window)
        self._engine = Engine(artifact, options.providers or default_providers(use_cpu=use_cpu))
        self._deadline = options.deadline_ms / 1000
        workers = options.threads or usable_cores()
        self._executor = ThreadPoolExecutor(workers, thread_name_prefix="classify")
        self._batcher: Batcher[Classification] = Batcher(
            self._work,
            self._executor,
            workers=workers,
            batch_tokens=options.batch_tokens,
            seconds_per_token=self._warm_up(artifact),
        )
        self._cache: Lru[bytes, Classification] = Lru(options.cache_entries)
        self._running: dict[bytes, Job[Classification]] = {}

    @property
    def healthy(self) -> bool:
        """False once nothing will ever be classified again."""
        return self._batcher.healthy

    @property
    def queued(self) -> int:
        """Texts that wait for a worker."""
        return self._batcher.queued

    @property
    def evicted(self) -> int:
        """Classes that the cache forgot to make room."""
        return self._cache.evicted

    def read(self, text: str) -> str:
        """What a text is classified by: all of it, or the head and the tail of a very long one."""
        return self._window.cut_text(text)

    async def classify(self, text: str) -> Classification:
        """The class of a text; raises DeadlineMissed, Overloaded, or ClassifierError. Cancel at will."""
        read = self.read(text)
        key = text_key(read)
        if (hit := self._cache.get(key)) is not None:
            return replace(hit, timing=Timing(), source="hit", cut=hit.cut or read is not text, text_hash=key.hex())
        source = "coalesced"
        job = self._running.get(key)
        if job is None:
            source = "run"
            job = self._batcher.submit(
                read, self._guess(read), self._deadline, lambda result: self._remember(key, result)
            )
            self._running[key] = job
        result = await self._wait(job)
        timing = replace(result.timing, queue=job.started_at - job.queued_at)
        return replace(result, timing=timing, source=source, cut=result.cut or read is not text, text_hash=key.hex())

    async def _wait(self, job: Job[Classification]) -> Classification:
        job.waiters += 1
        try:
            done, _ = await asyncio.wait({job.result}, timeout=self._deadline)
        finally:
            job.waiters -= 1
        if not done:
            raise DeadlineMissed(f"no class within {self._deadline * 1000:.0f} ms")
        result = job.result.result()
        if isinstance(result, ClassifierError):
            raise result
        return result

    def _remember(self, key: bytes, result: Classification | ClassifierError) -> None:
        del self._running[key]
        if isinstance(result, Classification):
            self._cache.put(key, result)

    def _guess(self, text: str) -> int:
        return min(self._window.max_tokens, 2 + len(text) // CHARACTERS_PER_TOKEN_GUESS)

    def _work(self, texts: Sequence[str]) -> list[Classification]:
        """In a worker thread: tokenize and run a batch."""
        started = time.perf_counter()
        encoded = self._tokenizer.encode(list(texts))
        tokenized = time.perf_counter()
        rows = self._engine.run([item.ids for item in encoded])
        timing = Timing(tokenize=tokenized - started, infer=time.perf_counter() - tokenized)
        return [
            Classification(tuple(row.tolist()), len(item.ids), item.cut, timing, "run")
            for item, row in zip(encoded, rows, strict=True)
        ]

    def _warm_up(self, artifact: Artifact) -> float:
        """Run once so that the first request finds warm caches; seconds a token. Raises ArtifactError."""
        try:
            for text in WARM_UP_TEXTS:
                started = time.perf_counter()
                tokens = self._work([text])[0].tokens
        except Exception as error:
            raise ArtifactError(f"{artifact.folder}: does not run ({error}); export the classifier again") from error
        return (time.perf_counter() - started) / tokens

    def close(self) -> None:
        """Wait for the running batches and stop the workers."""
        self._executor.shutdown()


def text_key(read: str) -> bytes:
    """The BLAKE2b hash, 16 bytes, by which a text is known to the cache and in the log."""
    return hashlib.blake2b(read.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def load_classifier(config: Config, artifact: Artifact) -> Classifier:
    """The classifier that a config asks for."""
    return Classifier(artifact, config.pointsman.classifier, use_cpu=config.classifier.category_model.use_cpu)
