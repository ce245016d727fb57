"""Decisions: pure and synchronous. `now`, ids and prices are arguments; a decision returns actions
with a `why` that a person can read. Imports no asyncio, time, os, random or logging.
"""
