"""A classifier for measurements on a busy machine."""

from __future__ import annotations

from pointsman.classify.classification import Classification
from pointsman.classify.classifier import Classifier
from pointsman.classify.described import DescribedHead
from pointsman.errors import ClassifierError
from pointsman.routing.decision import Reason

# A busy machine may keep the classifier from its cores.
LATE = (Reason.DEADLINE, Reason.OVERLOADED)


class RetryingClassifier(Classifier):
    """The results of another, which is asked again where it was late, and once for each text."""

    def __init__(self, inner: Classifier) -> None:
        """Load nothing."""
        self._inner = inner
        self.labels, self.calibration = inner.labels, inner.calibration
        self._known: dict[str, Classification] = {}
        self.texts: list[str] = []
        """The texts that were to be read, until somebody clears them."""

    async def classify(
        self,
        text: str,
        deadline: float | None = None,
        client: str = "",
        head: DescribedHead | None = None,
    ) -> Classification:
        self.texts.append(text)
        while text not in self._known:
            try:
                self._known[text] = await self._inner.classify(text, deadline)
            except ClassifierError as error:
                if error.reason not in LATE:
                    raise
        return self._known[text]

    def close(self) -> None:
        self._inner.encoder.close()
