"""Implement `pointsman init`: write a config for a running vLLM, or add to one."""

from __future__ import annotations

import argparse
import sys

from pointsman.cli.parser import DEFAULT_VLLM
from pointsman.config.load import default_path


def run(options: argparse.Namespace) -> int:
    """Query vLLM and write the config, or add to it; return 0 if that was done. Raises CommandFailed, CannotStart."""
    if options.add:
        from pointsman.cli.init.add import add

        if options.force or options.vllm or options.api_key_file:
            options.parser.error("--add asks the vllm_endpoints of the config; give it no other option than -o")
        return add(options.output or default_path(), sys.stdout, sys.stderr)
    from pointsman.cli.init.main import init

    vllm = options.vllm or DEFAULT_VLLM
    return init(vllm, options.output, options.api_key_file, force=options.force, out=sys.stdout, err=sys.stderr)
