"""The field `model` of a form: only headers at boundaries count, and what two parsers could read is unknown."""

from __future__ import annotations

import time

import pytest

from llmroute import names
from tests.filters.proxy import Engine

FORM = "multipart/form-data; boundary=B"
AUDIO = b'Content-Disposition: form-data; name="file"; filename="a.wav"\r\nContent-Type: audio/wav\r\n\r\nRIFF\x00\xff'


def part(value: str, disposition: str = 'form-data; name="model"', more: str = "") -> bytes:
    """One part of a form."""
    return f"Content-Disposition: {disposition}\r\n{more}\r\n{value}".encode()


def form(*parts: bytes, boundary: str = "B", end: bytes = b"--\r\n") -> bytes:
    """A form of these parts."""
    mark = b"--" + boundary.encode()
    return b"".join(mark + b"\r\n" + one + b"\r\n" for one in parts) + mark + end


def model_of(engine: Engine, body: bytes, kind: str = FORM, path: str = "/v1/audio/transcriptions") -> str:
    """The model header that the upstream gets with a body that has not changed by a byte."""
    stream = engine.stream()
    message = stream.request(body, [("content-type", kind)], path=path)
    assert message.body == body
    assert stream.logs == []
    value = message.header(names.MODEL_HEADER)
    assert value == stream.metadata[names.MODEL]
    assert value is not None
    return value


@pytest.mark.parametrize(
    "body",
    [
        form(part("whisper-1")),
        form(AUDIO, part("whisper-1")),
        form(part("whisper-1"), AUDIO),
        form(part("whisper-1"), part("whisper-1")),
        form(part(" whisper-1 ")),
        form(part("whisper-1", "form-data; name=model")),
        form(part("whisper-1", "Form-Data;NAME=model")),
        form(part("whisper-1", 'form-data ; name = "model" ; ')),
        form(part("whisper-1", 'form-data;\r\n name="model"')),
        form(part("whisper-1", 'form-data; x="; name=y"; name="model"')),
        form(part("whisper-1").replace(b"Content-Disposition:", b"content-DISPOSITION :")),
        form(part("whisper-1", more="Content-Type: text/plain; charset=utf-8\r\n")),
        form(part("whisper-1", more="content-transfer-encoding: 8BIT\r\n")),
        form(part("whisper-1"), end=b"--"),
        form(part("whisper-1"), end=b"-- \t\r\n"),
        form(part("whisper-1")).replace(b"--B\r\n", b"--B \t\r\n"),
        form(part("whisper-1")).replace(b"\r\n", b"\n"),
        b"the model is dear\r\n" + form(part("whisper-1")),
        form(b"\r\nname=model", part("whisper-1")),
        form(part("x", 'form-data; name="Model"'), part("whisper-1")),
        form(part("x", 'form-data; name="model2"'), part("whisper-1")),
        form(part("x", 'form-data; name="y"', "X-Name: model\r\n"), part("whisper-1")),
    ],
)
def test_the_field_is_the_model(engine: Engine, body: bytes) -> None:
    """Wherever the field stands and however its head is written."""
    assert model_of(engine, body) == "whisper-1"


@pytest.mark.parametrize(
    ("kind", "boundary"),
    [
        ('multipart/form-data; boundary="B"', "B"),
        ('multipart/form-data; boundary="a b;c"', "a b;c"),
        ("Multipart/Form-Data; charset=utf-8; BOUNDARY=B", "B"),
        ("multipart/form-data;boundary=----WebKitFormBoundaryx%.-+*", "----WebKitFormBoundaryx%.-+*"),
        ("multipart/form-data; boundary=" + "b" * 70, "b" * 70),
    ],
)
def test_boundaries(engine: Engine, kind: str, boundary: str) -> None:
    """Quoted or not, in any case, and with every byte standing for itself."""
    assert model_of(engine, form(AUDIO, part("m"), boundary=boundary), kind) == "m"


