"""A double of EC2: moto's server, with a front of ours for what moto lacks.

moto keeps networks, groups, images, templates, instances, disks and tags, and answers by Amazon's
own service model. The front adds client tokens (the same token, the same answer; another request
with it, an error), fleets that find room in pools and say why not, quotas, throttles, lost requests
and answers, placement scores, price lists, the vendors' SSM parameters, interruptions, and a count
of calls.

Left out: shutting-down takes no time; a listing does not lag; tokens are remembered for ever;
permissions are not checked; spot prices stand still; only instant fleets.
"""
