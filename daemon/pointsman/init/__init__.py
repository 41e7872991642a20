"""`pointsman init`: a config for what a vLLM serves."""
