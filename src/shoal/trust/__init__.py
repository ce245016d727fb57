"""Who is who in a cluster: one key on the server, and every certificate that follows from it.

    secret            text that must not be printed
    installation_key  the server's one 32-byte key, and what is derived from it
    names             roles, and how a peer is called inside a certificate (no cryptography)
    identities        certificates and keys as text, in memory or as files (no cryptography)
    certificates      X.509: the one place that says what each role's certificate may do
    authority         on the server: a cluster's CA, head, join secret and clients, from the key
    joining           how a new VM gets its certificate from the head
    peers             certificate -> Peer
    contexts          ssl.SSLContext for both ends (no cryptography)
    dask_tls          the same identities as arguments of Dask's Security (no cryptography)
    asgi_peer         the peer of a request, in an ASGI app under uvicorn

Nothing is imported here, so that each process pays only for what it uses. docs/concepts/trust.md
tells the whole story.
"""
