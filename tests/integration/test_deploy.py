"""What is installed, and what installs it. Packages: test_deb.py."""

import gzip
import json
import os
import pathlib
import platform
import re
import shutil
import subprocess
import sys

import pytest
from conftest import BUILD, run_cli

ROOT = pathlib.Path(__file__).resolve().parents[2]
INSTALL = (ROOT / "docs" / "install.md").read_text()


def test_example_of_settings_is_accepted_and_keeps_to_the_defaults():
    example = ROOT / "deploy" / "ocpp-persister.ini"
    assert run_cli({}, "--config", str(example), "config", "check").stdout == f"ok ({example})\n"
    # Without the words that say where each comes from.
    printed = [re.sub(r" +# .*", "", run_cli({}, *options, "config", "print").stdout)
               for options in (["--config", str(example)], [])]
    assert printed[0] == printed[1]


@pytest.fixture
def bare(tmp_path):
    """PATH of a machine on which nothing is installed, for a user who is not root and has no
    sudo."""
    folder = tmp_path / "bare"
    folder.mkdir()
    for name in ("bash", "sed", "sort", "dirname", "basename", "env"):
        (folder / name).symlink_to(shutil.which(name))
    for name, does in (("id", "echo 1000"), ("dpkg-query", "exit 1"), ("apt-get", "exit 1")):
        (folder / name).write_text(f"#!{shutil.which('bash')}\n{does}\n")
        (folder / name).chmod(0o755)
    return {"PATH": str(folder)}


def test_help_of_quickstart_needs_nothing_installed(bare):
    done = subprocess.run([ROOT / "quickstart", "--help"], env=bare, text=True,
                          capture_output=True)
    assert done.returncode == 0 and done.stderr == ""
    engine = (ROOT / "bench/quickstart.py").read_text()
    options = re.findall(r'add_argument\("(--\w+)"', engine)
    assert len(options) == 4 and all(option in done.stdout for option in options)


@pytest.mark.parametrize("words", [["--second", "30"], ["--seconds"], ["--seconds", "soon"],
                                   ["--stations", "--seconds", "5"], ["30"]])
def test_wrong_options_of_quickstart_are_found_before_it_builds(bare, words):
    done = subprocess.run([ROOT / "quickstart", *words], env=bare, text=True, capture_output=True)
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 2, done
    assert done.stderr.startswith("error: ") and done.stdout == ""


def test_help_of_check_needs_nothing_installed(bare):
    done = subprocess.run([ROOT / "check", "--help"], env=bare, text=True, capture_output=True)
    assert done.returncode == 0 and "./check unit lint" in done.stdout, done


def test_quickstart_shows_where_messages_are_and_that_all_are_stored():
    """The engine; the script around it builds the program."""
    done = subprocess.run(
        [sys.executable, "-B", ROOT / "bench/quickstart.py", "--seconds", "5", "--stations", "20"],
        env={**os.environ, "OCPP_PERSISTER_BUILD": str(BUILD)},
        text=True, capture_output=True)
    assert done.returncode == 0, done.stdout + done.stderr
    shown = [[int(number.replace(",", "")) for number in line] for line in re.findall(
        r"^ *(\d+) s  published ([\d,]+)  acknowledged ([\d,]+)  stored ([\d,]+)  "
        r"waiting: broker ([\d,]+), log ([\d,]+)  rows/s [\d,]+$", done.stdout, re.M)]
    assert shown and all(line[1] >= line[2] for line in shown), done.stdout
    assert [line[3] for line in shown] == sorted(line[3] for line in shown)
    assert shown[-1][3] > 0, done.stdout
    assert done.stdout.endswith("balanced\n") and "NOT BALANCED" not in done.stdout


def test_user_without_sudo_is_given_the_whole_list_once(bare):
    done = subprocess.run([ROOT / "quickstart"], env=bare, text=True, capture_output=True)
    assert done.returncode == 1 and done.stdout == ""
    missing, what_to_do = done.stderr.splitlines()
    listed = missing.removeprefix("install-deps: missing are: ").split()
    script = (ROOT / "deploy/install-deps").read_text()
    wanted = {name for purpose in ("build", "run")
              for name in re.search(rf"\n{purpose}=\((.*?)\)", script, re.S).group(1).split()}
    assert sorted(wanted) == sorted(listed)
    assert what_to_do == ("install-deps: run  deploy/install-deps build run  as root, "
                          "or install sudo")


