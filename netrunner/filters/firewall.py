"""The filter ``firewall``: has a request's text looked at by classifiers, and refuses what they take for harmful.

A classifier is a server that is sent ``{"model": ..., "text": ...}`` and answers ``{"labels": [...], "probabilities":
[...]}``. It is asked once for a request, however many rules go by its answer.

This module must not judge any text itself.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any, Literal

import msgspec
from zope.interface import implementer

from netrunner.errors import ConfigurationError, Forbidden, InternalError, Problem, UpstreamError
from netrunner.interfaces import IEnvironment, IRequestPhase, ISection
from netrunner.offers import FilterFactory
from netrunner.settings import Secret, setting
from netrunner.sidecall import post_json

Kind = Literal[
    "prompt-injection",
    "malicious-intent",
    "policy-violation",
    "sensitive-data",
    "hallucination-risk",
    "spam",
    "obfuscation",
    "custom",
]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ClassifierSettings:
    """A server that says what a text is."""

    name: str = setting(form="name", doc="What rules call it; it is told so as `model`.")
    url: str = setting(form="url", doc="Where texts are posted to.")
    api_key: Secret | None = setting(None, doc="Sent as `Authorization: Bearer`.")
    timeout_s: float = setting(5.0, minimum=0.001, doc="Seconds for its answer.")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RuleSettings:
    """What is refused."""

    type: Kind = setting(
        doc="What it is about: `prompt-injection`, `malicious-intent`, `policy-violation`, `sensitive-data`, "
        "`hallucination-risk`, `spam`, `obfuscation` or `custom`; its refusals say so."
    )
    model: str = setting(form="name", doc="The classifier that it goes by.")
    threshold: float = setting(
        0.5,
        minimum=0.0,
        maximum=1.0,
        doc="A text is refused that has a harmful label of a higher probability than this.",
    )
    harmless: tuple[str, ...] = setting(
        ("safe", "neutral", "benign"), form="text", doc="Labels that are not harmful, whatever their case."
    )
    enabled: bool = setting(True, doc="Whether it is applied.")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class FirewallSettings:
    """Settings of the filter ``firewall``."""

    models: tuple[ClassifierSettings, ...] = setting(doc="The classifiers that there are.")
    rules: tuple[RuleSettings, ...] = setting(doc="What is refused; the first one that does tells why.")
    looks_at: Literal["last", "all"] = setting("last", doc="The text of the `last` message, or of `all` of them.")
    unavailable: Literal["refuse", "admit"] = setting(
        "refuse", doc="What becomes of a request whose classifier gives no answer: 500, or it goes on."
    )

    def contradictions(self) -> Iterator[str]:
        """Yield what makes no sense together."""
        names = [one.name for one in self.models]
        if len(set(names)) < len(names):
            yield "models: expected every name once"
        for rule in self.rules:
            if rule.model not in names:
                yield f"rules: no classifier is called {rule.model}"
        if not any(rule.enabled for rule in self.rules):
            yield "expected at least one rule that is enabled"


class Verdict(msgspec.Struct):
    """A classifier's answer."""

    labels: list[str]
    probabilities: list[float]

    def refused_by(self, rule: RuleSettings) -> bool:
        """Return whether a rule refuses a text of which this is said."""
        harmless = {label.lower() for label in rule.harmless}
        told = zip(self.labels, self.probabilities, strict=True)
        return any(label.lower() not in harmless and probability > rule.threshold for label, probability in told)


_decode = msgspec.json.Decoder(Verdict).decode


@implementer(IRequestPhase)
class Firewall:
    """Asks classifiers, and refuses."""

    def __init__(self, settings: FirewallSettings, environment: IEnvironment) -> None:
        self.settings = settings
        self._environment = environment
        self._classifiers = {one.name: one for one in settings.models}
        self._rules = [rule for rule in settings.rules if rule.enabled]

    async def on_request(self, exchange: Any) -> None:
        """Refuse a request that a rule is against.

        Raises:
            Forbidden: ``firewall_blocked``; the message names the rule's type.
            InternalError: ``firewall_unavailable``, when that cannot be found out.
        """
        text = self._text(exchange)
        if not text:
            return
        verdicts: dict[str, Verdict | None] = {}
        for rule in self._rules:
            if rule.model not in verdicts:
                verdicts[rule.model] = await self._verdict(self._classifiers[rule.model], text)
            verdict = verdicts[rule.model]
            if verdict is not None and verdict.refused_by(rule):
                raise Forbidden(f"The request is refused by the firewall: {rule.type}.", code="firewall_blocked")

    def _text(self, exchange: Any) -> str:
        messages = exchange.view().messages() if exchange.envelope is not None else ()
        if self.settings.looks_at == "last":
            messages = messages[-1:]
        return "\n".join(message.text for message in messages if message.text)

    async def _verdict(self, classifier: ClassifierSettings, text: str) -> Verdict | None:
        """Return what a classifier says; None if that is unknown and the request goes on all the same."""
        environment = self._environment
        document = msgspec.json.encode({"model": classifier.name, "text": text})
        key = classifier.api_key
        headers = {} if key is None else {"Authorization": f"Bearer {key.reveal()}"}
        try:
            status, body = await post_json(
                environment.http, environment.clock, classifier.url, document, headers, classifier.timeout_s
            )
            if status != 200:
                raise UpstreamError(f"It answered {status}.")
            return _read(body)
        except UpstreamError as error:
            environment.log.warn("no answer of {name}: {reason}", name=classifier.name, reason=error.message)
            if self.settings.unavailable == "admit":
                return None
            raise InternalError("The firewall cannot look at requests now.", code="firewall_unavailable") from error


def _read(body: bytes) -> Verdict:
    try:
        verdict = _decode(body)
    except msgspec.MsgspecError as error:
        raise UpstreamError("Its answer cannot be read.") from error
    if not verdict.labels or len(verdict.labels) != len(verdict.probabilities):
        raise UpstreamError("Its answer has not as many probabilities as labels, or none.")
    return verdict


class _FirewallFactory(FilterFactory[FirewallSettings]):
    """Offers the filter, and refuses rules that lead nowhere."""

    __slots__ = ()

    def parse(self, section: ISection) -> FirewallSettings:
        """Read the section."""
        parsed: FirewallSettings = section.read(FirewallSettings)
        problems = [Problem(section.where, f"firewall: {problem}") for problem in parsed.contradictions()]
        if problems:
            raise ConfigurationError(problems)
        return parsed


plugin = _FirewallFactory(
    name="firewall",
    build=Firewall,
    settings=FirewallSettings,
    doc="Has what is asked looked at by classifiers, and refuses it.",
)
