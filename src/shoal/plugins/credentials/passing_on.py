"""To the VM's own metadata service, for what is not ours to answer.

SDKs that are led to the endpoint would miss the VM's own service there: its zone and attributes on
Google's VMs, identities of the VM itself on Azure's. On other machines there is none.
"""

from __future__ import annotations

import http.client
import urllib.error
import urllib.request
from urllib.parse import parse_qs, urlsplit

from .answer import Answer, PassOn, of_json

_WITHIN_S = 10.0
_LONGEST_S = 3600.0
_KEPT = ("Metadata-Flavor", "ETag")


class Beyond:
    """`cloud`: whose VM this is; `metadata`: where its service listens."""

    def __init__(self, cloud: str = "", metadata: str = "") -> None:
        self.cloud = cloud
        self._metadata = metadata
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def ask(self, cloud: str, wanted: PassOn) -> Answer:
        if cloud != self.cloud or not self._metadata:
            return of_json({"message": f"This machine is no VM of {cloud}", "statusCode": 404}, 404)
        request = urllib.request.Request(self._metadata + wanted.target, headers=wanted.headers)
        try:
            with self._opener.open(request, timeout=_patience_s(wanted.target)) as found:
                return _answer(found.status, found.headers, found.read())
        except urllib.error.HTTPError as error:
            with error:
                return _answer(error.code, error.headers, error.read())
        except (OSError, http.client.HTTPException) as error:
            return of_json({"message": f"The VM's metadata service: {error}"}, 503)


def _answer(status: int, headers: object, body: bytes) -> Answer:
    get = headers.get  # type: ignore[attr-defined]
    kept = {name: get(name) for name in _KEPT if get(name)}
    return Answer(status, body.decode("utf-8", "replace"), get("Content-Type", "text/plain"), kept)


def _patience_s(target: str) -> float:
    """A long poll (wait_for_change) says how long it may take."""
    query = parse_qs(urlsplit(target).query)
    if "wait_for_change" not in query:
        return _WITHIN_S
    [longest_s, *_] = query.get("timeout_sec", [str(_LONGEST_S)])
    return float(longest_s) + _WITHIN_S if longest_s.isdigit() else _LONGEST_S
