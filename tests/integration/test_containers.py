"""The files for containers: docker-compose.yml, Dockerfile, deploy/kubernetes, deploy/helm. Runs no
container; the files for broker and database are tried on real ones."""

import json
import os
import pathlib
import re
import shutil
import subprocess

import pytest
import rig
from conftest import ROOT, run_cli

yaml = pytest.importorskip(
    "yaml", reason="python3-yaml is not installed (deploy/install-deps test)")

ROOT = pathlib.Path(ROOT)
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES = COMPOSE["services"]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
VERSION = re.search(r"project\(ocpp-persister VERSION (\S+)",
                    (ROOT / "CMakeLists.txt").read_text())[1]
CHART = ROOT / "deploy/helm/ocpp-persister"
KNOWN = re.findall(r'^SETTING\(\w+, "([\w.]+)"', (ROOT / "consumer/config/config.def").read_text(),
                   re.M)
PASSWORDS = dict(line.split("=") for line in
                 (ROOT / "deploy/compose/example.env").read_text().splitlines()
                 if not line.startswith("#"))


def manifests():
    """{kind and name: object} of deploy/kubernetes."""
    found = {}
    for path in sorted((ROOT / "deploy/kubernetes").glob("*.yaml")):
        for item in yaml.safe_load_all(path.read_text()):
            if item["kind"] != "Kustomization":
                found[item["kind"], item["metadata"]["name"]] = item
    return found


def filled(value):
    """With the passwords of the example, as docker compose does it."""
    return re.sub(r"\$\{(\w+):\?[^}]*\}", lambda m: PASSWORDS[m[1]], str(value))


def settings_of(environment):
    names = {name.replace(".", "_").upper(): name for name in KNOWN}
    assert environment.keys() <= names.keys()
    return {names[key]: filled(value) for key, value in environment.items()}


# ---- docker compose ----

def test_settings_of_the_compose_file_exist_and_are_accepted():
    for name in ("persister", "migrate"):
        done = run_cli(settings_of(SERVICES[name]["environment"]), "config", "check")
        assert done.stdout.startswith("ok (") and done.stderr == "", done


def test_passwords_come_from_the_environment_and_the_example_has_them_all():
    text = (ROOT / "docker-compose.yml").read_text()
    assert set(re.findall(r"\$\{(\w+)", text)) == PASSWORDS.keys()
    # A missing one is not made up.
    assert len(re.findall(r"\$\{\w+:\?", text)) == len(re.findall(r"\$\{", text))
    assert len(set(PASSWORDS.values())) == len(PASSWORDS)
    assert not any(re.search(r"PASSWORD: *[\w\"']", line) for line in text.splitlines())


def test_images_have_tags_and_mounted_files_and_volumes_exist():
    images = [service["image"] for service in SERVICES.values() if "build" not in service]
    images += re.findall(r"^FROM (\S+)", DOCKERFILE, re.M)
    assert len(images) == 6 and all(re.search(r":[\w.-]*\d", image) for image in images)
    mounts = [mount.split(":") for service in SERVICES.values()
              for mount in service.get("volumes", [])]
    files = [mount for mount in mounts if mount[0].startswith("./")]
    assert len(files) > 5 and all((ROOT / mount[0]).is_file() for mount in files)
    assert all(mount[2] == "ro" for mount in files)
    assert {mount[0] for mount in mounts if mount not in files} == COMPOSE["volumes"].keys()


def test_services_have_few_rights_and_only_loopback_ports():
    for name, service in SERVICES.items():
        assert "no-new-privileges:true" in service["security_opt"], name
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", [])), name
        if name != "postgres":  # whose image begins as root, to make its folder its own
            assert service["read_only"] and service["cap_drop"] == ["ALL"], name


