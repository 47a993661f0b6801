"""`make package` from two checkouts: the same bytes, a chart that renders the same, a wheel that works, whole bills."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from charting.cases import CASES
from charting.rendering import render_text
from release.versions import ROOT, version
from stalk.extras import wheel

pytestmark = pytest.mark.timeout(300)

VERSION = version(ROOT)
BIN = Path(sys.executable).parent
COMMITTED = "2026-01-02T03:04:05Z"


def run(*words: str | Path, **more: Any) -> str:
    done = subprocess.run(
        [str(word) for word in words], text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, **more
    )
    assert done.returncode == 0, f"{words}\n{done.stdout}"
    return str(done.stdout)


def checkout(folder: Path, umask: int) -> Path:
    """Copy what git has or would take, commit it at one time, and leave files as that umask makes them."""
    listed = run("git", "-C", ROOT, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    for name in listed.split("\0")[:-1]:
        source, target = ROOT / name, folder / name
        if not source.exists():
            continue  # removed, but not committed yet
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o777 & ~umask)
        target.write_bytes(source.read_bytes())
        target.chmod((0o777 if os.access(source, os.X_OK) else 0o666) & ~umask)
    when = {"GIT_AUTHOR_DATE": COMMITTED, "GIT_COMMITTER_DATE": COMMITTED, "GIT_CONFIG_GLOBAL": "/dev/null"}
    who = ["-c", "user.name=A", "-c", "user.email=a@example.org"]
    run("git", "-C", folder, "init", "--quiet", env=os.environ | when)
    run("git", "-C", folder, "add", "--all", env=os.environ | when)
    run("git", "-C", folder, *who, "commit", "--quiet", "--message", "all", env=os.environ | when)
    return folder


def package(folder: Path, umask: int, **env: str) -> dict[str, bytes]:
    # Helm and uv as a machine has them on PATH: the checkout has no environment of its own.
    path = os.pathsep.join([str(BIN), str(ROOT / ".stalk" / "uv" / "bin"), os.environ["PATH"]])
    outside = {name: value for name, value in os.environ.items() if name != "SOURCE_DATE_EPOCH"}
    said = run(
        sys.executable, "ci/release", "package", cwd=folder, umask=umask, env=outside | {"PATH": path} | env
    ).split()
    made = {path.name: path.read_bytes() for path in (folder / "dist").iterdir()}
    assert [f"dist/{name}" for name in sorted(made)] == said
    return made


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return checkout(tmp_path_factory.mktemp("a"), 0o022)


@pytest.fixture(scope="module")
def files(first: Path) -> dict[str, bytes]:
    return package(first, 0o022)


@pytest.fixture(scope="module")
def dist(first: Path, files: dict[str, bytes]) -> Path:
    assert files
    return first / "dist"


def test_another_checkout_gives_the_same_bytes(files: dict[str, bytes], tmp_path: Path) -> None:
    folder = checkout(tmp_path / "somewhere" / "else", 0o077)
    again = package(folder, 0o077, TZ="Pacific/Auckland", LC_ALL="C")
    assert {name: hashlib.sha256(data).hexdigest() for name, data in again.items()} == {
        name: hashlib.sha256(data).hexdigest() for name, data in files.items()
    }
    assert set(files) == {
        f"stalk-{VERSION}.tgz",
        f"stalk-image-{VERSION}.cdx.json",
        f"stalk-python-{VERSION}.cdx.json",
        wheel().rpartition("/")[2],
        f"stalk_celery-{VERSION}.tar.gz",
        "SHA256SUMS",
    }


def test_another_commit_time_gives_other_bytes(first: Path, files: dict[str, bytes]) -> None:
    """Or the comparison above would compare nothing."""
    folder = first.parent / "later"
    shutil.copytree(first, folder)
    shutil.rmtree(folder / "dist")
    other = package(folder, 0o022, SOURCE_DATE_EPOCH="1700000000")
    assert {name for name, data in files.items() if other[name] == data} == set()


def test_sums_are_right(dist: Path) -> None:
    assert run("sha256sum", "--check", "--strict", "SHA256SUMS", cwd=dist).count(": OK\n") == 5


def test_files_of_another_version_go_and_others_stay(first: Path, dist: Path) -> None:
    (dist / "stalk-0.0.1.tgz").touch()
    (dist / "screenshots").mkdir()
    path = os.pathsep.join([str(BIN), str(ROOT / ".stalk" / "uv" / "bin"), os.environ["PATH"]])
    run(sys.executable, "ci/release", "package", cwd=first, env=os.environ | {"PATH": path})
    assert not (dist / "stalk-0.0.1.tgz").exists()
    (dist / "screenshots").rmdir()


def test_the_packaged_chart_renders_the_same(dist: Path, tmp_path: Path) -> None:
    with tarfile.open(dist / f"stalk-{VERSION}.tgz") as tar:
        times = {member.mtime for member in tar.getmembers()}
        tar.extractall(tmp_path, filter="data")
    assert times == {1767323045}, COMMITTED
    for case in ("defaults", "everything", "external"):
        assert render_text(CASES[case], chart=tmp_path / "stalk") == render_text(CASES[case])
    said = run(BIN / "helm", "show", "chart", dist / f"stalk-{VERSION}.tgz")
    assert f"\nversion: {VERSION}\n" in said
    assert "artifacthub.io/images" in said


def test_the_wheel_works_in_an_empty_environment(dist: Path, tmp_path: Path) -> None:
    uv = ROOT / "ci" / "uv"
    run(uv, "venv", "--quiet", "--python", sys.executable, tmp_path / "venv")
    (built,) = dist.glob("*.whl")
    with zipfile.ZipFile(built) as files:
        assert {each.date_time for each in files.infolist()} == {(2026, 1, 2, 3, 4, 4)}, "ZIP counts in two seconds"
    run(uv, "pip", "install", "--quiet", "--python", tmp_path / "venv" / "bin" / "python", built)
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    said = run(tmp_path / "venv" / "bin" / "stalk", "--help", env=environment, cwd=tmp_path)
    assert re.search(r"\btopology\b", said)
    python = tmp_path / "venv" / "bin" / "python"
    printed = run(python, "-c", "import stalk; print(stalk.__version__, stalk.__file__)", env=environment, cwd=tmp_path)
    assert printed.startswith(f"{VERSION} {tmp_path}")
    printed = run(python, "-c", "from stalk.extras import *; print(install('doctor'))", env=environment, cwd=tmp_path)
    assert printed.strip() == f"pip install 'stalk-celery[doctor] @ {wheel()}'", "no checkout is there"


def locked(*extras: str) -> set[tuple[str, str]]:
    """Return name and version of every package in uv.lock that the project needs with these extras."""
    packages: dict[str, list[dict[str, Any]]] = {}
    for each in tomllib.loads((ROOT / "uv.lock").read_text(encoding="utf-8"))["package"]:
        packages.setdefault(each["name"], []).append(each)
    seen: set[tuple[str, str, str]] = set()

    def follow(dependencies: list[dict[str, Any]]) -> Iterator[tuple[str, str]]:
        for wanted in dependencies:
            for each in packages[wanted["name"]]:
                if wanted.get("version", each.get("version")) != each.get("version"):
                    continue
                for extra in ("", *wanted.get("extra", [])):
                    key = each["name"], each.get("version", ""), extra
                    if key in seen:
                        continue
                    seen.add(key)
                    inner = each.get("optional-dependencies", {}).get(extra, []) if extra else each.get("dependencies")
                    yield each["name"], each.get("version", "")
                    yield from follow(inner or [])

    return {found for found in follow([{"name": "stalk-celery", "extra": list(extras)}]) if found[0] != "stalk-celery"}


def bill(dist: Path, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((dist / f"{name}-{VERSION}.cdx.json").read_text(encoding="utf-8"))
    return found


def with_short_urls(found: dict[str, Any]) -> dict[str, Any]:
    """Return a bill with one short URL a package: the validator's grammar takes a tenth of a second for a long one."""
    components = []
    for each in found["components"]:
        assert all(reference["url"].startswith("https://") for reference in each["externalReferences"])
        one = each["externalReferences"][0] | {"url": "https://a.b/c"}
        components.append(each | {"externalReferences": [one]})
    return found | {"components": components}


