"""What all tests share."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest


@pytest.fixture(scope="session", autouse=True)
def state_directory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What a service keeps for its next start is kept for the tests alone, and for the daemons that they start."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(os.environ, "STATE_DIRECTORY", str(tmp_path_factory.mktemp("state")))
        yield
