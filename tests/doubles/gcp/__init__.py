"""Compute Engine in miniature, behind Google's own REST API and schema.

    discovery   the API as Google describes it (compute.v1): routes, and what may be said
    compute     what there is: VMs, disks, rules, operations; capacity, quota, faults by knob
    server      both as an HTTP server on loopback

Every request and every answer is checked against the discovery document that comes with
google-api-python-client; what does not fit is a 400, or a fault that the tests find.

GPUs that are attached to N1 machines are where the double's table has them, so many to a machine.

Left out: IAM conditions, images (any name will do), snapshots, instance groups, shared VPC, IPv6,
live migration, `min_cpu_platform`, partial answers, quotas of anything but VMs.
"""
