"""Question synthesis, uncertainty, verification, difficulty."""
