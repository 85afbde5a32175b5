"""All the tries, one after the other: what one of them meets does not keep the others from being made."""

from collections.abc import Callable, Collection, Iterator

from heartbeatd.ctl.check import (
    clock,
    containers,
    files,
    host,
    internet,
    names,
    rules,
    services,
    storage,
    worker,
)
from heartbeatd.ctl.check.finding import Finding, error
from heartbeatd.ctl.check.situation import Situation
from heartbeatd.errors import HeartbeatdError
from heartbeatd.runtime import Runtime

Check = Callable[[Situation, Runtime], Iterator[Finding]]

CHECKS: dict[str, Check] = {
    "files": files.check,
    "host": host.check,
    "names": names.check,
    "worker": worker.check,
    "internet": internet.check,
    "docker": containers.check,
    "rules": rules.check,
    "services": services.check,
    "storage": storage.check,
    "clock": clock.check,
}


def findings(situation: Situation, *, skip: Collection[str] = ()) -> Iterator[Finding]:
    """What each of them finds, as it is found; those about the subjects in `skip` are not made."""
    runtime = Runtime()
    try:
        for subject, check in CHECKS.items():
            if subject not in skip:
                yield from _guarded(subject, check, situation, runtime)
    finally:
        runtime.close()


def _guarded(subject: str, check: Check, situation: Situation, runtime: Runtime) -> Iterator[Finding]:
    try:
        yield from check(situation, runtime)
    except HeartbeatdError as failed:
        for problem in failed.problems:
            yield error(subject, f"{problem.where}: {problem.what}", problem.hint)
    except OSError as failed:
        yield not_tried(subject, failed)


def not_tried(subject: str, failed: OSError) -> Finding:
    """A check that the system kept from being made."""
    return error(subject, f"cannot be tried: {failed.strerror or failed}")
