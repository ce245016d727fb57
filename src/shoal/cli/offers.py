"""`shoal offers`: what machines there are, and what they cost."""

from __future__ import annotations

import click

from shoal.cli import output
from shoal.wire.views import OfferList, OfferView


@click.command("offers")
@click.option("--cloud", default="local", show_default=True)
@click.option("--region", help="The account's default region if not given.")
@output.json_option
def command(cloud: str, region: str | None, as_json: bool) -> None:
    """Machine types with their prices.

    Example: shoal offers --cloud local
    """
    from shoal.cli import session
    from shoal.wire import endpoints

    query = endpoints.OfferQuery(cloud=cloud, region=region)
    found: OfferList = session.ask(endpoints.OFFERS, query=query)
    if as_json:
        output.json(found)
        return
    titles = ("machine type", "vCPU", "memory", "GPU", "arch", "zone", "spot", "an hour")
    output.columns(titles, [_row(offer) for offer in found.offers], nothing="Nothing is on offer.")


def _row(offer: OfferView) -> tuple[str, ...]:
    from shoal.client.progress import dollars

    return (
        offer.machine_type,
        str(offer.vcpu),
        output.size(offer.memory_bytes),
        f"{offer.gpu} {offer.gpu_type}".strip() if offer.gpu else "",
        offer.arch,
        offer.zone,
        "yes" if offer.spot else "",
        dollars(offer.price_uusd_per_hour),
    )
