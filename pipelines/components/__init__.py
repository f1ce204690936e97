"""One file a step: the KFP component; what it does is in `pipelines.stages`."""
