"""Tool environments (simulated, replay, live) behind one schema and one scheduler."""
