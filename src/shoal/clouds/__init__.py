"""Clouds: a Protocol of four calls, and an adapter each. The rest is core's."""
