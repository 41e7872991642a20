"""Implement `pointsman init`: write a config for a running vLLM."""

from __future__ import annotations

import argparse
import sys


def run(options: argparse.Namespace) -> int:
    """Query vLLM and write the config; return 0 if it was written."""
    from pointsman.cli.init.main import init

    return init(options.vllm, options.output, options.api_key_file, force=options.force, out=sys.stdout, err=sys.stderr)
