"""The compose files and the Dockerfile keep what the project promises of them."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from app.settings import Settings

IMAGES = Path(__file__).parents[2] / "images"
OFFICIAL = re.compile(r"(rabbitmq|redis|python):[\w.-]+")
OURS = {"celery", "hypercorn", "stalk"}


def services(name: str) -> dict[str, dict[str, Any]]:
    """Return a compose file's services as Compose resolves them: `include` and `extends` of files beside it."""
    document = yaml.safe_load((IMAGES / name).read_text(encoding="utf-8"))
    found: dict[str, dict[str, Any]] = {}
    for included in document.get("include", []):
        found |= services(included)
    for service, own in document["services"].items():
        base: dict[str, Any] = {}
        if "extends" in own:
            base = services(own["extends"]["file"])[own["extends"]["service"]]
        found[service] = base | own | {"environment": base.get("environment", {}) | own.get("environment", {})}
    return found


ALL = services("compose.yaml")


def test_each_file_has_its_services() -> None:
    assert set(services("compose.services.yaml")) == {"rabbitmq", "redis", "flower"}
    assert set(ALL) == {"rabbitmq", "redis", "flower", "topology", "api", "worker"}


@pytest.mark.parametrize("name", ALL)
def test_service_is_hardened_official_and_on_loopback(name: str) -> None:
    service = ALL[name]
    assert service["image"] == "stalk" or OFFICIAL.fullmatch(service["image"])
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))
    if service["image"] == "stalk":
        assert service["read_only"]
        assert isinstance(service.get("command", []), list), "a shell would be PID 1 and keep SIGTERM from Celery"
        assert service.get("command", ["hypercorn"])[0] in OURS
        known = {field.upper() for field in Settings.model_fields}
        assert {key for key in service["environment"] if not key.startswith("FLOWER_")} <= known


def test_dockerfile_runs_as_nobody_in_particular_in_exec_form() -> None:
    text = (IMAGES / "Dockerfile").read_text(encoding="utf-8")
    assert re.search(r"^USER [1-9]\d*:[1-9]\d*$", text, re.M)
    assert all(line.startswith("CMD [") for line in text.splitlines() if line.startswith(("CMD", "ENTRYPOINT")))
    bases = re.findall(r"^FROM (\S+)", text, re.M)
    assert set(bases) == {"${PYTHON_IMAGE}"}, "one base, pinned from outside by digest"
    assert OFFICIAL.search(text)


def test_uv_is_one_file_of_a_version_for_the_image_and_the_checkout() -> None:
    """Fetched anew for every release, it is the one that was looked at."""
    root = IMAGES.parent
    pinned = (root / "ci" / "uv.txt").read_text(encoding="utf-8")
    assert re.search(r"^uv==\d+\.\d+\.\d+ \\$", pinned, re.M)
    assert len(re.findall(r"--hash=sha256:[0-9a-f]{64}\b", pinned)) > 2
    for file in (root / "ci" / "uv", IMAGES / "Dockerfile"):
        text = file.read_text(encoding="utf-8")
        assert re.search(r"pip\"? install .*--require-hashes --requirement .*\buv\.txt", text), file
        assert "uv>=" not in text
    assert "!ci/uv.txt" in (root / ".dockerignore").read_text(encoding="utf-8").splitlines()
