"""Measured against what a user would take instead, in one run. `python -m benchmarks` runs all."""
