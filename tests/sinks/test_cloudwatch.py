"""The settings of the sink ``cloudwatch``; the sink itself is tested against a server, under tests/integration."""

import subprocess
import sys

import pytest

from netrunner.errors import ConfigurationError
from netrunner.sinks import cloudwatch as module
from netrunner.sinks.cloudwatch import CloudWatch
from netrunner.sinks.cloudwatch import plugin as cloudwatch
from netrunner.sinks.packing import Event
from netrunner.testing.fakes import FakeEnvironment
from netrunner.testing.section import FakeSection


def test_a_group_is_all_it_needs():
    settings = cloudwatch.parse(FakeSection({"log_group": "llm"}))
    assert (settings.log_group, settings.log_stream, settings.region) == ("llm", "netrunner", None)


def test_without_boto3_the_configuration_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    with pytest.raises(ConfigurationError, match=r"pip install 'netrunner\[aws\]'"):
        cloudwatch.parse(FakeSection({"log_group": "llm"}))


def test_boto3_is_not_imported_before_there_is_something_to_send():
    code = (
        "import sys\n"
        "from netrunner.sinks.cloudwatch import plugin as cloudwatch\n"
        "from netrunner.testing.fakes import FakeEnvironment\n"
        "from netrunner.testing.section import FakeSection\n"
        "cloudwatch.build(cloudwatch.parse(FakeSection({'log_group': 'llm'})), FakeEnvironment())\n"
        "print([name for name in sys.modules if name.startswith('boto')])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize(
    ("info", "reasons"),
    [
        ({}, ["", "", "", ""]),
        ({"tooOldLogEventEndIndex": 1}, ["too old", "", "", ""]),
        ({"expiredLogEventEndIndex": 2}, ["expired", "expired", "", ""]),
        ({"expiredLogEventEndIndex": 1, "tooOldLogEventEndIndex": 2}, ["expired", "too old", "", ""]),
        ({"expiredLogEventEndIndex": 2, "tooOldLogEventEndIndex": 1}, ["expired", "expired", "", ""]),
        ({"tooNewLogEventStartIndex": 3}, ["", "", "", "too new"]),
        ({"tooOldLogEventEndIndex": 1, "tooNewLogEventStartIndex": 1}, ["too old", "too new", "too new", "too new"]),
    ],
)
def test_each_rejected_event_is_told_once_with_its_reason(info, reasons):
    batch = [Event(0, str(number), b"x", True) for number in range(4)]
    told = [
        (event.id, reason)
        for reason, some in module._rejected(batch, {"rejectedLogEventsInfo": info})
        for event in some
    ]
    assert told == [(str(number), reason) for number, reason in enumerate(reasons) if reason]


def test_stopping_twice_does_no_harm():
    sink = CloudWatch(cloudwatch.parse(FakeSection({"log_group": "llm"})), FakeEnvironment())
    sink.start()
    sink.stop()
    sink.stop()
