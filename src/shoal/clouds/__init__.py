"""Clouds: a Protocol of four calls, and an adapter each. Retry, failover and clean-up are core's."""
