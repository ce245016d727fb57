"""169.254.169.254 of each cloud: what a VM learns about itself, from an address that only it sees.

`server.py` tells VMs apart by the address they ask from; `gce.py`, `ec2.py` and `azure.py` answer
as that cloud does. Each refuses what the real one refuses (missing headers, missing tokens), so
that a client that forgets them fails here too.
"""
