"""What limits and budgets allow: what is asked, beside what is in use, against what may be.

Asked at three places with the same functions: when a cluster is asked for (and before, for its
preview), when a plan wants VMs, and once more in the transaction that puts them on record. Only the
last one holds when two ask at once; the others tell early.

A budget is a limit of the price an hour too: what is left of the month must last for the grace
with what would then run. So nothing starts that would have to end at once, and clusters end when
the money is spent, not after it. A price that is not known cannot be compared: where a limit of
the price or a budget holds, what has none is refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec

from shoal.core.cost import extras_uusd
from shoal.core.records import Held, Offer
from shoal.errors import LimitExceeded
from shoal.wire.ids import UserName
from shoal.wire.limits import EACH, FIELDS, WHOLE, ChangeLimits, InUse, LimitName, Limits
from shoal.wire.specs import Role

_HOUR_S = 3600
MARKS = (50, 80, 100)  # per cent of a budget, told once each
ENDING = "ending"  # what is left does not last for the grace


class Unit(msgspec.Struct, frozen=True):
    """What one VM takes at most, whichever of its alternatives the cloud picks."""

    vcpus: int
    gpus: int
    uusd_per_hour: int | None  # None: not known


class Ask(msgspec.Struct, frozen=True):
    """What would be there besides."""

    clusters: int = 0
    workers: int = 0
    vcpus: int = 0
    gpus: int = 0
    uusd_per_hour: int | None = 0  # None: not known
    lifetime_s: float | None = None  # asked for explicitly

    def __add__(self, other: Ask) -> Ask:
        prices = (self.uusd_per_hour, other.uusd_per_hour)
        return Ask(
            self.clusters + other.clusters,
            self.workers + other.workers,
            self.vcpus + other.vcpus,
            self.gpus + other.gpus,
            None if None in prices else sum(it for it in prices if it is not None),
            self.lifetime_s or other.lifetime_s,
        )


class Reached(msgspec.Struct, frozen=True):
    """A limit in the way: `words` for who asks now, `short` for a status that stands a while."""

    name: LimitName
    words: str
    short: str
    hint: str


def unit(offers: Sequence[Offer], disk_gib: int, role: Role) -> Unit:
    """Of one VM of a batch with these alternatives."""
    prices = [it.price_uusd_per_hour for it in offers]
    extras = [extras_uusd(it, disk_gib, role) for it in offers]
    known = [price + more for price, more in zip(prices, extras, strict=True) if price is not None]
    return Unit(
        max(it.vcpu for it in offers),
        max(it.gpu for it in offers),
        max(known) if len(known) == len(prices) else None,
    )


def ask(role: Role, one: Unit, count: int) -> Ask:
    return Ask(
        workers=count if role is Role.WORKER else 0,
        vcpus=count * one.vcpus,
        gpus=count * one.gpus,
        uusd_per_hour=None if one.uusd_per_hour is None else count * one.uusd_per_hour,
    )


def room(
    helds: Sequence[Held], role: Role, one: Unit, count: int, grace_s: float
) -> tuple[int, Reached | None]:
    """How many of `count` such VMs may be had, and what is in the way of the next one, in the
    words of all that are asked for."""
    fit, beyond = 0, count + 1
    while beyond - fit > 1:
        middle = (fit + beyond) // 2
        if reached(helds, ask(role, one, middle), grace_s):
            beyond = middle
        else:
            fit = middle
    if fit == count:
        return count, None
    first = reached(helds, ask(role, one, fit + 1), grace_s)[0].short
    whole = reached(helds, ask(role, one, count), grace_s)
    return fit, next(it for it in whole if it.short == first)


def reached(helds: Iterable[Held], asked: Ask, grace_s: float) -> tuple[Reached, ...]:
    """Every limit that this would break."""
    return tuple(it for held in helds for it in _reached(held, asked, grace_s))


def refusal(found: Sequence[Reached]) -> LimitExceeded:
    words = "; ".join(dict.fromkeys(it.words for it in found))
    begin = words[0] if words.startswith("vCPU") else words[0].upper()
    return LimitExceeded(f"{begin}{words[1:]}.", hint=f"{found[0].hint}.")


def _reached(held: Held, asked: Ask, grace_s: float) -> Iterator[Reached]:
    limits, use = held.limits, held.use
    for name, wanted, used, most in (
        (LimitName.CLUSTERS, asked.clusters, use.clusters, limits.clusters),
        (LimitName.WORKERS, asked.workers, use.workers, limits.workers),
        (LimitName.VCPUS, asked.vcpus, use.vcpus, limits.vcpus),
        (LimitName.GPUS, asked.gpus, use.gpus, limits.gpus),
    ):
        if most is not None and wanted and used + wanted > most:
            yield _count(held, name, wanted, used, most)
    if limits.price_uusd_per_hour is not None and asked.uusd_per_hour != 0:
        yield from _price(held, limits.price_uusd_per_hour, asked.uusd_per_hour)
    if limits.budget_uusd is not None and asked.uusd_per_hour != 0:
        yield from _budget(held, limits.budget_uusd, asked.uusd_per_hour, grace_s)
    if limits.lifetime_s is not None and asked.lifetime_s and asked.lifetime_s > limits.lifetime_s:
        yield _lifetime(held, limits.lifetime_s, asked.lifetime_s)


_ONE = {
    LimitName.CLUSTERS: "cluster",
    LimitName.WORKERS: "worker",
    LimitName.VCPUS: "vCPU",
    LimitName.GPUS: "GPU",
}


def counted(name: LimitName, count: int) -> str:
    return f"{count} {_ONE[name]}{'' if count == 1 else 's'}"


def _count(held: Held, name: LimitName, asked: int, used: int, most: int) -> Reached:
    left = max(0, most - used)
    less = f"Ask for {counted(name, left)} at most, end" if left else "End"
    return Reached(
        name,
        f"{_ONE[name]}s: {asked} asked, {used} in use, limit {most} for {held.whose}",
        f"the limit of {counted(name, most)} for {held.whose}",
        f"{less} what is not needed (shoal cluster list), {_raise(held, name, str(used + asked))}",
    )


def _price(held: Held, most: int, asked: int | None) -> Iterator[Reached]:
    used = held.use.price_uusd_per_hour
    short = f"the limit of {usd(most)} an hour for {held.whose}"
    if asked is None or held.use.unpriced_vms:
        yield _unknown(held, LimitName.PRICE, asked, short)
    elif used + asked > most:
        yield Reached(
            LimitName.PRICE,
            f"price: {usd(asked)} an hour asked, {usd(used)} in use, "
            f"limit {usd(most)} for {held.whose}",
            short,
            "Ask for fewer or smaller VMs, end what is not needed (shoal cluster list), "
            + _raise(held, LimitName.PRICE, "DOLLARS"),
        )


def _budget(held: Held, budget: int, asked: int | None, grace_s: float) -> Iterator[Reached]:
    use = held.use
    short = f"the budget of {usd(budget)} a month for {held.whose}"
    if asked is None or use.unpriced_vms:
        yield _unknown(held, LimitName.BUDGET, asked, short)
        return
    left, rate = budget - use.month_uusd, use.price_uusd_per_hour + asked
    if rate * grace_s > left * _HOUR_S:
        lasts = "nothing is left" if left <= 0 else f"the rest lasts {span(left * 3600 / rate)}"
        yield Reached(
            LimitName.BUDGET,
            f"budget: {usd(asked)} an hour asked, {usd(use.price_uusd_per_hour)} in use; "
            f"{usd(use.month_uusd)} of {usd(budget)} are spent this month for {held.whose}, and "
            f"{lasts} (it must last {span(grace_s)})",
            short,
            "Wait for the next month, end what is not needed (shoal cluster list), "
            + _raise(held, LimitName.BUDGET, "DOLLARS"),
        )


def _unknown(held: Held, name: LimitName, asked: int | None, short: str) -> Reached:
    count = held.use.unpriced_vms
    what = (
        "the price of what is asked is not known"
        if asked is None
        else f"{count} VM{'s' if count > 1 else ''} in use without a known price"
    )
    return Reached(
        name,
        f"{name}: {what}, and {short} can be held only where prices are known",
        f"{short}, for {what}",
        "Look prices up again (shoal offers --refresh), name machine types with a known price, "
        + _raise(held, name, "DOLLARS"),
    )


def _lifetime(held: Held, most: float, asked: float) -> Reached:
    return Reached(
        LimitName.LIFETIME,
        f"lifetime: {span(asked)} asked, limit {span(most)} for {held.whose}",
        f"the limit of {span(most)} a cluster for {held.whose}",
        f"Give cluster_timeout={span(most)!r} at most, " + _raise(held, LimitName.LIFETIME, "TIME"),
    )


def _raise(held: Held, name: LimitName, value: str) -> str:
    whom = "" if held.user == WHOLE else f" --user {held.user}"
    return f"or have an administrator raise it: shoal limits set{whom} --{name} {value}"


class Lifetime(msgspec.Struct, frozen=True):
    seconds: float
    whose: str


def lifetime(helds: Iterable[Held]) -> Lifetime | None:
    """The shortest that holds."""
    found = [
        Lifetime(it.limits.lifetime_s, it.whose) for it in helds if it.limits.lifetime_s is not None
    ]
    return min(found, key=lambda it: it.seconds, default=None)


def spent(helds: Iterable[Held]) -> str:
    """Whose budget is spent, in a sentence; empty: nobody's."""
    for it in helds:
        budget = it.limits.budget_uusd
        if budget is not None and it.use.month_uusd >= budget:
            return (
                f"the month's budget for {it.whose} is spent: "
                f"{usd(it.use.month_uusd)} of {usd(budget)}"
            )
    return ""


