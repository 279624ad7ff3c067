import assert from "node:assert/strict";
import { Server } from "../server.ts";

Deno.test("two servers with MIEN_RATE_LIMIT_STORE=kv count a caller together", async () => {
  const key = crypto.randomUUID();
  const digest = await crypto.subtle.digest(
    "SHA-256",
    new TextEncoder().encode(key),
  );
  const env = {
    MIEN_API_KEYS: new Uint8Array(digest).toHex(),
    MIEN_RATE_LIMIT: "3",
    MIEN_RATE_LIMIT_STORE: "kv",
  };
  await using a = await Server.start(env);
  await using b = await Server.start(env);
  await Promise.all([a, b].map((server) => server.printed('"ready":true')));
  const statuses = [];
  for (const server of [a, b, a, b, a]) {
    const response = await fetch(server.url("/v1/models"), {
      headers: { "x-api-key": key },
    });
    await response.body?.cancel();
    statuses.push(response.status);
  }
  assert.doesNotMatch(a.output + b.output, /warning/);
  assert.deepEqual(statuses, [200, 200, 200, 429, 429]);
});
