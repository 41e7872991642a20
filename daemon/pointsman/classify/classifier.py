"""Classify texts: text in, probabilities out, within a deadline, with a cache, and one run for identical texts.

Each client has a cache and runs of its own, so that no time and no answer reveals other clients' texts.
"""

from __future__ import annotations

import asyncio
import hashlib
import math
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from pointsman.classify.artifact import Artifact
from pointsman.classify.described import DescribedHead
from pointsman.classify.engine import Array, Engine
from pointsman.classify.job_queue import Job
from pointsman.classify.language import UNCERTAIN, DetectedLanguage
from pointsman.classify.loading import load_model
from pointsman.classify.runtime import trim_memory
from pointsman.classify.scheduler import BatchCounts, Batcher, Threads
from pointsman.classify.time_limit import in_time
from pointsman.classify.tokenizer import TextWindow
from pointsman.classify.workers import NICE_LONG, NICE_SHORT, workers
from pointsman.config.model import ClassifierOptions, Config
from pointsman.eager import continue_in_task
from pointsman.errors import ClassifierError, DeadlineMissed
from pointsman.lru import Lru

# Tokens are only counted in a worker; this estimate bounds batches and predicts waiting times. Bytes per token vary
# less between scripts than characters per token.
BYTES_PER_TOKEN_GUESS = 4


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
    described: tuple[float, ...] = field(default=(), kw_only=True)
    """The probabilities of the described categories, and last of nobody; empty if there are none."""
    tokens: int
    cut: bool
    timing: Timing
    source: str
    """`run`, `hit` (from the cache) or `coalesced` (shared a run with an identical text of the same client)."""
    text_hash: str = ""
    """`text_key` of the part of the text that was read, in hex."""
    language: str | None = None
    """The text's language (ISO 639-1); None if it is not certain, or was not asked for."""
    supported: bool = True
    """False if the text is in a language that the artifact does not declare: the probabilities mean nothing."""

    @property
    def scores(self) -> tuple[float, ...]:
        """Return all probabilities, as a policy takes them."""
        return self.probabilities + self.described


@dataclass(slots=True)
class Lookups:
    """Counts of cache lookups; a miss requests a run, even if the run is then refused."""

    hits: int = 0
    misses: int = 0
    coalesced: int = 0


class _Read(NamedTuple):
    """A text to read, and the head that scores it besides the artifact's own."""

    text: str
    head: DescribedHead | None


