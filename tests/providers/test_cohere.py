"""The provider ``cohere``."""

from netrunner.providers.cohere import CohereProvider, CohereSettings
from netrunner.settings import Secret
from netrunner.testing.fakes import FakeEnvironment
from netrunner.values import Call, Origin

provider = CohereProvider(CohereSettings(api_key=Secret("co-1")), FakeEnvironment("acme"))


def test_the_default_address_is_coheres():
    request = provider.build(Call(b"POST", "chat", b"", [], b"{}", "command-a", False))
    assert (request.origin, request.target) == (Origin("https", "api.cohere.com", 443), b"/v2/chat")
    assert (b"authorization", b"Bearer co-1") in request.headers


def test_a_stored_key_serves_inference_only():
    assert provider.serves("embed", True)
    assert not provider.serves("datasets", False)


def test_a_refused_key_is_told_by_the_providers_name():
    assert "acme" in provider.classify(401, [], b"").message
