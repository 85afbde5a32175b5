"""Why containers are not well: asked of a real engine, by way of the helper, and of whatever may answer in its place."""

import contextlib
import json
import socket
import tempfile
import threading
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

import pytest

from heartbeatd.containers import inquiry
from heartbeatd.containers.inquiry import Asked, Inquiry, by_child, by_helper, reasons_in
from heartbeatd.core.container import Reason
from tests.support.engine import Engine, containers_helper, own_engine, reasons_of
from tests.support.wait import wait_until

S = 1_000_000_000
RUN = ("run", "--detach", "--network=none")
BUSYBOX = ("busybox:test", "/busybox")


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    """An engine with containers that are not well, each in its own way."""
    with own_engine() as running:
        shell = (*BUSYBOX, "sh", "-c")
        red = r"echo line 1; echo line 2; printf '\033[31mred\n'; exit 3"
        running.docker(*RUN, "--name=ended", *shell, red)
        running.docker(*RUN, "--name=deaf", "--log-driver=none", *shell, "exit 1")
        running.docker(*RUN, "--name=loud", *shell, "yes 0123456789 | head -n 300000; exit 4")
        check = ("--health-cmd=/busybox", "--health-interval=1s", "--health-retries=1")
        running.docker(*RUN, "--name=sick", *check, *BUSYBOX, "sleep", "600")
        running.docker(*RUN, "--name=again", "--restart=always", *shell, "exit 5")
        yield running


@pytest.fixture
def folder() -> Iterator[Path]:
    """One whose path is short enough for sockets."""
    with tempfile.TemporaryDirectory(prefix="hb-") as name:
        yield Path(name)


def answer(asked: Inquiry, bad: Collection[str], ask: Callable[[], Asked]) -> dict[str, Reason]:
    """What is known of all of them, once it is, asked as cycles would."""
    found: dict[str, Reason] = {}

    def known() -> bool:
        found.clear()
        found.update(asked.look(bad, (), 0, ask))
        return set(found) == set(bad)

    wait_until(known)
    return found


@pytest.fixture(params=["helper", "child"])
def ask(request: pytest.FixtureRequest, engine: Engine, folder: Path) -> Iterator[Callable[[], Asked]]:
    """By either way there is."""
    if request.param == "child":
        yield by_child(str(engine.socket))
        return
    with containers_helper(folder, engine.socket) as (path, _):
        yield by_helper(str(reasons_of(path)))


@pytest.mark.docker
def test_why(ask: Callable[[], Asked], engine: Engine) -> None:
    """Exit codes, the last lines of the output without what would rewrite a terminal, how often it ended, what is not there."""
    wait_until(lambda: "(unhealthy)" in engine.docker("ps"))
    wait_until(lambda: engine.docker("inspect", "--format={{.RestartCount}}", "again").strip() >= "2")
    names = ("ended", "deaf", "loud", "sick", "again", "nobody")
    found = answer(Inquiry(log_lines=3), names, ask)
    assert (found["ended"].exit_code, found["ended"].ends) == (3, 1)
    assert found["ended"].log == ("line 1", "line 2", "?[31mred")
    assert found["deaf"] == Reason(exit_code=1, ends=1)
    assert (found["loud"].exit_code, set(found["loud"].log)) == (4, {"0123456789"})
    assert found["sick"].exit_code is None
    assert found["sick"].health
    assert found["again"].ends >= 2
    assert found["nobody"] == Reason(missing=True)


@pytest.mark.docker
def test_the_beginning_of_an_id_is_no_name(ask: Callable[[], Asked], engine: Engine) -> None:
    """The engine would take it for one."""
    prefix = engine.docker("ps", "--quiet").split()[0][:3]
    assert answer(Inquiry(0), [prefix], ask)[prefix] == Reason(missing=True)


@pytest.mark.docker
def test_without_lines(ask: Callable[[], Asked], engine: Engine) -> None:
    """None are asked for."""
    assert answer(Inquiry(log_lines=0), ["ended"], ask)["ended"].log == ()


@pytest.mark.docker
def test_the_helper_counts_meanwhile(engine: Engine, folder: Path) -> None:
    """Three who ask and say nothing: two children wait for them, the third is hung up on, and the list is there at once."""
    with containers_helper(folder, engine.socket) as (path, pid), contextlib.ExitStack() as open_ones:
        asking = []
        for _ in range(3):
            one = open_ones.enter_context(socket.socket(socket.AF_UNIX))
            one.settimeout(60)
            one.connect(str(reasons_of(path)))
            asking.append(one)
        children = Path(f"/proc/{pid}/task/{pid}/children")
        assert asking[2].recv(1) == b""
        assert len(children.read_text().split()) == 2
        with socket.socket(socket.AF_UNIX) as one:
            one.settimeout(60)
            one.connect(str(path))
            assert json.loads(one.makefile("rb").readline())["count"] >= 1
        asking[0].sendall(b"nonsense\n")
        assert asking[0].recv(100) == b""
        asking[1].sendall(b'{"names": ["ended"], "log_lines": 0}\n')
        assert json.loads(asking[1].makefile("rb").readline())["exit_code"] == 3


