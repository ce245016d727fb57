"""What Dask knows of its scheduler and workers, with links that lead somewhere.

Dask's widgets link to the ports of its dashboards, which answer only to the cluster's certificate.
The scheduler's is reached through the server; of a worker's VM the server has a page.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dask.widgets import get_environment
from distributed.objects import SchedulerInfo


class DaskInfo(SchedulerInfo):  # type: ignore[misc]
    def __init__(self, told: dict[str, Any], details_url: Callable[[], str]) -> None:
        super().__init__(told)
        self._details_url = details_url

    def _repr_html_(self) -> str:
        if "address" not in self:
            return "Scheduler not started yet."

        def link(server: dict[str, Any]) -> str:
            return f"{self._details_url()}/{'dashboard' if 'workers' in server else 'vms'}"

        environment = get_environment()
        environment.filters["format_dashboard_address"] = link
        template = environment.get_template("scheduler_info.html.j2")
        text: str = template.render(scheduler=self, **self)
        return text
