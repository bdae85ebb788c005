"""How fast things are on this machine, beside other ways of doing them: `scripts/benchmark.py`."""
