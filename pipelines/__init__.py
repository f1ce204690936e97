"""Kubeflow pipelines: components (one file a step) and one file a pipeline. Services are reached through `sindbad.clients` only."""
