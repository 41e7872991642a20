"""A classifier for measurements on a busy machine."""

from __future__ import annotations

from pointsman.classify.classifier import Classification, Classifier, Passed, Sure
from pointsman.classify.text_classifier import TextClassifier
from pointsman.errors import ClassifierError
from pointsman.routing.decision import Reason

# A busy machine may keep the classifier from its cores.
LATE = (Reason.DEADLINE, Reason.OVERLOADED)


class Unhurried:
    """The results of another, which is asked again where it was late, and once for each text."""

    def __init__(self, inner: TextClassifier) -> None:
        self._inner = inner
        self._known: dict[str, Classification] = {}
        self.texts: list[str] = []
        """What was to be read, until somebody clears it."""

    @property
    def labels(self) -> tuple[str, ...]:
        return self._inner.labels

    @property
    def stages(self) -> tuple[Classifier, ...]:
        return self._inner.stages

    @property
    def passed(self) -> Passed:
        return self._inner.passed

    @property
    def healthy(self) -> bool:
        return self._inner.healthy

    @property
    def at_once(self) -> int:
        return self._inner.at_once

    async def classify(
        self, text: str, deadline: float | None = None, sure: Sure | None = None, client: str = ""
    ) -> Classification:
        self.texts.append(text)
        while text not in self._known:
            try:
                self._known[text] = await self._inner.classify(text, deadline, sure)
            except ClassifierError as error:
                if error.reason not in LATE:
                    raise
        return self._known[text]

    def close(self) -> None:
        self._inner.close()
