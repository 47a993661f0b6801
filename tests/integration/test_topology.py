"""`stalk topology`, the console script."""

from amqp.exceptions import NotFound

from integration.harness import Service


def test_declares_everything_and_again(service: Service) -> None:
    for _ in range(2):
        done = service.run("stalk", "topology", "--queue", service.queue, "--queue", f"{service.queue}-more")
        assert done.returncode == 0, done.stderr
        assert f"declared {service.queue} and {service.queue}.dead-letters" in done.stdout
    channel = service.channel()
    for queue in (service.queue, f"{service.queue}-more", f"{service.queue}.dead-letters", "celery_delayed_0"):
        channel.queue_declare(queue, passive=True)
    channel.connection.close()


def test_declares_an_apps_queues(service: Service) -> None:
    done = service.run("stalk", "topology", "-A", "app.worker.celery_app")
    assert done.returncode == 0, done.stderr
    assert service.queue in done.stdout


def test_says_what_differs(service: Service) -> None:
    channel = service.channel()
    channel.queue_declare(service.queue, durable=True, auto_delete=False)
    done = service.run("stalk", "topology", "--queue", service.queue)
    assert done.returncode == 1
    assert done.stderr.startswith(f"stalk topology: queue '{service.queue}' in vhost 'a/b' exists with another x-")
    assert done.stderr.count("\n") == 1
    channel.queue_delete(service.queue)
    channel.connection.close()


def test_no_broker_is_one_line_after_the_timeout(service: Service) -> None:
    service.settings["BROKER_PORT"] = "1"
    done = service.run("stalk", "topology", "--queue", "any", "--timeout", "1")
    assert done.returncode == 1
    assert done.stderr.startswith("stalk topology: no broker after 1 s: ")
    assert "Traceback" not in done.stderr


def test_nothing_to_declare_says_what_to_type(service: Service) -> None:
    done = service.run("stalk", "topology")
    assert (done.returncode, done.stderr) == (
        1,
        "stalk topology: name a Celery app (-A module:attr) or a queue (--queue NAME)\n",
    )


def test_queue_deleted_under_the_api_is_declared_again(service: Service) -> None:
    service.api()
    service.submit()
    channel = service.channel()
    channel.queue_delete(service.queue)
    import httpx

    answer = httpx.post(f"{service.url}/tasks", json={"word": "x"})
    assert answer.status_code == 503
    assert "no queue takes the task" in answer.json()["detail"]
    service.submit()
    assert service.ready_messages(service.queue) == 1
    try:
        channel.queue_declare("never-declared", passive=True)
    except NotFound:
        channel.connection.close()
