"""The model's name in a form."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netrunner.dialects import multipart
from netrunner.errors import BadRequest

TYPE = b"multipart/form-data; boundary=XyZ"


def part(name: str, content: bytes, head: str = "") -> bytes:
    return f'--XyZ\r\nContent-Disposition: form-data; name="{name}"{head}\r\n\r\n'.encode() + content + b"\r\n"


FILE = part("file", b"\x00\xff\r\n--Xy\r\n\r\nname=model", '; filename="a.wav"\r\nContent-Type: audio/wav')
END = b"--XyZ--\r\n"


def refusal(body: bytes, content_type: bytes = TYPE) -> BadRequest:
    with pytest.raises(BadRequest) as caught:
        multipart.read(content_type, body)
    return caught.value


@given(st.binary(max_size=200).filter(lambda content: b"--XyZ" not in content), st.booleans())
def test_replacing_the_model_changes_no_other_byte(content, model_first):
    parts = [part("model", b"whisper-1"), part("file", content)]
    body = b"".join(parts if model_first else parts[::-1]) + END
    routed = multipart.read(TYPE, body)
    assert (routed.model, routed.stream) == ("whisper-1", False)
    expected = body.replace(part("model", b"whisper-1"), part("model", "größer".encode()))
    assert multipart.replaced(body, routed.start, routed.end, "größer") == expected


def test_a_form_without_model_names_none():
    assert multipart.read(TYPE, FILE + END).model is None


@pytest.mark.parametrize(("said", "stream"), [(b"true", True), (b"True", True), (b"1", True), (b"false", False)])
def test_stream_is_read(said, stream):
    assert multipart.read(TYPE, part("stream", said) + END).stream is stream


@pytest.mark.parametrize(
    "content_type",
    [
        b'multipart/form-data; boundary="XyZ"',
        b"multipart/form-data; charset=utf-8; BOUNDARY=XyZ",
        b"Multipart/Form-Data;boundary=XyZ; x=y",
    ],
)
def test_the_boundary_is_read_as_it_may_be_written(content_type):
    assert multipart.read(content_type, part("model", b"a") + END).model == "a"


@pytest.mark.parametrize(
    "content_type",
    [
        b"multipart/form-data;",
        b"multipart/form-data; boundary=",
        b'multipart/form-data; boundary="X\\yZ"',
        b"multipart/form-data; boundary=XyZ; boundary=XyZ",
        b"multipart/form-data; boundary=XyZ; boundary*=utf-8''XyZ",
        b"multipart/form-data; boundary=" + b"a" * 71,
    ],
)
def test_an_unclear_boundary_is_refused(content_type):
    assert refusal(part("model", b"a") + END, content_type).code == "invalid_multipart"


@pytest.mark.parametrize("name", ["model", "stream"])
def test_a_second_routed_part_is_refused(name):
    error = refusal(part(name, b"true") + FILE + part(name, b"true") + END)
    assert (error.code, error.param) == ("duplicate_key", name)


@pytest.mark.parametrize("value", [b"", b"  ", b"\xff"])
def test_a_model_that_is_no_name_is_refused(value):
    error = refusal(part("model", value) + END)
    assert (error.code, error.param) == ("invalid_value", "model")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        END + b"x",
        b"preamble\r\n" + part("model", b"a") + END,
        part("model", b"a"),
        part("model", b"a") + b"--XyZ",
        part("model", b"a")[:-2] + b"\n" + END,
        part("model", b"a") + b"--XyZ-- \r\n",
        part("model", b"a") + END + END,
        part("file", b"\n--XyZ\n") + part("model", b"a") + END,
        part("file", b"--XyZ") + part("model", b"a") + END,
        part("model", b"a").replace(b"--XyZ\r\n", b"--XyZ \r\n") + END,
        part("model", b"a").replace(b"\r\n\r\n", b"\r\n") + END,
        b"--XyZ\r\n\r\na\r\n" + END,
        b"--XyZ\r\nContent-Type: text/plain\r\n\r\na\r\n" + END,
        b"--XyZ\r\nContent-Disposition form-data\r\n\r\na\r\n" + END,
        b"--XyZ\r\nContent-Disposition: attachment; name=model\r\n\r\na\r\n" + END,
        b"--XyZ\r\nContent-Disposition: form-data\r\n\r\na\r\n" + END,
        b"--XyZ\r\nContent-Disposition : form-data; name=model\r\n\r\na\r\n" + END,
        part("model", b"a", "; name=file") + END,
        part("model", b"a", "; name*=utf-8''file") + END,
        part("model", b"a", '\r\nContent-Disposition: form-data; name="file"') + END,
        part("model", b"a", "\r\n folded: x") + END,
        part("model", b"a", "\nx: y") + END,
        part("mod\\el", b"a") + END,
        part("model", b"YQ==", "\r\nContent-Transfer-Encoding: base64") + END,
        part("file", b"", "; filename=" + "a" * 8192) + END,
        part("a", b"") * 1000 + END,
    ],
)
def test_a_form_that_readers_could_disagree_on_is_refused(body):
    error = refusal(body)
    assert (error.code, error.status) == ("invalid_multipart", 400)


def test_a_form_is_refused_wherever_it_is_cut():
    body = FILE + part("model", b"a") + END
    for length in range(len(body) - len(b"\r\n")):
        assert refusal(body[:length]).code == "invalid_multipart"


def test_what_clients_write_is_read():
    head = "; filename=\"a.wav\"; filename*=utf-8''%C3%A4.wav\r\nContent-Type: audio/wav"
    bare = b"--XyZ\r\ncontent-disposition: form-data;name=model\r\nContent-Type: text/plain\r\n\r\na\r\n"
    assert multipart.read(TYPE, part("file", b"", head) + bare + b"--XyZ--").model == "a"


def test_a_new_name_cannot_end_the_part():
    body = part("model", b"a") + END
    routed = multipart.read(TYPE, body)
    with pytest.raises(BadRequest):
        multipart.replaced(body, routed.start, routed.end, "a\r\n--XyZ--")
