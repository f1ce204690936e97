"""Translate-and-tune's first half (HALA, arXiv 2509.14008): protected spans, prompts, teacher, judge, light translator."""
