"""Knowledge graph, expansion through the tools, random-walk subgraphs, isomorphism and orbits."""
