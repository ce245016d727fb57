"""Doubles of the clouds: real HTTP servers that the vendors' own clients talk to."""
