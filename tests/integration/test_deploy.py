"""What is in deploy/ and the container files fits the program. Containers are not run here."""

import json
import pathlib
import platform
import re
import shutil
import subprocess

import pytest
from conftest import BUILD, run_cli

ROOT = pathlib.Path(__file__).resolve().parents[2]
COMPOSE = (ROOT / "docker-compose.yml").read_text()
INSTALL = (ROOT / "docs" / "install.md").read_text()
DOCKERFILE = (ROOT / "Dockerfile").read_text()
# For the health check, and for TLS where mqtt.tls_ca is not set.
NOT_OURS = {"ca-certificates", "curl"}


def test_example_of_settings_is_accepted_and_keeps_to_the_defaults():
    example = ROOT / "deploy" / "ocpp-persister.ini"
    assert run_cli({}, "--config", str(example), "config", "check").stdout == "ok\n"
    # Without the words that say where each comes from.
    printed = [re.sub(r" +# .*", "", run_cli({}, *options, "config", "print").stdout)
               for options in (["--config", str(example)], [])]
    assert printed[0] == printed[1]


def test_settings_of_the_compose_file_exist_and_are_accepted(tmp_path):
    service = COMPOSE.split("\n  persister:\n")[1].split("\nvolumes:")[0]
    values = dict(re.findall(r"^      ([A-Z_]+): (\S+)$", service, re.M))
    known = re.findall(r'^SETTING\(\w+, "([\w.]+)"',
                       (ROOT / "consumer/config/config.def").read_text(), re.M)
    names = {name.replace(".", "_").upper(): name for name in known}
    assert len(values) > 4 and values.keys() <= names.keys()
    done = run_cli({names[key]: value for key, value in values.items()}, "config", "check")
    assert done.stdout == "ok\n", done.stderr


def test_images_have_tags_and_mounted_files_exist():
    images = re.findall(r"^    image: (\S+)$", COMPOSE, re.M) + re.findall(
        r"^FROM (\S+)", DOCKERFILE, re.M)
    assert len(images) == 4 and all(re.search(r":[\w.-]*\d", image) for image in images)
    mounted = re.findall(r"- \./(\S+?):", COMPOSE)
    assert mounted and all((ROOT / name).is_file() for name in mounted)
    volumes = re.findall(r"^  (\w+):$", COMPOSE.split("\nvolumes:\n")[1], re.M)
    assert set(re.findall(r"^      - (\w+):/", COMPOSE, re.M)) == set(volumes)


def test_image_has_the_libraries_that_install_deps_names():
    script = (ROOT / "deploy/install-deps").read_text()
    run = set(re.search(r"\nrun=\((.*?)\)", script, re.S).group(1).split())
    installed = re.search(r"--no-install-recommends(.*?)&& rm", DOCKERFILE.split("\nFROM ")[-1],
                          re.S).group(1).replace("\\", " ").split()
    assert set(installed) - NOT_OURS == {
        name for name in run if name.startswith(("lib", "zlib"))}
    assert "USER persister" in DOCKERFILE


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
    for name in ("LICENSE", "README.md", "CHANGELOG.md"):
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


@pytest.mark.parametrize("page", ["man1/ocpp-persister.1", "man5/ocpp-persister.ini.5"])
def test_manual_says_what_the_program_says(installed, page):
    path = installed / "share/man" / page
    text = path.read_text()
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
