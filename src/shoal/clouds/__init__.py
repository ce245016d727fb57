"""Clouds: a Protocol of four calls, and one adapter each. Retry, failover, cost and clean-up are core's."""
