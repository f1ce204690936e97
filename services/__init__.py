"""The microservices: one folder each, and ``runtime``, which they share. Run from a checkout or an image."""
