"""The provider ``ollama``."""

from netrunner.errors import UpstreamRejected
from netrunner.providers.ollama import OllamaProvider, OllamaSettings
from netrunner.settings import Secret
from netrunner.testing.fakes import FakeEnvironment
from netrunner.values import Call, Origin

CALL = Call(b"POST", "chat", b"", [], b"{}", "m", True)


def test_the_default_address_is_a_server_here_that_asks_for_no_key():
    request = OllamaProvider(OllamaSettings(), FakeEnvironment("local")).build(CALL)
    assert (request.origin, request.target) == (Origin("http", "127.0.0.1", 11434), b"/api/chat")
    assert b"authorization" not in dict(request.headers)


def test_the_cloud_is_asked_with_a_key_and_for_inference_only():
    settings = OllamaSettings(base_url="https://ollama.com", api_key=Secret("k"))
    provider = OllamaProvider(settings, FakeEnvironment("cloud"))
    request = provider.build(CALL)
    assert (request.origin.host, request.target) == ("ollama.com", b"/api/chat")
    assert (b"authorization", b"Bearer k") in request.headers
    assert provider.serves("embed", True)
    assert not provider.serves("pull", True)


def test_errors_are_classified():
    rejected = OllamaProvider(OllamaSettings(), FakeEnvironment("local")).classify(
        404, [], b'{"error":"no such model"}'
    )
    assert isinstance(rejected, UpstreamRejected)
    assert (rejected.kind, rejected.message) == ("not_found", "no such model")