@contextlib.contextmanager
def helper_that(
    folder: Path, says: bytes, *, hangs_up: bool = True
) -> Iterator[tuple[Callable[[], Asked], list[bytes]]]:
    """Something in the helper's place that says this to each question; and the questions."""
    asked: list[bytes] = []
    held: list[socket.socket] = []
    over = threading.Event()

    def serve() -> None:
        while not over.is_set():
            with contextlib.suppress(OSError):
                connection, _ = listening.accept()
                held.append(connection)
                connection.settimeout(5)
                with connection.makefile("rb") as question:
                    asked.append(question.readline())
                connection.sendall(says)
                if hangs_up:
                    connection.close()

    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(folder / "reasons.sock"))
        listening.listen()
        listening.settimeout(0.05)
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield by_helper(str(folder / "reasons.sock")), asked
        finally:
            over.set()
            thread.join()
            for connection in held:
                connection.close()


WEB = b'{"name":"web","exit_code":1,"oom_killed":true,"error":"","ends":2,"health":"","log":["a\\u001b[2J","b"]}\n'


@pytest.mark.parametrize(
    ("said", "known"),
    [
        (WEB, {"web": Reason(1, oom_killed=True, ends=2, log=("a?[2J", "b"))}),
        (WEB + b'{"name":"db","missing":true}\n', {"db": Reason(missing=True)}),
        (WEB.replace(b"1", b"[]", 1), {}),
        (WEB.rstrip(), {}),
        (b"[" * 60_000 + b"\n", {}),
        (b"\xff\xfe\n{}\nnull\n[]\n1\n", {}),
        (b"", {}),
    ],
    ids=["one", "two", "a list", "cut off", "deep", "odd", "nothing"],
)
def test_what_an_answer_says(said: bytes, known: dict[str, Reason]) -> None:
    """What makes no sense is left out; nothing is raised."""
    found = reasons_in(said)
    assert {name: found.get(name) for name in known} == known
    if not known:
        assert found == {}


def test_the_last_lines_are_few() -> None:
    """However long they are: a message is read on a phone."""
    line = WEB.replace(b'["a\\u001b[2J","b"]', json.dumps([200 * str(n) for n in range(9)]).encode())
    assert reasons_in(line)["web"].log == tuple(200 * str(n) for n in range(4, 9))


def test_a_flood_is_cut_off(folder: Path) -> None:
    """What was said before it counts."""
    asked = Inquiry(10)
    with helper_that(folder, WEB + b"x" * (1 << 20)) as (ask, _):
        wait_until(lambda: asked.look(["web"], (), 0, ask) == reasons_in(WEB))
    asked.close()


def test_one_that_never_answers_is_waited_for_so_long(folder: Path) -> None:
    """Meanwhile nothing waits, nobody else is asked; then it is asked again."""
    asked = Inquiry(10)
    with helper_that(folder, b"", hangs_up=False) as (ask, questions):
        assert asked.look(["web"], (), 0, ask) == {}
        wait_until(lambda: len(questions) == 1)
        assert asked.look(["web", "db"], (), 10 * S, ask) == {}
        assert asked.look(["web", "db"], (), 21 * S, ask) == {}
        wait_until(lambda: len(questions) == 2)
        assert json.loads(questions[1]) == {"names": ["db"], "log_lines": 10}
        assert asked.look(["web", "db"], (), 42 * S, ask) == {}
        wait_until(lambda: len(questions) == 3)
        assert json.loads(questions[2])["names"] == ["web"]
    asked.close()


def test_when_it_is_asked(folder: Path) -> None:
    """At once and twice again; of one that is only starting after a while; of one that is well, and bad again, anew."""
    moments: list[tuple[int, list[str]]] = []
    asked = Inquiry(0)

    def ask() -> Asked:
        raise OSError

    def look(second: int, bad: Collection[str], doubtful: Collection[str] = ()) -> None:
        before = dict(asked._asked_times)
        asked.look(bad, doubtful, second * S, ask)
        moments.extend((second, [name]) for name, times in asked._asked_times.items() if times != before.get(name))

    for second in range(0, 200, 10):
        look(second, ["web"], ["slow"])
    assert moments == [(0, ["web"]), (40, ["web"]), (90, ["web"]), (90, ["slow"]), (100, ["slow"]), (110, ["slow"])]
    moments.clear()
    look(200, [])
    look(210, ["web"])
    assert moments == [(210, ["web"])]


def test_many_are_asked_about_a_few_at_a_time(folder: Path) -> None:
    """Two hundred that are bad at once: ten a question, and no more than a hundred are looked after."""
    names = [f"c{n}" for n in range(200)]
    asked = Inquiry(0)
    with helper_that(folder, b"") as (ask, questions):
        for asked_before in range(10):
            wait_until(lambda n=asked_before: asked.look(names, (), 0, ask) is not None and len(questions) > n)  # type: ignore[misc]
        for _ in range(3):
            asked.look(names, (), 0, ask)
    assert [len(json.loads(question)["names"]) for question in questions] == [10] * 10
    assert len({name for question in questions for name in json.loads(question)["names"]}) == inquiry.MOST_KNOWN
    asked.close()


def test_nobody_there(folder: Path) -> None:
    """Alerts go without a reason, then; nothing is raised, and nothing is left behind."""
    descriptors = Path("/proc/self/fd")
    before = len(list(descriptors.iterdir()))
    assert Inquiry(0).look(["web"], (), 0, by_helper(str(folder / "nobody.sock"))) == {}
    assert len(list(descriptors.iterdir())) == before
