"""What each step does, as plain functions: no KFP here (its compiler cannot be imported where a step runs)."""
