"""Search, Visit and Scholar: the agent's window on a corpus, a recording or the web."""
