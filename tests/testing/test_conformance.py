"""Each conformance check passes what is right and finds what is wrong."""

import dataclasses

import pytest
from twisted.logger import Logger
from zope.interface import implementer

from netrunner.dialects.openai.api import OpenAIApi
from netrunner.errors import BadRequest, UpstreamRejected
from netrunner.interfaces import IProvider, IProviderFactory, IUpstream, IUpstreamCall
from netrunner.offers import ProviderFactory
from netrunner.registry import Registry
from netrunner.settings import ProviderSettings, Secret, setting
from netrunner.testing.conformance import BASE_URL, KEY, check_provider
from netrunner.values import Origin, ResponseHead


@pytest.fixture(scope="module")
def registry():
    return Registry.discover((), Logger("test"))


@pytest.mark.parametrize("name", Registry.discover((), Logger("test")).names("provider"))
def test_built_in_providers_keep_to_every_rule(name, registry):
    assert [finding for finding in check_provider(registry.factory("provider", name)) if not finding.ok] == []


@implementer(IProvider)
class Good:
    dialect = "openai"

    def __init__(self, settings, environment):
        self.settings = settings
        self.api = OpenAIApi(settings, environment.name)

    def build(self, call):
        return self.api.request(call)

    def serves(self, endpoint, model_named):
        return self.api.serves(endpoint)

    def classify(self, status, headers, body):
        return self.api.classify(status, headers, body)


def failed(build, settings=ProviderSettings, values=None):
    factory = ProviderFactory(name="bad", build=build, settings=settings, doc="Bad in one way.")
    return {finding.name: finding.message for finding in check_provider(factory, values) if not finding.ok}


def test_a_good_provider_has_no_findings():
    assert failed(Good) == {}
    assert failed(Good, values={"api_key": "passthrough"}) == {}
    assert failed(Good, values={"base_url": "https://x.test/v1", "api_key": None}) == {}


class Elsewhere(Good):
    def build(self, call):
        request = super().build(call)
        request.origin = Origin("https", "evil.invalid", 443)
        return request


class OtherPort(Good):
    def build(self, call):
        request = super().build(call)
        request.origin = Origin("http", request.origin.host, 80)
        return request


class OpenTarget(Good):
    def build(self, call):
        endpoint, call.endpoint = call.endpoint, "chat/completions"
        request = super().build(call)
        request.target = b"/v1/" + endpoint.encode()
        return request


def adding(*fields):
    class Adding(Good):
        def build(self, call):
            request = super().build(call)
            request.headers += fields
            return request

    return Adding


class Keyless(Good):
    def build(self, call):
        request = super().build(call)
        request.headers = [field for field in request.headers if field[0] != b"authorization"]
        return request


class Generous(Good):
    def build(self, call):
        request = super().build(call)
        if call.authorization:
            request.headers.append((b"x-caller", call.authorization))
        return request


class Renaming(Good):
    def build(self, call):
        request = super().build(call)
        request.body = b'{"model": "gpt-1"}'
        return request


class Spoiling(Good):
    def build(self, call):
        call.headers.append((b"x-added", b"1"))
        return super().build(call)


class Telling(Good):
    def __repr__(self):
        return f"<Telling {self.settings.api_key.reveal() if isinstance(self.settings.api_key, Secret) else ''}>"


class Serving(Good):
    def serves(self, endpoint, model_named):
        return True


class Refusing(Good):
    def build(self, call):
        raise BadRequest("No.")


class TellingError(Good):
    def build(self, call):
        if call.endpoint.startswith("//"):
            raise BadRequest(f"{KEY} is not for that.")
        return super().build(call)


class Raising(Good):
    def classify(self, status, headers, body):
        if not body:
            raise IndexError(body[0])
        return super().classify(status, headers, body)


class WrongError(Good):
    def classify(self, status, headers, body):
        return BadRequest("x") if status == 599 else super().classify(status, headers, body)


class OddStatus(Good):
    def classify(self, status, headers, body):
        return UpstreamRejected("x", status=200, retryable=True, retry_after_s=7 if headers[0][1] == b"7" else None)


class Quoting(Good):
    def classify(self, status, headers, body):
        error = super().classify(status, headers, body)
        error.code = self.settings.api_key.reveal()
        return error


class Hasty(Good):
    def classify(self, status, headers, body):
        return UpstreamRejected("x", status=status, retryable=True)


class Final(Good):
    def classify(self, status, headers, body):
        error = super().classify(status, headers, body)
        error.retryable = False
        return error


class Believing(Good):
    def classify(self, status, headers, body):
        error = super().classify(status, headers, body)
        if headers and headers[0] == (b"retry-after", b"1e999"):
            error.retry_after_s = float("inf")
        return error


class Deaf(Good):
    def build(self, call):
        request = super().build(call)
        if self.api.passthrough:
            request.headers = []
        return request


class Unbuildable(Good):
    def __init__(self, settings, environment):
        raise ZeroDivisionError


class Partial:
    def __init__(self, settings, environment):
        self.good = Good(settings, environment)
        self.settings = settings
        self.build, self.serves, self.classify = self.good.build, self.good.serves, self.good.classify