def test_release_is_hardened(tmp_path):
    """A build as operators make it: its flags, and what the compiler made of them."""
    build = tmp_path / "release"
    subprocess.run(["cmake", "--preset", "release", "-B", build], cwd=ROOT, check=True,
                   capture_output=True)
    entry = next(e for e in json.loads((build / "compile_commands.json").read_text())
                 if e["file"].endswith("/consumer/base/text.c"))
    flags = entry["command"].split()
    version = int(subprocess.run(["cc", "-dumpversion"], text=True, capture_output=True,
                                 check=True).stdout.split(".")[0])
    # GCC knows level 3 from 12 on, with glibc 2.34 or later.
    level = 3 if version >= 12 and platform.libc_ver()[1] >= "2.34" else 2
    assert f"-D_FORTIFY_SOURCE={level}" in flags, flags
    assert "-fstack-protector-strong" in flags
    if platform.machine() != "x86_64":
        return
    assert "-fcf-protection" in flags
    target = flags[flags.index("-o") + 1]
    subprocess.run(["cmake", "--build", build, "--target", target], check=True,
                   capture_output=True)
    notes = subprocess.run(["readelf", "-n", build / target], text=True, capture_output=True,
                           check=True).stdout
    assert "IBT" in notes and "SHSTK" in notes, notes


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The folder that the build was installed under."""
    prefix = tmp_path_factory.mktemp("prefix")
    subprocess.run(["cmake", "--install", BUILD, "--prefix", prefix], check=True,
                   capture_output=True)
    return prefix


def test_all_that_is_installed_belongs_to_what_install_md_builds():
    line = re.search(r"cmake --build --preset release --target (\S+)\n", INSTALL).group(1)
    inputs = subprocess.run(["ninja", "-C", BUILD, "-t", "inputs", line], text=True,
                            capture_output=True, check=True).stdout.split()
    for name in ("libocpp-store.so.", "libocpp-store.a"):
        assert any(pathlib.Path(path).name.startswith(name) for path in inputs)


def test_installed_program_has_unit_manual_settings_and_licence(installed):
    program = installed / "bin/ocpp-persister"
    assert subprocess.run([program, "version"], capture_output=True).returncode == 0
    documents = installed / "share/doc/ocpp-persister"
    for name in ("LICENSE", "README.md", "CHANGELOG.md", "SECURITY.md"):
        assert (documents / name).read_bytes() == (ROOT / name).read_bytes()
    for page in (ROOT / "docs").iterdir():
        assert (documents / "docs" / page.name).read_bytes() == page.read_bytes()
    example = documents / "ocpp-persister.ini"
    assert subprocess.run([program, "--config", example, "config", "check"]).returncode == 0
    # As it was configured, not where this test puts it.
    unit = (installed / "lib/systemd/system/ocpp-persister.service").read_text()
    assert re.search(r"^ExecStart=(.*)$", unit, re.M)[1] == "/usr/local/bin/ocpp-persister run"
    settings = re.search(r"^Environment=OCPP_PERSISTER_CONFIG=(.*)$", unit, re.M)[1]
    assert settings in INSTALL and "StateDirectory=ocpp-persister" in unit
    assert not re.search(r"@\w+@", unit)


def test_installed_program_has_a_list_of_what_it_is_made_of(installed):
    bill = json.loads((installed / "share/doc/ocpp-persister/ocpp-persister.cdx.json").read_text())
    assert (bill["bomFormat"], bill["specVersion"], bill["version"]) == ("CycloneDX", "1.5", 1)
    assert re.fullmatch(r"urn:uuid:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", bill["serialNumber"])
    program = bill["metadata"]["component"]
    said = subprocess.run([installed / "bin/ocpp-persister", "version"], text=True,
                          capture_output=True, check=True).stdout
    assert f'{program["name"]} {program["version"]}\n' == said
    found = {part["name"]: part for part in bill["components"]}
    assert len({part["bom-ref"] for part in found.values()}) == len(bill["components"])
    # What install-deps says is needed to run, and what is compiled in.
    script = (ROOT / "deploy/install-deps").read_text()
    run = re.search(r"\nrun=\((.*?)\)", script, re.S).group(1).split()
    wanted = {name for name in run if name.startswith(("lib", "zlib"))} | {"libxxhash-dev", "libc6"}
    assert wanted <= found.keys()
    for name, part in found.items():
        version = subprocess.run(["dpkg-query", "-W", "-f", "${Version}", name], text=True,
                                 capture_output=True, check=True).stdout
        assert part["version"] == version and part["type"] == "library"
        quoted = version.replace("+", "%2B").replace(":", "%3A")
        assert part["purl"].startswith(f"pkg:deb/debian/{name}@{quoted}?arch=")


@pytest.mark.parametrize("page", ["man1/ocpp-persister.1", "man5/ocpp-persister.ini.5"])
def test_manual_says_what_the_program_says(installed, tmp_path, page):
    path = tmp_path / pathlib.Path(page).name
    text = gzip.decompress((installed / f"share/man/{page}.gz").read_bytes()).decode()
    path.write_text(text)
    for word in ["NAME", "DESCRIPTION", "SEE ALSO"]:
        assert f".SH {word}\n" in text
    program = installed / "bin/ocpp-persister"
    if page.startswith("man1"):
        said = subprocess.run([program, "--help"], capture_output=True, text=True).stdout
        names = re.findall(r"^  (\S+)", said.split("commands:")[1], re.M)
        assert len(names) > 10
    else:
        said = subprocess.run([program, "config", "reference"], capture_output=True,
                              text=True).stdout
        names = re.findall(r"^\| `([\w.]+)`", said, re.M)
        assert len(names) > 40
    for name in names:
        assert re.search(rf"^\.(SS|B) {re.escape(name)}$", text.replace("\\-", "-"), re.M), name
    if shutil.which("groff") is None:
        pytest.skip("groff is not installed: what it makes of the page was not looked at")
    done = subprocess.run(["groff", "-ww", "-man", "-Tutf8", path], capture_output=True, text=True)
    assert done.returncode == 0 and done.stderr == ""
    assert not re.search(r"\\[e&-]", done.stdout)


def test_build_needs_nothing_that_only_tests_need(tmp_path):
    """As where packages or an image are built: there is no Python at all."""
    done = subprocess.run(["cmake", "-S", ROOT, "-B", tmp_path, "-D", "TEST_PYTHON=/nonexistent"],
                          text=True, capture_output=True)
    assert done.returncode == 0, done.stderr
    assert "there will be no integration tests: /nonexistent: No such file" in done.stdout
