"""Whether the Worker takes a heartbeat: it is sent one."""

from collections.abc import Iterator

from heartbeatd import components
from heartbeatd.config.secrets import Origin
from heartbeatd.core.heartbeat import HeartbeatResult
from heartbeatd.core.payload import heartbeat_body
from heartbeatd.core.redact import redact_url
from heartbeatd.core.sample import Sample
from heartbeatd.core.worker import rule_for
from heartbeatd.ctl.check.finding import Finding, error, ok
from heartbeatd.ctl.check.situation import Situation
from heartbeatd.errors import ConfigError
from heartbeatd.net.answer import RequestError
from heartbeatd.newid import new_id
from heartbeatd.rules.worker import look_at
from heartbeatd.runtime import Runtime


def check(situation: Situation, runtime: Runtime) -> Iterator[Finding]:
    """One heartbeat without figures, and what is answered. Without a URL there is nothing to try: see `remarks`."""
    config = situation.config
    shown = redact_url(config.heartbeat.url)
    try:
        sender = components.heartbeat(config, runtime)
    except ConfigError:  # `files` has said why
        yield without_authorities(shown)
        return
    if sender is None:
        return
    now_ns = runtime.clock.now_ns()
    body = heartbeat_body(components.agent_info(config, runtime), Sample(now_ns), new_id(now_ns), 0)
    beat = sender.send(body, runtime.cancel)
    sender.close()
    yield classify(shown, config.heartbeat.secret_key.origin, beat)


def without_authorities(shown: str) -> Finding:
    """The file of certificate authorities cannot be used."""
    return error("worker", f"{shown} was not tried: heartbeat.ca_file cannot be used")


def classify(shown: str, key_origin: Origin | None, beat: HeartbeatResult | None) -> Finding:
    """`shown` is the address without its secrets; no result is a try that was interrupted."""
    if beat is None or beat.status is None:
        cause, detail = (beat.cause, beat.detail) if beat is not None else (None, "interrupted")
        reason = RequestError(cause, detail) if cause else detail
        return error("worker", f"{shown}: {reason}", look_at(cause, detail) if cause else "")
    rule = rule_for(beat.status, beat.headers)
    if rule is not None and rule.state.good:
        return ok("worker", f"{shown} took a heartbeat (HTTP {beat.status} in {beat.took_ms:.0f} ms)")
    meaning, advice = (rule.meaning, rule.advice) if rule is not None else ("not an HTTP answer", "")
    if "secret_key" in advice:
        advice += f" The key comes from {key_origin}."
    return error("worker", f"{shown} answers HTTP {beat.status}: {meaning}", advice)
