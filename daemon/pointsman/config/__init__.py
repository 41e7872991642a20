"""Load, check and document the config file."""
