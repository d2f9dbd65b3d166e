"""A bare Debian 12 in a folder, made by debootstrap; build/bare.tar keeps it for the next time."""

import contextlib
import os
import pathlib
import shlex
import shutil
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
CACHE = ROOT / "build" / "bare.tar"
SUITE = "bookworm"
PLACES = (("proc", "proc"), ("devtmpfs", "dev"))  # kinds of file systems, and where they are


class Bare:
    """A bare Debian in a folder; commands run in it as root."""

    def __init__(self, path):
        self.path = pathlib.Path(path)

    def make(self):
        if not CACHE.exists():
            made = self.path.with_name("made")
            subprocess.run(["debootstrap", "--variant=minbase", SUITE, made], check=True,
                           stdout=subprocess.DEVNULL)
            # The same mirrors and settings as here, and nothing that Debian's own image for
            # containers leaves out.
            for name in ("sources.list", "sources.list.d", "apt.conf.d"):
                here, there = pathlib.Path("/etc/apt") / name, made / "etc/apt" / name
                if here.is_dir():
                    shutil.copytree(here, there, dirs_exist_ok=True)
                elif here.exists():
                    shutil.copy(here, there)
            CACHE.parent.mkdir(exist_ok=True)
            subprocess.run(["tar", "-cf", f"{CACHE}.new", "-C", made, "."], check=True)
            os.rename(f"{CACHE}.new", CACHE)
            shutil.rmtree(made)
        self.path.mkdir()
        subprocess.run(["tar", "-xf", CACHE, "-C", self.path], check=True)
        for name in ("etc/resolv.conf", "etc/hosts"):
            shutil.copy(f"/{name}", self.path / name)

    @contextlib.contextmanager
    def mounted(self):
        for kind, name in PLACES:
            subprocess.run(["mount", "-t", kind, kind, self.path / name], check=False)
        try:
            yield self
        finally:
            for _, name in PLACES:
                subprocess.run(["umount", "-l", self.path / name], check=False)

    def command(self, text):
        return ["chroot", str(self.path), "/usr/bin/env", "DEBIAN_FRONTEND=noninteractive",
                "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "sh", "-ec", text]

    def run(self, text, code=0):
        """stdout and stderr of a command that exits with this code."""
        done = subprocess.run(self.command(text), text=True, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
        check(done.returncode == code, f"{text}\nexit code {done.returncode}\n{done.stdout}")
        return done.stdout

    def apt(self, *arguments):
        return self.run("apt-get -q -y --no-install-recommends -o Dpkg::Use-Pty=0 "
                        + shlex.join(arguments))

    def ours(self):
        """Files and folders that bear our name, but for those that we put into /root."""
        return [path for path in self.run(
            r"find / -xdev \( -path /proc -o -path /root -o -path /dev -o -path /var/cache \) "
            r"-prune -o -name '*ocpp*' -print").splitlines()]


def check(holds, text="this does not hold"):
    if not holds:
        raise SystemExit(f"FAILED: {text}")


def demand_root():
    check(os.geteuid() == 0, "this needs root: it makes a system of its own, with chroot")
    check(shutil.which("debootstrap") or CACHE.exists(), "debootstrap is not installed")
