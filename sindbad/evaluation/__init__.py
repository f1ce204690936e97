"""Evaluation: success with intervals, pass@k, translation metrics, the summary of a run, and its report."""
