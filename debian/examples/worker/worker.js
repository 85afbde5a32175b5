// A dead man's switch for heartbeatd: notes when each host was last heard, raises the alarm when one falls silent, and
// tells when it is back. See heartbeat-protocol(7), and ../README for how to deploy it.
//
// Where it notes that: in D1, one row for each host. On the free plan KV allows 1,000 writes a day, which one host that
// beats every ten seconds uses up in three hours, and may show an old value for a minute. D1 allows 100,000, and one
// query finds every silent host; a Durable Object would do too, with more parts.

const HOST = /^[A-Za-z0-9._-]{1,253}$/; // as agent.hostname may be
const MOST_BYTES = 16 * 1024; // of a heartbeat
const MOST_HOSTS = 200; // of those never heard before no more are taken: forget one, or name yours in HOSTS
const ALARMS_A_RUN = 20; // each takes two requests of the fifty that the free plan gives a run; the rest comes a minute later

export default {
  async fetch(request, env) {
    if (new URL(request.url).pathname !== "/api/heartbeat") return answer(404, "not found");
    if (request.method !== "POST") return answer(405, "use POST");
    if (!env.SECRET_KEY) return answer(503, "SECRET_KEY is not set");
    const body = await read(request);
    const host = typeof body?.host === "string" && HOST.test(body.host) ? body.host : null;
    if (!(await mayBeat(request.headers.get("Authorization") ?? "", host, env))) return answer(401, "wrong key");
    if (host === null) return answer(400, "no host, or a name with other characters than A-Z a-z 0-9 . _ -");
    if (env.HOSTS && !env.HOSTS.split(/[\s,]+/).includes(host)) return answer(403, "this host is not in HOSTS");
    // An old heartbeat that somebody kept is no sign of life.
    const offS = Math.abs(Date.now() - Date.parse(body.timestamp)) / 1000;
    if (!(offS <= Number(env.MAX_CLOCK_ERROR_SECONDS))) return answer(400, "timestamp is not now: is the host's clock right?");
    if (body.sequence === 0) return answer(200, "recorded"); // heartbeatctl asks; that is no sign of life of the agent
    return beat(host, env);
  },

  // Run by the cron trigger in wrangler.toml.
  async scheduled(event, env) {
    const silent = await env.DB.prepare(
      "SELECT host, seen_ms FROM hosts WHERE seen_ms < ?1 AND silent_since_ms IS NULL ORDER BY seen_ms LIMIT ?2",
    ).bind(Date.now() - silentAfterMs(env), ALARMS_A_RUN).all();
    for (const { host, seen_ms } of silent.results) {
      // Noted only once it is told: what fails here is told a minute later, and at worst twice, with the same event_id.
      if (await tell(env, "problem", host, seen_ms)) {
        await env.DB.prepare("UPDATE hosts SET silent_since_ms = ?2 WHERE host = ?1").bind(host, seen_ms).run();
      }
    }
  },
};

async function beat(host, env) {
  const nowMs = Date.now();
  let known = null;
  let blind = false;
  try {
    known = await env.DB.prepare("SELECT seen_ms, silent_since_ms FROM hosts WHERE host = ?1").bind(host).first();
  } catch {
    blind = true;
  }
  if (!known && !blind && (await count(env)) >= MOST_HOSTS) return answer(403, "too many hosts");
  // Sparing: a third of the time to the alarm may pass before a beat is written down again.
  if (!known || known.silent_since_ms !== null || nowMs - known.seen_ms >= silentAfterMs(env) / 3) {
    try {
      await env.DB.prepare(
        "INSERT INTO hosts (host, seen_ms) VALUES (?1, ?2) ON CONFLICT (host) DO UPDATE SET seen_ms = ?2",
      ).bind(host, nowMs).run();
    } catch {
      return answer(503, "not recorded");
    }
  }
  if (blind) return answer(220, "recorded");
  if (!known || known.silent_since_ms === null) return answer(200, "recorded");
  // Back. What fails here is tried again at the next beat.
  if (!(await tell(env, "recovery", host, known.silent_since_ms, nowMs))) return answer(221, "recovered");
  try {
    await env.DB.prepare("UPDATE hosts SET silent_since_ms = NULL WHERE host = ?1").bind(host).run();
  } catch {
    return answer(221, "recovered");
  }
  return answer(200, "recovered");
}

// True if ALERT_URL took the alert. It has the shape of heartbeatd's own, so that one flow can take both; `subject` tells
// them apart. It waits for less time than the agent waits for us.
async function tell(env, event, host, sinceMs, atMs = Date.now()) {
  const since = new Date(sinceMs).toISOString();
  const seconds = Math.round((atMs - sinceMs) / 1000);
  const length = seconds < 120 ? `${seconds} s` : `${Math.round(seconds / 60)} min`;
  const back = event === "recovery";
  const alert = {
    title: back ? `${host}: heartbeats are back after ${length}` : `${host}: no heartbeat for ${length}`,
    message: back
      ? `${host} is heard again. Its last heartbeat before that was at ${since}.`
      : `The last heartbeat of ${host} came at ${since}. It is down, has no network, or heartbeatd was stopped.`,
    details: {
      event_id: `${host}/${since}/${event}`,
      event,
      host,
      subject: "host",
      since,
      at: new Date(atMs).toISOString(),
      duration_seconds: back ? seconds : null,
    },
  };
  try {
    const response = await fetch(env.ALERT_URL, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(alert),
      signal: AbortSignal.timeout(1500),
    });
    return response.ok;
  } catch {
    return false;
  }
}

async function count(env) {
  return (await env.DB.prepare("SELECT count(*) AS hosts FROM hosts").first())?.hosts ?? 0;
}

// The body as JSON; null if it is none, or too long.
async function read(request) {
  const chunks = [];
  let length = 0;
  for await (const chunk of request.body ?? []) {
    length += chunk.length;
    if (length > MOST_BYTES) return null;
    chunks.push(chunk);
  }
  try {
    return JSON.parse(await new Blob(chunks).text());
  } catch {
    return null;
  }
}

// The host's own key is the HMAC-SHA256 of its name, in hexadecimal digits, made with SECRET_KEY. SECRET_KEY itself opens for
// all hosts, unless PER_HOST_KEYS says that only a host's own key does.
async function mayBeat(given, host, env) {
  const secret = new TextEncoder().encode(env.SECRET_KEY);
  const key = await crypto.subtle.importKey("raw", secret, { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
  const digest = new Uint8Array(await crypto.subtle.sign("HMAC", key, new TextEncoder().encode(host ?? "")));
  const own = Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
  const isOwn = await isSame(given, `Bearer ${own}`);
  const isShared = await isSame(given, `Bearer ${env.SECRET_KEY}`);
  return (isOwn && host !== null) || (isShared && env.PER_HOST_KEYS !== "yes");
}

function silentAfterMs(env) {
  return Number(env.SILENT_AFTER_SECONDS) * 1000;
}

// In the same time whatever differs: digests have one length, and every byte is looked at.
async function isSame(given, expected) {
  const [a, b] = await Promise.all(
    [given, expected].map(async (text) =>
      new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text))),
    ),
  );
  let difference = 0;
  for (let i = 0; i < a.length; i++) difference |= a[i] ^ b[i];
  return difference === 0;
}

function answer(status, text) {
  return Response.json({ status: text }, { status });
}
