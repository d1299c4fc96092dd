"""``explain`` against the pipeline itself: the same request gets what was told, to the last candidate."""

from __future__ import annotations

import dataclasses
import json
import random
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netrunner.cli.explain import ExplainOptions, lines
from netrunner.config.naming import names_of
from netrunner.config.pooling import claims_of, pools_of, table_of
from netrunner.config.settings import (
    AccessSettings,
    ModelSettings,
    PluginConfig,
    RuleSettings,
    RuleTargetSettings,
    ServerSettings,
    Settings,
    TargetSettings,
)
from netrunner.errors import UpstreamError
from netrunner.explain import Counted, PassedOver, Question, explain
from netrunner.filters.bearer import Bearer
from netrunner.http.call import unsent
from netrunner.http.site import Site
from netrunner.http.sweep import Sweep
from netrunner.limits.memory import MemoryCounters
from netrunner.pipeline.aliases import AliasProviders
from netrunner.pipeline.chain import Chain
from netrunner.pipeline.choosing import Choosing
from netrunner.pipeline.shared import Pipeline
from netrunner.providers import openai
from netrunner.registered import FILE
from netrunner.room import limits
from netrunner.routing.targets import Targets
from netrunner.settings import Health, Limits, Secret
from netrunner.testing.fakes import FakeClock, FakeEnvironment
from netrunner.values import Alias
from netrunner.web.access import Door, Sources
from netrunner.web.proxy import Entry
from netrunner.web.tree import NOTHING, tree
from tests.support.client import Client, answers
from tests.support.fuzz import inputs_per_target
from tests.support.stage import LOOPBACK, Ledger, Upstream, error_of, request

TOKEN = "right"
PROVIDERS = ("p", "q", "r")
MODELS = ("m", "n", "gpt-4")
ASKED = (*MODELS, "gpt-3.5-turbo", "old", "own", "BIG", "SMALL", "org/x", "m2", "x" * 513)
SOURCES = ("127.0.0.1", "192.0.2.7", "2001:db8::7")


class Server:
    """A configuration as the daemon wires it, with upstreams that the test plays."""

    def __init__(self, config: Settings, aliases: dict[str, Alias]) -> None:
        self.clock, self.upstream, targets = FakeClock(), Upstream(), Targets()
        table = table_of(config)
        access = config.access
        self.pipeline = Pipeline(
            Chain([Bearer(access.token)] if access.mode == "token" and access.token else []),
            table,
            {
                one.name: (
                    openai.OpenAIProvider(one.settings, FakeEnvironment(one.name, clock=self.clock)),
                    self.upstream,
                )
                for one in config.providers
            },
            Ledger(),
            self.clock,
            100,
            choosing=Choosing(
                targets,
                pools_of(config, table, targets),
                claims_of(config),
                MemoryCounters(self.clock),
            ),
            names=names_of(config, aliases),
        )
        AliasProviders(self.pipeline, self.upstream, True).follow(aliases)
        entry = Entry(
            self.pipeline,
            Door(access.mode == "open", access.public),
            Sources(config.server.trusted_proxies),
            random.Random(0),
        )
        sweep = Sweep(self.clock)
        sweep.start()
        self.site = Site(tree(entry, {}, {}), sweep, limits(config), NOTHING.refusal)

    def ask(self, data: bytes, question: Question) -> Client:
        client = Client(self.site, self.clock)
        client.transport.hostAddr = client.transport.peerAddr = LOOPBACK
        fields = [] if question.source == "127.0.0.1" else [(b"x-forwarded-for", question.source.encode())]
        if question.token is not None:
            fields.append((b"authorization", b"Bearer " + question.token.encode()))
        return client.say(request(question.path, data, headers=fields))

    def asked(self) -> list[tuple[str | None, str | None]]:
        """Return who is asked one after the other, each not to be reached."""
        found, calls = [], self.upstream.calls
        while self.pipeline.inflight:
            (exchange,) = self.pipeline.inflight.values()
            found.append((exchange.provider, exchange.upstream_model))
            before = len(calls)
            calls[-1].receiver.failed(unsent(UpstreamError("nobody is there")))
            assert len(calls) > before or not self.pipeline.inflight
        return found


