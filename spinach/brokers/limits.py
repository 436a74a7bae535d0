"""Every bound that both brokers keep, with the reason for its size. The only place where such a number stands.

The memory broker imports these names. The Lua scripts of the Redis broker get them as a generated prelude, and the
documentation is checked against them. Pure.
"""

from __future__ import annotations

from typing import Final

# Dead letters: the newest are kept. A person reads some hundreds, a script retries some thousands.
MAX_DEAD_LETTERS: Final = 10_000
MAX_DEAD_LETTER_AGE_SECONDS: Final = 30 * 86_400
# Failure groups, by task and type of error: the names of errors come from tasks, so their number is not ours to
# choose. One more than this replaces the group that was not seen for longest.
MAX_FAILURE_GROUPS: Final = 500
# Workers that died, newest kept: enough for a deploy that kills a whole fleet.
MAX_LOST_WORKERS: Final = 20
LOST_WORKERS_TTL_SECONDS: Final = 7 * 86_400
# Jobs blocked by a concurrency limit that one call looks past, without moving them: bounds the work of the call.
MAX_BLOCKED_LOOKED_PAST: Final = 1_000
