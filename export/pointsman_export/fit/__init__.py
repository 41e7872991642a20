"""Train a head for other labels on the encoder of an artifact, without torch."""