@pytest.fixture(scope="module")
def compose_broker(workspace):
    """mosquitto, started by the compose file's command with the files that it mounts."""
    if shutil.which("mosquitto_sub") is None:
        pytest.skip("mosquitto-clients is not installed (deploy/install-deps test)")
    folder = pathlib.Path(workspace.folder("compose_mosquitto"))
    port = rig.free_port()

    def placed(text):
        return (text.replace("/tmp/passwords", f"{folder}/passwords")
                .replace("/mosquitto/config/", f"{folder}/")
                .replace("/mosquitto/data/", f"{folder}/"))

    for name in ("deploy/mosquitto.conf", "deploy/compose/acl"):
        text = placed((ROOT / name).read_text())
        workspace.write(str(folder / pathlib.Path(name).name),
                        text.replace("listener 1883", f"listener {port} 127.0.0.1"))
    service = SERVICES["mosquitto"]
    path = f"{os.path.dirname(rig.Broker.bin('mosquitto'))}:{os.environ['PATH']}"
    process = workspace.spawn(
        [*service["entrypoint"], placed(service["command"][0]).replace("$$", "$")],
        str(folder / "log"), {**os.environ, "PATH": path, **{
            key: filled(value) for key, value in service["environment"].items()}})
    rig.wait_until(lambda: rig.accepts(port), what=lambda: rig.tail(folder / "log"))
    yield port
    process.terminate()
    process.wait()
    workspace.forget(process)


def client(program, port, user, *arguments):
    words = [program, "-h", "127.0.0.1", "-p", str(port), "-V", "5", "-q", "1"]
    if user:
        words += ["-u", user, "-P", PASSWORDS[f"MQTT_{user.upper()}_PASSWORD"]]
    return subprocess.run([*words, *arguments], text=True, capture_output=True)


def test_broker_of_the_compose_file_lets_each_do_its_part(compose_broker):
    def received(topic, user, publisher):
        session = ["-i", "s", "-c", "-x", "60", "-t", topic]
        client("mosquitto_sub", compose_broker, user, *session, "-E")
        client("mosquitto_pub", compose_broker, publisher, "-t", topic, "-m", "x")
        return client("mosquitto_sub", compose_broker, user, *session, "-W", "1", "-C", "1").stdout

    assert received("cs/in/ocpp1.6/cs1", "persister", "csms") == "x\n"
    assert received("cs/store/token", "persister", "csms") == "x\n"
    assert received("cs/in/ocpp1.6/cs2", "persister", "persister") == ""  # may only read
    assert received("other", "persister", "csms") == ""
    refused = client("mosquitto_pub", compose_broker, None, "-t", "cs/in/a/b", "-m", "x")
    assert refused.returncode != 0 and "not authori" in refused.stderr.lower()


def test_health_check_of_the_broker_is_answered(compose_broker):
    kind, command = SERVICES["mosquitto"]["healthcheck"]["test"]
    assert kind == "CMD-SHELL"
    command = command.replace("$$", "$").replace("_sub ", f"_sub -p {compose_broker} ")
    # The broker says it every 10 s, and keeps it; the check is repeated.
    done = subprocess.run(["sh", "-c", command.replace("-W 3", "-W 30")], text=True,
                          capture_output=True, env={**os.environ, **PASSWORDS})
    assert done.returncode == 0 and "seconds" in done.stdout, done.stderr


