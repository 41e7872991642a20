"""Let an artifact that neither serves nor is in shadow classify a text that somebody tries.

One on the graph of the classifier in use is read in a run of its encoder, any other in a process.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from pointsman.app.shadow_process import ShadowEnded, ShadowProcess, classification, shadow_options
from pointsman.classify import artifact
from pointsman.classify.artifact import Artifact
from pointsman.classify.calibration import Calibration
from pointsman.classify.category_head import make_head
from pointsman.classify.classification import Classification
from pointsman.classify.classifier import Classifier
from pointsman.classify.manifest import Manifest
from pointsman.classify.shadow import ShadowAnswer, ShadowOptions
from pointsman.config.model import Config
from pointsman.daemon_thread import SerialExecutor
from pointsman.errors import CannotStart, ClassifierError, RequestError, TooBusy
from pointsman.routing.explain import greatest_first
from pointsman.routing.opinion import opinion
from pointsman.routing.policy import Policy
from pointsman.routing.router import RoutedRequest, Router

T = TypeVar("T")
# Its process ends this long after the last text.
IDLE_SECONDS = 60.0
# Each has a text of a request in memory.
MAX_WAITING_CALLERS = 8
# To read its manifest.
READ_SECONDS = 10.0
# Maximum wait for a turn and the loading, which continues. A waiting request holds a config that may be old.
WAIT_SECONDS = 60.0


class _CandidateProcess(NamedTuple):
    """A process with an artifact, and the config that it started for; `policy` is that of `config`."""

    starting: asyncio.Task[ShadowProcess]
    options: ShadowOptions
    manifest: Manifest
    config: Config
    policy: Policy


class Candidates:
    """At most one loaded artifact, in a process like that of the classifier in shadow, until nobody uses it."""

    def __init__(self, folder_of: Callable[[str], Awaitable[Path]]) -> None:
        """Take `folder_of`, which returns the folder of an artifact by its name; raises RequestError."""
        self._folder_of = folder_of
        self._lock = asyncio.Lock()
        self._waiting = 0
        self._loaded: _CandidateProcess | None = None
        self._idle: asyncio.Task[None] | None = None
        self._disk = SerialExecutor("candidate")

    async def judge(self, name: str, router: Router, routed: RoutedRequest) -> dict[str, Any]:
        """Return what an artifact decides about the classified text alone, with the scores; raises HttpError.

        `decision` is None if no text was classified.
        """
        if self._waiting >= MAX_WAITING_CALLERS:
            raise TooBusy(f"{MAX_WAITING_CALLERS} texts wait for a candidate already")
        self._waiting += 1
        try:
            async with asyncio.timeout(WAIT_SECONDS) as limit, self._lock:
                try:
                    return await self._judged(name, router, routed, limit)
                finally:
                    if self._loaded is not None and self._idle is None:
                        idle = self._end_idle(self._loaded.starting)
                        self._idle = asyncio.get_running_loop().create_task(idle)
        except TimeoutError:
            message = f"{name} is still being loaded, or other texts are read before; try again in a minute"
            raise TooBusy(message) from None
        finally:
            self._waiting -= 1

    async def close(self) -> None:
        """End the process."""
        self._stay()
        loaded, self._loaded = self._loaded, None
        if loaded is None:
            return
        loaded.starting.cancel()
        await asyncio.wait([loaded.starting])
        if not loaded.starting.cancelled() and loaded.starting.exception() is None:
            await loaded.starting.result().close()

    async def _judged(self, name: str, router: Router, routed: RoutedRequest, limit: asyncio.Timeout) -> dict[str, Any]:
        folder = await self._folder_of(name)
        found = routed.classification
        if found is None:
            return {"artifact": name, "decision": None, "categories": {}, "thresholds": {}, "labels": {}}
        manifest, calibration = await self._read(name, lambda: _small_files(folder))
        if not manifest.labels:
            raise _refused(name, "it has no labels to compare; fit a head on it")
        if manifest.graph == router.classifier.artifact.manifest.graph:
            return await self._inside(name, router, routed, await self._read(name, lambda: artifact.load(folder)))
        text = router.classifier.encoder.read(routed.text)
        try:
            loaded = await self._load(folder, manifest, calibration, router)
            process = await _started(loaded)
            limit.reschedule(None)
            answer = await self._ask(process, text)
        except ShadowEnded as error:
            await self.close()
            raise _refused(name, str(error)) from error
        if answer.error is not None:
            raise _refused(name, answer.error)
        other = classification(answer, found.described)
        return _judgment(name, router, routed, loaded.manifest, loaded.policy, other)

    async def _inside(self, name: str, router: Router, routed: RoutedRequest, other: Artifact) -> dict[str, Any]:
        """Judge by an artifact on the graph of the classifier in use."""
        encoder, known = router.classifier.encoder, router.classifier.head
        head = await self._read(name, lambda: make_head(router.config, other, encoder.features, known))
        policy = Policy(router.config, other.manifest.labels, calibration=other.calibration, head=head)
        try:
            found = await Classifier(encoder, other, head).classify(routed.text)
        except ClassifierError as error:
            raise _refused(name, str(error)) from error
        return _judgment(name, router, routed, other.manifest, policy, found)

    async def _load(
        self, folder: Path, manifest: Manifest, calibration: Calibration | None, router: Router
    ) -> _CandidateProcess:
        """Return an artifact with its process, which is reused if it is the same."""
        self._stay()
        config, loaded = router.config, self._loaded
        options = shadow_options(folder, config, router.classifier.encoder)
        if loaded is None or (loaded.options, loaded.manifest, loaded.config) != (options, manifest, config):
            policy = Policy(config, manifest.labels, calibration=calibration, head=router.classifier.head)
            if loaded is None or (loaded.options, loaded.manifest) != (options, manifest):
                await self.close()
                starting = asyncio.get_running_loop().create_task(ShadowProcess.start(options))
            else:
                starting = loaded.starting
            self._loaded = loaded = _CandidateProcess(starting, options, manifest, config, policy)
        return loaded

    async def _ask(self, process: ShadowProcess, text: str) -> ShadowAnswer:
        try:
            return await process.ask(text)
        except BaseException:  # also on cancellation: the answer would count as that to the next text
            await self.close()
            raise

    def _stay(self) -> None:
        """Restart the timer after which the unused process ends."""
        idle, self._idle = self._idle, None
        if idle is not None:
            idle.cancel()

    async def _end_idle(self, starting: asyncio.Task[ShadowProcess]) -> None:
        await asyncio.wait([starting])
        await asyncio.sleep(IDLE_SECONDS)
        async with self._lock:
            self._idle = None
            await self.close()

    async def _read(self, name: str, work: Callable[[], T]) -> T:
        """Read files of an artifact, in a thread: a disk may hang. Raises RequestError."""
        try:
            return await self._disk.run(work, READ_SECONDS)
        except TimeoutError as error:
            raise _refused(name, f"it could not be read within {READ_SECONDS:g} s") from error
        except (CannotStart, OSError) as error:
            raise _refused(name, str(error)) from error


def _small_files(folder: Path) -> tuple[Manifest, Calibration | None]:
    manifest = artifact.read_manifest(folder)
    return manifest, artifact.read_calibration(folder, manifest)


def _judgment(
    name: str, router: Router, routed: RoutedRequest, manifest: Manifest, policy: Policy, found: Classification
) -> dict[str, Any]:
    """Return what an artifact decides by its scores."""
    share, tools = (0.0, False) if routed.remembered is None else (routed.remembered.share, routed.remembered.tools)
    scores = policy.scores(found.scores)
    return {
        "artifact": name,
        "decision": opinion(policy, router.planner, found, router.served(), share=share, tools=tools),
        "categories": greatest_first(scores),
        "thresholds": {category: policy.threshold(category) for category in scores},
        "labels": greatest_first(dict(zip(manifest.labels, found.probabilities, strict=True))),
    }


async def _started(loaded: _CandidateProcess) -> ShadowProcess:
    """Wait until an artifact is loaded; if the client leaves, loading continues. Raises ShadowEnded."""
    process = await asyncio.shield(loaded.starting)
    if list(process.labels) != loaded.manifest.labels:
        raise ShadowEnded("it was replaced while it was loaded")
    return process


def _refused(name: str, why: str) -> RequestError:
    return RequestError(f"{name} cannot be tried: {why}", status=HTTPStatus.CONFLICT, code="candidate_failed")
