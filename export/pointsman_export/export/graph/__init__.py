"""Build the ONNX graph of a classifier from its weights, without torch.

The graph takes the packed feed of `pointsman.classify.packing`. Nothing is padded, and attention is computed for each
prompt separately, so that its logits are bit for bit the same alone and together with other prompts.

Each architecture is a module that names its weights and builds its layers from `parts`: `modernbert`, and on
`post_norm` the family of `bert`, `roberta` and `distilbert`.
"""
