"""What goes on beside the scheduler, and must not harm it.

Should a part of it fail, that is logged and the part begins anew: no computation is lost because a
report could not be made.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine

logger = logging.getLogger("distributed.scheduler")

_AGAIN_S = 1.0


async def unharmed(job: Callable[[], Coroutine[None, None, None]]) -> None:
    while True:
        task = asyncio.ensure_future(job())
        try:
            await asyncio.wait([task])
        finally:
            task.cancel()
        logger.error("a part of Shoal in the scheduler failed", exc_info=task.exception())
        await asyncio.sleep(_AGAIN_S)
