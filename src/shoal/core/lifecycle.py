"""An instance's states and the edges between them; docs/concepts/loop.md shows the same table."""

from __future__ import annotations

from shoal.wire.views import InstanceState

_INTENDED, _LAUNCHED = InstanceState.INTENDED, InstanceState.LAUNCHED
_RELEASED, _GONE = InstanceState.RELEASED, InstanceState.GONE

EDGES: dict[tuple[InstanceState, InstanceState], str] = {
    (_INTENDED, _LAUNCHED): "the cloud has accepted it, or a listing shows it",
    (_INTENDED, _RELEASED): "the cloud said no, or it is not wanted any more",
    (_LAUNCHED, _RELEASED): "it is not wanted any more, went wrong, or vanished",
    (_RELEASED, _GONE): "a listing begun late enough after the release lacks it",
}

ACTIVE = (_INTENDED, _LAUNCHED)
