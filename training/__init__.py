"""Train the built-in classifier; not part of the wheel. See README.md."""
