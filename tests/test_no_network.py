"""The guard in conftest.py that keeps every other test off the network."""

import socket

import pytest


def test_a_connection_off_the_machine_fails():
    with pytest.raises(AssertionError, match="network"), socket.socket() as away:
        away.connect(("192.0.2.1", 80))  # an address reserved for documentation


def test_a_connection_to_this_machine_works():
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as here:
        assert here.getpeername() == server.getsockname()
