"""What mosquitto dropped for lack of a subscriber, according to its own log (log_type debug).

Once it is started again it has the sessions of a shared group, with all that was queued for them,
but not their subscriptions, which its store does not hold. Until the first worker subscribes again
it acknowledges what is published, and has nobody to give it to. Both are in its log, in the order
in which it dealt with them: no clock decides.
"""

import re

SETTINGS = ["log_type debug"]
_STARTED = re.compile(rb"mosquitto version \S+ starting")
_SUBSCRIBED = re.compile(rb"Received SUBSCRIBE from ")
_PUBLISHED = re.compile(rb"Received PUBLISH from (\S+) \(d\d, q1, r\d, m(\d+), '([^']*)'")


def dropped(path):
    """{(client id, packet id, topic)}: published after a start but the first, and before the first
    SUBSCRIBE that followed it. For a broker whose subscriptions are all shared."""
    found, starts, subscribed = set(), 0, False
    with open(path, "rb") as f:
        for line in f:
            if _STARTED.search(line):
                starts, subscribed = starts + 1, False
            elif not subscribed and _SUBSCRIBED.search(line):
                subscribed = True
            elif not subscribed and starts > 1:
                m = _PUBLISHED.search(line)
                if m:
                    found.add((m[1].decode(), int(m[2]), m[3].decode()))
    return found
