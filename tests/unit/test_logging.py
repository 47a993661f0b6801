"""Log lines as JSON."""

import json
import logging
import subprocess
import sys

from stalk.logging import json_formatter


def test_one_object_a_line_with_the_fields_that_collectors_look_for() -> None:
    record = logging.LogRecord("shop", logging.WARNING, __file__, 1, "lost %s\nlines", ("two",), None)
    line = json_formatter().format(record)
    said = json.loads(line)
    assert "\n" not in line
    assert (said["level"], said["logger"], said["message"]) == ("WARNING", "shop", "lost two\nlines")
    assert said["time"]


def test_exception_is_one_line_too() -> None:
    try:
        raise ValueError("no")
    except ValueError:
        record = logging.LogRecord("shop", logging.ERROR, __file__, 1, "failed", (), sys.exc_info())
    line = json_formatter().format(record)
    assert "\n" not in line
    assert "ValueError: no" in json.loads(line)["exc_info"]


def test_api_process_logs_json() -> None:
    code = "import app.main, logging; logging.getLogger('x').info('hello')"
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, env={"LOG_FORMAT": "json"}
    )
    assert json.loads(done.stderr)["message"] == "hello"
