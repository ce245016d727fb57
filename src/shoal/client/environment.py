"""The environment of a cluster: a copy of the local one, a lock file, or one stored before.

`copy` needs no server and runs while it is found; `register` tells it what there is, and uploads
the wheels that it lacks. What a copy is made of is for shoal.software to know.
"""

from __future__ import annotations
