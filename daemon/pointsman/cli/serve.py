"""Implement `pointsman serve`: run the service."""

from __future__ import annotations

import argparse
import gc
import os

import uvloop

from pointsman.app.reload import ConfigSource
from pointsman.app.serve import serve
from pointsman.app.systemd import take
from pointsman.classify.cores import usable_cores
from pointsman.classify.runtime import set_up_malloc
from pointsman.config.load import default_path


def run(options: argparse.Namespace) -> int:
    """Serve until a signal; raises CannotStart."""
    set_up_malloc(usable_cores())
    systemd = take(os.environ)
    source = ConfigSource(options.config or default_path(), options.vllm, options.log_level)
    prepared = source.prepare()
    gc.freeze()  # start-up objects live on: full collections need not visit them
    uvloop.run(serve(source, prepared, demo=options.demo, systemd=systemd))
    return 0
