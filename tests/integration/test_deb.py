"""The Debian packages: what is in them, and what lintian says of them. They are installed, upgraded
and purged on a bare Debian by tests/deb/run, which ctest does not run (tests/README.md)."""

import gzip
import pathlib
import re
import shutil
import subprocess

import pytest
from conftest import ROOT

ROOT = pathlib.Path(ROOT)
NAMES = ["libocpp-store-dev", "libocpp-store0", "ocpp-persister"]

pytestmark = pytest.mark.skipif(
    shutil.which("dpkg-shlibdeps") is None,
    reason="dpkg-dev is not installed (deploy/install-deps deb): packages cannot be made")


@pytest.fixture(scope="module")
def packages(workspace):
    """{name: path}. Built as docs/releasing.md says, in the folder that it is built in by hand:
    what is compiled already is not compiled again."""
    done = subprocess.run(["cmake", "--workflow", "--preset", "deb"], cwd=ROOT, text=True,
                          capture_output=True)
    assert done.returncode == 0, done.stdout + done.stderr
    made = [pathlib.Path(path) for path in
            re.findall(r"^CPack: - package: (\S+\.deb) generated", done.stdout, re.M)]
    return {path.name.split("_")[0]: path for path in made}


def field(package, name):
    return subprocess.run(["dpkg-deb", "-f", package, name], text=True, capture_output=True,
                          check=True).stdout.strip()


@pytest.fixture(scope="module")
def contents(packages):
    """{name: {path of a file or link: its mode}}."""
    found = {}
    for name, path in packages.items():
        listed = subprocess.run(["dpkg-deb", "-c", path], text=True, capture_output=True,
                                check=True).stdout
        found[name] = {words[5][1:]: words[0] for words in map(str.split, listed.splitlines())
                       if not words[0].startswith("d")}
        assert {words[1] for words in map(str.split, listed.splitlines())} == {"root/root"}
    return found


@pytest.fixture(scope="module")
def unpacked(packages, workspace):
    """{name: folder with its files, and those of its control part in DEBIAN}."""
    found = {}
    for name, path in packages.items():
        found[name] = pathlib.Path(workspace.folder("unpacked-" + name))
        subprocess.run(["dpkg-deb", "-R", path, found[name]], check=True)
    return found


def test_there_are_three_packages_of_one_version(packages):
    assert sorted(packages) == NAMES
    version = re.search(r"project\(ocpp-persister VERSION (\S+)",
                        (ROOT / "CMakeLists.txt").read_text()).group(1)
    assert {field(path, "Version") for path in packages.values()} == {f"{version}-1"}
    for name, path in packages.items():
        assert field(path, "Source") == "ocpp-persister"
        summary, *words = field(path, "Description").splitlines()
        assert "OCPP" in summary and len(summary) < 80 and words


def test_files_are_where_debian_has_them(contents):
    library = "/usr/lib/" + subprocess.run(
        ["dpkg-architecture", "-q", "DEB_HOST_MULTIARCH"], text=True, capture_output=True,
        check=True).stdout.strip()
    wanted = {
        "ocpp-persister": [
            "/etc/ocpp-persister.ini", "/lib/systemd/system/ocpp-persister.service",
            "/lib/systemd/system/ocpp-persister@.service", "/usr/bin/ocpp-persister",
            "/usr/share/doc/ocpp-persister/examples/alerts.yml",
            "/usr/share/doc/ocpp-persister/examples/grafana.json",
            "/usr/share/bash-completion/completions/ocpp-persister",
            "/usr/share/zsh/vendor-completions/_ocpp-persister",
            "/usr/share/man/man1/ocpp-persister.1.gz",
            "/usr/share/man/man5/ocpp-persister.ini.5.gz",
            "/usr/share/doc/ocpp-persister/SECURITY.md", "/usr/share/doc/ocpp-persister/README.md",
            "/usr/share/doc/ocpp-persister/changelog.gz",
            "/usr/share/doc/ocpp-persister/docs/install.md",
            "/usr/share/doc/ocpp-persister/ocpp-persister.cdx.json"],
        "libocpp-store0": [f"{library}/libocpp-store.so.0"],
        "libocpp-store-dev": [
            f"{library}/libocpp-store.so", f"{library}/libocpp-store.a",
            f"{library}/pkgconfig/ocpp-store.pc",
            f"{library}/cmake/ocpp-store/ocpp-storeConfig.cmake",
            "/usr/include/ocpp-store/store/store.h"]}
    for name, files in wanted.items():
        papers = [f"/usr/share/doc/{name}/{paper}"
                  for paper in ("copyright", "changelog.Debian.gz")]
        assert set(files + papers) <= contents[name].keys()
    # Nothing else outside these folders, nothing twice, nothing that others may write to.
    every = [path for files in contents.values() for path in files]
    assert len(every) == len(set(every))
    assert not [path for path in every if not re.match(
        r"/(etc/ocpp-persister\.ini$|lib/systemd/system/|usr/(bin|include|lib|share)/)", path)]
    assert {mode[4:] for files in contents.values() for mode in files.values()
            if not mode.startswith("l")} <= {"r--r--", "r-xr-x"}