@pytest.mark.parametrize(
    ("name", "extras"),
    [("stalk-python", ("flower", "doctor", "plot", "plan", "service")), ("stalk-image", ("service",))],
)
def test_a_bill_is_valid_and_has_every_locked_package(dist: Path, name: str, extras: tuple[str, ...]) -> None:
    found = bill(dist, name)
    problem = JsonStrictValidator(SchemaVersion.V1_5).validate_str(json.dumps(with_short_urls(found)))
    assert problem is None, problem
    assert (found["metadata"]["component"]["name"], found["metadata"]["component"]["version"]) == (name, VERSION)
    assert found["metadata"]["timestamp"] == COMMITTED
    components = {(each["name"], each["version"]) for each in found["components"]}
    assert components == locked(*extras)
    assert all(each["purl"] == f"pkg:pypi/{each['name']}@{each['version']}" for each in found["components"])
    assert "celery" in dict(components)
    assert "pytest" not in dict(components)


def test_the_images_bill_is_what_the_dockerfile_installs() -> None:
    from release.sbom import EXTRAS

    dockerfile = (ROOT / "images" / "Dockerfile").read_text(encoding="utf-8")
    installs = re.findall(r"uv sync --locked --no-default-groups (.*?) --no-", dockerfile)
    assert {tuple(words.split()) for words in installs} == {tuple(EXTRAS["stalk-image"])}


def test_a_stale_lock_is_refused(first: Path, tmp_path: Path) -> None:
    folder = tmp_path / "stale"
    shutil.copytree(first, folder)
    project = (folder / "pyproject.toml").read_text(encoding="utf-8")
    (folder / "pyproject.toml").write_text(project.replace('"celery[redis]>=5.7,<6"', '"celery[redis]>=5.6,<6"'))
    path = os.pathsep.join([str(BIN), str(ROOT / ".stalk" / "uv" / "bin"), os.environ["PATH"]])
    done = subprocess.run(
        [sys.executable, "ci/release", "package"],
        cwd=folder,
        env=os.environ | {"PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "--locked" in done.stderr