def due(held: Held, grace_s: float) -> tuple[str, ...]:
    """The marks of the month's budget that are passed now."""
    budget, use = held.limits.budget_uusd, held.use
    if budget is None:
        return ()
    marks = tuple(str(it) for it in MARKS if use.month_uusd * 100 >= budget * it and budget)
    left = budget - use.month_uusd
    ending = left > 0 and left * _HOUR_S < use.price_uusd_per_hour * grace_s
    return (*marks, ENDING) if ending else marks


def remark(held: Held, mark: str) -> str:
    """What is told of a mark."""
    budget, use = held.limits.budget_uusd or 0, held.use
    money = f"{usd(use.month_uusd)} of {usd(budget)}"
    if mark == ENDING:
        return f"the month's budget for {held.whose} is nearly spent ({money}): {lasts(held)}"
    return f"{mark} % of the month's budget for {held.whose} are spent: {money}"


def lasts(held: Held) -> str:
    """How long the rest of the budget lasts; and then."""
    budget, use = held.limits.budget_uusd or 0, held.use
    left, rate = budget - use.month_uusd, use.price_uusd_per_hour
    if left <= 0:
        return "clusters end, and none may start until next month"
    if not rate:
        return f"{usd(left)} are left"
    return (
        f"at {usd(rate)} an hour it is used up in {span(left * _HOUR_S / rate)}; clusters end then"
    )