def test_dependencies_are_those_of_the_libraries(packages):
    daemon = field(packages["ocpp-persister"], "Depends")
    script = (ROOT / "deploy/install-deps").read_text()
    run = re.search(r"\nrun=\((.*?)\)", script, re.S).group(1).split()
    for library in [name for name in run if name.startswith(("lib", "zlib"))] + ["libc6"]:
        assert re.search(rf"(^|, ){re.escape(library)}( \(|,|$)", daemon), (library, daemon)
    assert "postgresql" not in daemon and "mosquitto" not in daemon  # may be elsewhere
    version = field(packages["libocpp-store0"], "Version")
    assert f"libocpp-store0 (= {version})" in field(packages["libocpp-store-dev"], "Depends")
    assert "libpq5" in field(packages["libocpp-store0"], "Depends")


def test_settings_are_kept_over_upgrades_and_accepted(unpacked):
    folder = unpacked["ocpp-persister"]
    assert (folder / "DEBIAN/conffiles").read_text() == "/etc/ocpp-persister.ini\n"
    settings = folder / "etc/ocpp-persister.ini"
    assert settings.read_bytes() == (ROOT / "deploy/ocpp-persister.ini").read_bytes()
    done = subprocess.run([folder / "usr/bin/ocpp-persister", "--config", settings, "config",
                           "check"], text=True, capture_output=True)
    assert done.stdout == f"ok ({settings})\n", done.stderr


def test_units_run_what_is_installed(unpacked):
    folder = unpacked["ocpp-persister"]
    units = list((folder / "lib/systemd/system").glob("*.service"))
    assert len(units) == 2
    for unit in units:
        command = re.search(r"^ExecStart=(\S+)", unit.read_text(), re.M).group(1)
        assert command == "/usr/bin/ocpp-persister"


def test_pages_changelog_and_library_are_as_policy_wants_them(unpacked, packages):
    for page in ("man1/ocpp-persister.1.gz", "man5/ocpp-persister.ini.5.gz"):
        data = (unpacked["ocpp-persister"] / "usr/share/man" / page).read_bytes()
        assert gzip.decompress(data).startswith(b".TH OCPP")
    for name in NAMES:
        changelog = gzip.decompress(
            (unpacked[name] / f"usr/share/doc/{name}/changelog.Debian.gz").read_bytes()).decode()
        first = re.match(r"ocpp-persister \((\S+)\) \w+; urgency=\w+\n\n  \* .+\n\n"
                         r" -- .+ <\S+@\S+>  \w{3}, \d\d \w{3} \d{4} [\d:]{8} \+0000\n", changelog)
        assert first and first.group(1) == field(packages[name], "Version")
    library = unpacked["libocpp-store0"]
    assert re.match(r"libocpp-store 0 libocpp-store0 \(>= ",
                    (library / "DEBIAN/shlibs").read_text())
    assert (library / "DEBIAN/triggers").read_text() == "activate-noawait ldconfig\n"


@pytest.mark.skipif(shutil.which("lintian") is None,
                    reason="lintian is not installed (deploy/install-deps test)")
def test_lintian_finds_nothing(packages):
    """Neither errors nor warnings, but for those in lintian-overrides."""
    done = subprocess.run(["lintian", "--allow-root", "--fail-on", "error,warning",
                           *packages.values()], text=True, capture_output=True)
    assert done.returncode == 0, done.stdout + done.stderr
