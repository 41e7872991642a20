"""Errors, exit codes and output folders of `pointsman export` and `pointsman fit`."""
