"""The reactor's shortened loop carries real sockets, and leaves other reactors alone."""

from __future__ import annotations

import subprocess
import sys

from twisted.internet.testing import MemoryReactorClock

from netrunner.process.tuning import shorten_loop, steady_time

TALK = """
from twisted.internet import epollreactor
epollreactor.install()
from twisted.internet import protocol, reactor
from netrunner.process.tuning import settle_memory, shorten_loop

class Echo(protocol.Protocol):
    def dataReceived(self, data):
        if data == b"raise":
            raise RuntimeError("told to")
        self.transport.write(data)

class Talk(protocol.Protocol):
    def connectionMade(self):
        self.transport.write(b"hello")
    def dataReceived(self, data):
        print(data.decode())
        self.transport.write(b"raise")
    def connectionLost(self, reason):
        print("ended")
        reactor.stop()

settle_memory()
turns = []
assert shorten_loop(reactor, lambda: turns.append(1))
assert "doIteration" in vars(reactor)
port = reactor.listenTCP(0, protocol.Factory.forProtocol(Echo), interface="127.0.0.1")
client = protocol.ClientFactory.forProtocol(Talk)
reactor.connectTCP("127.0.0.1", port.getHost().port, client)
reactor.callLater(20, reactor.stop)
reactor.run()
assert len(turns) > 2
"""


def test_sockets_talk_through_the_shortened_loop_and_one_that_raises_is_closed():
    done = subprocess.run([sys.executable, "-c", TALK], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.split() == ["hello", "ended"], done.stderr


def test_a_reactor_of_another_kind_is_left_alone():
    reactor = MemoryReactorClock()
    before = dict(vars(reactor))
    assert not shorten_loop(reactor, lambda: None)
    assert vars(reactor).keys() == before.keys()


JUMP = """
import time
from twisted.internet import reactor
from netrunner.process.tuning import steady_time

called = []
reactor.callLater(0.02, called.append, "before")
steady_time(reactor)
time.time = reactor.__class__.seconds = lambda: 0.0
reactor.callLater(0.05, called.append, "after")
reactor.callLater(0.1, reactor.stop)
reactor.run()
print(*called)
"""


def test_delayed_calls_come_though_the_wall_clock_is_put_back():
    done = subprocess.run([sys.executable, "-c", JUMP], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.split() == ["before", "after"], done.stderr


def test_a_clock_of_another_kind_is_left_alone():
    reactor = MemoryReactorClock()
    before = dict(vars(reactor))
    steady_time(reactor)
    assert vars(reactor).keys() == before.keys()
