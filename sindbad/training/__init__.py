"""Training: packing, log-probabilities, advantages, losses, SFT, ReSum-GRPO, curator, merge, compression.

Importing this package is free; torch is imported by the modules that compute.
"""
