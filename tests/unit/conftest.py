"""What unit tests share: a classifier that is real and small.

A fixture imports what it needs: pytest-xdist loads this file before it starts its workers, and runs no test itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from pointsman.classify.classifier import Classifier
    from pointsman.routing.router import Router
    from support.playbook import Wire
    from support.virtual_loop import VirtualLoop


@pytest.fixture(scope="session")
def toy_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the toy artifact."""
    from support import toy_artifact

    return toy_artifact.build_measured(tmp_path_factory.mktemp("toy"))


@pytest.fixture
def make_classifier(toy_folder: Path) -> Callable[..., AbstractContextManager[Classifier]]:
    """Opens a classifier of the toy artifact with the options given, by default with time enough for a slow machine."""
    from pointsman.classify import artifact
    from pointsman.config.model import ClassifierOptions
    from support.classifiers import opened

    @contextmanager
    def make(folder: Path = toy_folder, **options: Any) -> Iterator[Classifier]:
        given = {"threads": 1, "deadline_ms": 10_000} | options
        with opened(artifact.load(folder), ClassifierOptions(**given)) as classifier:
            yield classifier

    return make


@pytest.fixture
def classifier(make_classifier: Callable[..., AbstractContextManager[Classifier]]) -> Iterator[Classifier]:
    """One worker."""
    with make_classifier() as made:
        yield made


@pytest.fixture
def router(classifier: Classifier) -> Router:
    """A router of the toy config, for which everything is served."""
    from pointsman.adapters.catalog import ServedModels
    from pointsman.routing.router import Router
    from support.toy_config import config

    return Router(config(), classifier, ServedModels)


@pytest.fixture
def clock() -> Iterator[VirtualLoop]:
    """An event loop that a test moves through time."""
    from support.virtual_loop import VirtualLoop

    with closing(VirtualLoop()) as made:
        yield made


@pytest.fixture
def wire() -> Iterator[Wire]:
    """A client, the program and two vLLMs, played event by event."""
    from support.playbook import playing

    with playing() as made:
        yield made
