"""Implement `pointsman serve`: run the service."""

from __future__ import annotations

import argparse
import gc
import os
import sys
import traceback

import uvloop

from pointsman import files
from pointsman.app import core_file
from pointsman.app.serve import serve
from pointsman.app.source import ConfigSource
from pointsman.app.systemd import take
from pointsman.classify.cores import usable_cores
from pointsman.classify.hash_key import hash_key
from pointsman.classify.runtime import set_up_malloc
from pointsman.config.load import default_path
from pointsman.errors import CannotStart
from pointsman.observability.log import stderr_log

# Hundreds of requests that have ended wait to be counted and logged together. Searching their objects for cycles at
# every 700 more, the default, took 2 % of the time of a request.
YOUNG_OBJECTS = 5_000
# A reload reads its file and fits heads in a thread of Python. Each step of a request waits for the interpreter for up
# to this long meanwhile, and a request has several: at 5 ms, the default, its p99 grew by 40 ms.
SWITCH_SECONDS = 0.0005


def run(options: argparse.Namespace) -> int:
    """Serve until a signal; raises CannotStart. Returns 1 after a crash, which is logged."""
    core_file.forbid()
    set_up_malloc(usable_cores())
    systemd = take(os.environ)
    state = files.state_directory()
    key, warning = hash_key(state)
    source = ConfigSource(options.config or default_path(), options.vllm, options.log_level, key, state)
    prepared = source.prepare()
    gc.freeze()  # start-up objects live on: full collections need not visit them
    gc.set_threshold(YOUNG_OBJECTS)
    sys.setswitchinterval(SWITCH_SECONDS)
    with stderr_log(prepared.config.pointsman.log.level, journal=systemd.journal) as log:
        if warning is not None:
            log.write("warning", "text_hash", message=warning)
        try:
            uvloop.run(serve(source, prepared, log, demo=options.demo, systemd=systemd))
        except CannotStart:
            raise
        except Exception:  # noqa: BLE001 - the interpreter would write it to stderr, and wait for its reader
            log.write("error", "crashed", traceback=traceback.format_exc())
            return 1
    return 0
