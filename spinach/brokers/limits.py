"""Limits that both brokers keep and that Lua and Python share: the only place that has these numbers.

`redis/scripts.py` puts those that a script uses before it, under the same names. Nothing but numbers belongs
here.
"""

from __future__ import annotations

from typing import Final

# Dead letters: the newest are kept. A person reads some hundreds, a script retries some thousands.
MAX_DEAD_LETTERS: Final = 10_000
MAX_DEAD_LETTER_AGE_SECONDS: Final = 30 * 86_400
# Failure groups, by task and type of error. Tasks choose the names of errors, so nothing else bounds their
# number.
# One group more than this replaces the group that was not seen for longest.
MAX_FAILURE_GROUPS: Final = 500
# Attempts that end in an error are grouped alike. After a pause of this length an error counts as a new one.
ERROR_PAUSE_SECONDS: Final = 3_600
# A group shows the beginning of its last error's message: one line on a wide screen.
MAX_SAMPLE_CHARACTERS: Final = 200

# Workers that died, newest kept: enough for a deploy that kills a whole fleet.
MAX_LOST_WORKERS: Final = 20
LOST_WORKERS_TTL_SECONDS: Final = 7 * 86_400
# Workers whose running jobs may be left behind. An id leaves when its running jobs are gone.
MAX_BROKERS_SEEN: Final = 10_000

# Fields of the hash of counters, and of the hash of histograms; more are added up under the name "other".
MAX_COUNTER_FIELDS: Final = 4_000
# The counters of one minute: a tool that polls rarely still finds the last hours.
MINUTE_TTL_SECONDS: Final = 6 * 3_600
# Names in the index of queues. A queue beyond it works, only tools may not find it while no worker serves it.
MAX_QUEUES: Final = 1_000
# The number of a producer's last call: a lost call is repeated within seconds.
PRODUCER_TTL_SECONDS: Final = 3_600

# Jobs blocked by a concurrency limit that one call looks past, without moving them: bounds the work of the
# call.
MAX_BLOCKED_LOOKED_PAST: Final = 1_000
# From so many on the call parks them: to look past fewer takes each call less than 0.1 ms.
MIN_PARKED: Final = 50
# Jobs that one call parks: it takes the server some 2 ms. Another call follows at once.
MAX_PARKED: Final = 500
# Due jobs that one call moves to their queues; after a full page the next call follows at once.
MAX_PROMOTED: Final = 500
# A due job whose queue's key holds a foreign type is tried again after this time.
FOREIGN_QUEUE_PAUSE_SECONDS: Final = 60
# Values per command in a script: Lua's `unpack` fails near 8,000. Even, so that no pair is split.
MAX_UNPACKED: Final = 4_000