def notices(held: Held, grace_s: float) -> tuple[str, ...]:
    """What a page or a command shows now: the last mark, and how long the rest lasts."""
    marks = due(held, grace_s)
    percents = [it for it in marks if it != ENDING]
    found = []
    if ENDING in marks:
        found.append(remark(held, ENDING))
    elif percents:
        found.append(f"{remark(held, percents[-1])}; {lasts(held)}")
    if found and held.use.month_unpriced_s:
        hours = held.use.month_unpriced_s / _HOUR_S
        found.append(f"{hours:.1f} VM hours of this month have no known price, and are not counted")
    return tuple(it[0].upper() + it[1:] + "." for it in found)


def forecast(helds: Iterable[Held], asked_uusd_per_hour: int | None) -> tuple[str, ...]:
    """What a new cluster means for the budgets it comes under."""
    if not asked_uusd_per_hour:
        return ()
    found = []
    for it in helds:
        budget = it.limits.budget_uusd
        if budget is not None and budget > it.use.month_uusd:
            rate = it.use.price_uusd_per_hour + asked_uusd_per_hour
            left_s = (budget - it.use.month_uusd) * _HOUR_S / rate
            beside = f" with the {usd(it.use.price_uusd_per_hour)} that run already"
            found.append(
                f"this cluster costs {usd(asked_uusd_per_hour)} an hour: the month's budget of "
                f"{usd(budget)} for {it.whose} ({usd(it.use.month_uusd)} spent) is used up in "
                f"about {span(left_s)}{beside if it.use.price_uusd_per_hour else ''}"
            )
    return tuple(found)


