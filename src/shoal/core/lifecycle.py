"""An instance's states and the edges between them; docs/concepts/loop.md shows the same table.

There is no way back, and no way around `released`: what was asked for once must be seen to be gone.
"""

from __future__ import annotations

from shoal.wire.views import InstanceState

_INTENDED, _LAUNCHED = InstanceState.INTENDED, InstanceState.LAUNCHED
_RELEASED, _GONE = InstanceState.RELEASED, InstanceState.GONE

EDGES: dict[tuple[InstanceState, InstanceState], str] = {
    # The only edge on which an instance gets a VM; each VM is one instance's, by compare-and-set.
    (_INTENDED, _LAUNCHED): "the cloud has accepted it, or a listing shows it",
    # A VM may come to be all the same: the request may still be on its way. It is ended when seen.
    (_INTENDED, _RELEASED): "the cloud said no, or it is not wanted any more",
    # From here on it is asked to end in every pass, whatever the cloud answers.
    (_LAUNCHED, _RELEASED): "it is not wanted any more, went wrong, or vanished",
    # Seen, never returned: an answer of the cloud does not lead here.
    (_RELEASED, _GONE): "a listing begun late enough after the release lacks it",
}

ACTIVE = frozenset({_INTENDED, _LAUNCHED})  # what counts as had
