"""Training: photos in, weights out. Needs the `[train]` extra."""
