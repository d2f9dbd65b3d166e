"""No files call each other in a circle.

A file uses another when its object file leaves a symbol undefined that the other's defines: a
function called, a table read, an address taken. What headers declare does not matter, nor does who
includes whom. Files that use each other in a circle can only be read, tested and changed as one:
put what both need into a file below them, or let the lower one call back through one function that
its header documents. Where files of a folder form layers, LAYERS has them.
"""

import fnmatch
import json
import os
import shlex
import subprocess
import sys
from collections import defaultdict

from lint import ROOT, finish

# Folders that still hold circles: to become empty. One that holds none is a problem as well.
EXCEPTIONS = []

# Groups of files, the lowest first. A file uses no other one of its own group, and none of a group
# above. A name counts before a pattern; files that are in no group are free.
LAYERS = [
    ["consumer/copy/requests.c"],
    ["consumer/copy/writer_claim.c", "consumer/copy/writer_durable.c",
     "consumer/copy/writer_loading.c"],
    ["consumer/copy/writer_*.c"],  # the steps of a batch
    ["consumer/copy/writer_plan.c"],
    ["consumer/copy/writer_setup.c"],
    ["consumer/copy/writer_maintenance.c"],
    ["consumer/copy/writer.c"],
    ["consumer/daemon/pipeline_trouble.c", "consumer/daemon/pipeline_wait.c"],
    ["consumer/daemon/pipeline_fill.c"],
    ["consumer/daemon/pipeline_probe.c"],
    ["consumer/daemon/pipeline_settings.c", "consumer/daemon/pipeline_measure.c"],
    ["consumer/daemon/pipeline_send.c"],
    ["consumer/daemon/pipeline_outcome.c", "consumer/daemon/pipeline_connection.c"],
    ["consumer/daemon/pipeline.c"],
]


def objects(build, root):
    """(target, source, object) of each compiled file in consumer/ and bench/, as compile_commands
    has them: an object of a file that is no longer built may still be lying around."""
    with open(os.path.join(build, "compile_commands.json")) as f:
        entries = json.load(f)
    for entry in entries:
        source = os.path.normpath(os.path.join(entry["directory"], entry["file"]))
        source = os.path.relpath(source, root)
        if not source.startswith(("consumer/", "bench/")):
            continue
        words = shlex.split(entry["command"])
        path = os.path.join(entry["directory"], words[words.index("-o") + 1])
        yield path.split(".dir/")[0], source, path


def symbols(paths):
    """object -> (defined, undefined): the names that the linker sees."""
    found = {path: (set(), set()) for path in paths}
    out = subprocess.run(["nm", "-A", "-P", *paths], check=True, stdout=subprocess.PIPE,
                         text=True).stdout
    for line in out.splitlines():
        path, rest = line.rsplit(": ", 1)
        name, kind = rest.split()[:2]
        if kind.isupper() or kind in "uvw":
            found[path][kind in "Uvw"].add(name)
    return found


def graph(compiled):
    """source -> source it uses -> the symbols."""
    names = symbols([path for _, _, path in compiled])
    homes = defaultdict(dict)  # symbol -> target -> source
    for target, source, path in compiled:
        for name in names[path][0]:
            homes[name][target] = source
    uses = defaultdict(lambda: defaultdict(set))
    for target, source, path in compiled:
        for name in names[path][1] & homes.keys():
            # Two programs may use one name for two functions: the nearer counts.
            home = homes[name].get(target) or sorted(homes[name].values())[0]
            if home != source:
                uses[source][home].add(name)
    return uses


def circles(uses):
    """Strongly connected parts of more than one file (Tarjan's algorithm)."""
    numbers, lowest, stack, found = {}, {}, [], []

    def visit(file):
        numbers[file] = lowest[file] = len(numbers)
        stack.append(file)
        for other in sorted(uses.get(file, ())):
            if other not in numbers:
                visit(other)
            if other in stack:
                lowest[file] = min(lowest[file], lowest[other])
        if lowest[file] == numbers[file]:
            part = stack[stack.index(file):]
            del stack[-len(part):]
            if len(part) > 1:
                found.append(sorted(part))

    for file in sorted(uses):
        if file not in numbers:
            visit(file)
    return sorted(found)


def describe(circle, uses):
    inner = [f"    {a} uses of {b}: {', '.join(sorted(uses[a][b]))}"
             for a in circle for b in circle if b in uses[a]]
    return "\n".join([f"{circle[0]}:1: {len(circle)} files use each other in a circle", *inner])


def layer(file, layers):
    """Its place in them, or None."""
    for match in (str.__eq__, fnmatch.fnmatchcase):
        for i, group in enumerate(layers):
            if any(match(file, pattern) for pattern in group):
                return i
    return None


def climbs(uses, layers):
    """What uses a file that is not below it."""
    for file in sorted(uses):
        for other in sorted(uses[file]):
            mine, its = layer(file, layers), layer(other, layers)
            if mine is not None and its is not None and its >= mine:
                yield (f"{file}:1: uses {', '.join(sorted(uses[file][other]))} of {other}, which "
                       "is not in a layer below")


def check(build, root=ROOT, exceptions=EXCEPTIONS, layers=LAYERS):
    compiled = list(objects(build, root))
    missing = [path for _, _, path in compiled if not os.path.exists(path)]
    if missing or not compiled:
        return [f"{build}/compile_commands.json:1: build it first: "
                f"{missing[0] if missing else 'no file of ours'} is not there"]
    uses = graph(compiled)
    problems, used = [], set()
    for circle in circles(uses):
        folder = os.path.commonpath(circle) + "/"
        if folder in exceptions:
            used.add(folder)
        else:
            problems.append(describe(circle, uses))
    problems += climbs(uses, layers)
    return problems + [f"tests/lint/circles.py:1: {folder} holds no circle any more: take it out "
                       "of EXCEPTIONS" for folder in exceptions if folder not in used]


if __name__ == "__main__":
    finish(check(sys.argv[1]))
