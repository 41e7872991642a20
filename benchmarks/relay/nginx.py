"""Render nginx's configuration as a proxy and as an upstream; pure functions."""

from __future__ import annotations

from pathlib import Path

from relay import exchange

# Bodies of 64 KiB stay in memory; connections stay open, also between windows.
_FRAME = """\
worker_processes 1; daemon off; pid {folder}/pid; error_log stderr;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  keepalive_timeout 1h; keepalive_requests 1000000000;
  client_body_buffer_size 128k;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  {inner}
}}
"""


def proxy(folder: Path, upstream: int, port: int) -> str:
    """Return the configuration of a proxy: one worker, upstream keep-alive, no buffering."""
    inner = f"""\
upstream vllm {{ server 127.0.0.1:{upstream}; keepalive 1024; keepalive_requests 1000000000; }}
  server {{
    listen 127.0.0.1:{port} backlog=2048;
    location / {{
      proxy_pass http://vllm; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_buffering off; proxy_read_timeout 1h;
    }}
  }}"""
    return _FRAME.format(folder=folder, inner=inner)


def upstream(folder: Path, port: int) -> str:
    """Return the configuration of an upstream that answers every chat at once: each with a new request id.

    The answers take turns at random, and each has another length.
    """
    share = 100 / exchange.LENGTHS
    *answers, last = (exchange.completion(more) for more in range(exchange.LENGTHS))
    shares = "\n    ".join(f"{share:.2f}% '{answer}';" for answer in answers)
    inner = f"""\
default_type application/json;
  split_clients $request_id $answer {{
    {shares}
    * '{last}';
  }}
  server {{
    listen 127.0.0.1:{port} backlog=2048;
    location = /v1/models {{ return 200 '{exchange.MODELS}'; }}
    location / {{ add_header X-Request-Id $request_id; return 200 $answer; }}
  }}"""
    return _FRAME.format(folder=folder, inner=inner)
