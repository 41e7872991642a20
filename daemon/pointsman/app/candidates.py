"""Let an artifact that neither serves nor is in shadow say what it makes of a text that somebody tries."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from pathlib import Path
from typing import Any, NamedTuple

from pointsman import daemon_thread
from pointsman.app.shadow_process import ShadowEnded, ShadowProcess, classification, ordered
from pointsman.classify import artifact
from pointsman.classify.calibration import Calibration
from pointsman.classify.manifest import Manifest
from pointsman.classify.shadow import ShadowOrder
from pointsman.config.model import Config
from pointsman.errors import ArtifactError, RequestError, TooBusy
from pointsman.routing.explain import greatest_first
from pointsman.routing.opinion import opinion
from pointsman.routing.policy import Policy
from pointsman.routing.router import Routed, Router

# Its process ends so long after the last text.
IDLE_S = 60.0
# Each has a text of a request in memory.
MOST_WAITING = 8
# To read its manifest.
READ_S = 10.0


class _Loaded(NamedTuple):
    """A process with an artifact, and what it was started for; `policy` is that of `config`."""

    process: ShadowProcess
    order: ShadowOrder
    manifest: Manifest
    config: Config
    policy: Policy


class Candidates:
    """At most one artifact is loaded, in a process as that of the classifier in shadow, until nobody asks for it."""

    def __init__(self, folder_of: Callable[[str], Awaitable[Path]]) -> None:
        """`folder_of` returns the folder of an artifact by its name; raises RequestError."""
        self._folder_of = folder_of
        self._lock = asyncio.Lock()
        self._waiting = 0
        self._loaded: _Loaded | None = None
        self._idle: asyncio.Task[None] | None = None

    async def judge(self, name: str, router: Router, routed: Routed) -> dict[str, Any]:
        """Return what an artifact makes of the classified text alone: the decision and the scores; raises HttpError.

        Where no text was classified, there is none.
        """
        if self._waiting >= MOST_WAITING:
            raise TooBusy(f"{MOST_WAITING} texts wait for a candidate already")
        self._waiting += 1
        try:
            async with self._lock:
                return await self._judged(name, router, routed)
        finally:
            self._waiting -= 1

    async def close(self) -> None:
        """End what runs."""
        if self._idle is not None:
            self._idle.cancel()
        loaded, self._loaded = self._loaded, None
        if loaded is not None:
            await loaded.process.close()

    async def _judged(self, name: str, router: Router, routed: Routed) -> dict[str, Any]:
        folder = await self._folder_of(name)
        found = routed.classification
        if found is None:
            return {"artifact": name, "decision": None, "categories": {}, "thresholds": {}, "labels": {}}
        text = router.classifier.stages[found.stage].read(routed.text)
        try:
            loaded = await self._load(name, folder, router)
            answer = await loaded.process.ask(text)
        except ShadowEnded as error:
            await self.close()
            raise _refused(name, str(error)) from error
        except BaseException:  # also on cancellation: the answer would count as that to the next text
            await self.close()
            raise
        self._idle = asyncio.get_running_loop().create_task(self._end_idle())
        if answer.error is not None:
            raise _refused(name, answer.error)
        other, policy = classification(answer), loaded.policy
        share, tools = (0.0, False) if routed.kept is None else (routed.kept.share, routed.kept.tools)
        scores = policy.scores(other.probabilities)
        labels = dict(zip(loaded.manifest.labels, other.probabilities, strict=True))
        return {
            "artifact": name,
            "decision": opinion(policy, router.planner, other, router.served(), share=share, tools=tools),
            "categories": greatest_first(scores),
            "thresholds": {category: policy.threshold(category, 0) for category in scores},
            "labels": greatest_first(labels),
        }

    async def _load(self, name: str, folder: Path, router: Router) -> _Loaded:
        """Return the process with an artifact, which goes on if it is the same; raises HttpError or ShadowEnded."""
        if self._idle is not None:
            self._idle.cancel()
        manifest, calibration = await _read(name, folder)
        order, config, loaded = ordered(folder, router.config, router.classifier), router.config, self._loaded
        if loaded is not None and (loaded.order, loaded.manifest) == (order, manifest):
            process = loaded.process
        else:
            await self.close()
            process = await ShadowProcess.start(order)
        if loaded is None or loaded.process is not process or loaded.config is not config:
            policy = Policy(config, manifest.labels, calibrations=[calibration])
            self._loaded = loaded = _Loaded(process, order, manifest, config, policy)
        if list(process.labels) != manifest.labels:
            raise ShadowEnded("it was replaced while it was loaded")
        return loaded

    async def _end_idle(self) -> None:
        await asyncio.sleep(IDLE_S)
        async with self._lock:
            self._idle = None
            await self.close()


async def _read(name: str, folder: Path) -> tuple[Manifest, Calibration | None]:
    """Read what is small of an artifact, in a thread: a disk may hang. Raises RequestError."""

    def work() -> tuple[Manifest, Calibration | None]:
        manifest = artifact.read_manifest(folder)
        return manifest, artifact.read_calibration(folder, manifest)

    reading = asyncio.wrap_future(daemon_thread.start(work, "candidate"))
    try:
        return await asyncio.wait_for(reading, READ_S)
    except (ArtifactError, OSError, TimeoutError) as error:
        raise _refused(name, str(error) or f"it could not be read within {READ_S:g} s") from error


def _refused(name: str, why: str) -> RequestError:
    return RequestError(f"{name} cannot be tried: {why}", status=HTTPStatus.CONFLICT, code="candidate_failed")
