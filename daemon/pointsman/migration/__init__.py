"""Convert a configuration of vLLM Semantic Router into one of Pointsman; pure functions on the parsed tree.

Each module rewrites one part of the file into the form that `pointsman.config` reads, and adds a note for each part
that it changes or drops. `migrate` runs them in order.
"""
