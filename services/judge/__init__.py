"""The judge service: rule and language model behind one call."""
