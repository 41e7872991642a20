"""Measure a classifier on labelled rows, and replay a log with another one: `pointsman eval`."""
