"""`pointsman init`: write a config for what a running vLLM serves."""

from __future__ import annotations

import argparse
import sys


def run(options: argparse.Namespace) -> int:
    """Ask vLLM and write the config: 0 written, 1 not."""
    from pointsman.cli.init.main import init

    return init(options.vllm, options.output, options.api_key_file, force=options.force, out=sys.stdout, err=sys.stderr)
