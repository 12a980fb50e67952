"""The calls with which the filter charges an answer: byte for byte, and what becomes of a charge when they fail."""

from __future__ import annotations

from typing import Final

import pytest
from envoy.extensions.common.ratelimit.v3 import ratelimit_pb2
from envoy.service.ratelimit.v3 import rls_pb2

from tests.filters.proxy import CONTEXT, Engine, Message
from tests.filters.settling import (
    ALL,
    QUANTITY,
    SETTLE,
    USER,
    Service,
    answer,
    asked,
    dues,
    framed,
    parsed,
)

TRUTH: Final = framed(
    rls_pb2.RateLimitResponse(
        overall_code=1,
        statuses=[rls_pb2.RateLimitResponse.DescriptorStatus(code=1, limit_remaining=300)] * 2,
    )
)


@pytest.mark.parametrize(
    "reply",
    [
        ({":status": "503"}, b"upstream failure"),
        ({":status": "504"}, b"upstream request timeout"),
        ({":status": "200", "grpc-status": "14"}, None),
        ({":status": "200"}, None),
        ({":status": "200"}, b""),
        ({":status": "200"}, TRUTH),
        ({":status": "200"}, TRUTH[:-1]),
        ({":status": "200"}, TRUTH + b"\0"),
        ({":status": "200"}, b"\1" + TRUTH[1:]),
        ({":status": "200"}, b"\0\0\0\0\3\xff\xff\xff"),
        ({":status": "200"}, b"\0\0\0\0\2\x12\x7f"),
        ({":status": "200"}, framed(rls_pb2.RateLimitResponse(overall_code=1))),
    ],
    ids=["503", "504", "unavailable", "no-body", "empty", "no-limits", "cut", "longer", "compressed", "noise", "lies", "none"],
)  # fmt: skip
def test_without_a_valid_answer_all_stays_due(engine: Engine, reply: tuple[dict[str, str], bytes | None]) -> None:
    """Nothing was sent to be charged, so the proxy charges all of it; the answer passes, and nothing is at fault."""
    service = Service(reply=lambda _: reply)
    stream = asked(engine, service)
    assert stream.answer([answer()]).body == answer()
    assert (service.charged, len(service.looked)) == ([], 1)
    assert dues(stream)[:2] == (37, 30)
    assert stream.logs == []


def test_an_answer_that_is_cut_anywhere_charges_nothing(engine: Engine) -> None:
    """Every prefix of a true answer, its length put right: no fault, and nothing is charged that is still due."""
    whole: list[bytes] = []

    def keep(truth: bytes) -> tuple[dict[str, str], bytes]:
        whole.append(truth)
        return {":status": "200"}, truth

    asked(engine, Service(reply=keep)).answer([answer()])
    for size in range(len(whole[0]) - 5):
        cut = b"\0" + size.to_bytes(4, "big") + whole[0][5 : 5 + size]
        service = Service(reply=lambda _, cut=cut: ({":status": "200"}, cut))  # type: ignore[misc]
        stream = asked(engine, service)
        stream.answer([answer()])
        charged = service.charged[0] if service.charged else {}
        assert (charged.get(USER, 0) + dues(stream)[0], charged.get(ALL, 0) + dues(stream)[1]) == (37, 30)
        assert stream.logs == []


def test_a_cluster_that_is_not_there_is_a_fault(engine: Engine) -> None:
    """Logged and counted; the proxy charges."""
    stream = asked(engine, None)
    assert stream.answer([answer()]).body == answer()
    assert dues(stream)[:2] == (37, 30)
    assert stream.metadata["filter_error"] == 1
    assert "cluster invalid" in stream.logs[0]


def test_it_looks_until_the_counters_show_the_charge(engine: Engine) -> None:
    """The service may answer a look before the charge that was sent first; when that has taken as long as a check may, the client has waited enough."""
    service = Service(late=3)
    asked(engine, service).answer([answer()])
    assert len(service.looked) == 5
    never = Service(late=1000)
    stream = asked(engine, never)
    stream.answer([answer()])
    assert (len(never.looked), len(never.charged), dues(stream)[:2]) == (11, 1, (0, 0))


