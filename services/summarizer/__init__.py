"""Summarizer: compresses a research agent's segment, by rules, by the policy's model or by a model of its own."""
