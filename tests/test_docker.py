"""The files of docker/, linted and held to our own rules; no Docker engine is needed."""

import http.server
import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import packaging.requirements
import pytest

import tfvision

ROOT = Path(__file__).parents[1]
DOCKER = ROOT / "docker"
DOCKERFILES = sorted(DOCKER.glob("*.Dockerfile"))
MANIFESTS = sorted(path for path in DOCKER.glob("kubernetes/*.yaml") if path.name != "kustomization.yaml")
OVERLAYS = sorted(path for path in DOCKER.glob("kubernetes-*/*.yaml") if path.name not in ("kustomization.yaml", "gpu.yaml"))
STACKS = ["3.11", "3.13"]  # the values of --build-arg PYTHON
KUBERNETES = ["1.30", "1.37"]  # the oldest and the newest version that we hold to
PLAIN_JOBS = {"training.Dockerfile"}  # they end: no health to check
INSTALL = "this test needs a linter of the extra `test`: pip install -e '.[test]'"


def _import(name):
    try:
        return __import__(name)
    except ImportError:
        pytest.fail(f"{name} is missing; {INSTALL}")


def _load_all(path):
    return list(_import("yaml").safe_load_all(path.read_text()))


def _instructions(path):
    """[(INSTRUCTION, rest)] of a Dockerfile, with continued lines joined."""
    text = "\n".join(line for line in path.read_text().splitlines() if not line.lstrip().startswith("#"))
    lines = re.sub(r"\\\n", " ", text).splitlines()
    return [(line.split(None, 1)[0], line.split(None, 1)[1].strip()) for line in lines if line.strip()]


def _filled(path, **given):
    """The instructions of a Dockerfile with its arguments filled in: the defaults, or what is given."""
    instructions = _instructions(path)
    arguments = dict(rest.split("=", 1) for name, rest in instructions if name == "ARG" and "=" in rest) | given
    return [(name, re.sub(r"\$\{(\w+)\}", lambda match: arguments[match[1]], rest) if name in ("FROM", "COPY") else rest) for name, rest in instructions]


def _images(path, **given):
    """The images that a Dockerfile starts from; not its own stages."""
    starts = [rest.split(" AS ") for name, rest in _filled(path, **given) if name == "FROM"]
    stages = {stage for _, *stage in starts for stage in stage}
    return [image for image, *_ in starts if image not in stages]


