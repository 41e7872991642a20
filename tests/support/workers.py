"""Spread the tests over pytest-xdist's workers: file by file, and the files that share a real vLLM to one of them.

`--dist loadfile` gives each of these files a vLLM of its own: 24 s of CPU more in `make test`.
"""

from __future__ import annotations

from xdist.scheduler import LoadFileScheduling  # type: ignore[import-untyped]

SHARE_A_VLLM = frozenset({"test_init.py", "test_real_clients.py", "test_two_vllms.py", "test_vllm.py"})
"""Its start takes longer than most files. test_adapters_vllm.py has one of its own."""


class ByFile(LoadFileScheduling):  # type: ignore[misc]  # xdist has no types
    """Units of work are files, in the order in which they were collected."""

    def _split_scope(self, nodeid: str) -> str:
        file = super()._split_scope(nodeid)
        return "the shared vLLM" if file.rpartition("/")[2] in SHARE_A_VLLM else file
