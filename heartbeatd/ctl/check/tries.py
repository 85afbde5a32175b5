"""All the tries, one after the other: what one of them meets does not keep the others from being made."""

from collections.abc import Callable, Collection, Iterator

from heartbeatd.ctl.check import (
    clock,
    containers,
    files,
    host,
    internet,
    names,
    storage,
    webhook,
    worker,
)
from heartbeatd.ctl.check.finding import Finding, error
from heartbeatd.ctl.check.situation import Situation
from heartbeatd.errors import HeartbeatdError
from heartbeatd.runtime import Runtime

Look = Callable[[Situation, Runtime], Iterator[Finding]]

TRIES: dict[str, Look] = {
    "files": lambda situation, _: files.look(situation),
    "host": host.look,
    "names": names.look,
    "worker": worker.look,
    "webhook": webhook.look,
    "internet": internet.look,
    "docker": containers.look,
    "storage": storage.look,
    "clock": clock.look,
}


def findings(situation: Situation, *, but: Collection[str] = ()) -> Iterator[Finding]:
    """What each of them finds, as it is found; those about the subjects in `but` are not made."""
    process = Runtime()
    try:
        for subject, look in TRIES.items():
            if subject not in but:
                yield from _guarded(subject, look, situation, process)
    finally:
        process.close()


def _guarded(subject: str, look: Look, situation: Situation, process: Runtime) -> Iterator[Finding]:
    try:
        yield from look(situation, process)
    except HeartbeatdError as failed:
        for problem in failed.problems:
            yield error(subject, f"{problem.where}: {problem.what}", problem.hint)
    except OSError as failed:
        yield error(subject, f"cannot be tried: {failed.strerror or failed}")
