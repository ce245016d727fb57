"""Clouds in miniature: real HTTP servers that real SDK clients talk to, each with its own limits.

What each leaves out stands at the top of its file. A VM in them is a line in a ledger, unless they
are given Machines, which boot something real for it.
"""
