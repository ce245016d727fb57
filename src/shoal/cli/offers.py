"""`shoal offers`: what machines there are, what they cost, and why a type is left out."""

from __future__ import annotations

import click

from shoal.cli import output
from shoal.wire.views import OfferList, OfferView, Refreshed

_SHOWN = 30


@click.command("offers")
@click.option("--cloud", default="local", show_default=True, help="local, gcp, aws or azure.")
@click.option("--region", help="The account's default region if not given.")
@click.option("--zone", help="In this zone only.")
@click.option("--cpu", help="vCPUs: 8, or 4-16.")
@click.option("--memory", help="As in '16 GiB' (within 10 %), or '16 GiB - 64 GiB'.")
@click.option("--gpu", type=click.IntRange(0, 16), help="How many GPUs.")
@click.option("--gpu-type", help="By the cloud's name, as in L4.")
@click.option("--arm/--x86", default=None, help="ARM or x86 processors only.")
@click.option("--spot/--on-demand", default=None, help="Spot or on-demand prices only.")
@click.option("--refresh", is_flag=True, help="Ask the cloud for today's types and prices first.")
@click.option("--why", is_flag=True, help="Tell why the other types are left out.")
@click.option("--all", "every", is_flag=True, help="Show all; else the first 30.")
@output.json_option
def command(
    cloud: str,
    region: str | None,
    zone: str | None,
    cpu: str | None,
    memory: str | None,
    gpu: int | None,
    gpu_type: str | None,
    arm: bool | None,
    spot: bool | None,
    refresh: bool,
    why: bool,
    every: bool,
    as_json: bool,
) -> None:
    """Machine types with their prices an hour, the cheapest first.

    Needs no account: what is not set up is answered from the catalog that came with Shoal.

    Example: shoal offers --cloud gcp --cpu 8 --arm --region us-east1 --spot
    """
    from shoal.cli import session
    from shoal.client import sizes
    from shoal.wire import endpoints

    cpus = sizes.cpu("--cpu", _pair(cpu, int))
    bytes_ = sizes.memory("--memory", _pair(memory, str))
    query = endpoints.OfferQuery(
        cloud=cloud,
        region=region,
        zone=zone,
        cpu=cpus.least if cpus else None,
        cpu_most=cpus.most if cpus else None,
        memory_bytes=bytes_.least if bytes_ else None,
        memory_bytes_most=bytes_.most if bytes_ else None,
        gpu=1 if gpu is None and gpu_type else gpu,
        gpu_type=gpu_type,
        arm=arm,
        spot=spot,
        why=why,
    )
    if refresh:
        asked = endpoints.RegionQuery(region)
        now: Refreshed = session.ask(endpoints.REFRESH_OFFERS, path={"cloud": cloud}, query=asked)
        output.note(f"{cloud} {now.region}: {now.types} types and {now.prices} prices of today.")
    found: OfferList = session.ask(endpoints.OFFERS, query=query)
    if as_json:
        output.json(found)
        return
    _show(found, len(found.offers) if every else _SHOWN)


def _pair(given: str | None, kind: type[int] | type[str]) -> object:
    """ "4" is one value, "4-16" two."""
    if given is None:
        return None
    parts = [part.strip() for part in given.split("-")]
    values = [kind(part) if kind is str or part.isdigit() else part for part in parts]
    return values[0] if len(values) == 1 else values


def _show(found: OfferList, most: int) -> None:
    titles = (
        "machine type",
        "vCPU",
        "memory",
        "GPU",
        "arch",
        "zone",
        "spot",
        "an hour",
        "price of",
    )
    nothing = "Nothing is on offer."
    output.columns(titles, [_row(offer) for offer in found.offers[:most]], nothing=nothing)
    if len(found.offers) > most:
        output.note(f"{len(found.offers) - most} more: narrow it down, or --all.")
    if found.left_out:
        click.echo()
        rows = [(it.machine_type, it.why) for it in found.left_out]
        output.columns(("left out", "why"), rows)
    if any(it.price_uusd_per_hour is None for it in found.offers):
        output.note("Prices that are not known come last and are not compared.")
    if found.types_source:
        output.note(f"Machine types: {found.types_source}, {found.types_as_of}.")


def _row(offer: OfferView) -> tuple[str, ...]:
    price = offer.price_uusd_per_hour
    dated = f"{offer.as_of:%Y-%m-%d}, {offer.source}" if offer.as_of and offer.source else ""
    return (
        offer.machine_type,
        str(offer.vcpu),
        output.size(offer.memory_bytes),
        f"{offer.gpu} {offer.gpu_type}".strip() if offer.gpu else "",
        offer.arch,
        offer.zone,
        "yes" if offer.spot else "",
        "not known" if price is None else f"${price / 1e6:.4f}",
        dated,
    )
