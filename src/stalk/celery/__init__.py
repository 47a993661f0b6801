"""What a Celery app calls to be safe to scale.

```python
from celery import Celery
from stalk.celery import configure
from stalk.settings import ConnectionSettings, load

app = configure(Celery("shop"), load(ConnectionSettings), queues=["mail", "pictures"])
```
"""

from stalk.celery.config import configure
from stalk.celery.task import Task

__all__ = ["Task", "configure"]