def test_a_used_up_limit_and_a_new_window_are_not_waited_for(engine: Engine) -> None:
    """Nothing left cannot get less; more left than before is another window."""
    used_up = Service(counters={USER: QUANTITY, ALL: QUANTITY}, late=1000)
    asked(engine, used_up).answer([answer()])
    assert (len(used_up.looked), len(used_up.charged)) == (2, 1)
    looks = iter([100, 200])

    def window(_: bytes) -> tuple[dict[str, str], bytes]:
        status = rls_pb2.RateLimitResponse.DescriptorStatus(code=1, limit_remaining=next(looks))
        status.current_limit.requests_per_unit = 300
        return {":status": "200"}, framed(rls_pb2.RateLimitResponse(overall_code=1, statuses=[status, status]))

    service = Service(reply=window)
    asked(engine, service).answer([answer()])
    assert (len(service.looked), len(service.charged)) == (2, 1)


def test_a_service_that_stops_to_answer_is_not_asked_again(engine: Engine) -> None:
    """After the charge is sent it is nobody else's, so nothing is due."""
    replies = iter([None, ({":status": "504"}, b"upstream request timeout")])
    service = Service(reply=lambda truth: next(replies) or ({":status": "200"}, truth))
    stream = asked(engine, service)
    stream.answer([answer()])
    assert (len(service.looked), len(service.charged), dues(stream)[:2]) == (2, 1, (0, 0))


@pytest.mark.parametrize("hits", [1, 127, 128, 16_383, 16_384, 2_097_151, 2_097_152, 999_999_999, 1_000_000_000])
@pytest.mark.parametrize("size", [1, 127, 128, 300, 20_000])
def test_the_call_is_the_protobuf_that_others_write(engine: Engine, hits: int, size: int) -> None:
    """Byte for byte, for numbers and lengths of one to five bytes."""
    user = "u" * size
    frames: list[bytes] = []

    def service(_: str, __: dict[str, str], body: bytes, ___: int, ____: bool) -> tuple[dict[str, str], bytes]:
        frames.append(body)
        statuses = []
        for _ in parsed(body).descriptors:
            status = rls_pb2.RateLimitResponse.DescriptorStatus(code=1, limit_remaining=0)
            status.current_limit.requests_per_unit = 1
            statuses.append(status)
        return {":status": "200"}, framed(rls_pb2.RateLimitResponse(overall_code=2, statuses=statuses))

    assert isinstance(CONTEXT, dict)
    stream = engine.stream({**CONTEXT, "settle": SETTLE})
    stream.serve(service)
    stream.request(b'{"model":"m"}', [("x-user-id", user)])
    stream.answer([answer(usage={"prompt_tokens": 0, "completion_tokens": hits, "total_tokens": hits})])
    entry = ratelimit_pb2.RateLimitDescriptor.Entry
    descriptor = ratelimit_pb2.RateLimitDescriptor(
        entries=[entry(key="limit", value="user"), entry(key="x-user-id", value=user)]
    )
    expected = []
    for number in (0, hits, 0):
        descriptor.hits_addend.value = number
        request = rls_pb2.RateLimitRequest(domain="team/route", descriptors=[descriptor])
        expected.append(request)
    assert [parsed(frame) for frame in frames] == expected
    assert frames[1] == framed(expected[1])


def test_a_request_in_which_a_limit_has_no_header_to_go_by(engine: Engine) -> None:
    """The proxy passes such a limit over, and so does the filter; ``defaults`` see to it that there is none."""
    assert isinstance(CONTEXT, dict)
    service = Service()
    stream = engine.stream({**CONTEXT, "settle": SETTLE, "defaults": {}})
    stream.serve(service)
    stream.request(b'{"model":"m"}')
    message: Message = stream.answer([answer()])
    assert message.body == answer()
    assert service.charged == [{ALL: 30}]
