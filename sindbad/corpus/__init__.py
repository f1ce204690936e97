"""Instruction corpora: records with provenance, a ledger of every attempt, filters, shards, translated trajectories."""
