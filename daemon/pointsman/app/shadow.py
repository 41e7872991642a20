"""Let a second classifier read the texts of the first one, after the decision, and count differences.

One on the graph of the first has its scores from the first one's runs, any other reads in a process of its own.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import msgspec

from pointsman.app.prepare import PreparedConfig
from pointsman.app.shadow_process import ShadowEnded, ShadowProcess, classification, shadow_options
from pointsman.app.supervisor import Supervisor
from pointsman.classify.artifact import Artifact
from pointsman.classify.classification import Classification
from pointsman.classify.encoder import Encoder
from pointsman.classify.heads import ArtifactScores
from pointsman.classify.shadow import ShadowAnswer
from pointsman.improve.text_recording import keeping_contested
from pointsman.improve.texts_file import TextsFile
from pointsman.lru import Lru
from pointsman.observability.log import Log
from pointsman.observability.metrics import Metrics
from pointsman.observability.record import Record
from pointsman.routing.agreement import ClassifierAgreement
from pointsman.routing.opinion import Opinion, opinion
from pointsman.routing.policy import Policy
from pointsman.routing.router import RoutedRequest, Router

# Each is at most as long as the part of a text that the first classifier reads.
MAX_WAITING_TEXTS = 64
# A repeated text is compared once, as long as it is among this many others.
MAX_KNOWN_TEXTS = 10_000
# Pause while texts wait for the first classifier.
PAUSE_SECONDS = 0.05
# Time for the second opinion on a text that somebody tries.
ASKED_SECONDS = 5.0

State = Literal["loading", "running", "stopped"]


class _ShadowText(msgspec.Struct, frozen=True):
    """The text that the first classifier has read and its result, and the recipient of the second opinion."""

    text: str
    found: Classification
    router: Router
    share: float
    tools: bool
    on_opinion: Callable[[Opinion | None], object]
    """Called with the second opinion, or None after a failure."""
    counts: bool
    differs: Callable[[str, str | None], object] | None
    """Called with the text and the second category if it differs."""

    def opinion(self, policy: Policy, found: Classification) -> Opinion:
        router = self.router
        return opinion(policy, router.planner, found, router.served(), share=self.share, tools=self.tools)


class ShadowClassifier:
    """One artifact in shadow of one classifier; it never delays a request."""

    def __init__(self, prepared: PreparedConfig, log: Log, metrics: Metrics) -> None:
        """Take an artifact; for an unreadable one, only report the error."""
        found = prepared.shadow
        named = Path(prepared.config.pointsman.classifier.shadow or "")
        self._name = named.name if found is None else found.folder.name
        self._serves = prepared
        self._log = log
        self._count = metrics.shadow_texts.add
        self._count_pair = metrics.shadow_pairs.add
        self._waiting: deque[_ShadowText] = deque()
        self._arrived = asyncio.Event()
        self._known: Lru[str, bool] = Lru(MAX_KNOWN_TEXTS)
        self._agreement = ClassifierAgreement()
        self._shed = self._failed = 0
        self._task: asyncio.Task[None] | None = None
        self._policy: Policy | None = None
        if found is not None:
            inside = prepared.classifier.heads.shadow
            head = prepared.classifier.head if inside is None else inside.described
            self._policy = Policy(prepared.config, found.manifest.labels, calibration=found.calibration, head=head)
        self._inside = prepared.classifier.heads.shadow is not None
        self.state: State = "stopped" if found is None else "running" if self._inside else "loading"
        self.error = prepared.shadow_error

    def still_serves(self, prepared: PreparedConfig) -> bool:
        """Return whether this can be reused for a config: the same two classifiers, and the same categories."""
        return self.state != "stopped" and _basis(self._serves) == _basis(prepared)

    def offer(self, router: Router, routed: RoutedRequest, record: Record, texts: TextsFile | None = None) -> None:
        """Queue the text of a decision, if there is time and the text was not read before.

        If texts are stored, the file is told about those with another category.
        """
        found = routed.classification
        if found is None or self.state != "running" or self._known.get(found.text_hash):
            return
        if len(self._waiting) >= MAX_WAITING_TEXTS:
            self._shed += 1
            self._count("shed")
            return
        self._known.put(found.text_hash, True)

        def on_opinion(opinion: Opinion | None) -> None:
            record.shadow = opinion

        differs = None if texts is None else keeping_contested(texts, router, record, routed, found)
        self._have_read(router, routed, found, on_opinion, counts=True, differs=differs)

    async def opinion(self, router: Router, routed: RoutedRequest) -> Opinion | None:
        """Return the second opinion on a text that somebody tries; None if it takes longer than ASKED_SECONDS.

        The comparison does not count it.
        """
        found = routed.classification
        if found is None or self.state != "running" or len(self._waiting) >= MAX_WAITING_TEXTS:
            return None
        answer: asyncio.Future[Opinion | None] = asyncio.get_running_loop().create_future()

        def on_opinion(opinion: Opinion | None) -> None:
            if not answer.done():
                answer.set_result(opinion)

        self._have_read(router, routed, found, on_opinion, counts=False)
        try:
            async with asyncio.timeout(ASKED_SECONDS):
                return await answer
        except TimeoutError:
            return None

    def _have_read(
        self,
        router: Router,
        routed: RoutedRequest,
        found: Classification,
        on_opinion: Callable[[Opinion | None], object],
        *,
        counts: bool,
        differs: Callable[[str, str | None], object] | None = None,
    ) -> None:
        text = router.classifier.encoder.read(routed.text)
        share, tools = (0.0, False) if routed.remembered is None else (routed.remembered.share, routed.remembered.tools)
        waiting = _ShadowText(text, found, router, share, tools, on_opinion, counts, differs)
        if self._inside:
            self._take_answer(waiting, found.shadow)
            return
        self._waiting.append(waiting)
        self._arrived.set()

    def start(self, supervisor: Supervisor) -> None:
        """Load the artifact and read texts in the background, if not begun before, until `close`."""
        if self._task is None:
            self._task = supervisor.start("shadow", self._run, artifact=self._name)

    def close(self) -> None:
        """End the process; waiting texts are not read."""
        self.state = "stopped"
        if self._task is not None:
            self._task.cancel()

    async def _run(self) -> None:
        if self._inside:
            self._runs()
        elif self._serves.shadow is not None and self.state != "stopped":
            try:
                await self._read_all(self._serves.shadow)
            except ShadowEnded as error:
                self._stop(str(error))
        await asyncio.get_running_loop().create_future()

    async def _read_all(self, found: Artifact) -> None:
        self.state = "loading"
        options = shadow_options(found.folder, self._serves.config, self._serves.classifier.encoder)
        process = await ShadowProcess.start(options)
        try:
            if list(process.labels) != found.manifest.labels:
                raise ShadowEnded("the artifact was replaced while it was loaded")
            self._runs()
            while True:
                await self._arrived.wait()
                self._arrived.clear()
                while self._waiting:
                    await _quiet(self._waiting[0].router.classifier.encoder)
                    text = self._waiting.popleft()
                    answer = await process.ask(text.text)
                    self._take_answer(text, answer if answer.error is None else None)
        finally:
            await process.close()

    def _runs(self) -> None:
        self.state = "running"
        self._log.write("info", "shadow", artifact=self._name, state=self.state)

    def _take_answer(self, text: _ShadowText, answer: ShadowAnswer | ArtifactScores | None) -> None:
        if answer is None or self._policy is None:
            text.on_opinion(None)
            if text.counts:
                self._failed += 1
                self._count("failed")
            return
        second = text.opinion(self._policy, classification(answer, text.found.described))
        text.on_opinion(second)
        if text.counts:
            self._compare(text, second)

    def _compare(self, text: _ShadowText, second: Opinion) -> None:
        pair = self._agreement.add(text.opinion(text.router.policy, text.found), second)
        self._count("agreed" if pair is None else "differed")
        if pair is not None:
            self._count_pair(pair[0] or "", pair[1] or "")
            if text.differs is not None:
                text.differs(text.text, second.category)

    def _stop(self, why: str) -> None:
        self.state, self.error = "stopped", why
        self._waiting.clear()
        message = f"the classifier in shadow stopped, which changes no decision: {why}; reload the service to start it"
        self._log.write("warning", "shadow", artifact=self._name, state=self.state, message=message)

    def report(self) -> dict[str, Any]:
        """Return the state, and the comparison since the artifact was loaded."""
        return {
            "artifact": self._name,
            "state": self.state,
            "error": self.error,
            **self._agreement.report(),
            "waiting": len(self._waiting),
            "shed": self._shed,
            "failed": self._failed,
        }


async def _quiet(encoder: Encoder) -> None:
    """Wait until no text waits for a worker of the first classifier."""
    while encoder.queued:  # noqa: ASYNC110 - nobody says when the last one is taken
        await asyncio.sleep(PAUSE_SECONDS)


def _basis(prepared: PreparedConfig) -> tuple[object, ...]:
    """Return the settings that decide on a category."""
    config = prepared.config
    options = config.pointsman
    return (
        prepared.shadow,
        prepared.classifier.encoder,
        prepared.classifier.heads.key,
        options.classifier,
        config.classifier,
        config.categories,
        options.routing.thresholds,
        options.routing.precision,
    )