class Classifier:
    """A classifier with one artifact. Use from one event loop; call `close` at the end."""

    def __init__(
        self,
        artifact: Artifact,
        options: ClassifierOptions,
        *,
        use_cpu: bool = True,
        opened: Callable[[Engine], None] = lambda _: None,
        hash_key: bytes = b"",
    ) -> None:
        """Load and prove the artifact, and measure the host if needed; see `load_model`.

        `hash_key` is that of each `text_hash`. Raises CannotStart or ArtifactError.
        """
        model = load_model(artifact, options, use_cpu=use_cpu, opened=opened)
        self.artifact = artifact
        self.name = artifact.folder.name
        self.labels = tuple(artifact.manifest.labels)
        self.calibration = artifact.calibration
        self.curve = model.curve
        self.notes = model.notes
        """Warnings about this artifact and host for the operator."""
        self._tokenizer = model.tokenizer
        self._engine = model.engine
        self._window = model.window
        self._judge_language: Callable[[str], DetectedLanguage] = (
            model.gate.judge if model.gate else lambda _: UNCERTAIN
        )
        self._deadline = options.deadline_ms / 1000
        self._batch_tokens = options.batch_tokens or self.curve.batch_tokens
        count = self.curve.workers
        self._threads = (
            workers(count, nice=NICE_SHORT, name="classify"),
            workers(count, nice=NICE_LONG, name="classify-long"),
        )
        self._batcher: Batcher[_Read, Classification] = Batcher(
            self._work, Threads(*self._threads), self.curve, batch_tokens=self._batch_tokens
        )
        self._cache: Lru[tuple[int, int], Classification] = Lru(options.cache_entries)
        self._hash_key = hash_key
        self._running: dict[tuple[int, int], Job[_Read, Classification]] = {}
        self.lookups = Lookups()
        self.turn = asyncio.Lock()
        """Held while the texts of one of `runs` are classified, so that others wait for one run a worker at most."""

    @property
    def healthy(self) -> bool:
        """Return False once no text can be classified any more, or while a worker hangs."""
        return self._batcher.healthy

    @property
    def queued(self) -> int:
        """Return the number of texts waiting for a worker."""
        return self._batcher.queued

    @property
    def counts(self) -> BatchCounts:
        """Return the scheduler's counts so far."""
        return self._batcher.counts

    @property
    def evicted(self) -> int:
        """Return the number of classifications evicted from the cache."""
        return self._cache.evicted

    def settings(self) -> dict[str, Any]:
        """Return the settings chosen for this host, for the log."""
        return {
            "artifact": self.name,
            "provider": self._engine.provider,
            "workers": self.curve.workers,
            "batch_tokens": self._batch_tokens,
            "wide_from_tokens": self.curve.wide_from,
            "max_tokens": self._window.max_tokens,
            "deadline_ms": round(self._deadline * 1000),
        }

    def read(self, text: str) -> str:
        """Return the part of a text that is classified: all of it, or head and tail of a very long one."""
        return self._window.cut_text(text)

    def runs(self, texts: Iterable[str]) -> Iterator[list[str]]:
        """Split texts into lists that take the workers one run each. Who has many waits for `turn` before each list."""
        found: list[str] = []
        room = whole = self.curve.workers * self._batch_tokens
        for text in texts:
            tokens = min(self._guess(self.read(text)), self._batch_tokens)
            if tokens > room:
                yield found
                found, room = [], whole
            found.append(text)
            room -= tokens
        yield found

    async def classify(
        self, text: str, deadline: float | None = None, client: str = "", head: DescribedHead | None = None
    ) -> Classification:
        """Classify a text; raises DeadlineMissed, Overloaded, or ClassifierError. May be canceled.

        `deadline` is in seconds; by default it follows from the text's predicted run. `client` is whose text it is:
        what others have sent counts for none of its texts. `head` scores the text, too, in the same run.
        """
        owner = client if head is None else f"{head.key} {client}"
        whole = _key(text, owner)
        if (hit := self._cache.get(whole)) is not None:
            self.lookups.hits += 1
            return hit
        read = self.read(text)
        key = whole if read is text else _key(read, owner)
        if read is not text and (hit := self._remembered(whole, key)) is not None:
            self.lookups.hits += 1
            return hit
        tokens, text_hash = self._guess(read), text_key(read, self._hash_key).hex()
        deadline = self.deadline(tokens) if deadline is None else deadline
        job = self._running.get(key)
        if job is not None:
            source = "coalesced"
            self.lookups.coalesced += 1
        else:
            source = "run"
            self.lookups.misses += 1
            job = self._batcher.submit(
                _Read(read, head), tokens, deadline, lambda result: self._remember(key, text_hash, result)
            )
            self._running[key] = job
        result = await self._wait(job, deadline)
        timing = replace(result.timing, queue=job.started_at - job.queued_at)
        return replace(result, timing=timing, source=source, cut=result.cut or read is not text, text_hash=text_hash)

    def _remembered(self, whole: tuple[int, int], key: tuple[int, int]) -> Classification | None:
        """Return the remembered result of a text that is cut before reading; the whole text finds it from then on."""
        hit = self._cache.get(key)
        if hit is not None:
            hit = hit if hit.cut else replace(hit, cut=True)
            self._cache.put(whole, hit)  # cutting the text and hashing the parts takes most of the time of a hit
        return hit

    async def _wait(self, job: Job[_Read, Classification], deadline: float) -> Classification:
        job.waiters += 1
        try:
            await continue_in_task()
            done, _ = await asyncio.wait({job.result}, timeout=deadline)
        finally:
            job.waiters -= 1
        if not done:
            raise DeadlineMissed(f"no classification within {deadline * 1000:.0f} ms")
        result = job.result.result()
        if isinstance(result, ClassifierError):
            raise result
        return result

    def _remember(self, key: tuple[int, int], text_hash: str, result: Classification | ClassifierError) -> None:
        del self._running[key]
        if isinstance(result, ClassifierError):
            return
        hurried = result.cut and result.tokens < self._window.max_tokens  # the next one may have more time
        if not hurried:
            self._cache.put(key, replace(result, timing=Timing(), source="hit", text_hash=text_hash))

    def deadline(self, tokens: int) -> float:
        """Return the seconds that a text of `tokens` may take: half of `deadline_ms` to wait, and its predicted run.

        The run is rounded up to tenths of `deadline_ms`, so that two measurements mostly agree.
        """
        step = self._deadline / 10
        return min(self._deadline, self._deadline / 2 + step * math.ceil(self.curve.seconds(tokens) / step))

    def _guess(self, text: str) -> int:
        return min(self._window.max_tokens, 2 + len(_bytes(text)) // BYTES_PER_TOKEN_GUESS)

    def features(self, text: str, max_tokens: int) -> Array | None:
        """Return the features of a text, shape [width], of at most `max_tokens` tokens; None without features.

        Blocks for a run beside those of the workers; raises the errors of the library. For any thread.
        """
        window = TextWindow.even(min(max_tokens, self._window.max_tokens))
        found = self._engine.read([self._tokenizer.encode([window.cut_text(text)], window)[0].ids])
        return None if found.features is None else found.features[0]

    def _work(self, batch: list[_Read], wide: bool, limit: int) -> list[Classification | ClassifierError]:
        """Tokenize, judge, run and score a batch, in a worker thread; read at most `limit` tokens of each text."""
        texts = [one.text for one in batch]
        started = time.perf_counter()
        window = replace(self._window, max_tokens=min(limit, self._window.max_tokens))
        encoded = self._tokenizer.encode(texts, window)
        detected_languages = [self._judge_language(text) for text in texts]
        tokenized = time.perf_counter()
        found = self._engine.read([item.ids for item in encoded], wide=wide)
        described = _described([one.head for one in batch], found.features)
        timing = Timing(tokenize=tokenized - started, infer=time.perf_counter() - tokenized)
        return [
            ClassifierError("the graph returned NaN or infinity")
            if math.isnan(row[0])
            else Classification(
                tuple(row),
                len(item.ids),
                item.cut,
                timing,
                "run",
                "",
                detected.language,
                detected.supported,
                described=scores,
            )
            for item, row, detected, scores in zip(
                encoded, found.probabilities.tolist(), detected_languages, described, strict=True
            )
        ]

    def close(self) -> None:
        """End the runs and the workers, and free the memory; the classifier cannot be used afterwards."""
        if "_engine" in vars(self):
            self._engine.stop()  # nobody waits for a result any more, and a run may hang
        for threads in self._threads:
            threads.shutdown()
        # The scheduler and this object refer to each other: free large objects now, not at the next garbage collection.
        self._cache.resize(0)
        vars(self).pop("_engine", None)
        vars(self).pop("_tokenizer", None)
        trim_memory()


def _described(heads: list[DescribedHead | None], features: Array | None) -> list[tuple[float, ...]]:
    """Return what each text's head gives for it; a batch may have texts of two configs."""
    scores: list[tuple[float, ...]] = [()] * len(heads)
    if features is not None:
        for head in {id(head): head for head in heads if head is not None}.values():
            own = [at for at, one in enumerate(heads) if one is head]
            for at, row in zip(own, head.probabilities(features[own]).tolist(), strict=True):
                scores[at] = tuple(row)
    return scores


def _key(text: str, owner: str) -> tuple[int, int]:
    """Return the hash and length of an owner's text; Python's hash has a secret key: nobody can make two collide."""
    return hash((owner, text) if owner else text), len(text)


def text_key(read: str, hash_key: bytes = b"") -> bytes:
    """Return a 16-byte BLAKE2b hash, which identifies a text in the log; without a key as releases before 0.2 did."""
    return hashlib.blake2b(_bytes(read), digest_size=16, key=hash_key).digest()


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def load_classifier(config: Config, artifact: Artifact, hash_key: bytes = b"") -> Classifier:
    """Return the classifier for a config; raises CannotStart, at the latest after `load_timeout_ms`."""
    options = config.pointsman.classifier
    use_cpu = config.classifier.category_model.use_cpu
    engines: list[Engine] = []

    def load() -> Classifier:
        return Classifier(artifact, options, use_cpu=use_cpu, opened=engines.append, hash_key=hash_key)

    def given_up(late: Future[Classifier]) -> None:
        for engine in engines:
            engine.stop()
        late.add_done_callback(_close)

    return in_time(options.load_timeout_ms / 1000, artifact.folder, load, given_up)


def _close(late: Future[Classifier]) -> None:
    if late.exception() is None:
        late.result().close()