def provider(name: str) -> PluginConfig:
    own = openai.OpenAISettings(base_url="http://up.example/v1", api_key=Secret("sk-stored"), repair=False)
    return PluginConfig(name=name, type="openai", factory=openai.plugin, settings=own, where="x:1")


targets_of = st.lists(
    st.builds(
        TargetSettings,
        provider=st.sampled_from(PROVIDERS),
        model=st.sampled_from(["a", "b", "org/c"]),
        priority=st.integers(1, 3),
        max_request_bytes=st.sampled_from([None, None, 60, 110]),
    ),
    min_size=1,
    max_size=6,
    unique_by=lambda target: (target.provider, target.model),
).map(tuple)
models = st.lists(
    st.builds(
        ModelSettings,
        name=st.sampled_from(MODELS),
        targets=targets_of,
        strategy=st.sampled_from(["priority", "round_robin", "least_latency", "least_busy"]),
        size_class=st.sampled_from([None, "BIG", "SMALL"]),
        limits=st.sampled_from([Limits(), Limits(requests_per_minute=5)]),
    ),
    max_size=3,
    unique_by=lambda model: model.name,
).map(tuple)
rules = st.lists(
    st.builds(
        RuleSettings,
        source=st.sampled_from([(), ("192.0.2.0/24",), ("2001:db8::/32", "127.0.0.0/8")]),
        model=st.sampled_from([None, "m", "old", "/gpt-/", "/.*o/"]),
        path=st.sampled_from([None, None, "/v1/embeddings", "/v1"]),
        to=st.one_of(
            st.builds(RuleTargetSettings, model=st.sampled_from(["m", "own", "old", "gpt-9", "SMALL"])),
            st.builds(RuleTargetSettings, provider=st.sampled_from(PROVIDERS), model=st.sampled_from([None, "z"])),
        ),
    ),
    max_size=3,
).map(tuple)
model_map = st.dictionaries(
    st.sampled_from(["old", "m2", "/gpt-(.*)/", "/(o)(r)?g/", "/m/"]),
    st.sampled_from(["m", "n", "own", "nowhere", "BIG"]),
    max_size=4,
).map(lambda entries: {key: rf"llama\1{target}" if key == "/gpt-(.*)/" else target for key, target in entries.items()})
configurations = st.builds(
    Settings,
    providers=st.just(tuple(map(provider, PROVIDERS))),
    models=models,
    rules=rules,
    model_map=model_map,
    unknown_model=st.sampled_from(["reject", *PROVIDERS]),
    default_provider=st.sampled_from([None, "q"]),
    server=st.builds(ServerSettings, hosts=st.just(("localhost",)), max_body_bytes=st.sampled_from([100, 33554432])),
    access=st.one_of(
        st.builds(AccessSettings, public=st.booleans()),
        st.just(AccessSettings(mode="token", token=Secret(TOKEN))),
    ),
)
aliases_of = st.sampled_from([{}, {"own": Alias("own", "org/m", "https://llm.example/v1", 0.0)}])


@st.composite
def questions(draw: Any, config: Settings) -> tuple[bytes, Question]:
    model = draw(st.sampled_from([None, *ASKED]))
    document = {"input": "x" * draw(st.sampled_from([0, 30, 80])), **({} if model is None else {"model": model})}
    data = json.dumps(document).encode()
    path = draw(st.sampled_from(["/v1/embeddings", "/v1/chat/completions", "/v1/responses"]))
    token = draw(st.sampled_from([TOKEN, TOKEN, "wrong"])) if config.access.mode == "token" else None
    return data, Question(model, draw(st.sampled_from(SOURCES)), path, len(data), token)


