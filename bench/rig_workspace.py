"""The temporary folder for everything of a test or benchmark, and the guard that removes it.

See rig.py, which is what to import.
"""

import atexit
import glob
import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile

from rig_wait import TimedOut, forget, wait_until, watch

# Below the range that the kernel takes ports of outgoing connections from, so that a port stays
# ours while the server behind it is down.
PORTS = range(20000, 32000)
MEMORY = "/dev/shm"  # a folder


class RigError(Exception):
    """A server did not do what it was asked to; the text has the end of its log."""


def free_port():
    """A port of 127.0.0.1 that nobody listens on."""
    while True:
        port = random.choice(PORTS)
        with socket.socket() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                s.bind(("127.0.0.1", port))
                return port
            except OSError:
                pass


def accepts(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
        return True
    except OSError:
        return False


def tail(path, lines=30):
    try:
        with open(path, errors="replace") as f:
            return "".join(f.readlines()[-lines:])
    except OSError:
        return "(no log)"


def _unprivileged_user():
    """Who runs servers that refuse root; None if we are not root."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            pass
    raise RigError("PostgreSQL refuses to run as root, and there is no user postgres or nobody")


def _reachable(path):
    """True if everybody may pass through this folder and those above it."""
    path = os.path.realpath(path)
    while True:
        if not os.stat(path).st_mode & 0o001:
            return False
        if path == "/":
            return True
        path = os.path.dirname(path)


def is_running(pid):
    """False also for a zombie: it has released everything."""
    try:
        with open(f"/proc/{pid}/stat") as f:
            return f.read().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


def children(pid):
    found = []
    for path in glob.glob("/proc/[0-9]*/stat"):
        try:
            with open(path) as f:
                fields = f.read().rsplit(")", 1)[1].split()
        except OSError:
            continue
        if int(fields[1]) == pid:
            found.append(int(path.split("/")[2]))
    return found


class Workspace:
    """A temporary folder and the processes started in it; gone at exit.

    It is the guard that removes files and kills processes, at the end of our side of the pipe.
    """

    def __init__(self, path=None):
        self.user = _unprivileged_user()
        parent = tempfile.gettempdir()
        if self.user and not _reachable(parent):
            parent = "/tmp"
        self.path = path or tempfile.mkdtemp(prefix="ocpp-persister.", dir=parent)
        os.makedirs(self.path, exist_ok=True)
        self.members = []
        self._own(self.path)
        watch(self._movements)
        self._guard = subprocess.Popen([sys.executable, os.path.abspath(__file__), "--guard"],
                                       stdin=subprocess.PIPE, text=True, start_new_session=True)
        self._tell(f"folder {self.path}")
        atexit.register(self.close)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _own(self, path):
        if self.user:
            os.chown(path, self.user.pw_uid, self.user.pw_gid)

    def _tell(self, line):
        self._guard.stdin.write(line + "\n")
        self._guard.stdin.flush()

    def keep(self):
        """Its files stay; its processes go all the same."""
        self._tell("keep")

    def _movements(self):
        """Sizes of the logs, and the CPU time of the processes, in steps that an idle process does
        not reach within the time of a wait."""
        sizes = [os.path.getsize(path) for path in sorted(glob.glob(f"{self.path}/*.log"))]
        return sizes, [getattr(member, "work_done", int)() for member in self.members]

    def folder(self, name):
        """A new folder below, owned by the user that servers run as."""
        path = os.path.join(self.path, name)
        os.makedirs(path, mode=0o700)
        self._own(path)
        return path

    def folder_in_memory(self, name):
        """A new folder that no disk slows down, if the machine has such; it goes as the other."""
        if not os.access(MEMORY, os.W_OK):
            return self.folder(name)
        path = tempfile.mkdtemp(prefix=f"ocpp-persister.{name}.", dir=MEMORY)
        self._tell(f"folder {path}")
        return path

    def write(self, path, text):
        """A file readable by the user that servers run as, and by nobody else."""
        with open(path, "w", opener=lambda p, f: os.open(p, f, 0o600)) as f:
            f.write(text)
        self._own(path)
        return path

    def _who(self):
        if not self.user:
            return {}
        return {"user": self.user.pw_uid, "group": self.user.pw_gid, "extra_groups": []}

    def call(self, *args):
        """Run a tool as the user that servers run as; its output, or RigError with it."""
        done = subprocess.run(args, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              cwd=self.path, **self._who())
        if done.returncode != 0:
            raise RigError(f"{args[0]} failed:\n{done.stdout}")
        return done.stdout

    def spawn(self, args, log, env=None, as_us=False, **options):
        """Start a process in a session of its own, so that Ctrl-C reaches us alone. options: of
        subprocess.Popen, such as other files than the log."""
        who = {} if as_us else self._who()
        with open(log, "ab") as out:
            process = subprocess.Popen(args, **{
                "stdin": subprocess.DEVNULL, "stdout": out, "stderr": out, "env": env,
                "cwd": self.path, "start_new_session": True, **who, **options})
        self._tell(f"+{process.pid}")
        return process

    def forget(self, process):
        """The process is gone: the guard must not kill a stranger with its number."""
        if process and self._guard.poll() is None:
            self._tell(f"-{process.pid}")

    def close(self):
        """Stop everything, newest first, and remove the folder. Twice is fine."""
        atexit.unregister(self.close)
        forget(self._movements)
        if self._guard.poll() is not None:
            return
        for member in reversed(self.members):
            member.stop()
        self._guard.stdin.close()
        self._guard.wait()


def _remove_shared_memory(folder):
    """What killed PostgreSQL servers with their data below this folder have left: the kernel keeps
    a segment until somebody removes it, and has a limit on their number."""
    for path in glob.glob(f"{glob.escape(folder)}/*/data/postmaster.pid"):
        with open(path) as f:
            lines = f.read().split("\n")
        if len(lines) < 7 or len(lines[6].split()) != 2:
            continue  # it had none yet
        with open("/proc/sysvipc/shm") as f:
            for key, id, _, _, creator, _, attached, *_ in map(str.split, f.readlines()[1:]):
                if [key, id] == lines[6].split() and creator == lines[0] and attached == "0":
                    subprocess.run(["ipcrm", "--shmem-id", id], check=False)


def _unmount(folder):
    """Whatever a test has mounted below this folder; True if nothing is left there, so that
    removing the folder removes nothing else."""
    def mounted():
        with open("/proc/self/mounts") as f:
            return [line.split()[1] for line in f if line.split()[1].startswith(folder + "/")]

    for path in reversed(mounted()):
        subprocess.run(["umount", "--lazy", path], check=False)
    return not mounted()


def _guard():
    """The guard process: on the end of stdin, kill the processes and remove the folders."""
    for s in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(s, signal.SIG_IGN)
    pids, folders, keep = set(), [], False
    for line in map(str.rstrip, sys.stdin):
        if line.startswith("folder "):
            folders.append(line[len("folder "):])
        elif line == "keep":
            keep = True
        elif line.startswith("+"):
            pids.add(int(line[1:]))
        else:
            pids.discard(int(line[1:]))
    pids.update([child for pid in pids for child in children(pid)])
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    try:
        wait_until(lambda: not any(map(is_running, pids)), 10, "end of servers")
    except TimedOut:
        pass  # in the middle of a write to a slow disk; its files go all the same
    for folder in folders:
        _remove_shared_memory(folder)
        if not keep and _unmount(os.path.realpath(folder)):
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__" and sys.argv[1:] == ["--guard"]:
    _guard()
