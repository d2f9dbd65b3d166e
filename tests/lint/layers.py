"""Who may include whom: main -> cli -> replay -> daemon -> stages -> base.

A stage sees base and itself, and no other stage but for the exceptions below, so that each can be
understood, tested and replaced alone. A foreign library has one home: whoever wants to change it
for another has one folder to look at.
"""

import re

from lint import ROOT, files, finish, lines

STAGES = ["config", "copy", "decode", "http", "metrics", "migrate", "mqtt", "pg", "privacy",
          "replay/readers", "retention", "rows", "signatures", "spool", "store"]

# Folder of consumer/ -> what it may include: folders, or single headers of one.
MAY_INCLUDE = {
    "": ["cli"],  # main.c
    "cli": ["replay", "daemon", *STAGES, "base"],
    "replay": ["daemon", *STAGES, "base"],
    "daemon": [*STAGES, "base"],
    **{stage: ["base"] for stage in STAGES},
    "base": [],
}
MAY_INCLUDE["rows"] += ["decode/message.h", "decode/value.h", "store/entities.def",
                        "store/kinds.def", "store/entities.h", "store/roaming.h"]
MAY_INCLUDE["copy"] += ["rows", "pg", "store/kinds.def", "store/entities.h", "store/roaming.h"]
MAY_INCLUDE["store"] += ["pg"]
MAY_INCLUDE["replay/readers"] += ["spool/archive.h", "spool/record.h", "spool/segment.h"]
MAY_INCLUDE["migrate"] += ["pg"]
MAY_INCLUDE["privacy"] += ["pg"]
MAY_INCLUDE["retention"] += ["pg"]
MAY_INCLUDE["signatures"] += ["decode/document.h", "decode/value.h"]

# Foreign header -> folders or files of consumer/ (and bench) that may include it.
HOMES = {
    r"MQTT\w*\.h": ["mqtt", "bench"],
    r"libpq-fe\.h": ["pg", "copy", "store", "migrate", "privacy", "replay", "retention", "cli",
                      "bench"],
    r"msgpack(\.h|/.*)": ["decode"],
    r"yajl/.*": ["decode"],
    r"ini_\w+\.h": ["config"],
    r"microhttpd\.h": ["http"],
    r"xxhash\.h": ["base/digest.c"],
    r"zstd\.h": ["spool", "replay/readers", "retention"],
    r"ev\.h": ["daemon", "pg", "copy", "http", "cli"],
    r"zlib\.h": ["replay/readers"],
    r"openssl/.*": ["base", "daemon", "decode/decode_msgpack.c", "mqtt", "pg", "signatures",
                     "store"],
    r"store/store\.h": ["store/example.c"],  # as its users include it
    r"sanitizer/.*": ["base/arena.c"],
}

# The C library and the kernel: everywhere.
SYSTEM = re.compile(r"""(assert|ctype|dirent|endian|errno|fcntl|fenv|float|getopt|inttypes|libgen|
    limits|locale|math|netdb|poll|pthread|pwd|sched|semaphore|setjmp|signal|spawn|stdarg|stdatomic|
    stdbool|stddef|stdint|stdio|stdlib|stdnoreturn|string|strings|syslog|termios|threads|time|
    unistd|(sys|netinet|arpa|linux)/\w+)\.h""", re.X)

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')


def _allowed(header, rules):
    return any(header == rule or header.startswith(rule + "/") for rule in rules)


def _own_problem(path, header):
    """For a header of ours; path and header are relative to consumer/."""
    folder, target = path.rpartition("/")[0], header.rpartition("/")[0]
    if target not in MAY_INCLUDE:
        return f'"{header}" is in no folder of the table in tests/lint/layers.py'
    if folder not in MAY_INCLUDE:
        return f"{folder}/ is not in the table of tests/lint/layers.py"
    if folder == target:
        return None
    if header.endswith("_private.h"):
        return f'"{header}" is for {target}/ alone'
    if not _allowed(header, MAY_INCLUDE[folder]):
        return f'{folder or path}{"/" * bool(folder)} may not include "{header}"'
    return None


def _foreign_problem(path, header):
    """path is relative to consumer/, or begins with bench/."""
    for pattern, homes in HOMES.items():
        if re.fullmatch(pattern, header):
            return None if _allowed(path, homes) else (
                f"<{header}> is only for {', '.join(homes)}")
    if SYSTEM.fullmatch(header):
        return None
    return f"<{header}> has no home in the table of tests/lint/layers.py"


def _circles(includes):
    """Headers that include each other: {path: [(line, path)]} -> problems."""
    problems, done = [], set()

    def visit(path, way):
        for number, target in includes.get(path, ()):
            if target in way:
                circle = " -> ".join([*way[way.index(target):], target])
                problems.append(f"consumer/{path}:{number}: headers include each other: {circle}")
            elif target not in done:
                visit(target, [*way, target])
        done.add(path)

    for path in sorted(includes):
        if path not in done:
            visit(path, [path])
    return problems


def check(root):
    problems, includes = [], {}
    for path in files(root, "consumer", "bench", ext=(".c", ".h", ".def")):
        inner = path.removeprefix("consumer/")
        for number, line in enumerate(lines(root, path), 1):
            found = INCLUDE.match(line)
            if not found:
                continue
            kind, header = found.groups()
            if kind == '"' and inner.endswith(".h"):
                includes.setdefault(inner, []).append((number, header))
            if kind == "<":
                problem = _foreign_problem(inner, header)
            else:
                problem = None if path.startswith("bench/") else _own_problem(inner, header)
            if problem:
                problems.append(f"{path}:{number}: {problem}")
    return problems + _circles(includes)


if __name__ == "__main__":
    finish(check(ROOT))
