"""Correct a classifier by labeled prompts: `pointsman fit --labelled`."""
