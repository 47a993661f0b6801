"""Names that users of the public example rely on."""

import importlib

import pytest
from celery import Celery
from fastapi import FastAPI

from app.main import app


@pytest.mark.parametrize("module", ["app.worker.celery_app", "app.worker.celery_worker"])
def test_celery_finds_the_app(module: str) -> None:
    assert isinstance(importlib.import_module(module).celery_app, Celery)


def test_task_has_its_name() -> None:
    worker = importlib.import_module("app.worker.celery_worker")
    assert worker.test_celery.name == "app.worker.celery_worker.test_celery"


def test_api_has_the_routes() -> None:
    assert isinstance(app, FastAPI)
    operations = {(path, method) for path, methods in app.openapi()["paths"].items() for method in methods}
    assert {
        ("/{word}", "get"),
        ("/process/{task_id}", "get"),
        ("/tasks", "post"),
        ("/tasks/{task_id}", "get"),
        ("/tasks/{task_id}", "delete"),
        ("/tasks/{task_id}/events", "get"),
        ("/healthz", "get"),
        ("/readyz", "get"),
        ("/metrics", "get"),
    } <= operations
