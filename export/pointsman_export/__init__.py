"""Write the artifacts that the daemon serves.

- `export`: convert a checkpoint to an artifact (`pointsman export`)
- `fit`: train a new head on the encoder of an artifact (`pointsman fit`)
- `common`: what both commands share; it imports neither, and neither imports the other
"""
