// Serves debian/examples/worker/worker.js on loopback: HTTP in front, a real SQLite file behind the shape of D1, and the cron
// trigger several times a second. `node worker.mjs WORKER.JS DATABASE`; the Worker's variables come from the environment.

import { execFile } from "node:child_process";
import { webcrypto } from "node:crypto";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { promisify } from "node:util";

globalThis.crypto ??= webcrypto; // Debian 12's node 18 has it, but not as a global

const [worker, database] = process.argv.slice(2);
// As text: by its name, node 18 would take a .js file for CommonJS, Cloudflare takes it for a module.
const { default: module } = await import(`data:text/javascript,${encodeURIComponent(readFileSync(worker, "utf8"))}`);

class Statement {
  constructor(sql, values = []) {
    Object.assign(this, { sql, values });
  }
  bind(...values) {
    return new Statement(this.sql, values);
  }
  async all() {
    const bound = this.values.map((value, i) => `INSERT INTO temp.sqlite_parameters VALUES ('?${i + 1}', ${literal(value)});`);
    const input = [".bail on", ".timeout 1000", ".mode json", ".parameter init", ...bound, `${this.sql};`].join("\n");
    const running = promisify(execFile)("sqlite3", [database]);
    running.child.stdin.end(input);
    const { stdout } = await running; // rejects, as D1 does, if SQLite refuses
    return { results: stdout ? JSON.parse(stdout) : [] };
  }
  async first() {
    return (await this.all()).results[0] ?? null;
  }
  async run() {
    return this.all();
  }
}

function literal(value) {
  return typeof value === "number" ? String(value) : `'${value.replaceAll("'", "''")}'`;
}

const env = { ...process.env, DB: { prepare: (sql) => new Statement(sql) } };

const server = createServer(async (incoming, outgoing) => {
  const chunks = [];
  for await (const chunk of incoming) chunks.push(chunk);
  const { method, headers } = incoming;
  const body = method === "POST" ? Buffer.concat(chunks) : undefined;
  const request = new Request(`http://${headers.host}${incoming.url}`, { method, headers, body });
  const response = await module.fetch(request, env);
  outgoing.writeHead(response.status, Object.fromEntries(response.headers));
  outgoing.end(Buffer.from(await response.arrayBuffer()));
});
server.listen(0, "127.0.0.1", () => console.log(server.address().port));

for (;;) {
  await new Promise((resolve) => setTimeout(resolve, 200));
  await module.scheduled({}, env).catch((error) => console.error(error.message));
}
