"""The findings that stay, each with its reason. A line that no longer finds anything is a failure too."""

__all__ = ["EXPLAINED"]

EXPLAINED: dict[tuple[str, str], str] = {
    ("CKV_K8S_8", "doctor"): "A pod of `helm test` runs one command to its end; its exit code is the probe.",
    ("CKV_K8S_8", "test"): "A pod of `helm test` runs one command to its end; its exit code is the probe.",
    ("CKV_K8S_8", "worker"): (
        "Pools of keda-pools.yaml: `mono` turns its liveness probe off, `io` has a user's sidecar without one. "
        "Every worker has one by default."
    ),
    ("CKV_K8S_9", "beat"): "Nothing connects to beat, so nobody asks whether it is ready; its liveness is probed.",
    ("CKV_K8S_9", "doctor"): "As for liveness: it runs to its end.",
    ("CKV_K8S_9", "test"): "As for liveness: it runs to its end.",
    ("CKV_K8S_9", "worker"): "A user's sidecar in keda-pools.yaml; every worker has one by default.",
    ("CKV_K8S_15", "*"): (
        "IfNotPresent: a release names one version's tag or a digest, which does not change, and a node must be able "
        "to start a worker from zero while the registry is away. `image.pullPolicy` changes it."
    ),
    ("CKV_K8S_21", "extra"): "An object of the user's own, without a namespace: Helm puts it into the release's.",
    ("CKV_K8S_35", "*"): (
        "A password is in the environment of the one process that uses it, from a Secret. Files are possible "
        "(BROKER_PASSWORD_FILE with extraVolumes), but a process that may read its environment may read its files too."
    ),
    ("CKV_K8S_38", "credentials"): "The Job that writes the Secret with random passwords talks to the API server.",
    ("CKV_K8S_38", "doctor"): "It reads what Kubernetes says of the release, in `helm test` alone.",
    ("CKV_K8S_38", "steward"): "It marks idle pods to go first, and that is said to the API server.",
    ("CKV_K8S_40", "rabbitmq"): "The official image's user 999 owns its files. Stalk's own containers run as 10001.",
    ("CKV_K8S_40", "redis"): "The official image's user 999 owns its files. Stalk's own containers run as 10001.",
    ("CKV_K8S_43", "*"): (
        "A chart cannot know the digest of an image that its user builds and pushes; `image.digest` pins each."
    ),
    ("CKV_DOCKER_2", "Dockerfile"): (
        "One image serves as API, worker, Flower and Job, which are healthy in different ways: the pods have probes, "
        "the compose files health checks."
    ),
    (
        "CKV_DOCKER_7",
        "Dockerfile",
    ): "The base image is a build argument, which checkov does not follow: python:3.13-slim.",
}
"""(check, component or *): reason. The checks: https://www.checkov.io/5.Policy%20Index/kubernetes.html."""
