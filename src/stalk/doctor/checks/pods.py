"""The pods: do they come up, and stay up?"""

import re
from collections.abc import Iterator
from typing import Any

from stalk.doctor.cluster import Cluster, Json, happened, name_of
from stalk.doctor.findings import Finding
from stalk.doctor.paste import values_of

__all__ = ["check"]

PULL = {"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "ImageInspectError"}
CONFIG = {"CreateContainerConfigError", "CreateContainerError"}
TOOLKIT = {"credentials", "doctor", "exporter", "steward", "test"}
"""Parts of the chart whose pods run the toolkit's image."""
STUCK_SECONDS = 60
"""How long after its grace period an object may still be there."""
RECENT_SECONDS = 15 * 60
"""How long the end of a container is told that has come up again since: what is older, a reboot say, is over."""
KILLED = re.compile(r"Container (?P<container>\S+) failed (?P<probe>liveness|startup) probe")
"""What the kubelet says in an event `Killing`."""


def check(cluster: Cluster) -> Iterator[Finding]:
    """Judge pods, what makes them, and what does not go away. One finding an owner and kind, not one a pod."""
    told: set[tuple[str, str]] = set()
    for pod in cluster.pods:
        for finding in _pod(cluster, pod):
            key = (finding.id, _owner(pod))
            if key not in told:
                told.add(key)
                yield finding
    yield from _refused(cluster)
    yield from _stuck(cluster)


def _pod(cluster: Cluster, pod: Json) -> Iterator[Finding]:
    name, kubectl = name_of(pod), f"kubectl -n {cluster.namespace}"
    status = pod.get("status") or {}
    for condition in status.get("conditions") or ():
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            yield Finding(
                "pod-pending",
                f"pod {name}: {condition.get('message') or condition.get('reason')}",
                f"{kubectl} describe pod {name}; kubectl describe nodes   # resources, nodeSelector, tolerations in "
                "values.yaml",
            )
    containers = [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]
    for each in containers:
        waiting = (each.get("state") or {}).get("waiting") or {}
        reason, message = str(waiting.get("reason", "")), str(waiting.get("message", ""))
        container = f"container {each['name']} of pod {name}"
        if reason in PULL:
            yield Finding(
                "image-pull",
                f"{container} wants {each.get('image')}: {message or reason}",
                f"{_image(pod, each)}   # values.yaml: correct it; a private one: global.imagePullSecrets",
            )
        elif reason in CONFIG:
            yield Finding("pod-config", f"{container}: {message or reason}", f"{kubectl} describe pod {name}")
        late, ended, probe = _is_of_late(cluster, each), _ago(cluster, each), _killed_by(cluster, pod, each)
        if late and _oom(each):
            yield Finding(
                "oom-killed",
                f"{container} was killed for memory ({_limit(pod, each['name'])}){ended}, "
                f"{each.get('restartCount', 0)} restarts",
                _more_memory(cluster, pod, each["name"]),
            )
        elif probe:
            yield Finding(
                "probe-failing",
                f"{container} was killed by its {probe}, {each.get('restartCount', 0)} restarts",
                f"{kubectl} logs {name} -c {each['name']} --previous",
            )
        elif late and _crashes(each):
            line = cluster.last_lines.get((name, each["name"]), "") or "no log"
            code = _last_state(each).get("exitCode", "?")
            yield Finding(
                "crash-loop",
                f"{container} ended with exit code {code}{ended}, {each.get('restartCount', 0)} restarts; "
                f"last line: {line}",
                f"{kubectl} logs {name} -c {each['name']} --previous",
            )
    yield from _probes(cluster, pod, containers)


def _image(pod: Json, status: Json) -> str:
    """Return the values of an image as they are now; those of a container beside the first one are the toolkit's."""
    name, _, digest = str(status.get("image", "")).partition("@")
    path, _, tag = name.rpartition(":") if ":" in name.rpartition("/")[2] else (name, "", "")
    first, _, rest = path.partition("/")
    here = bool(rest) and ("." in first or ":" in first or first == "localhost")
    image = {"registry": first if here else "docker.io", "repository": rest if here else path, "tag": tag}
    labels, containers = pod["metadata"].get("labels") or {}, (pod.get("spec") or {}).get("containers") or ()
    own = [each["name"] for each in containers[:1]] == [status["name"]]
    own = own and labels.get("app.kubernetes.io/component") not in TOOLKIT
    return values_of(labels if own else {}, {"image": image | ({"digest": digest} if digest else {})})


def _more_memory(cluster: Cluster, pod: Json, container: str) -> str:
    """Return values with twice the limit of a container."""
    limit = re.fullmatch(r"(\d+)([A-Za-z]*)", _limit(pod, container).removeprefix("limit "))
    if limit is None:
        return cluster.place.kubectl("describe", "pod", name_of(pod))
    doubled = {"resources": {"limits": {"memory": f"{int(limit[1]) * 2}{limit[2]}"}}}
    return f"{values_of(pod['metadata'].get('labels') or {}, doubled)}   # values.yaml; or a lower concurrency"


def _oom(status: Json) -> bool:
    states = [*(status.get("state") or {}).values(), *(status.get("lastState") or {}).values()]
    return any(isinstance(each, dict) and each.get("reason") == "OOMKilled" for each in states)


def _is_of_late(cluster: Cluster, status: Json) -> bool:
    """Tell whether a container's last end says something of now: it has not come up again, or has only just."""
    ended = cluster.age(_last_state(status).get("finishedAt"))
    return not status.get("ready") or ended is None or ended <= RECENT_SECONDS


def _ago(cluster: Cluster, status: Json) -> str:
    ended = cluster.age(_last_state(status).get("finishedAt"))
    return "" if ended is None else f" {ended:.0f} s ago"


def _last_state(status: Json) -> Json:
    states = (status.get("state") or {}), (status.get("lastState") or {})
    return next((each["terminated"] for each in states if "terminated" in each), {})


def _crashes(status: Json) -> bool:
    waiting = (status.get("state") or {}).get("waiting") or {}
    terminated = (status.get("state") or {}).get("terminated") or {}
    failed = bool(terminated.get("exitCode")) or bool(_last_state(status).get("exitCode"))
    return waiting.get("reason") == "CrashLoopBackOff" or (failed and int(status.get("restartCount") or 0) > 1)


def _limit(pod: Json, container: str) -> str:
    spec = pod.get("spec") or {}
    every = [*(spec.get("initContainers") or ()), *(spec.get("containers") or ())]
    one: Json = next((each for each in every if each["name"] == container), {})
    limit = ((one.get("resources") or {}).get("limits") or {}).get("memory")
    return f"limit {limit}" if limit else "no limit of its own"


def _probes(cluster: Cluster, pod: Json, containers: list[Any]) -> Iterator[Finding]:
    """Find probes that fail in a container that runs and is not ready."""
    running = [each for each in containers if "running" in (each.get("state") or {})]
    if not any(not each.get("ready") for each in running) or pod["metadata"].get("deletionTimestamp"):
        return
    for event in cluster.events_of(pod):
        if event.get("reason") == "Unhealthy" and not _is_startup_of_late(event):
            yield Finding(
                "probe-failing",
                f"pod {name_of(pod)}: {event.get('message', '').strip()} ({event.get('count') or 1} times)",
                f"kubectl -n {cluster.namespace} logs {name_of(pod)} --tail=20",
            )
            return


def _killed_by(cluster: Cluster, pod: Json, status: Json) -> str:
    """Return the probe for which the kubelet has killed a container of late, and what that has said; empty: none."""
    part = f"{{{status['name']}}}"
    events = [
        each
        for each in reversed(cluster.events_of(pod))
        if (cluster.age(happened(each)) or 0) <= RECENT_SECONDS
        and part in each["involvedObject"].get("fieldPath", part)
    ]
    for event in events:
        killed = KILLED.match(str(event.get("message", ""))) if event.get("reason") == "Killing" else None
        if killed and killed["container"] == status["name"]:
            start = f"{killed['probe'].capitalize()} probe"
            messages = [str(each.get("message", "")).strip() for each in events if each.get("reason") == "Unhealthy"]
            said = next((each for each in messages if each.startswith(start)), "")
            return f"{killed['probe']} probe{said and f' ({said})'}"
    return ""


def _is_startup_of_late(event: Json) -> bool:
    """A startup probe fails while a container starts; that is what it is for."""
    return str(event.get("message", "")).startswith("Startup") and int(event.get("count") or 1) < 30


def _owner(pod: Json) -> str:
    owners = pod["metadata"].get("ownerReferences") or [{"name": name_of(pod)}]
    return str(owners[0]["name"])


def _refused(cluster: Cluster) -> Iterator[Finding]:
    for replica_set in cluster.replica_sets:
        for condition in (replica_set.get("status") or {}).get("conditions") or ():
            if condition["type"] == "ReplicaFailure" and condition["status"] == "True":
                yield Finding(
                    "pod-refused",
                    f"{name_of(replica_set)}: {condition.get('message') or condition.get('reason')}",
                    f"kubectl -n {cluster.namespace} get resourcequotas,limitranges; "
                    f"kubectl get namespace {cluster.namespace} --show-labels",
                )


def _stuck(cluster: Cluster) -> Iterator[Finding]:
    for kind, each in cluster.objects():
        metadata = each["metadata"]
        finalizers = metadata.get("finalizers")
        gone_for = cluster.age(metadata.get("deletionTimestamp"))
        if finalizers and gone_for is not None and gone_for > STUCK_SECONDS:
            name = name_of(each)
            yield Finding(
                "stuck-finalizer",
                f"{kind} {name} is being deleted for {gone_for:.0f} s; finalizers: {', '.join(finalizers)}",
                f"kubectl -n keda get pods   # KEDA must run to let go; it is gone for good: kubectl -n "
                f'{cluster.namespace} patch {kind} {name} --type merge -p \'{{"metadata": {{"finalizers": null}}}}\'',
            )
