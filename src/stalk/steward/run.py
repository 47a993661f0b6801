"""The steward's loop: hear, decide, write."""

import os
import signal
import time
from collections.abc import Iterable

from celery import Celery
from celery.utils.log import get_logger

from stalk.api_server import ApiServer, Failed, TryAgain
from stalk.celery import configure
from stalk.celery.heartbeat import HeartbeatFiles
from stalk.logging import setup_logging
from stalk.settings import ConnectionSettings, load
from stalk.steward.activity import Activity
from stalk.steward.events import Beat, Deaf, Event, Left, Listener
from stalk.steward.pods import Pods
from stalk.steward.selector import Selector

__all__ = ["LIST_EVERY", "WRITES", "Steward", "steward"]

log = get_logger(__name__)

TURN = 1.0
"""Seconds between two turns of the loop."""
LIST_EVERY = 10.0
"""Seconds between two lists of pods; a new pod's tasks are seen to from the next one on."""
WRITES = 5
"""Pods written to in one turn, at most: five a second, however many workers change at once."""
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0


def steward(selector: Selector) -> str | None:
    """Keep the deletion costs of these pods right, until SIGTERM.

    Returns:
        What is wrong, when it cannot go on.
    """
    settings = load(ConnectionSettings)
    setup_logging(settings)
    try:
        pods = Pods(ApiServer(), selector)
    except Failed as reason:
        return str(reason)
    # At once: nothing is half done that the next steward would not see, and a clean end would wait for the broker.
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: os._exit(0))
    files = HeartbeatFiles(settings.stalk_run_dir)
    files.clear()
    listener = Listener(configure(Celery("stalk-steward"), settings, ["stalk-steward"]))
    listener.start()
    mine = Steward(pods, time.monotonic())
    while True:
        files.beat()
        try:
            mine.turn(listener.events(), time.monotonic())
        except Failed as reason:
            return str(reason)
        if listener.listening and mine.knows_pods:
            files.ready.touch()
        else:
            files.ready.unlink(missing_ok=True)
        time.sleep(TURN)


class Steward:
    """One turn after the other.

    Args:
        pods: to be looked after.
        now: the time; each turn is told a later one.
    """

    def __init__(self, pods: Pods, now: float) -> None:
        self.knows_pods = False
        """Did the server say which pods there are, and take what was written last?"""
        self._pods = pods
        self._activity = Activity(now)
        self._costs: dict[str, int] = {}
        self._next_list = self._next_try = now
        self._pause = FIRST_PAUSE

    def turn(self, events: Iterable[Event], now: float) -> None:
        """Take what was heard, and write what has changed; an API server that is away is asked again later.

        Raises:
            Failed: it makes no sense to go on.
        """
        for event in events:
            self._take(event)
        if now < self._next_try:
            return
        try:
            self._list(now)
            self._write(now)
        except TryAgain as reason:
            log.warning("%s; trying again in %g s", reason, self._pause)
            self.knows_pods = False
            self._next_try = now + self._pause
            self._pause = min(2 * self._pause, LONGEST_PAUSE)
        else:
            self.knows_pods = True
            self._pause = FIRST_PAUSE

    def _take(self, event: Event) -> None:
        match event:
            case Beat(host, active, every, at):
                self._activity.heard(host, active, every, at)
            case Left(host):
                self._activity.left(host)
            case Deaf():
                self._activity.deaf()

    def _list(self, now: float) -> None:
        if now >= self._next_list:
            self._costs = self._pods.costs()
            self._next_list = now + LIST_EVERY
            self._activity.forget(now)

    def _write(self, now: float) -> None:
        wanted = {name: self._activity.cost(name, cost, now) for name, cost in self._costs.items()}
        changed = [name for name, cost in self._costs.items() if wanted[name] != cost]
        # Who is busy first: a busy pod that looks idle may be taken, an idle one that looks busy stays a while longer.
        for name in sorted(changed, key=lambda name: self._costs[name] - wanted[name])[:WRITES]:
            if self._pods.write(name, wanted[name]):
                log.info("pod %s: deletion cost %d, was %d", name, wanted[name], self._costs[name])
                self._costs[name] = wanted[name]
            else:
                del self._costs[name]
