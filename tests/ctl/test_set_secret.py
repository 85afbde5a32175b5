"""A folder in the place of a credential: named, with the command that helps, by whoever meets it."""

from pathlib import Path

import pytest

from heartbeatd.ctl import service, set_secret
from heartbeatd.errors import HeartbeatdError


def test_a_folder_that_is_given_as_a_credential(tmp_path: Path) -> None:
    """`check` and `status`: set-secret cannot take its place before it is gone."""
    found, problems = service.given_credentials((("LoadCredential", f"heartbeat.secret_key:{tmp_path}"),))
    (problem,) = (problem for problem in problems if problem.where == str(tmp_path))
    assert found == {}
    assert problem.hint.startswith(f"`rmdir {tmp_path}`; then `heartbeatctl set-secret secret_key`")


def test_a_folder_where_the_secret_would_be_stored(tmp_path: Path) -> None:
    """set-secret says the same, and removes no folder by itself."""
    place = tmp_path / "heartbeat.secret_key"
    place.mkdir()
    for act in (lambda: set_secret._write(place, b"k"), lambda: set_secret._forget(place)):
        with pytest.raises(HeartbeatdError) as refused:
            act()
        (problem,) = refused.value.problems
        assert problem.hint == f"a folder is in its place: `rmdir {place}`, and run this again"
    assert list(tmp_path.iterdir()) == [place]
