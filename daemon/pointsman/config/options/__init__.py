"""Define the sections of the config file, one noun a module."""