@pytest.mark.parametrize(
    "content",
    [
        b'Content-Disposition: form-data; name="model"\r\n\r\ncheap',
        b'--B Content-Disposition: form-data; name="model"\r\n\r\ncheap',
        b'\r\n--Bx\r\nContent-Disposition: form-data; name="model"\r\n\r\ncheap\r\n--Bx--',
        b'\r\n--B--x\r\nContent-Disposition: form-data; name="model"\r\n\r\ncheap',
        b'x--B\r\nContent-Disposition: form-data; name="model"\r\n\r\ncheap',
        b'\r\n -\r\n--\r\n{"model":"cheap"}',
    ],
)
def test_a_file_is_not_searched(engine: Engine, content: bytes) -> None:
    """A model field inside a file's content is the file's: only a line that is the boundary ends a part."""
    file = AUDIO + content
    assert model_of(engine, form(file, part("dear"))) == "dear"
    assert model_of(engine, form(file)) == names.UNKNOWN


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"--B",
        b"--B--\r\n",
        form(AUDIO),
        form(part("cheap"), part("dear")),
        form(part("")),
        form(part("a\r\nb")),
        form(part("m" * 257)),
        form(part("\x00")),
        form(part("m")).removesuffix(b"\r\n--B--\r\n"),
        form(part("m"))[4:],
        form(part("m"), boundary="C"),
        form(part("m"), part("m", 'form-data; name="mod\\el"')),
        form(part("m"), part("dear", "form-data; name*=utf-8''model")),
        form(part("m"), part("dear", "form-data; name*0=mo; name*1=del")),
        form(part("m"), part("dear", 'form-data; name="x"; name="model"')),
        form(part("m"), part("dear", 'form-data; name="model"; name="x"')),
        form(part("m"), part("dear", 'form-data; filename="a\\"; name="model"')),
        form(part("m"), part("dear", 'form-data; name="model')),
        form(part("m"), part("dear", "form-data; name=mod el")),
        form(part("m"), part("dear", "attachment; name=model")),
        form(part("m"), part("dear", more="X: y\r\nContent-Disposition: form-data; name=x\r\n")),
        form(part("ZGVhcg==", more="Content-Transfer-Encoding: base64\r\n")),
        form(part("m=2D", more="content-transfer-encoding:quoted-printable \r\n")),
        form(part("m"), b'Content-Disposition: form-data; name="model"'),
        form(part("m", more="X: " + "x" * 4096 + "\r\n")),
        form(part("m"), b"Content-Disposition: form-data; name=x" + b"x" * 5000),
    ],
)
def test_what_two_parsers_could_read_differently_is_unknown(engine: Engine, body: bytes) -> None:
    """No field, two models, half a form, or a head that is not read alike everywhere."""
    assert model_of(engine, body) == names.UNKNOWN


@pytest.mark.parametrize(
    "kind",
    [
        "multipart/form-data",
        "multipart/form-data; boundary=",
        "multipart/form-data; boundary=A",
        "multipart/form-data; boundary=B; boundary=A",
        "multipart/form-data; boundary=B,multipart/form-data; boundary=A",
        "multipart/form-data; boundary*=B",
        'multipart/form-data; boundary="B',
        'multipart/form-data; boundary="\\B"',
        "multipart/form-data; boundary=B C",
        "multipart/mixed; boundary=B",
        "text/plain",
        "",
    ],
)
def test_a_boundary_that_lies_gives_no_model(engine: Engine, kind: str) -> None:
    """Without one boundary that every parser sees, or without a form, the field is not looked for."""
    assert model_of(engine, form(part("cheap")), kind) == names.UNKNOWN


def test_a_boundary_that_is_too_long_gives_no_model(engine: Engine) -> None:
    """RFC 2046 stops at 70 bytes, and so does what a search costs."""
    boundary = "b" * 71
    body = form(part("cheap"), boundary=boundary)
    assert model_of(engine, body, "multipart/form-data; boundary=" + boundary) == names.UNKNOWN


def test_the_end_is_the_end(engine: Engine) -> None:
    """What follows the closing boundary is no part, whatever it looks like."""
    assert model_of(engine, form(part("m")) + form(part("cheap"))) == "m"
    assert model_of(engine, form(AUDIO) + form(part("cheap"))) == names.UNKNOWN


def test_a_body_that_is_json_and_a_form(engine: Engine) -> None:
    """Some servers read JSON whatever the type says: then it counts, and one that is also another form has none."""
    inner = "\\n--B\\r\\nContent-Disposition: form-data; name=model\\r\\n\\r\\n%s\\r\\n--B--\\r\\n"
    raw = inner.encode().decode("unicode_escape")
    assert model_of(engine, b'{"model":"dear"}') == "dear"
    assert model_of(engine, ('{"model":"dear","x":"' + raw % "cheap" + '"}').encode()) == names.UNKNOWN
    assert model_of(engine, ('{"model":"dear","x":"' + raw % "dear" + '"}').encode()) == "dear"
    assert model_of(engine, ('{"x":"' + raw % "cheap" + '"}').encode()) == names.UNKNOWN
    assert model_of(engine, ('{"model":"dear","x":"' + inner % "cheap" + '"}').encode()) == "dear"


def test_the_path_wins(engine: Engine) -> None:
    """An upload to a deployment goes to the deployment."""
    path = "/openai/deployments/dear/audio/transcriptions"
    assert model_of(engine, form(part("cheap")), path=path) == "dear"


def test_a_form_is_estimated_by_all_of_its_bytes(engine: Engine) -> None:
    """A quarter of a token for each byte, and no field of it is a prompt."""
    stream = engine.stream()
    body = form(AUDIO, part("m"))
    stream.request(body, [("content-type", FORM)], path="/v1/audio/transcriptions")
    assert stream.metadata["prompt_estimate"] == -(-len(body) // 4)


@pytest.mark.parametrize(
    "piece",
    [b"\n--B", b"\n--Bx", b"\n--B--", b"\n--B\r\n", b"\n--B \n", b"--B", b"\n--B\r\n\r\n", b"\r\n", b"\n--B\nA:\n\n"],
)
def test_time_is_linear(engine: Engine, piece: bytes) -> None:
    """Eight times the bytes take nowhere near 64 times the time, whatever the bytes are."""

    def seconds(size: int) -> float:
        body = b"--B\r\n" + piece * (size // len(piece))
        stream = engine.stream()
        before = time.process_time()
        stream.request(body, [("content-type", FORM)])
        return time.process_time() - before

    small = min(seconds(65536) for _ in range(3))
    large = min(seconds(524288) for _ in range(3))
    assert large < 24 * max(small, 0.002)