@pytest.mark.fuzz
@settings(max_examples=inputs_per_target() // 500, deadline=None)
@given(st.data())
def test_what_is_told_is_what_happens(data: Any) -> None:
    config, aliases = data.draw(configurations), data.draw(aliases_of)
    body, question = data.draw(questions(config))
    told = explain(config, aliases, question)
    server = Server(config, aliases)
    client = server.ask(body, question)
    if told.refused is None:
        assert server.asked() == [(one.provider, one.model or None) for one in told.asked]
        return
    assert told.asked == []
    assert server.upstream.calls == []
    (answer,) = answers(client.heard(), b"POST", closed=True)
    assert (answer.status, error_of(answer.body)["code"]) == (told.refused.status, told.refused.code)


def configured(**more: Any) -> Settings:
    targets = (
        TargetSettings(provider="p", model="a", max_request_bytes=10),
        TargetSettings(provider="q", model="b", priority=2, limits=Limits(concurrency=2)),
    )
    model = ModelSettings(name="m", targets=targets, limits=Limits(requests_per_minute=5))
    return Settings(providers=tuple(map(provider, PROVIDERS)), models=(model,), **more)


def test_targets_are_told_in_their_order_with_what_they_are_limited_to() -> None:
    told = explain(configured(model_map={"/gpt-.*/": "m"}), {}, Question("gpt-4", bytes=11))
    assert [str(step) for step in told.steps] == ["model_map /gpt-.*/", "model m"]
    assert (told.pool, told.strategy) == ("m", "priority")
    assert [(one.provider, one.model) for one in told.asked] == [("q", "b")]
    assert told.passed_over == [PassedOver("p", "a", "takes at most 10 bytes")]
    assert told.limits == [
        Counted("model", "m", {"requests_per_minute": 5}),
        Counted("target", "q/b", {"concurrency": 2}),
    ]


def test_a_model_with_one_target_has_no_breaker_unless_it_says_so() -> None:
    one = ModelSettings(name="one", targets=(TargetSettings(provider="p", model="a"),))
    settings = dataclasses.replace(configured(), models=(*configured().models, one))
    assert explain(settings, {}, Question("m")).breaker is True
    told = explain(settings, {}, Question("one"))
    assert told.breaker is False
    assert ("breaker", "none: its only target is asked however it fares (health.alone)") in list(lines(told))
    settings = dataclasses.replace(settings, health=Health(alone=True))
    assert explain(settings, {}, Question("one")).breaker is True


def test_a_refusal_is_told_with_what_would_have_been_meant_otherwise() -> None:
    told = explain(configured(), {}, Question("m", "192.0.2.1"))
    assert told.refused is not None
    assert (told.refused.status, told.refused.code) == (403, "not_local")
    assert told.pool == "m"
    assert told.asked == []


def test_a_credential_is_never_told() -> None:
    access = AccessSettings(mode="token", token=Secret("canary"))
    for given_token in ("canary", "canary2"):
        told = explain(configured(access=access), {}, Question("m", token=given_token))
        assert "canary" not in repr(told)
        assert told.filters == ["access.mode token"]


def test_the_command_tells_it_line_by_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "netrunner.yaml"
    path.write_text(
        f"state: {tmp_path}\nproviders: {{echo: {{type: echo}}}}\nunknown_model: echo\nfilters: [{{type: no_think}}]\n"
    )
    (tmp_path / FILE).write_bytes(msgspec.json.encode([Alias("own", "org/m", "https://llm.example/v1", 0.0)]))
    assert command("--config", str(path), "--model", "own", "--bytes", "7") == 0
    assert capsys.readouterr().out.splitlines() == [
        "asked          own at /v1/chat/completions from 127.0.0.1, 7 bytes",
        "alias          own -> org/m",
        "1.             alias:own org/m at https://llm.example/v1",
        "filters        no_think",
    ]


def test_the_command_says_by_its_status_that_a_request_would_be_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "netrunner.yaml"
    path.write_text("providers: {echo: {type: echo}}\n")
    assert command("--config", str(path), "--model", "m", "--json") == 1
    document = json.loads(capsys.readouterr().out)
    assert document["refused"]["code"] == "model_not_found"
    path.write_text("providers: {echo: {type: none}}\n")
    assert command("--config", str(path)) == 1
    assert "netrunner.yaml:1: " in capsys.readouterr().err


def command(*arguments: str) -> int:
    options = ExplainOptions()
    options.parseOptions(arguments)
    return options.run()
