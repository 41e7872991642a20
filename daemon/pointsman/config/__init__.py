"""The config file: its model, its loader, its lint and what is generated from it."""
