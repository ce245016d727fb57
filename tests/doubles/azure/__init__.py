"""A double of Azure's management API: a real HTTPS server on loopback, for the real SDK.

    with AzureDouble(Arm()) as azure: AzureCloud(azure.account, …, trust=azure.trust)

`server.py` speaks HTTP (login, throttles, lost answers, pages, `Azure-AsyncOperation`); `arm.py`
holds the resources, their rules, the ledger and the knobs; `deployments.py` runs templates;
`shapes.py` holds requests and answers against the SDK's own types, which nobody here wrote.

Left out: role assignments and who may what below the subscription; template expressions other than
`[parameters('x')]` and `[variables('x')]`; nested templates, `copy`, conditions and outputs; PATCH;
ETags; API versions (any is taken); subnets' exhaustion; the order of a deployment's resources;
Marketplace terms; images' contents; scale sets; prices.
"""
