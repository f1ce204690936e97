"""Agent: answers a user's question and streams what it does."""
