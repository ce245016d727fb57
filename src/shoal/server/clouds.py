"""Which clouds this server reaches now: a provider and a reconciler for each.

The machine itself is always there; accounts are registered and removed while the server runs, here
or at another replica. So what is registered is read again and again, and made so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from shoal.clouds.provider import Provider
from shoal.errors import NotPossible, ShoalError
from shoal.server.passes.reconcile import Reconciler
from shoal.wire.accounts import CloudAccount
from shoal.wire.specs import Cloud


class Clouds:
    """`providers` and `reconcilers` change in place: whoever holds them sees it."""

    def __init__(
        self,
        always: Mapping[Cloud, Provider],
        reach: Callable[[CloudAccount], Provider],
        reconciler: Callable[[Provider], Reconciler],
    ) -> None:
        self.providers = dict(always)
        self.reconcilers = {cloud: reconciler(it) for cloud, it in always.items()}
        self.problems: dict[Cloud, ShoalError] = {}  # registered, and cannot be reached from here
        self._accounts: dict[Cloud, CloudAccount] = {}
        self._reach = reach
        self._reconciler = reconciler

    @classmethod
    def none(cls) -> Clouds:
        """For a server that only answers questions."""

        def unreachable(account: CloudAccount) -> Provider:
            raise NotPossible("This server reaches no cloud.")

        def unneeded(provider: Provider) -> Reconciler:
            raise NotPossible("This server reaches no cloud.")

        return cls({}, unreachable, unneeded)

    def follow(self, accounts: Mapping[Cloud, CloudAccount]) -> bool:
        """Reach exactly these; whether anything changed."""
        if accounts == self._accounts:
            return False
        for cloud in self._accounts.keys() - accounts.keys():
            self._forget(cloud)
        for cloud, account in accounts.items():
            if self._accounts.get(cloud) != account:
                self._forget(cloud)
                self._take(cloud, account)
        self._accounts = dict(accounts)
        return True

    def account(self, cloud: Cloud) -> CloudAccount | None:
        """None: it needs none, or has none."""
        return self._accounts.get(cloud)

    def check(self, account: CloudAccount) -> None:
        """Raises NotPossible where this server could not reach it."""
        self._reach(account)

    def _take(self, cloud: Cloud, account: CloudAccount) -> None:
        try:
            provider = self._reach(account)
        except ShoalError as error:
            self.problems[cloud] = error
            return
        self.providers[cloud] = provider
        self.reconcilers[cloud] = self._reconciler(provider)

    def _forget(self, cloud: Cloud) -> None:
        self.problems.pop(cloud, None)
        self.providers.pop(cloud, None)
        self.reconcilers.pop(cloud, None)
