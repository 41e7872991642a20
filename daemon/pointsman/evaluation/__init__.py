"""Measure a classifier on labeled rows, and replay a log with another one: `pointsman eval`."""
