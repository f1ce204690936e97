"""The research agent: messages, tool-call parsing, the ReAct loop, ReSum, trajectories."""
