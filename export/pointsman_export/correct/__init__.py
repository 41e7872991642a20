"""Correct a classifier by labelled prompts: `pointsman fit --labelled`."""
