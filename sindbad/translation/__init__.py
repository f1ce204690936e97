"""Translate-and-tune's first half (HALA): protected spans, prompts, teacher, judge, light translator."""