def test_roles_of_the_compose_file_suffice(workspace, compose_broker):
    """As the image of PostgreSQL runs the script; then what `migrate` and `persister` do."""
    server = rig.Postgres(workspace, fast=True, name="compose_postgres").start()
    try:
        server.psql("CREATE DATABASE ocpp")
        server.psql(f"CREATE ROLE owner SUPERUSER LOGIN PASSWORD "
                    f"'{PASSWORDS['POSTGRES_OWNER_PASSWORD']}'")
        environment = {**server.env("ocpp"), "POSTGRES_USER": "owner", "POSTGRES_DB": "ocpp",
                       "PGPASSWORD": PASSWORDS["POSTGRES_OWNER_PASSWORD"], **PASSWORDS}
        environment["PATH"] = f"{os.path.dirname(server.bin('psql'))}:{environment['PATH']}"
        subprocess.run(["sh", ROOT / "deploy/compose/roles.sh"], env=environment, check=True,
                       capture_output=True)
        where = {"storage.postgres.host": "127.0.0.1", "storage.postgres.port": server.port}
        owner = {**settings_of(SERVICES["migrate"]["environment"]), **where}
        done = run_cli(owner, *SERVICES["migrate"]["command"])
        assert done.returncode == 0, done.stderr
        persister = {**settings_of(SERVICES["persister"]["environment"]), **where,
                     "mqtt.url": f"mqtt://127.0.0.1:{compose_broker}"}
        done = run_cli(persister, "config", "check", "--connect")
        assert done.returncode == 0 and "failed" not in done.stdout, done.stdout
        reader = {**environment, "PGUSER": "grafana", "PGPASSFILE": "/nonexistent",
                  "PGPASSWORD": PASSWORDS["POSTGRES_GRAFANA_PASSWORD"]}
        psql = [server.bin("psql"), "-XAtc"]
        assert subprocess.run([*psql, "SELECT count(*) FROM ocpp.sessions"], env=reader, text=True,
                              capture_output=True, check=True).stdout == "0\n"
        done = subprocess.run([*psql, "DELETE FROM ocpp.transactions"], env=reader, text=True,
                              capture_output=True)
        assert "permission denied" in done.stderr
    finally:
        server.stop()


def test_prometheus_looks_where_the_persister_listens():
    config = yaml.safe_load((ROOT / "deploy/compose/prometheus.yml").read_text())
    port = SERVICES["persister"]["environment"]["HTTP_LISTEN"].split(":")[1]
    assert config["scrape_configs"][0]["static_configs"] == [{"targets": [f"persister:{port}"]}]
    mounted = [mount.split(":")[1] for mount in SERVICES["prometheus"]["volumes"]]
    assert {f"/etc/prometheus/{name}" for name in config["rule_files"]} <= set(mounted)
    if shutil.which("promtool"):
        done = subprocess.run(["promtool", "check", "config", "--syntax-only",
                               ROOT / "deploy/compose/prometheus.yml"], text=True,
                              capture_output=True)
        assert done.returncode == 0, done.stdout + done.stderr


def test_grafana_gets_its_sources_and_its_dashboard():
    sources = yaml.safe_load((ROOT / "deploy/compose/grafana-datasources.yml").read_text())
    hosts = {re.search(r"(\w+):\d+$", source["url"])[1] for source in sources["datasources"]}
    assert hosts <= SERVICES.keys()
    folder = yaml.safe_load((ROOT / "deploy/compose/grafana-dashboards.yml").read_text())
    path = folder["providers"][0]["options"]["path"]
    mounts = dict(mount.split(":")[:2] for mount in SERVICES["grafana"]["volumes"])
    dashboard = next(here for here, there in mounts.items() if there.startswith(f"{path}/"))
    text = (ROOT / dashboard).read_text()
    json.loads(text)
    named = set(re.findall(r'"uid": "(\w+)"[^}]*}[^}]*"targets"', text))
    assert named <= {source["uid"] for source in sources["datasources"]}


# ---- the image ----

def test_image_is_not_root_and_has_what_its_health_check_calls():
    last = DOCKERFILE.split("\nFROM ")[-1]
    assert re.search(r"^USER 10001:10001$", last, re.M)
    assert "--uid 10001 --gid 10001" in last and " curl " in last
    check = json.loads(re.search(r"^HEALTHCHECK .* CMD (\[.*\])$", last, re.M)[1])
    assert check[0] == "curl" and check[-1] == "http://127.0.0.1:9464/healthz"


# ---- Kubernetes ----

