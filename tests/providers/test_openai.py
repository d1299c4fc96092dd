"""The provider ``openai``."""

from netrunner.providers.openai import OpenAIProvider, OpenAISettings
from netrunner.settings import Secret
from netrunner.testing.fakes import FakeEnvironment
from netrunner.values import Call, Origin

provider = OpenAIProvider(OpenAISettings(api_key=Secret("sk-1")), FakeEnvironment("acme"))


def test_the_default_address_is_openais():
    call = Call(b"POST", "chat/completions", b"", [], b"{}", "gpt", False)
    request = provider.build(call)
    assert (request.origin, request.target) == (Origin("https", "api.openai.com", 443), b"/v1/chat/completions")
    assert (b"authorization", b"Bearer sk-1") in request.headers


def test_a_stored_key_serves_inference_only():
    assert provider.serves("embeddings", True)
    assert not provider.serves("files", False)


def test_a_refused_key_is_told_by_the_providers_name():
    assert "acme" in provider.classify(401, [], b"").message
