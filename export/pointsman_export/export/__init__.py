"""Convert a ModernBERT checkpoint to an artifact: read, build the graph, quantize, verify, calibrate, write."""
