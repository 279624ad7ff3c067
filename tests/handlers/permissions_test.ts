import assert from "node:assert/strict";
import { Server, startArguments } from "../server.ts";
import { fixture } from "../testdata/pictures.ts";

const args = await startArguments();
const allowed = args.filter((arg) => arg.startsWith("--allow-"));

Deno.test("deno task start allows reading the project, the network, its own variables and the memory's size, no more", () => {
  assert.deepEqual(allowed, [
    "--allow-read=.",
    "--allow-net",
    "--allow-env=PORT,HOST,MIEN_*",
    "--allow-sys=systemMemoryInfo",
  ]);
});

for (const flag of allowed) {
  Deno.test(`without ${flag} the server does not start`, async () => {
    const without = args.filter((arg) => arg !== flag);
    await using server = await Server.start({}, without);
    assert.equal((await server.status()).code, 1);
    const name = /--allow-(\w+)/.exec(flag)![1];
    assert.match(server.output, new RegExp(`--allow-${name}`));
  });
}

Deno.test("a server without a GPU needs the network only where it listens", async () => {
  const narrow = args.map((arg) =>
    arg === "--allow-net" ? "--allow-net=127.0.0.1:0" : arg
  );
  await using server = await Server.start({}, narrow);
  await server.printed('"ready":true');
  const response = await fetch(server.url("/v1/analyze"), {
    method: "POST",
    body: fixture("astronaut.jpg"),
  });
  assert.equal((await response.json()).faces.length, 1);
  assert.equal(response.status, 200);
});
