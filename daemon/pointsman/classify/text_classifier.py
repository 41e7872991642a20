"""Define what the service needs of a classifier, whether it has one artifact or, in a cascade, two."""

from __future__ import annotations

from typing import Protocol

from pointsman.classify.classifier import Classification, Classifier, Passed, Sure


class TextClassifier(Protocol):
    """Text in, probabilities of `labels` out; `stages` are the classifiers of one artifact that it consists of."""

    @property
    def labels(self) -> tuple[str, ...]: ...

    @property
    def stages(self) -> tuple[Classifier, ...]: ...

    @property
    def passed(self) -> Passed: ...

    @property
    def healthy(self) -> bool: ...

    @property
    def at_once(self) -> int: ...

    async def classify(
        self, text: str, deadline: float | None = None, sure: Sure | None = None, client: str = ""
    ) -> Classification: ...

    def close(self) -> None: ...