def pods():
    """(name of the object, its pod) of everything that runs."""
    for (_, name), item in manifests().items():
        if "template" in item.get("spec", {}):
            yield name, item["spec"]["template"]["spec"]


def test_kustomization_has_every_manifest_but_the_one_by_hand():
    folder = ROOT / "deploy/kubernetes"
    listed = yaml.safe_load((folder / "kustomization.yaml").read_text())["resources"]
    there = {path.name for path in folder.glob("*.yaml")}
    assert sorted(listed) == sorted(there - {"kustomization.yaml", "drain.yaml"})


def test_settings_of_kubernetes_are_accepted_with_the_environment_of_each(tmp_path):
    objects = manifests()
    settings = tmp_path / "ocpp-persister.ini"
    settings.write_text(objects["ConfigMap", "ocpp-persister"]["data"]["ocpp-persister.ini"])
    for name, pod in pods():
        container = pod["containers"][0]
        environment = {}
        for source in container["envFrom"]:
            environment.update(objects["Secret", source["secretRef"]["name"]]["stringData"])
        assert container["args"][:2] == ["--config", "/etc/ocpp-persister/ocpp-persister.ini"]
        done = run_cli(settings_of(environment), "--config", str(settings), "config", "print")
        assert done.returncode == 0, done.stderr
        assert not [line for line in done.stdout.splitlines() if "verify-full" in line
                    and "ocpp-persister.ini" not in line], name


def test_pods_may_do_little_and_find_what_they_mount():
    objects = manifests()
    for name, pod in pods():
        assert pod["automountServiceAccountToken"] is False, name
        user = pod["securityContext"]
        assert user["runAsUser"] == 10001 and user["runAsNonRoot"], name
        container = pod["containers"][0]
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]}}, name
        volumes = {volume["name"] for volume in pod["volumes"]}
        claims = {claim["metadata"]["name"] for claim in
                  objects["StatefulSet", "ocpp-persister"]["spec"]["volumeClaimTemplates"]}
        assert {mount["name"] for mount in container["volumeMounts"]} <= volumes | claims
        for volume in pod["volumes"]:
            if "configMap" in volume:
                assert ("ConfigMap", volume["configMap"]["name"]) in objects
    assert {pod["containers"][0]["image"] for _, pod in pods()} == {f"ocpp-persister:{VERSION}"}


def test_workers_are_selected_drained_and_probed():
    objects = manifests()
    workers = objects["StatefulSet", "ocpp-persister"]["spec"]
    labels = workers["template"]["metadata"]["labels"]
    assert workers["selector"]["matchLabels"] == labels
    assert objects["Service", "ocpp-persister"]["spec"]["selector"] == labels
    budget = objects["PodDisruptionBudget", "ocpp-persister"]["spec"]
    assert budget["selector"]["matchLabels"] == labels
    for (kind, name), item in objects.items():
        if kind == "Job":  # is not one of them
            assert item["spec"]["template"]["metadata"]["labels"] != labels, name
    container = workers["template"]["spec"]["containers"][0]
    assert container["livenessProbe"]["httpGet"]["path"] == "/healthz"
    assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"
    claim = workers["volumeClaimTemplates"][0]["metadata"]["name"]
    drained = objects["Job", "ocpp-persister-drain"]["spec"]["template"]["spec"]["volumes"]
    names = [volume["persistentVolumeClaim"]["claimName"] for volume in drained
             if "persistentVolumeClaim" in volume]
    assert names == [f"{claim}-ocpp-persister-{workers['replicas'] - 1}"]


# ---- Helm ----

