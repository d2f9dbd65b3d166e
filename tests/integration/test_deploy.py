"""What is in deploy/ and the container files fits the program. Containers are not run here."""

import json
import pathlib
import platform
import re
import subprocess

from conftest import run_cli

ROOT = pathlib.Path(__file__).resolve().parents[2]
COMPOSE = (ROOT / "docker-compose.yml").read_text()
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


def test_unit_starts_what_is_documented():
    unit = (ROOT / "deploy/ocpp-persister.service").read_text()
    command = re.search(r"^ExecStart=(.*)$", unit, re.M).group(1).split()
    assert command[-1] == "run" and "StateDirectory=ocpp-persister" in unit
    for path in (command[0], command[2]):
        assert path in (ROOT / "README.md").read_text() or path.startswith("/usr/local/bin/")
