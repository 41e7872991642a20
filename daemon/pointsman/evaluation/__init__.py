"""How good a classifier is on rows whose label is known, and what another one would change: `pointsman eval`."""