def _is_pinned(image):
    return re.fullmatch(r"[a-z0-9/._-]+:v?\d+\.\d+\.\d+[a-z0-9.-]*(@sha256:[0-9a-f]{64})?", image) is not None


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.name)
def test_hadolint_finds_nothing(path):
    beside = Path(sys.executable).parent / "hadolint"
    hadolint = str(beside) if beside.exists() else shutil.which("hadolint")
    if not hadolint:
        pytest.fail(f"hadolint is missing; {INSTALL}")
    done = subprocess.run([hadolint, "--no-color", str(path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.name)
def test_images_are_pinned_run_without_rights_and_say_their_health(path):
    assert [image for image in _images(path) if not _is_pinned(image)] == []
    instructions = _instructions(path)
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", [rest for name, rest in instructions if name == "USER"][-1])
    (health,) = [rest for name, rest in instructions if name == "HEALTHCHECK"]
    assert (health == "NONE") == (path.name in PLAIN_JOBS)


@pytest.mark.parametrize("image", ["python", "python:latest", "tensorflow/serving:2.21", "python:3.13.14@sha256:1"])
def test_a_tag_that_moves_is_not_pinned(image):
    assert not _is_pinned(image)


@pytest.mark.parametrize("stack", STACKS)
@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.name)
def test_every_file_that_is_copied_exists_and_is_let_into_the_context(path, stack):
    own = path.with_name(path.name + ".dockerignore")
    context, ignore = (ROOT, own) if own.exists() else (DOCKER, DOCKER / ".dockerignore")
    allowed = [line[1:] for line in ignore.read_text().splitlines() if line.startswith("!")]
    for name, rest in _filled(path, PYTHON=stack):
        for source in rest.split()[:-1] if name == "COPY" else []:
            assert (context / source).exists(), source
            assert any(source == place or source.startswith(place + "/") for place in allowed), source


def test_tensorboard_has_the_versions_of_the_constraints():
    locked = (ROOT / "constraints" / "python3.13.txt").read_text().splitlines()
    pins = re.findall(r"[\w-]+==[\w.]+", (DOCKER / "tensorboard.Dockerfile").read_text())
    assert len(pins) == 4 and set(pins) <= set(locked)


@pytest.mark.parametrize("stack", STACKS)
def test_the_training_image_is_of_the_stack_that_is_asked_for_and_holds_the_wheel(stack):
    instructions = _filled(DOCKER / "training.Dockerfile", PYTHON=stack)
    starts = [rest for name, rest in instructions if name == "FROM"]
    assert starts[-1] == f"python{stack}" and starts[-2] == f"python{stack} AS wheel"
    (image,) = [start.split(" AS ")[0] for start in starts if start.endswith(f" AS python{stack}")]
    assert image.startswith(f"python:{stack}.")
    copied = [rest for name, rest in instructions if name == "COPY"]
    assert f"constraints/python{stack}.txt locked.txt" in copied and f"docker/cuda/python{stack}.txt cuda.txt" in copied
    installs = [rest for name, rest in instructions if name == "RUN" and "pip install" in rest]
    assert "from=wheel" in installs[-1] and "/wheels/*.whl" in installs[-1] and "-e " not in "".join(installs)


@pytest.mark.parametrize("stack", STACKS)
def test_cuda_is_locked_beside_the_other_constraints(stack):
    ours = _cuda(stack)
    locked = (ROOT / "constraints" / f"python{stack}.txt").read_text()
    assert not [name for name in ours if f"{name}==" in locked]
    assert {"nvidia-cudnn-cu12", "nvidia-cublas-cu12", "nvidia-nccl-cu12"} <= ours.keys()


def test_cuda_has_the_versions_that_tensorflow_of_this_stack_asks_for():
    ours = _cuda("3.11" if sys.version_info < (3, 12) else "3.13")
    asked = [packaging.requirements.Requirement(text) for text in importlib.metadata.requires("tensorflow")]
    cuda = [one for one in asked if one.name.startswith("nvidia-") and one.marker.evaluate({"extra": "and-cuda"})]
    assert {one.name for one in cuda} == ours.keys()
    assert [str(one) for one in cuda if ours[one.name] not in one.specifier] == []


def _cuda(stack):
    """{package: version} of CUDA in the training image."""
    return dict(line.split("==") for line in (DOCKER / "cuda" / f"python{stack}.txt").read_text().splitlines() if line[0] != "#")


def test_compose_follows_its_schema():
    _import("check_jsonschema")
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    done = subprocess.run([*command, str(DOCKER / "compose.yaml")], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_compose_services_are_hardened_and_reachable_from_this_machine_only():
    (compose,) = _load_all(DOCKER / "compose.yaml")
    assert set(compose["services"]) == {"serving", "tensorboard"}
    for service in compose["services"].values():
        assert service["read_only"] and service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert service["user"] == "10001:10001" and service["healthcheck"]["test"][0] == "CMD"
        assert all(port.startswith("127.0.0.1:") for port in service["ports"])
        assert all(volume["read_only"] for volume in service["volumes"])
        assert _is_pinned(service["image"]) and service["image"].endswith(f":{tfvision.__version__}")
        assert (DOCKER / service["build"]["dockerfile"]).exists()


@pytest.mark.parametrize("name", ["serving", "tensorboard"])
def test_compose_checks_health_as_the_image_does(name):
    service = _load_all(DOCKER / "compose.yaml")[0]["services"][name]
    instructions = _instructions(DOCKER / service["build"]["dockerfile"])
    (health,) = [rest for instruction, rest in instructions if instruction == "HEALTHCHECK"]
    options, command = re.split(r"\s+CMD\s+", health)
    expected = service["healthcheck"]
    assert ["CMD", *json.loads(command)] == expected["test"]
    assert {f"--{key.replace('_', '-')}={expected[key]}" for key in expected.keys() - {"test"}} == set(options.split())


@pytest.mark.parametrize("version", KUBERNETES)
@pytest.mark.parametrize("path", [*MANIFESTS, *OVERLAYS], ids=lambda path: path.name)
def test_manifests_follow_the_schemas_of_kubernetes(path, version):
    validator = _import("kubernetes_validate")
    for manifest in _load_all(path):
        validator.validate(manifest, version, strict=True)


def test_kustomization_lists_every_manifest_and_the_three_configuration_files():
    (kustomization,) = _load_all(DOCKER / "kubernetes" / "kustomization.yaml")
    assert set(kustomization["resources"]) == {path.name for path in MANIFESTS} | {"../config"}
    (config,) = _load_all(DOCKER / "config" / "kustomization.yaml")
    (generated,) = config["configMapGenerator"]
    assert generated["files"] == ["models.config", "batching.config", "monitoring.config"]
    assert config["generatorOptions"] == {"disableNameSuffixHash": True}  # the deployment names it as it is


def test_manifests_refer_to_what_there_is():
    objects = {(item["kind"], item["metadata"]["name"]): item for path in MANIFESTS for item in _load_all(path)}
    pod = objects["Deployment", "tfvision-serving"]["spec"]["template"]
    volumes = {volume["name"]: volume for volume in pod["spec"]["volumes"]}
    assert ("PersistentVolumeClaim", volumes["models"]["persistentVolumeClaim"]["claimName"]) in objects
    assert volumes["config"]["configMap"]["name"] == "tfvision-serving"
    (container,) = pod["spec"]["containers"]
    ports = {port["name"] for port in container["ports"]}
    for kind, name in objects:
        if kind == "Service":
            service = objects[kind, name]["spec"]
            assert service["selector"].items() <= pod["metadata"]["labels"].items()
            assert {port["targetPort"] for port in service["ports"]} <= ports and service["type"] == "ClusterIP"
    target = objects["HorizontalPodAutoscaler", "tfvision-serving"]["spec"]["scaleTargetRef"]
    assert (target["kind"], target["name"]) in objects


def test_budget_spread_and_network_policy_select_the_pods():
    objects = {(item["kind"], item["metadata"]["name"]): item for path in MANIFESTS for item in _load_all(path)}
    pod = objects["Deployment", "tfvision-serving"]["spec"]["template"]
    budget, policy = (objects[kind, "tfvision-serving"]["spec"] for kind in ("PodDisruptionBudget", "NetworkPolicy"))
    spread = [constraint["labelSelector"] for constraint in pod["spec"]["topologySpreadConstraints"]]
    for selector in (budget["selector"], policy["podSelector"], *spread):
        assert selector["matchLabels"].items() <= pod["metadata"]["labels"].items()
    (container,) = pod["spec"]["containers"]
    assert {port["port"] for rule in policy["ingress"] for port in rule["ports"]} == {port["name"] for port in container["ports"]}
    assert {port["port"] for rule in policy["egress"] for port in rule["ports"]} == {53}
    assert pod["spec"]["securityContext"]["fsGroup"] == pod["spec"]["securityContext"]["runAsGroup"]


def test_overlays_change_and_lead_to_what_there_is():
    (gpu,) = _load_all(DOCKER / "kubernetes-gpu" / "kustomization.yaml")
    (patch,) = _load_all(DOCKER / "kubernetes-gpu" / gpu["patches"][0]["path"])
    (deployment,) = _load_all(DOCKER / "kubernetes" / "deployment.yaml")
    assert gpu["resources"] == ["../kubernetes"] and patch["metadata"]["name"] == deployment["metadata"]["name"]
    (patched,), (container,) = (item["spec"]["template"]["spec"]["containers"] for item in (patch, deployment))
    assert patched["name"] == container["name"] and patched["resources"]["limits"] == {"nvidia.com/gpu": "1"}
    assert f"{gpu['images'][0]['name']}:{gpu['images'][0]['newTag']}" == f"{container['image']}-gpu"
    (ingress,) = _load_all(DOCKER / "kubernetes-ingress" / "ingress.yaml")
    services = {item["metadata"]["name"]: item["spec"] for item in _load_all(DOCKER / "kubernetes" / "service.yaml")}
    for rule in ingress["spec"]["rules"]:
        for path in rule["http"]["paths"]:
            backend = path["backend"]["service"]
            assert backend["port"]["name"] in {port["name"] for port in services[backend["name"]]["ports"]}
            assert path["path"].startswith("/v1/models")
    assert {host for entry in ingress["spec"]["tls"] for host in entry["hosts"]} == {rule["host"] for rule in ingress["spec"]["rules"]}


def test_the_pod_runs_without_rights_with_limits_and_probes():
    (deployment,) = _load_all(DOCKER / "kubernetes" / "deployment.yaml")
    pod = deployment["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"] and pod["securityContext"]["runAsUser"] > 0
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert {"startupProbe", "readinessProbe", "livenessProbe"} <= container.keys()
    assert container["resources"].keys() == {"requests", "limits"} and _is_pinned(container["image"])
    assert not pod["automountServiceAccountToken"]


def test_kubernetes_and_compose_start_the_same_server_in_the_same_way():
    (deployment,) = _load_all(DOCKER / "kubernetes" / "deployment.yaml")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    instructions = dict(_instructions(DOCKER / "serving.Dockerfile"))
    assert [container["image"]] == _images(DOCKER / "serving.Dockerfile")
    assert container["command"] == json.loads(instructions["ENTRYPOINT"])
    threads = [argument for argument in container["args"] if "_op_parallelism=" in argument]
    assert [argument for argument in container["args"] if argument not in threads] == json.loads(instructions["CMD"])


def test_the_configuration_in_git_is_what_tfvision_writes(tmp_path):
    from tfvision.serving.configuration import check_configuration, write_configuration

    (tmp_path / "exports/species/1").mkdir(parents=True)
    (tmp_path / "exports/species/1/saved_model.pb").touch()
    write_configuration(tmp_path / "exports", tmp_path / "config")
    for name in ("batching.config", "monitoring.config"):
        assert (DOCKER / "config" / name).read_text() == (tmp_path / "config" / name).read_text()
    (deployment,) = _load_all(DOCKER / "kubernetes" / "deployment.yaml")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    metrics = check_configuration(tmp_path / "config")["monitoring"]
    assert container["readinessProbe"]["httpGet"]["path"] == container["startupProbe"]["httpGet"]["path"] == metrics


class _Status(http.server.BaseHTTPRequestHandler):
    """Answers as TensorFlow Serving: `ready` is available, `broken` is not, others are unknown."""

    def do_GET(self):
        states = {"/v1/models/ready": "AVAILABLE", "/v1/models/broken": "END"}
        state = states.get(self.path)
        body = json.dumps({"model_version_status": [{"version": "1", "state": state}]} if state else {"error": "not found"})
        self.send_response(200 if state else 404)
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_):
        pass


@pytest.fixture
def check_health(tmp_path):
    """Runs the image's health check for a models.config, against a server that answers as TensorFlow Serving."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Status)
    threading.Thread(target=server.serve_forever, daemon=True).start()

    def check(config, port=server.server_port):
        (tmp_path / "models.config").write_text(config)
        environment = {**os.environ, "MODELS_CONFIG": str(tmp_path / "models.config"), "REST_PORT": str(port)}
        command = ["bash", str(DOCKER / "healthcheck.sh")]
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)

    yield check
    server.shutdown()
    server.server_close()


def test_the_server_is_healthy_when_every_model_is_available(check_health):
    assert check_health('# name: "old"\nconfig {\n  name: "ready"\n}\nconfig { name: "ready" }').returncode == 0
    for config, reason in [
        ('config { name: "ready" }\nconfig { name: "broken" }', "broken has no available version: HTTP/1.0 200 OK"),
        ('config { name: "missing" }', "missing has no available version: HTTP/1.0 404 Not Found"),
        ("", "models.config lists no model"),
    ]:
        done = check_health(config)
        assert done.returncode == 1 and reason in done.stderr
    assert check_health('config { name: "ready" }', port=9).returncode != 0
