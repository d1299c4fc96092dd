"""Reading a section into settings: what fits, and what is said about what does not."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, fields

import pytest
from hypothesis import given
from hypothesis import strategies as st
from zope.interface.verify import verifyObject

from netrunner.config import tree
from netrunner.config.forms import FORMS, Listener, listener
from netrunner.config.settings import Document
from netrunner.config.typed import Section, Surroundings
from netrunner.errors import ConfigurationError
from netrunner.interfaces import ISection
from netrunner.settings import ProviderSettings, Secret, Timeouts, setting
from tests.config.fakes import Loader, Sample


def section(text: str) -> Section:
    return Section(tree.parse(text, "x.yaml"), Surroundings({}, []))


def problems(text: str, settings: type[object]) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        section(text).read(settings)
    return [str(problem) for problem in caught.value.problems]


def test_a_section_provides_what_plugins_are_promised() -> None:
    assert verifyObject(ISection, section("a: 1"))
    assert section("a: 1\nb: 2").keys() == ["a", "b"]


def test_every_kind_of_value_is_read(loaded: Loader) -> None:
    assert loaded.sample(
        "flag: true\ncount: 7\nshare: 2\nlabel: x\nword: two\ntags: [a, b]\nweights: {x: 1, y: 2}"
    ) == Sample(flag=True, count=7, share=2.0, label="x", word="two", tags=("a", "b"), weights={"x": 1, "y": 2})


def test_absent_keys_have_their_defaults(loaded: Loader) -> None:
    assert loaded.sample("") == Sample()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("flag: yes", "flag: expected true or false, got 'yes'"),
        ("flag: 1", "flag: expected true or false, got 1"),
        ("count: '7'", "count: expected a whole number, got '7'"),
        ("count: 7.0", "count: expected a whole number, got 7.0"),
        ("count: true", "count: expected a whole number, got true"),
        ("count: 11", "count: expected a number from 0 to 10, got 11"),
        ("count:", "count: expected a whole number, got nothing"),
        ("count: [1]", "count: expected a whole number, got a list"),
        ("share: -0.5", "share: expected at least 0, got -0.5"),
        ("share: 1e999", "share: expected a finite number, got 1e999"),
        ("share: .nan", "share: expected a number, got '.nan'"),
        ("label: 7", "label: expected a string or nothing, got 7"),
        ("label: {a: 1}", "label: expected a string or nothing, got a mapping"),
        ("word: three", "word: expected 'one' or 'two', got 'three'"),
        ("tags: a", "tags: expected a list, got 'a'"),
        ("tags: [a, 1]", "tags: expected a string, got 1"),
        ("weights: {x: a}", "x: expected a whole number, got 'a'"),
        ("weights: {x y: 1}", "key 'x y': expected 1 to 64 letters, digits, dots, underscores and hyphens"),
        ("labels: x", "unknown key 'labels', did you mean label?"),
    ],
)
def test_what_does_not_fit_is_told_with_its_line_and_what_was_expected(loaded: Loader, line: str, message: str) -> None:
    assert loaded.sample_problems(line) == [f"netrunner.yaml:4: {message}"]


def test_a_key_like_no_other_is_told_with_the_known_ones() -> None:
    assert problems("zzz: 1", Timeouts) == [
        "x.yaml:1: unknown key 'zzz'; known are connect_s, first_byte_s, between_bytes_s"
    ]


def test_all_problems_are_told_at_once_nested_ones_too() -> None:
    text = "base_url: ftp://x\ntimeouts:\n  connect_s: 0\n  other_s: 1\npool: {max_idle: no}\nresend: maybe\n"
    assert [problem.partition(" ")[0] for problem in problems(text, ProviderSettings)] == [
        "x.yaml:1:", "x.yaml:3:", "x.yaml:4:", "x.yaml:5:", "x.yaml:6:",
    ]  # fmt: skip


def test_a_required_key_that_is_missing_is_told_where_its_section_begins(loaded: Loader) -> None:
    assert loaded.problems("providers:\n  a:\n    type: openai\n") == ["netrunner.yaml:3: base_url is missing"]


def test_a_word_comes_before_a_secret() -> None:
    assert section("base_url: http://a\napi_key: passthrough").read(ProviderSettings).api_key == "passthrough"
    assert section("base_url: http://a\napi_key: other").read(ProviderSettings).api_key == Secret("other")
    assert section("base_url: http://a\napi_key: ~").read(ProviderSettings).api_key is None


@pytest.mark.parametrize("url", ["redis://", "redis://h/x", "http://h/0", "redis://:canary@h:0/1", "redis://h/0?a=b"])
def test_what_is_no_redis_is_refused_and_not_repeated(url: str) -> None:
    expected = "x.yaml:1: shared: expected memory or a URL such as redis://127.0.0.1:6379/0"
    assert problems(f"shared: {url}", Document) == [expected]


@pytest.mark.parametrize("url", ["memory", "redis://h", "redis://u:p@[::1]:6380/2", "rediss://h:1"])
def test_counters_may_be_shared_through_redis(url: str) -> None:
    assert section(f"shared: '{url}'").read(Document).shared == url


def test_one_may_stand_where_a_list_of_endpoints_is_expected() -> None:
    assert section("listen: tcp:80").read(Document).listen == ("tcp:80",)
    assert section("listen: [tcp:80, unix:/a]").read(Document).listen == ("tcp:80", "unix:/a")


def test_paths_are_made_absolute_at_once(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(str(tmp_path))
    assert section("").read(Document).state == f"{tmp_path}/var"
    assert section("state: there").read(Document).state == f"{tmp_path}/there"


@pytest.mark.parametrize(
    "text", ["http://host", "https://host:8443/v1?version=2", "http://[::1]:80/", "http://127.0.0.1"]
)
def test_urls_are_absolute_and_of_http(text: str) -> None:
    assert FORMS["url"](text) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "host",
        "//host",
        "ftp://host",
        "http://",
        "http://a b",
        "http://u:canary@host",
        "http://h:99999",
        "http://h#x",
        "http://[::1",
    ],
)
def test_anything_else_is_no_url_and_is_not_repeated(text: str) -> None:
    (problem,) = problems(f'base_url: "{text}"', ProviderSettings)
    assert problem.startswith("x.yaml:1: base_url: expected an absolute http or https URL with a host")
    assert "canary" not in problem


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("tcp:80", Listener("", 80)),
        ("tcp:80:interface=127.0.0.1:backlog=9", Listener("127.0.0.1", 80, backlog=9)),
        (r"tcp:80:interface=\:\:1", Listener("::1", 80)),
        ("tcp6:80", Listener("::", 80)),
        ("tcp:80:interface=[::1]", Listener("::1", 80)),
        ("unix:/run/x:mode=600", Listener(path="/run/x", mode=0o600)),
    ],
)
def test_endpoint_strings_are_read_as_twisted_reads_them(text: str, expected: Listener) -> None:
    assert listener(text) == expected


@pytest.mark.parametrize(
    ("text", "loopback", "host"),
    [
        ("tcp:80", False, None),
        ("tcp:80:interface=0.0.0.0", False, None),
        ("tcp:80:interface=127.9.9.9", True, "127.9.9.9"),
        ("tcp:80:interface=[::1]", True, "[::1]"),
        ("tcp:80:interface=localhost", True, "localhost"),
        ("tcp:80:interface=10.0.0.1", False, "10.0.0.1"),
        ("unix:/run/x", True, None),
    ],
)
def test_a_listener_knows_whether_others_reach_it(text: str, loopback: bool, host: str | None) -> None:
    assert (listener(text).loopback, listener(text).host) == (loopback, host)


@pytest.mark.parametrize("text", ["tcp:0", "tcp:65536", "tcp:-1", "tcp:http", "tcp:1e3", "tcp:99999999999"])
def test_a_port_is_from_1_to_65535(text: str) -> None:
    (problem,) = problems(f"listen: '{text}'", Document)
    assert problem == f"x.yaml:1: listen: expected a port from 1 to 65535, got '{text}'"


@pytest.mark.parametrize(
    "text", ["8080", "tcp", "tcp:80:x=1", "ssl:443", "unix:", "tcp:80:81", "unix:/a:mode=999", "tcp:80:interface=eth0"]
)
def test_other_endpoints_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"an endpoint such as|a mode in octal|an interface given as"):
        listener(text)


@pytest.mark.parametrize(
    ("form", "text", "settled"),
    [
        ("host", "Example.COM", "example.com"), ("host", "[::1]", "[::1]"), ("host", "*", "*"),
        ("network", "10.0.0.1/8", "10.0.0.0/8"), ("network", "::1", "::1/128"), ("header", "X-Token", "x-token"),
        ("prefix", "/a/", "/a/"), ("origin", "HTTPS://App.Example:443", "https://app.example"), ("origin", "*", "*"),
        ("origin", "http://[::1]:80", "http://[::1]"), ("origin", "tauri://localhost:8", "tauri://localhost:8"),
        ("redaction", "secrets", "secrets"), ("redaction", "/a+/", "/a+/"),
        ("text", "gpt-4o:mini/x", "gpt-4o:mini/x"), ("name", "a.b-c_1", "a.b-c_1"),
        ("authority", "LLM.internal:80", "llm.internal:80"), ("authority", "[0::1]:80", "[::1]:80"),
    ],
)  # fmt: skip
def test_forms_settle_how_a_value_is_written(form: str, text: str, settled: str) -> None:
    assert FORMS[form](text) == settled


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ("host", "a:80"), ("host", "http://a"), ("host", ""), ("host", "*.a"), ("network", "10.0.0.0/33"),
        ("origin", "app.example"), ("origin", "https://a/"), ("origin", "null"), ("origin", "https://*.a"),
        ("header", "a b"), ("header", ""), ("prefix", "a"), ("prefix", "/a?b"), ("text", ""), ("text", "a\nb"),
        ("name", "a/b"), ("path", ""), ("path", "\0"), ("redaction", "/a*/"), ("authority", "*"),
        ("authority", "http://a"), ("authority", "::1"), ("authority", "[zz]"), ("authority", "a:0"),
    ],
)  # fmt: skip
def test_forms_refuse_what_is_none(form: str, text: str) -> None:
    with pytest.raises(ValueError, match=r"^(a|an|the|printable|1 to 64)\b"):
        FORMS[form](text)


@given(st.sampled_from(sorted(FORMS)), st.text())
def test_any_text_has_a_form_or_is_refused(form: str, text: str) -> None:
    with suppress(ValueError):
        assert isinstance(FORMS[form](text), str)


_values = st.recursive(
    st.sampled_from(["1", "true", "~", "x", "-1.5", "''", "'1'", "{env: A}", "${A}", "{file: /nonexistent}"]),
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda items: f"[{', '.join(items)}]")
        | st.dictionaries(st.sampled_from("abc"), inner, max_size=3).map(
            lambda entries: "{" + ", ".join(f"{key}: {value}" for key, value in entries.items()) + "}"
        )
    ),
    max_leaves=5,
)


@given(st.sampled_from([Document, ProviderSettings, Sample]), st.data())
def test_any_value_for_any_key_is_read_or_refused(settings: type[object], data: st.DataObject) -> None:
    keys = st.sampled_from([field.name for field in fields(settings)])  # type: ignore[arg-type]  # all three are dataclasses
    entries = data.draw(st.dictionaries(keys, _values))
    with suppress(ConfigurationError):
        section("\n".join(f"{key}: {value}" for key, value in entries.items())).read(settings)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Choice:
    either: Timeouts | str | tuple[int, ...] = setting("x", doc="Any of three.")


@pytest.mark.parametrize(
    ("text", "value"),
    [("either: y", "y"), ("either: [1, 2]", (1, 2)), ("either: {connect_s: 3}", Timeouts(connect_s=3.0))],
)
def test_the_shape_of_a_value_chooses_from_a_union(text: str, value: object) -> None:
    assert section(text).read(_Choice).either == value


def test_what_is_wrong_inside_the_chosen_one_is_told() -> None:
    assert problems("either: {connect_s: x}", _Choice) == ["x.yaml:1: connect_s: expected a number, got 'x'"]
    assert problems("either: 1", _Choice) == ["x.yaml:1: either: expected a mapping or a string or a list, got 1"]
