"""`make deploy-kind` with programs that only write down how they were called."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
KIND = ROOT / "ci" / "kind"
IMAGE = "ghcr.io/stalk-celery/stalk:1.2.3"
PROGRAMS = ("docker", "kind", "kubectl", "curl", "helm")
NEEDED = ("awk", "bash", "cat", "dirname", "env", "grep", "sed", "tr", "uname")
"""What the scripts use of any machine."""

FAKES = {
    "docker": 'case "$*" in "buildx version") exit "${NO_BUILDX:-0}";; image*) echo sha256:0123;; esac',
    "kind": 'if [ "$*" = "get clusters" ]; then echo other; cat "$HERE/clusters" 2>/dev/null; fi; exit 0',
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
    return tmp_path


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
    assert not [call for call in calls(tree) if not call.startswith("docker info")]


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
    assert calls(tree) == []


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
    found = dict(re.findall(r"^([A-Z_]+)=(\S+)$", (KIND / "versions").read_text(), re.M))
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
    assert len(programs) == 13
    assert all(os.access(path, os.X_OK) and path.read_text().startswith("#!/usr/bin/env bash\n") for path in programs)


def test_the_tests_run_in_the_kind_cluster_with_the_image_of_this_checkout(tree: Path) -> None:
    (tree / "bin" / "make").write_text(
        '#!/bin/sh\necho "make $*" >>"$HERE/calls"\necho "$KUBECONFIG" >"$HERE/kubeconfig"\n'
    )
    (tree / "bin" / "make").chmod(0o755)
    (tree / "bin" / "mkdir").symlink_to(str(shutil.which("mkdir")))
    done = run(tree, "ci/kind/test", "PYTEST=-k upgrade")
    assert done.returncode == 0, done.stderr
    found = calls(tree)
    load = rf"^kind load docker-image --name stalk {IMAGE}$"
    steps = [r"^kind create ", *STEPS[:5], load, r"^kind export kubeconfig .* --kubeconfig ", r"^make "]
    places = [place(found, step) for step in steps]
    assert places == sorted(places)
    assert found[-1] == "make test-e2e STALK_E2E_LOAD=kind load docker-image --name stalk PYTEST=-k upgrade"
    assert (tree / "kubeconfig").read_text().strip() == f"{tree}/.stalk/kind.kubeconfig", "no other context is touched"
    assert not [call for call in found if call.startswith("helm upgrade")], "a release is for the tests to make"