@pytest.mark.parametrize(
    ("provider", "name", "message"),
    [
        (Elsewhere, "origin", "goes to evil.invalid, not to the configured conformance.invalid"),
        (OtherPort, "origin", "not to the configured"),
        (OpenTarget, "origin", "is no path"),
        (TellingError, "origin", "an error of build tells the key"),
        (adding((b"host", b"x")), "headers", "sets host"),
        (adding((b"content-length", b"3")), "headers", "sets content-length"),
        (adding((b"connection", b"close")), "headers", "sets connection"),
        (adding((b"X-Big", b"1")), "headers", "lowercase"),
        (adding((b"x-a", b"1\r\nb: c")), "headers", "line break"),
        (Keyless, "credential", "without the configured key"),
        (Generous, "credential", "the caller's credential goes out"),
        (Deaf, "passthrough", "does not go out"),
        (Renaming, "model", "names the model"),
        (Spoiling, "call", "changes the call"),
        (Telling, "secrecy", "the repr of the provider tells the key"),
        (Serving, "secrecy", "files of all tenants"),
        (Refusing, "request", "no UpstreamRequest"),
        (Raising, "errors", "raised IndexError"),
        (WrongError, "errors", "is a BadRequest"),
        (OddStatus, "errors", "no proper message, code and status"),
        (Quoting, "errors", "quotes the key"),
        (Hasty, "retry-after", "Retry-After: 7 is understood as None"),
        (Final, "retry-after", "429 is not retryable"),
        (Believing, "retry-after", "understood as inf"),
        (Unbuildable, "build", "raised ZeroDivisionError"),
        (Partial, "provider", "IProvider"),
    ],
)
def test_a_provider_that_breaks_a_rule_is_found_out(provider, name, message):
    assert message in failed(provider)[name]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class TellingSettings(ProviderSettings):
    api_key: str = setting(doc="As text.")  # type: ignore[assignment]  # that is what is wrong with it


class TellingItsSettings(Good):
    def __init__(self, settings, environment):
        super().__init__(ProviderSettings(base_url=settings.base_url, api_key=Secret(settings.api_key)), environment)
        self.settings = settings


def test_settings_that_tell_the_key_are_found_out():
    assert "the repr of the settings tells the key" in failed(TellingItsSettings, TellingSettings)["secrecy"]


@implementer(IProviderFactory)
class Lax:
    name = "lax"
    doc = "Takes anything."
    settings = ProviderSettings

    def parse(self, section):
        return ProviderSettings(base_url=BASE_URL, api_key=Secret(KEY))

    def build(self, settings, environment):
        return Good(settings, environment)


def test_lax_parsing_is_found_out():
    assert "parse takes a key" in {finding.name: finding.message for finding in check_provider(Lax())}["strict"]


def test_a_factory_that_is_none_is_the_only_finding():
    (finding,) = check_provider(object())
    assert (finding.name, finding.ok) == ("factory", False)


def test_settings_without_a_dataclass_are_found_out():
    assert "no dataclass" in failed(Good, settings=int)["factory"]


# Providers that answer in this process.


@implementer(IUpstreamCall)
class LocalCall:
    """Three pieces, one a second; what it does wrong is in ``faults``."""

    def __init__(self, clock, receiver, faults):
        self.clock, self.receiver, self.faults = clock, receiver, faults
        self.left, self.paused, self.over, self.waiting = 3, False, False, None
        if "early" in faults:
            self.begin()
        else:
            self.waiting = clock.callLater(0, self.begin)

    def begin(self):
        if "unsent" not in self.faults:
            self.receiver.sent(False)
        self.receiver.head_received(ResponseHead(200, b"OK", []))
        self.later()

    def later(self):
        self.waiting = self.clock.callLater(1, self.piece)

    def piece(self):
        self.waiting = None
        if self.paused and "no pause" not in self.faults:
            return
        self.left -= 1
        self.receiver.body_received(b"x", self.left == 0 and "endless" not in self.faults)
        if self.left == 0 and "twice" in self.faults:
            self.receiver.body_received(b"", True)
        if self.left > 0 and not self.over:
            self.later()

    def pause(self):
        self.paused = True

    def resume(self):
        self.paused = False
        if self.left > 0 and self.waiting is None and "no resume" not in self.faults:
            self.later()

    def abort(self):
        if "no abort" in self.faults:
            return
        self.over = True
        if self.waiting is not None and self.waiting.active():
            self.waiting.cancel()

    def write(self, data): ...

    def end(self): ...

    def register_producer(self, producer): ...


def local(*faults):
    @implementer(IUpstream)
    class Local(Good):
        def __init__(self, settings, environment):
            super().__init__(settings, environment)
            self.clock = environment.clock

        def send(self, request, receiver):
            return LocalCall(self.clock, receiver, faults)

    return Local


def test_a_good_local_provider_has_no_findings():
    assert failed(local()) == {}


@pytest.mark.parametrize(
    ("fault", "name", "message"),
    [
        ("early", "dialogue", "before send had returned"),
        ("unsent", "dialogue", "the head came before sent"),
        ("endless", "dialogue", "no end of the answer"),
        ("twice", "dialogue", "body came after the end"),
        ("no pause", "pause", "goes on though it is paused"),
        ("no resume", "pause", "does not go on after resume"),
        ("no abort", "abort", "hears of a call"),
    ],
)
def test_a_local_provider_that_breaks_a_rule_is_found_out(fault, name, message):
    assert message in failed(local(fault))[name]
