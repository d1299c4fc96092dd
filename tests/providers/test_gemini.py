"""The provider ``gemini``."""

from netrunner.providers.gemini import GeminiProvider, GeminiSettings
from netrunner.settings import Secret
from netrunner.testing.fakes import FakeEnvironment
from netrunner.values import Call, Origin

provider = GeminiProvider(GeminiSettings(api_key=Secret("AIza-1")), FakeEnvironment("google"))


def test_the_default_address_is_googles():
    call = Call(b"POST", "models/x:generateContent", b"", [], b"{}", "x", False)
    request = provider.build(call)
    assert request.origin == Origin("https", "generativelanguage.googleapis.com", 443)
    assert request.target == b"/v1beta/models/x:generateContent"
    assert (b"x-goog-api-key", b"AIza-1") in request.headers


def test_a_stored_key_serves_inference_only():
    assert provider.serves("models/x:embedContent", True)
    assert not provider.serves("files", False)


def test_a_refused_key_is_told_by_the_providers_name():
    assert "google" in provider.classify(403, [], b"").message
