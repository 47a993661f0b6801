"""A Celery app whose workers hear no remote control."""

import os

from celery import Celery

from stalk.celery import configure
from stalk.settings import ConnectionSettings, load

app = configure(Celery("quiet"), load(ConnectionSettings), queues=[os.environ["TASK_QUEUE"]])
app.conf.worker_enable_remote_control = False
