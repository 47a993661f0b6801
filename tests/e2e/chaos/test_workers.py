"""Workers are told to go, or killed."""

from typing import Any

import pytest
from kubernetes import client

from e2e.chaos.faults import kill_child, stopped
from e2e.chaos.scenario import Chaos
from e2e.harness import until

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(1200)]


@pytest.mark.short
def test_worker_pod_deleted(chaos: Chaos) -> None:
    with chaos.scenario("worker pod deleted") as scenario:
        task_id = scenario.submit(seconds=15)
        run = scenario.running(task_id)
        with scenario.fault():
            scenario.delete(run.host)
        [only] = scenario.runs(task_id)
        scenario.expect(only.executed, f"the pod went before its task had ended: {only}")


def test_worker_process_killed(chaos: Chaos) -> None:
    with chaos.scenario("worker process killed (SIGKILL to process 1 of the container)") as scenario:
        task_id = scenario.submit(seconds=15)
        run = scenario.running(task_id)
        with scenario.fault():
            chaos.nodes.kill(run.host)
            at = scenario.killing(run.host)
        scenario.again(task_id, at)


@pytest.mark.short
def test_child_process_killed(chaos: Chaos) -> None:
    with chaos.scenario("child process killed (SIGKILL)") as scenario:
        task_id = scenario.submit(seconds=10)
        run = scenario.running(task_id)
        with scenario.fault():
            kill_child(chaos.release, run)
            at = scenario.killing(run.host, run.pid)
        scenario.again(task_id, at)


def test_worker_out_of_memory(chaos: Chaos) -> None:
    with chaos.scenario("worker out of memory (a task takes more than limits.memory)") as scenario:
        with scenario.fault():
            task_id = scenario.submit(memory_mb=2048)
            until(lambda: len(scenario.runs(task_id)) > 1, 240)
            first, second = scenario.runs(task_id)[:2]
            # The kernel chooses: with cgroup v2 the whole container; or the process that took it, and then its message
            # goes back at once.
            at = stopped(chaos.release, first.host, first.started) or second.started
            scenario.killing(first.host, at=at)
        scenario.again(task_id, at)
        scenario.expect(first.interrupted, "the memory limit did not stop the first run")


def test_kubelet_stopped(chaos: Chaos) -> None:
    seconds = 60
    with chaos.scenario(f"the node's kubelet stopped for {seconds} s", silent=True, hangs=True) as scenario:
        # A port-forward goes through the kubelet, so the load has no way to the API meanwhile; what runs, runs on.
        run = scenario.running(scenario.submit(seconds=30))
        node = str(chaos.release.pod(run.host).spec.node_name)

        def ready() -> bool:
            found: Any = client.CoreV1Api().read_node(node)
            conditions = found.status.conditions
            return any(each.type == "Ready" and each.status == "True" for each in conditions)

        with scenario.fault():
            chaos.nodes.pause_program(node, "kubelet", seconds)
            until(lambda: not ready(), seconds)
            until(ready, 180)
