"""What the network tests share: a token, a client, an authority."""

from collections.abc import Callable, Iterator

import pytest

from heartbeatd.cancel import CancelToken
from heartbeatd.net.http import Client
from heartbeatd.net.resolve import Resolver
from tests.support import certificates
from tests.support.certificates import Authority

MakeClient = Callable[..., Client]


@pytest.fixture
def cancel() -> CancelToken:
    """What the test's own thread waits with."""
    return CancelToken()


@pytest.fixture
def make_client() -> Iterator[MakeClient]:
    """Makes clients, and closes them."""
    made: list[Client] = []

    def make(ca_file: str = "") -> Client:
        made.append(Client(Resolver(), "heartbeatd/test", ca_file))
        return made[-1]

    yield make
    for client in made:
        client.close()


@pytest.fixture
def client(make_client: MakeClient) -> Client:
    """A client that trusts the system's authorities."""
    return make_client()


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """A certificate authority of our own."""
    return certificates.make(tmp_path_factory.mktemp("authority"))
