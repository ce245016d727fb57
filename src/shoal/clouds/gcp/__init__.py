"""Google Cloud: Compute Engine as a provider.

cloud      the provider: one bulk request a batch
requests   what such a request says, from a batch's row
outcomes   what became of it, from its operation
errors     Compute Engine's error codes: which of the four errors, what to avoid, the fix
accelerators  GPUs attached to machines: one name for both
names      labels, network tags, ids: derived, never looked up
clients    the vendor's own client: credentials, the thread limiter, errors
"""