def test_values_of_the_chart_fit_their_schema_and_its_templates():
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    schema = json.loads((CHART / "values.schema.json").read_text())
    assert values.keys() | {"global"} == schema["properties"].keys()
    text = "".join(path.read_text() for path in sorted((CHART / "templates").iterdir()))
    for path in re.findall(r"\.Values\.([\w.]+)", text):
        found = values
        for word in path.split("."):
            assert word in found, path
            found = found[word]
    defined = set(re.findall(r'define "([\w.]+)"', text))
    assert set(re.findall(r'include "([\w.]+)"', text)) == defined
    for section, pairs in values["settings"].items():
        assert {f"{section}.{name}" for name in pairs} <= set(KNOWN)
    assert yaml.safe_load((CHART / "Chart.yaml").read_text())["appVersion"] == VERSION


GOCODE = pathlib.Path("/usr/share/gocode")  # where Debian has the sources of Go's libraries


@pytest.fixture(scope="module")
def rendered(tmp_path_factory):
    """rendered("workers=3"): {kind: object} that the chart makes of these values."""
    if shutil.which("go") is None or not (GOCODE / "src/github.com/Masterminds/sprig").exists():
        pytest.skip("no Go to render the chart with (apt-get install golang-go "
                    "golang-github-masterminds-sprig-dev golang-gopkg-yaml.v3-dev)")
    program = tmp_path_factory.mktemp("helm") / "render"
    subprocess.run(["go", "build", "-o", program, ROOT / "tests/helm/render.go"], check=True,
                   env={**os.environ, "GO111MODULE": "off", "GOPATH": str(GOCODE),
                        "GOCACHE": str(program.parent / "cache")})

    def render(*values):
        done = subprocess.run([program, CHART, "csms", *values], text=True, capture_output=True)
        assert done.returncode == 0, done.stderr
        return {item["kind"]: item for item in yaml.safe_load_all(done.stdout)}

    return render


def test_chart_makes_what_the_manifests_have(rendered):
    made, plain = rendered(), manifests()
    assert made.keys() == {kind for kind, _ in plain} - {"Secret"}
    workers, ours = (item["spec"] for item in (
        made["StatefulSet"], plain["StatefulSet", "ocpp-persister"]))
    assert workers["volumeClaimTemplates"] == ours["volumeClaimTemplates"]
    pod, our_pod = workers["template"]["spec"], ours["template"]["spec"]
    assert pod["securityContext"] == our_pod["securityContext"]
    container, our_container = pod["containers"][0], our_pod["containers"][0]
    for key, value in our_container.items():
        assert container[key] == value, key
    labels = workers["template"]["metadata"]["labels"]
    assert workers["selector"]["matchLabels"] == labels == made["Service"]["spec"]["selector"]
    assert made["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"] == labels
    assert made["Job"]["spec"]["template"]["metadata"]["labels"] != labels


def test_values_of_the_chart_reach_what_it_makes(rendered, tmp_path):
    made = rendered("workers=3", "image.tag=9.9", "log.storageClass=fast", "migrate=false",
                    "settings.mqtt.receive_maximum=20000", "settings.mqtt.tls_verify=true",
                    "nodeSelector={disk: ssd}")
    assert "Job" not in made and "annotations" not in made["ConfigMap"]["metadata"]
    workers = made["StatefulSet"]["spec"]
    assert workers["replicas"] == 3
    assert workers["template"]["spec"]["containers"][0]["image"] == "ocpp-persister:9.9"
    assert workers["template"]["spec"]["nodeSelector"] == {"disk": "ssd"}
    assert workers["volumeClaimTemplates"][0]["spec"]["storageClassName"] == "fast"
    settings = tmp_path / "ocpp-persister.ini"
    settings.write_text(made["ConfigMap"]["data"]["ocpp-persister.ini"])
    done = run_cli({}, "--config", str(settings), "config", "print")
    assert done.returncode == 0, done.stderr
    assert re.search(r"receive_maximum = 20000 ", done.stdout)
    # Other settings are another template, so that the workers are restarted.
    sums = [made["StatefulSet"]["spec"]["template"]["metadata"]["annotations"],
            rendered()["StatefulSet"]["spec"]["template"]["metadata"]["annotations"]]
    assert sums[0] != sums[1]
