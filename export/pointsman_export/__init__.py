"""From a ModernBERT checkpoint to an artifact that the daemon serves."""
