"""Kubeflow pipelines: components, stages, one file a pipeline. Services are reached by `sindbad.clients` only."""
