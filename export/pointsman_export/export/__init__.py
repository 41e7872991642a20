"""Convert a checkpoint to an artifact: read, build the graph, quantize, verify, calibrate, write."""
