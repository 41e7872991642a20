"""Builds the ONNX graph of a ModernBERT classifier from its weights, without torch.

The graph takes the packed feed of `pointsman.classify.packing`: nothing is padded, and each prompt's attention is
computed for it alone, so that its logits are bit for bit what they are when it comes by itself.
"""
