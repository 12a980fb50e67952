"""Looking at ports of this machine."""

from __future__ import annotations

import socket

import pytest

from llmroute.local.ports import free_port, free_ports, http_get, port_is_free, split_address


def test_a_free_port_is_free_and_a_taken_one_is_not() -> None:
    """Whatever way the other server has bound it."""
    port = free_port()
    assert port_is_free("127.0.0.1", port)
    with socket.create_server(("127.0.0.1", port), reuse_port=True):
        assert not port_is_free("127.0.0.1", port)


def test_a_host_of_another_machine_is_not_called_taken() -> None:
    """That trouble is another one, and says so."""
    with pytest.raises(OSError, match="assign"):
        port_is_free("192.0.2.1", 1)


def test_several_free_ports_are_different() -> None:
    """For a program that needs three at once."""
    assert len(set(free_ports(20))) == 20


def test_a_free_port_is_none_that_an_outgoing_connection_could_take() -> None:
    """Between its choice and its use a connection to anywhere would get it."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        clients = [socket.create_connection(server.getsockname()) for _ in range(50)]
        ephemeral = [client.getsockname()[1] for client in clients]
        for client in clients:
            client.close()
    assert max(free_ports(50)) < min(ephemeral)


def test_what_does_not_speak_http_is_an_oserror() -> None:
    """So that a wait for readiness has one kind of no."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        client = socket.create_connection(server.getsockname())
        client.close()
        address = server.getsockname()
    with pytest.raises(OSError, match="refused"):
        http_get(address, "/")


@pytest.mark.parametrize(("address", "parts"), [("127.0.0.1:80", ("127.0.0.1", 80)), ("[::1]:443\n", ("::1", 443))])
def test_an_address_is_split_at_its_last_colon(address: str, parts: tuple[str, int]) -> None:
    """Brackets of IPv6 fall away."""
    assert split_address(address) == parts


@pytest.mark.parametrize("address", ["", "host", "host:", ":80", "host:http", "host:65536"])
def test_anything_else_is_no_address(address: str) -> None:
    """And named in the error."""
    with pytest.raises(ValueError, match="not an address"):
        split_address(address)