def merged(before: Limits, asked: ChangeLimits) -> Limits:
    given = {
        name: value
        for name, value in msgspec.structs.asdict(asked.values).items()
        if value is not None
    }
    cleared: dict[str, None] = {FIELDS[name]: None for name in asked.clear}
    return msgspec.structs.replace(before, **(given | cleared))


def effective(known: Mapping[UserName, Limits], user: UserName) -> Limits:
    """A user's own, and of each kind that is not set, everybody's."""
    own, each = known.get(user, Limits()), known.get(EACH, Limits())
    missing = {
        name: getattr(each, name)
        for name in Limits.__struct_fields__
        if getattr(own, name) is None and getattr(each, name) is not None
    }
    return msgspec.structs.replace(own, **missing)


def together(used: Iterable[InUse]) -> InUse:
    every = list(used)
    return InUse(*(sum(getattr(it, name) for it in every) for name in InUse.__struct_fields__))


def whose(workspace: str, user: str) -> str:
    if user == EACH:
        return f"each user of workspace {workspace}"
    return f"user {user}" if user != WHOLE else f"workspace {workspace}"


def in_words(limits: Limits) -> str:
    """`20 workers, $5.00 an hour`; `no limits`."""
    return ", ".join(value for _, value in told(limits)) or "no limits"


def told(limits: Limits) -> tuple[tuple[LimitName, str], ...]:
    """Those that are set, each in words."""
    counts = (
        (LimitName.CLUSTERS, limits.clusters),
        (LimitName.WORKERS, limits.workers),
        (LimitName.VCPUS, limits.vcpus),
        (LimitName.GPUS, limits.gpus),
    )
    found = [(name, counted(name, most)) for name, most in counts if most is not None]
    if limits.price_uusd_per_hour is not None:
        found.append((LimitName.PRICE, f"{usd(limits.price_uusd_per_hour)} an hour"))
    if limits.budget_uusd is not None:
        found.append((LimitName.BUDGET, f"{usd(limits.budget_uusd)} a month"))
    if limits.lifetime_s is not None:
        found.append((LimitName.LIFETIME, f"{span(limits.lifetime_s)} a cluster"))
    return tuple(found)


def usd(uusd: int) -> str:
    return f"${uusd / 1_000_000:,.2f}"


def span(seconds: float) -> str:
    """`90 s`, `12 min`, `4 h`, `3 days`: roughly, in three digits."""
    if seconds >= 2 * 86_400:
        return f"{seconds / 86_400:.3g} days"
    if seconds >= 2 * _HOUR_S:
        return f"{seconds / _HOUR_S:.3g} h"
    return f"{seconds / 60:.0f} min" if seconds >= 120 else f"{max(0.0, seconds):.0f} s"
