"""Untrusted text on its way to a terminal, escaped as in consumer/base/escape.h: whatever a
terminal would obey or not show becomes an escape."""

import argparse
import re

# What str.isprintable() lets through and no terminal shows: Unicode's Default_Ignorable_Code_Point.
IGNORED = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\ufe00-\ufe0f\uffa0"
                     "\U000e0000-\U000e0fff]")


def shown(text):
    return "".join(c if c.isprintable() and not IGNORED.match(c) else ascii(c)[1:-1] for c in text)


class ArgumentParser(argparse.ArgumentParser):
    """argparse quotes arguments in its errors as they are."""

    def error(self, message):
        super().error(shown(message))
