"""The policy server: tokens in, tokens out, log-probabilities and weight versions."""
