"""One file a step: a plain function that does the work, and the KFP component that calls it."""
