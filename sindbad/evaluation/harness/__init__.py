"""The Arabic benchmarks through lm-eval and lighteval themselves, each in an environment of its own."""
