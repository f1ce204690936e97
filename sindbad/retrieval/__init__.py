"""Index, analysers and page extraction."""
