"""Recipes: `base.py` has every field, the others state what differs from it."""
