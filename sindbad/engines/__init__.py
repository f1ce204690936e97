"""Language-model engines behind one protocol: token ids in, token ids with log-probabilities and weight version out."""
