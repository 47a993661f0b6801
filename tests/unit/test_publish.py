"""What the release workflow runs, with programs that only write down how they were called."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
VERSION = "1.2.3"
IMAGE = f"ghcr.io/stalk-celery/stalk:{VERSION}"
DIGEST = "sha256:" + "0123456789abcdef" * 4
BASE = "sha256:" + "fedcba9876543210" * 4
NEEDED = ("bash", "cat", "dirname", "env", "mktemp", "rm", "sed", "sha256sum")
FAKES = {
    "docker": 'case "$CALLED" in *"imagetools inspect"*) printf "Name: it\\nDigest:    %s\\n" "$BASE"; exit;; esac;'
    'while [ $# -gt 0 ]; do [ "$1" = --metadata-file ] && echo "$METADATA" >"$2"; shift; done; '
    'case "$CALLED" in "docker login"*) cat >"$HERE/password";; esac',
    "helm": f'case $1 in template) echo \'          image: "{IMAGE}"\';; push) echo "$PUSHED" >&2;; '
    'registry) cat >>"$HERE/password";; esac',
    "cosign": "case $1 in sign-blob) echo signed >dist/SHA256SUMS.sigstore.json;; esac",
    "gh": 'cat >"$HERE/notes"',
    "git": "case $1 in log) echo 1700000000;; rev-parse) echo 00c0ffee;; esac",
}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """The scripts in a checkout of version 1.2.3 with packaged files, and the programs they call."""
    for folder in ("ci/publish", "ci/deploy", "ci/release", "images"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    (tmp_path / "bin").mkdir()
    for name in NEEDED:
        (tmp_path / "bin" / name).symlink_to(str(shutil.which(name)))
    for name, does in FAKES.items():
        path = tmp_path / "bin" / name
        path.write_text(f'#!/bin/bash\nCALLED="{name} $*"\necho "$CALLED" >>"$HERE/calls"\n{does}\n')
        path.chmod(0o755)
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    python = tmp_path / ".venv" / "bin" / "python"
    python.write_text(f'#!/bin/bash\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    chart = (ROOT / "charts/stalk/Chart.yaml").read_text(encoding="utf-8")
    current = str(yaml.safe_load(chart)["version"])
    (tmp_path / "charts" / "stalk").mkdir(parents=True)
    (tmp_path / "charts" / "stalk" / "Chart.yaml").write_text(chart.replace(current, VERSION), encoding="utf-8")
    (tmp_path / "CHANGELOG.md").write_text(f"## [{VERSION}] - 2026-01-01\n\n### Fixed\n\n- It.\n\n## [1.0.0]\n\nOld.\n")
    dist = tmp_path / "dist"
    (dist / "screenshots").mkdir(parents=True)
    for name in (f"stalk-{VERSION}.tgz", "stalk_celery.whl", "stalk_celery.tar.gz", "stalk.cdx.json"):
        (dist / name).write_text(name)
    for name in promised(chart):
        (dist / "screenshots" / name).write_text(name)
    subprocess.run("sha256sum -- *.* >SHA256SUMS", shell=True, cwd=dist, check=True)
    return tmp_path


def promised(chart: str) -> list[str]:
    shots = yaml.safe_load(yaml.safe_load(chart)["annotations"]["artifacthub.io/screenshots"])
    return [shot["url"].rpartition("/")[2] for shot in shots]


def run(tree: Path, script: str, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [tree / "ci" / "publish" / script, *words],
        env={
            "PATH": str(tree / "bin"),
            "HERE": str(tree),
            "BASE": BASE,
            "METADATA": f'{{"containerimage.digest": "{DIGEST}"}}',
            "PUSHED": f"Pushed: ghcr.io/stalk-celery/charts/stalk:{VERSION}\nDigest: {DIGEST}",
            **env,
        },
        capture_output=True,
        text=True,
        check=False,
    )


def calls(tree: Path, *without: str) -> list[str]:
    found = (tree / "calls").read_text().splitlines() if (tree / "calls").exists() else []
    return [call for call in found if call.split()[0] not in without and not call.startswith("helm template")]


def test_image_is_pushed_with_attestations_and_the_digest_is_signed(tree: Path) -> None:
    done = run(tree, "image")
    assert done.returncode == 0, done.stderr
    inspect, build, sign = calls(tree, "git")
    assert inspect == "docker buildx imagetools inspect python:3.13-slim"
    assert build.startswith("docker buildx build --file images/Dockerfile --platform linux/amd64,linux/arm64 ")
    for words in (f"--tag {IMAGE}", "--provenance mode=max", "--sbom true", "--push", "image.revision=00c0ffee"):
        assert words in build
    based = "--label org.opencontainers.image.base."
    for words in (
        f"--build-arg PYTHON_IMAGE=python:3.13-slim@{BASE}",
        f"{based}name=docker.io/library/python:3.13-slim",
        f"{based}digest={BASE}",
    ):
        assert words in build
    assert sign == f"cosign sign --yes --recursive ghcr.io/stalk-celery/stalk@{DIGEST}"
    assert done.stdout.splitlines()[-1] == f"ghcr.io/stalk-celery/stalk@{DIGEST}"


@pytest.mark.parametrize("base", ["", "sha256:01", "python:3.13-slim"])
def test_no_image_is_built_on_a_base_without_a_digest(tree: Path, base: str) -> None:
    done = run(tree, "image", BASE=base)
    assert done.returncode == 1
    assert "docker buildx named no digest of python:3.13-slim" in done.stderr
    assert len(calls(tree, "git")) == 1


def test_chart_that_was_packaged_is_pushed_and_signed(tree: Path) -> None:
    done = run(tree, "chart")
    assert done.returncode == 0, done.stderr
    assert calls(tree) == [
        f"helm push dist/stalk-{VERSION}.tgz oci://ghcr.io/stalk-celery/charts",
        f"cosign sign --yes ghcr.io/stalk-celery/charts/stalk@{DIGEST}",
    ]


def test_why_helm_could_not_push_is_said(tree: Path) -> None:
    helm = tree / "bin" / "helm"
    helm.write_text("#!/bin/bash\necho denied: no such scope >&2\nexit 1\n")
    done = run(tree, "chart")
    assert done.returncode != 0
    assert "denied: no such scope" in done.stderr
    assert calls(tree) == []


@pytest.mark.parametrize(("script", "variable"), [("image", "METADATA"), ("chart", "PUSHED")])
def test_nothing_is_signed_without_a_digest(tree: Path, script: str, variable: str) -> None:
    done = run(tree, script, **{variable: "pushed"})
    assert done.returncode != 0
    assert "named no digest" in done.stderr
    assert not [call for call in calls(tree) if call.startswith("cosign")]


@pytest.mark.parametrize("script", ["chart", "release"])
def test_files_that_are_not_the_packaged_ones_are_refused(tree: Path, script: str) -> None:
    (tree / "dist" / f"stalk-{VERSION}.tgz").write_text("changed")
    assert run(tree, script, f"v{VERSION}").returncode != 0
    assert calls(tree) == []


def test_release_has_files_signed_sums_screenshots_and_this_versions_changes(tree: Path) -> None:
    done = run(tree, "release", f"v{VERSION}")
    assert done.returncode == 0, done.stderr
    sign, create = calls(tree)
    assert sign == "cosign sign-blob --yes --bundle dist/SHA256SUMS.sigstore.json dist/SHA256SUMS"
    assert create.startswith(f"gh release create v{VERSION} --verify-tag --title Stalk {VERSION} --notes-file - dist/")
    files = {word for word in create.split() if word.startswith("dist/")}
    assert files == {str(path.relative_to(tree)) for path in (tree / "dist").rglob("*") if path.is_file()}
    assert (tree / "notes").read_text() == "### Fixed\n\n- It.\n"


def test_a_release_candidate_is_a_prerelease(tree: Path) -> None:
    path = tree / "charts/stalk/Chart.yaml"
    path.write_text(path.read_text().replace(VERSION, f"{VERSION}-rc.1"))
    assert run(tree, "release", f"v{VERSION}-rc.1").returncode == 0
    assert " --prerelease " in calls(tree)[-1]


def test_a_promised_screenshot_that_is_missing_stops_the_release(tree: Path) -> None:
    (tree / "dist" / "screenshots" / "grafana.png").unlink()
    done = run(tree, "release", f"v{VERSION}")
    assert done.returncode != 0
    assert "dist/screenshots/grafana.png is missing; type: make screenshots" in done.stderr
    assert calls(tree) == []


def test_login_keeps_the_token_off_the_command_line(tree: Path) -> None:
    done = run(tree, "login", GITHUB_ACTOR="octocat", GITHUB_TOKEN="s3cret")
    assert done.returncode == 0, done.stderr
    assert calls(tree) == [
        "docker login ghcr.io --username octocat --password-stdin",
        "helm registry login ghcr.io --username octocat --password-stdin",
    ]
    assert (tree / "password").read_text() == "s3cret\ns3cret\n"
    assert run(tree, "login", GITHUB_ACTOR="octocat").returncode != 0


def test_the_names_are_where_the_chart_says_its_image_is() -> None:
    values = yaml.safe_load((ROOT / "charts/stalk/values.yaml").read_text(encoding="utf-8"))
    names = dict(re.findall(r"^([A-Z]+)=(\S+)$", (ROOT / "ci/publish/names").read_text(), re.M))
    assert names["REGISTRY"] == values["image"]["registry"] == values["toolkit"]["image"]["registry"]
    assert f"/{Path(values['image']['repository']).parent}/" in names["CHARTS"]
