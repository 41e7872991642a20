"""Print every path of vLLM's server with all tasks and options, one `METHOD PATH` a line; needs vLLM's own Python."""

from __future__ import annotations

import os
from unittest import mock

os.environ |= {"VLLM_SERVER_DEV_MODE": "1", "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "1", "VLLM_ENABLE_COHERE_API": "1"}

from vllm.entrypoints.launchers.app import build_app
from vllm.entrypoints.launchers.cli_args import make_arg_parser
from vllm.tasks import FRONTEND_TASKS, GENERATION_TASKS, POOLING_TASKS
from vllm.utils.argparse_utils import FlexibleArgumentParser


def main() -> None:
    """Build the server without an engine."""
    args = make_arg_parser(FlexibleArgumentParser()).parse_args([])
    args.tokens_only = args.enable_fault_tolerance = args.enable_tokenizer_info_endpoint = True
    model = mock.MagicMock()
    model.get_pooling_task.return_value = "embed"
    for route in build_app(args, (*GENERATION_TASKS, *FRONTEND_TASKS, *POOLING_TASKS), model).routes:
        for method in getattr(route, "methods", None) or ["WEBSOCKET"]:
            print(method, route.path)


main()
