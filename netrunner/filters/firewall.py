"""The filter ``firewall``: has what is asked looked at by classifiers, and refuses what they take for harmful.

A classifier is a server that is sent ``{"model": ..., "text": ...}``, or an image in the place of the text, and answers
``{"labels": [...], "probabilities": [...]}``. It is asked once, however many rules go by its answer.

This module must not judge anything itself.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import msgspec
from zope.interface import implementer

from netrunner.errors import ConfigurationError, Forbidden, InternalError, Problem, UpstreamError
from netrunner.filters.images import Bounds, Named, images_of
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
    """A server that says what a text or an image is."""

    name: str = setting(form="name", doc="What rules call it; it is told so as `model`.")
    type: Literal["text-classification", "image-classification"] = setting(
        "text-classification", doc="What it is asked about: texts, or images, `image-classification`."
    )
    url: str = setting(form="url", doc="Where texts, or images, are posted to.")
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
        doc="A text or image is refused that has a harmful label of a higher probability than this.",
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
    looks_at: Literal["last", "all"] = setting(
        "last", doc="The text and the images of the `last` message, or of `all` of them."
    )
    image_urls: Named = setting(
        "refuse",
        doc="What becomes of an image that is named by a URL: it is refused with 403 (`refuse`), its classifier is "
        "told the URL (`ask`), or it goes on unseen (`admit`), as what is named by a file's id does then only.",
    )
    max_images: int = setting(16, minimum=1, doc="Images of a request that are looked at; one with more is refused.")
    max_image_bytes: int = setting(20971520, minimum=1, doc="Bytes of the largest image that is looked at.")
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
        """Return whether a rule refuses that of which this is said."""
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
        self._types = {self._classifiers[rule.model].type for rule in self._rules}
        self._bounds = Bounds(
            everything=settings.looks_at == "all",
            named=settings.image_urls,
            count=settings.max_images,
            size_bytes=settings.max_image_bytes,
        )

    async def on_request(self, exchange: Any) -> None:
        """Refuse a request that a rule is against.

        Raises:
            Forbidden: ``firewall_blocked``; the message names the rule's type.
            InternalError: ``firewall_unavailable``, when that cannot be found out.
            ExchangeError: when an image cannot be looked at; see ``images_of``.
        """
        subjects: dict[str, Sequence[Mapping[str, str]]] = {}
        if "text-classification" in self._types:
            text = self._text(exchange)
            subjects["text-classification"] = [{"text": text}] if text else []
        if "image-classification" in self._types:
            subjects["image-classification"] = images_of(exchange, self._bounds)
        verdicts: dict[str, list[Verdict]] = {}
        for rule in self._rules:
            if rule.model not in verdicts:
                classifier = self._classifiers[rule.model]
                asked = [await self._verdict(classifier, subject) for subject in subjects[classifier.type]]
                verdicts[rule.model] = [verdict for verdict in asked if verdict is not None]
            if any(verdict.refused_by(rule) for verdict in verdicts[rule.model]):
                raise Forbidden(f"The request is refused by the firewall: {rule.type}.", code="firewall_blocked")

    def _text(self, exchange: Any) -> str:
        messages = exchange.view().messages() if exchange.envelope is not None else ()
        if self.settings.looks_at == "last":
            messages = messages[-1:]
        return "\n".join(message.text for message in messages if message.text)

    async def _verdict(self, classifier: ClassifierSettings, subject: Mapping[str, str]) -> Verdict | None:
        """Return what a classifier says; None if that is unknown and the request goes on all the same."""
        environment = self._environment
        document = msgspec.json.encode({"model": classifier.name, **subject})
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
