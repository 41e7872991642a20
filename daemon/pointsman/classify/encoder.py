"""Read texts: text in, scores out, within a deadline, with a cache, and one run for identical texts.

Each client has a cache and runs of its own, so that no time and no answer reveals other clients' texts.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from pointsman.classify import heads, proof
from pointsman.classify.artifact import Artifact
from pointsman.classify.classification import Classification, Timing, as_bytes, text_key
from pointsman.classify.engine import Array, Engine
from pointsman.classify.heads import Heads
from pointsman.classify.job_queue import Job
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


@dataclass(slots=True)
class Lookups:
    """Counts of cache lookups; a miss requests a run, even if the run is then refused."""

    hits: int = 0
    misses: int = 0
    coalesced: int = 0


class _Read(NamedTuple):
    """A text to read, and the heads that score it."""

    text: str
    heads: Heads


class Encoder:
    """The graph of an artifact with its workers, which configs share. Use from one event loop; `close` at the end."""

    def __init__(
        self,
        artifact: Artifact,
        options: ClassifierOptions,
        *,
        use_cpu: bool = True,
        opened: Callable[[Engine], None] = lambda _: None,
        hash_key: bytes = b"",
    ) -> None:
        """Load and prove the artifact, which is no head, and measure the host if needed; see `load_model`.

        `hash_key` is that of each `text_hash`. Raises CannotStart or ArtifactError.
        """
        model = load_model(artifact, options, use_cpu=use_cpu, opened=opened)
        self.artifact = artifact
        self.options = options
        self.curve = model.curve
        self.notes = model.notes
        """Warnings about this artifact and host for the operator."""
        self._tokenizer = model.tokenizer
        self._engine = model.engine
        self._window = model.window
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
        self, text: str, heads: Heads, deadline: float | None = None, client: str = ""
    ) -> Classification:
        """Return what `heads` make of a text; raises DeadlineMissed, Overloaded, or ClassifierError. May be canceled.

        `deadline` is in seconds; by default it follows from the text's predicted run. `client` is whose text it is:
        what others have sent counts for none of its texts.
        """
        owner = f"{heads.key} {client}"
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
                _Read(read, heads), tokens, deadline, lambda result: self._remember(key, text_hash, result)
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
        return min(self._window.max_tokens, 2 + len(as_bytes(text)) // BYTES_PER_TOKEN_GUESS)

    def features(self, texts: Sequence[str], max_tokens: int) -> Array | None:
        """Return the features of texts of at most `max_tokens` tokens each, shape [texts, width]; None without any.

        Blocks for a run beside those of the workers; raises the errors of the library. For any thread.
        """
        window = TextWindow.even(min(max_tokens, self._window.max_tokens))
        encoded = self._tokenizer.encode([window.cut_text(text) for text in texts], window)
        return self._engine.read([one.ids for one in encoded]).features

    def prove(self, head: Artifact) -> None:
        """Prove a head on this encoder, beside the workers' runs; raises ArtifactError. For any thread."""
        proof.prove(head, self._tokenizer, self._engine)

    def _work(self, batch: list[_Read], wide: bool, limit: int) -> list[Classification | ClassifierError]:
        """Tokenize, run and score a batch, in a worker thread; read at most `limit` tokens of each text."""
        texts = [one.text for one in batch]
        started = time.perf_counter()
        window = replace(self._window, max_tokens=min(limit, self._window.max_tokens))
        encoded = self._tokenizer.encode(texts, window)
        tokenized = time.perf_counter()
        found = self._engine.read([item.ids for item in encoded], wide=wide)
        scored = heads.of_each([one.heads for one in batch], texts, found)
        timing = Timing(tokenize=tokenized - started, infer=time.perf_counter() - tokenized)
        return [
            ClassifierError("the graph returned NaN or infinity")
            if scores is None
            else Classification(
                scores.serving.probabilities,
                len(item.ids),
                item.cut,
                timing,
                "run",
                "",
                scores.serving.language,
                scores.serving.supported,
                described=scores.serving.described,
                shadow=scores.shadow,
            )
            for item, scores in zip(encoded, scored, strict=True)
        ]

    def close(self) -> None:
        """End the runs and the workers, and free the memory; the encoder cannot be used afterwards."""
        if "_engine" in vars(self):
            self._engine.stop()  # nobody waits for a result any more, and a run may hang
        for threads in self._threads:
            threads.shutdown()
        # The scheduler and this object refer to each other: free large objects now, not at the next garbage collection.
        self._cache.resize(0)
        vars(self).pop("_engine", None)
        vars(self).pop("_tokenizer", None)
        trim_memory()


def _key(text: str, owner: str) -> tuple[int, int]:
    """Return the hash and length of an owner's text; Python's hash has a secret key: nobody can make two collide."""
    return hash((owner, text)), len(text)


def load_encoder(config: Config, artifact: Artifact, hash_key: bytes = b"") -> Encoder:
    """Return the encoder for a config; raises CannotStart, at the latest after `load_timeout_ms`."""
    options = config.pointsman.classifier
    use_cpu = config.classifier.category_model.use_cpu
    engines: list[Engine] = []

    def load() -> Encoder:
        return Encoder(artifact, options, use_cpu=use_cpu, opened=engines.append, hash_key=hash_key)

    def given_up(late: Future[Encoder]) -> None:
        for engine in engines:
            engine.stop()
        late.add_done_callback(_close)

    return in_time(options.load_timeout_ms / 1000, artifact.folder, load, given_up)


def _close(late: Future[Encoder]) -> None:
    if late.exception() is None:
        late.result().close()
