"""Imitations of licensed files, key by key, with their known defects; nothing of theirs in it."""
