"""`make deploy-kind` with programs that only write down how they were called."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
KIND = ROOT / "ci" / "kind"
IMAGE = "ghcr.io/stalk-celery/stalk:1.2.3"
PROGRAMS = ("docker", "kind", "kubectl", "curl", "helm")
NEEDED = ("awk", "bash", "cat", "dirname", "env", "grep", "mkdir", "sed", "tr", "uname")
"""What the scripts use of any machine."""

FAKES = {
    "docker": 'case "$*" in "buildx version") exit "${NO_BUILDX:-0}";; image*) echo sha256:0123;; '
    "exec*) echo a program;; esac",
    "kind": 'case "$*" in version) echo "kind v$(cat "$HERE/kind-version") go1.26.1 linux/amd64";; '
    '"get clusters") echo other; cat "$HERE/clusters" 2>/dev/null;; esac; exit 0',
    "curl": "printf '%s\\n' '        args:' '        - --secure-port=10250'",
    "kubectl": 'case "$*" in *"-f -") cat >"$HERE/applied";; esac',
    "helm": f"case $1 in template) echo '          image: \"{IMAGE}\"';; esac",
}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """The scripts in a checkout without an environment, and the programs they call."""
    for folder in ("ci/kind", "ci/deploy"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    (tmp_path / "bin").mkdir()
    for name in NEEDED:
        (tmp_path / "bin" / name).symlink_to(str(shutil.which(name)))
    for name in PROGRAMS:
        path = tmp_path / "bin" / name
        path.write_text(f'#!/bin/sh\necho "{name} $*" >>"$HERE/calls"\n{FAKES[name]}\n')
        path.chmod(0o755)
    (tmp_path / "kind-version").write_text(pinned()["KIND_VERSION"])
    return tmp_path


def pinned() -> dict[str, str]:
    """Return what ci/kind/versions sets."""
    return dict(re.findall(r"^([A-Z_]+)=(\S+)$", (KIND / "versions").read_text(), re.M))


def run(tree: Path, script: str, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [tree / script, *words],
        env={"PATH": str(tree / "bin"), "HERE": str(tree), **env},
        capture_output=True,
        text=True,
        check=False,
    )


def calls(tree: Path) -> list[str]:
    """Return what was called, and forget it."""
    path = tree / "calls"
    found = path.read_text().splitlines() if path.exists() else []
    path.unlink(missing_ok=True)
    return found


def place(found: list[str], pattern: str) -> int:
    """Return where the one call of this pattern is."""
    (at,) = [number for number, call in enumerate(found) if re.search(pattern, call)]
    return at


STEPS = (
    r"^kubectl --context kind-stalk apply .*/keda-",
    r"^curl .*/metrics-server/releases/download/v",
    r"^kubectl .* --namespace keda wait ",
    r"^kubectl .* --namespace kube-system wait ",
    r"^docker build --file images/Dockerfile --tag " + IMAGE,
    r"^kind load docker-image " + IMAGE + " --name stalk$",
    r"^helm upgrade --install stalk charts/stalk --namespace stalk --create-namespace --wait ",
)


def test_up_does_its_steps_in_order(tree: Path) -> None:
    done = run(tree, "ci/kind/up", "--set", "api.replicas=2")
    assert done.returncode == 0, done.stderr
    found = calls(tree)
    places = [place(found, step) for step in (r"^kind create cluster --name stalk --image kindest/node:v", *STEPS)]
    assert places == sorted(places)
    assert found[-1].endswith("--values ci/kind/values.yaml " + " ".join(pods("sha256:0123")) + " --set api.replicas=2")
    assert "http://127.0.0.1:30080" in done.stdout
    assert "http://127.0.0.1:30555" in done.stdout


def pods(image_id: str) -> list[str]:
    components = ("flower", "beat", "topology", "workerDefaults", "api")
    return [f"--set-string {component}.podAnnotations.stalk/image-id={image_id}" for component in components]


def test_up_again_keeps_the_cluster(tree: Path) -> None:
    (tree / "clusters").write_text("stalk\n")
    assert run(tree, "ci/kind/up").returncode == 0
    found = calls(tree)
    assert not [call for call in found if "create cluster" in call]
    places = [
        place(found, step) for step in (r"^docker start stalk-control-plane$", r"^kind export kubeconfig", *STEPS)
    ]
    assert places == sorted(places)


def test_no_other_cluster_is_touched(tree: Path) -> None:
    run(tree, "ci/kind/up")
    found = [call for call in calls(tree) if re.match(r"kubectl|helm (?!template)", call)]
    assert len(found) > 4
    assert all(re.search(r"--(kube-)?context kind-stalk\b", call) for call in found)


def test_metrics_server_trusts_the_nodes_own_certificate(tree: Path) -> None:
    run(tree, "ci/kind/up")
    assert (tree / "applied").read_text().splitlines()[1:] == [
        "        - --secure-port=10250",
        "        - --kubelet-insecure-tls",
    ]


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_missing_program_stops_it_with_a_line_to_paste(tree: Path, name: str) -> None:
    (tree / "bin" / name).unlink()
    done = run(tree, "ci/kind/up")
    assert done.returncode != 0
    assert re.search(rf"^{name} is missing\. Type once:\n    (make setup|curl|sudo) ?.*\n", done.stderr, re.M)
    assert not [call for call in calls(tree) if call not in {"docker info", "kind version"}]


def test_every_missing_program_is_told_at_once(tree: Path) -> None:
    for name in ("kind", "kubectl"):
        (tree / "bin" / name).unlink()
    told = run(tree, "ci/kind/up").stderr
    assert re.search(
        r"curl -fLo /usr/local/bin/kind https://kind\.sigs\.k8s\.io/dl/v[\d.]+/kind-[a-z]+-(amd|arm)64 ", told
    )
    assert re.search(r"curl -fLo /usr/local/bin/kubectl https://dl\.k8s\.io/release/v1\.[\d.]+/bin/[a-z]+/", told)


def test_docker_that_does_not_answer(tree: Path) -> None:
    (tree / "bin" / "docker").write_text("#!/bin/sh\nexit 1\n")
    told = run(tree, "ci/kind/up").stderr
    assert "docker is there, but does not answer. Type:\n    sudo systemctl start docker\n" in told
    assert "usermod" not in told
    assert calls(tree) == ["kind version"]


def test_docker_that_does_not_answer_this_user(tree: Path) -> None:
    said = "permission denied while trying to connect to the docker API at unix:///var/run/docker.sock"
    (tree / "bin" / "docker").write_text(f"#!/bin/sh\necho Client:\necho '{said}' >&2\nexit 1\n")
    told = run(tree, "ci/kind/up").stderr
    assert (
        'docker runs, but not for you. Join its group, and log in again:\n    sudo usermod -aG docker "$USER"\n' in told
    )
    assert "systemctl" not in told


@pytest.mark.parametrize(("version", "fits"), [("0.9.9", False), ("0.32.0", False), ("0.33.0", True), ("1.0.0", True)])
def test_a_kind_that_is_older_than_its_node_image_is_refused(tree: Path, version: str, fits: bool) -> None:
    (tree / "kind-version").write_text(version)
    versions = tree / "ci/kind/versions"
    versions.write_text(re.sub(r"KIND_VERSION=\S+", "KIND_VERSION=0.33.0", versions.read_text()))
    done = run(tree, "ci/kind/require", "kind")
    assert (done.returncode == 0) == fits
    if not fits:
        kind = tree / "bin" / "kind"
        assert f"{kind} is kind {version}, too old: the node image kindest/node:v1." in done.stderr
        assert (
            f"is made for kind 0.33.0. Type once:\n    sudo curl -fLo {kind} https://kind.sigs.k8s.io/" in done.stderr
        )
    assert done.stderr == "" or not fits


def test_a_kind_that_names_no_version_is_refused(tree: Path) -> None:
    (tree / "bin" / "kind").write_text("#!/bin/sh\nexit 1\n")
    assert "is kind of an unknown version, too old" in run(tree, "ci/kind/require", "kind").stderr


def test_any_kind_removes_the_cluster(tree: Path) -> None:
    (tree / "kind-version").write_text("0.9.9")
    assert run(tree, "ci/kind/down").returncode == 0
    (tree / "bin" / "kind").unlink()
    assert "kind is missing. Type once:" in run(tree, "ci/kind/down").stderr


def test_a_failing_step_is_the_last(tree: Path) -> None:
    (tree / "bin" / "kubectl").write_text('#!/bin/sh\necho "kubectl $*" >>"$HERE/calls"\nexit 1\n')
    assert run(tree, "ci/kind/up").returncode != 0
    assert calls(tree)[-1].startswith("kubectl")


@pytest.mark.parametrize(("missing", "builder"), [("1", "0"), ("0", "")])
def test_docker_without_buildx_uses_its_old_builder(tree: Path, missing: str, builder: str) -> None:
    fake = (tree / "bin" / "docker").read_text()
    (tree / "bin" / "docker").write_text(fake + 'case "$1" in build) echo "$DOCKER_BUILDKIT" >"$HERE/builder";; esac\n')
    assert run(tree, "ci/deploy/image", NO_BUILDX=missing).returncode == 0
    assert (tree / "builder").read_text().strip() == builder


def test_down_removes_the_cluster(tree: Path) -> None:
    assert run(tree, "ci/kind/down").returncode == 0
    assert calls(tree) == ["kind delete cluster --name stalk"]


def test_the_images_name_is_the_charts() -> None:
    chart = yaml.safe_load((ROOT / "charts/stalk/Chart.yaml").read_text())
    image = yaml.safe_load((ROOT / "charts/stalk/values.yaml").read_text())["image"]
    done = subprocess.run([ROOT / "ci/deploy/image", "--name"], capture_output=True, text=True, check=True)
    assert done.stdout == f"{image['registry']}/{image['repository']}:{chart['appVersion']}\n"


def test_versions_are_pinned() -> None:
    found = pinned()
    node = found.pop("NODE_IMAGE")
    assert re.fullmatch(r"kindest/node:v1\.\d+\.\d+@sha256:[0-9a-f]{64}", node)
    assert set(found) == {"KIND_VERSION", "KEDA_VERSION", "METRICS_SERVER_VERSION"}
    assert all(re.fullmatch(r"\d+\.\d+\.\d+", version) for version in found.values())
    for script in KIND.iterdir():
        assert "latest" not in script.read_text()


def test_node_ports_are_on_loopback_and_the_charts() -> None:
    (node,) = yaml.safe_load((KIND / "cluster.yaml").read_text())["nodes"]
    values = yaml.safe_load((KIND / "values.yaml").read_text())
    mapped = {mapping["containerPort"] for mapping in node["extraPortMappings"]}
    assert {mapping["listenAddress"] for mapping in node["extraPortMappings"]} == {"127.0.0.1"}
    assert mapped == {values[name]["service"]["nodePort"] for name in ("api", "flower")}


def test_scripts_can_be_run() -> None:
    scripts = [path for folder in ("kind", "deploy", "publish") for path in (ROOT / "ci" / folder).iterdir()]
    programs = [path for path in scripts if path.suffix == "" and path.name not in {"names", "versions"}]
    assert len(programs) == 16
    assert all(os.access(path, os.X_OK) and path.read_text().startswith("#!/usr/bin/env bash\n") for path in programs)


def program(tree: Path, name: str, does: str) -> None:
    (tree / "bin" / name).write_text(f'#!/bin/bash\necho "{name} $*" >>"$HERE/calls"\n{does}\n')
    (tree / "bin" / name).chmod(0o755)


def machine(tree: Path, *names: str) -> None:
    """Let these programs of the machine be there too."""
    for name in names:
        (tree / "bin" / name).symlink_to(str(shutil.which(name)))


def test_the_tests_run_in_the_kind_cluster_with_the_image_of_this_checkout(tree: Path) -> None:
    program(tree, "make", 'env >"$HERE/environment"')
    machine(tree, "chmod", "id", "ln", "mv")
    done = run(tree, "ci/kind/test", "PYTEST=-k upgrade")
    assert done.returncode == 0, done.stderr
    found = calls(tree)
    load = rf"^kind load docker-image --name stalk {IMAGE}$"
    taken = r"^docker exec --privileged stalk-control-plane .* keda$"
    steps = [
        r"^kind create ",
        *STEPS[:4],
        taken,
        STEPS[4],
        load,
        r"^kind export kubeconfig .* --kubeconfig ",
        r"^make ",
    ]
    places = [place(found, step) for step in steps]
    assert places == sorted(places)
    words = "STALK_E2E_LOAD=kind load docker-image --name stalk E2E_PROCESSES=2 PYTEST=-k upgrade"
    assert found[-1] == f"make test-e2e {words}"
    environment = dict(line.split("=", 1) for line in (tree / "environment").read_text().splitlines() if "=" in line)
    assert environment["KUBECONFIG"] == f"{tree}/.stalk/kind.kubeconfig", "no other context is touched"
    assert environment["PATH"].startswith(f"{tree}/.stalk/bin:")
    assert (ROOT / environment["STALK_E2E_VALUES"]).is_file()
    assert not [call for call in found if call.startswith("helm upgrade")], "a release is for the tests to make"


SERVERS = ("rabbitmq-server", "redis-server", "prometheus")


@pytest.fixture
def node(tree: Path) -> Iterator[dict[str, Path]]:
    """Let `docker exec` run on this machine, with three programs that run; give the file that each runs from."""
    machine(tree, "chmod", "id", "ln", "mv", "printf", "sh")
    program(tree, "docker", 'case $1 in exec) shift 3; exec "$@";; esac')
    # By its own list, for this machine may have an etcd as well.
    program(tree, "pgrep", '[ "$1 $2" = "-o -x" ] && [ ${#3} -le 15 ] && cat "$HERE/pid-of-$3"')
    files = {name: tree / f"running-{name}" for name in ("etcd", "kube-apiserver", "kube-controller-manager", "keda")}
    with ExitStack() as stack:
        for name, file in files.items():
            shutil.copy(str(shutil.which("sleep")), file)
            process = stack.enter_context(subprocess.Popen([file, "60"]))
            stack.callback(process.kill)
            (tree / f"pid-of-{name[:15]}").write_text(f"{process.pid}\n")
        yield files


def test_the_programs_that_run_in_the_node_are_taken_out_of_it(tree: Path, node: dict[str, Path]) -> None:
    for _ in range(2):
        done = run(tree, "ci/kind/programs")
        assert done.returncode == 0, done.stderr
    taken = tree / ".stalk" / "bin"
    for name, file in node.items():
        assert (taken / name).read_bytes() == file.read_bytes()
        assert os.access(taken / name, os.X_OK)
    assert {path.name for path in taken.iterdir()} == {*node, *SERVERS, "rabbitmqctl"}


def test_a_program_that_does_not_run_in_the_node_is_named(tree: Path, node: dict[str, Path]) -> None:
    (tree / "pid-of-keda").unlink()
    done = run(tree, "ci/kind/programs")
    assert done.returncode == 1
    assert "keda does not run in stalk-control-plane. Look:\n    kubectl --context kind-stalk get pods" in done.stderr
    assert not (tree / ".stalk" / "bin" / "keda").exists()


def test_the_nodes_programs_are_for_linux(tree: Path) -> None:
    (tree / "bin" / "uname").unlink()
    program(tree, "uname", "echo Darwin")
    done = run(tree, "ci/kind/programs")
    assert done.returncode == 0
    assert "are skipped here" in done.stderr
    assert not (tree / ".stalk").exists()


def test_servers_run_in_images_and_rabbitmq_and_redis_in_the_charts(tree: Path, node: dict[str, Path]) -> None:
    assert run(tree, "ci/kind/programs").returncode == 0
    fetched = [call for call in calls(tree) if call.startswith("docker run ")]
    assert [call.split()[-2:] for call in fetched] == [
        ["docker.io/library/rabbitmq:4-management", "version"],
        ["docker.io/library/redis:8", "--version"],
        ["docker.io/prom/prometheus:v2.53.3", "--version"],
    ]
    assert all(" --env HOME=/tmp " in call for call in fetched), "no cookie is left in the checkout"
    values = yaml.safe_load((ROOT / "charts/stalk/values.yaml").read_text())
    for name, component in {"rabbitmq-server": "rabbitmq", "rabbitmqctl": "rabbitmq", "redis-server": "redis"}.items():
        done = subprocess.run(
            [tree / ".stalk" / "bin" / name, "version"],
            env={"PATH": str(tree / "bin"), "HERE": str(tree), "HOME": str(tree), "RABBITMQ_LOGS": "-", "OTHER": "1"},
            cwd=tree,
            check=False,
        )
        assert done.returncode == 0
        (call,) = calls(tree)
        image = values[component]["image"]
        reference = f"{image['registry']}/{image['repository']}:{image['tag']}"
        assert call.endswith(f" --entrypoint {name} {reference} version")
        assert f"--user {os.getuid()}:{os.getgid()} --volume {tree}:{tree} --workdir {tree} --env HOME={tree} " in call
        assert "--env RABBITMQ_LOGS " in call
        assert "OTHER" not in call


ANSWERS = {
    "*/readyz*": 'echo \'{"status": "ok"}\'',
    "*/hello*": 'echo \'{"process_id": "0-1-2"}\'',
    "*/tasks/0-1-2/events*": 'printf \'data: {"status": "%s"}\\n\' PENDING ${TASK:-SUCCESS}',
    "*http_code*/api/workers*": "printf %s ${STRANGER:-401}",
    "*/api/workers*": 'cat >"$HERE/login"',
}
"""What the API and Flower say to curl."""


def check(tree: Path, **env: str) -> subprocess.CompletedProcess[str]:
    cases = "".join(f" {pattern}) {says};;" for pattern, says in ANSWERS.items())
    program(tree, "curl", f'case "$*" in{cases} *) exit 22;; esac')
    program(tree, "kubectl", 'case "$*" in *secret*) printf %s s3cret;; *"$BUSY"*) [ -z "$BUSY" ];; esac')
    (tree / ".venv" / "bin").mkdir(parents=True)
    (tree / ".venv" / "bin" / "stalk").write_text('#!/bin/sh\necho "stalk $*" >>"$HERE/calls"\nexit ${FOUND:-0}\n')
    (tree / ".venv" / "bin" / "stalk").chmod(0o755)
    return run(tree, "ci/kind/check", **env)


def test_check_does_the_quickstarts_steps_through_the_node_ports(tree: Path) -> None:
    done = check(tree)
    assert done.returncode == 0, done.stderr
    found = calls(tree)
    zero = [number for number, call in enumerate(found) if "wait --for=jsonpath={.spec.replicas}=0 " in call]
    steps = [
        rf"^kind export kubeconfig --name stalk --kubeconfig {tree}/.stalk/kind.kubeconfig$",
        r"^curl .* http://127.0.0.1:30080/readyz$",
        r"^curl .* http://127.0.0.1:30080/hello$",
        r"^curl .* http://127.0.0.1:30080/tasks/0-1-2/events$",
        r"^curl .* --config - http://127.0.0.1:30555/api/workers$",
        r"^stalk doctor --namespace stalk$",
        r"^helm test stalk --namespace stalk$",
    ]
    places = [place(found, step) for step in steps]
    assert places == sorted(places)
    assert len(zero) == 2
    assert places[1] < zero[0] < places[2] < places[4] < zero[1] < places[5]
    assert (tree / "login").read_text() == 'user = "flower:s3cret"\n'
    assert "s3cret" not in " ".join(found)


@pytest.mark.parametrize(
    ("env", "says"),
    [
        ({"TASK": "FAILURE"}, 'task 0-1-2 has not succeeded; its events:\ndata: {"status": "PENDING"}'),
        ({"STRANGER": "200"}, "Flower answered 200, not 401, to a request without a password"),
        ({"FOUND": "1"}, ""),
        ({"BUSY": "wait --for=jsonpath"}, ""),
    ],
    ids=["task", "Flower", "doctor", "workers"],
)
def test_check_fails_and_shows_the_cluster(tree: Path, env: dict[str, str], says: str) -> None:
    done = check(tree, **env)
    assert done.returncode == 1
    assert says in done.stderr
    assert calls(tree)[-1].startswith("kubectl --namespace stalk get events")
