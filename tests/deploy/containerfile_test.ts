import assert from "node:assert/strict";
import { startArguments } from "../server.ts";

const ROOT = new URL("../../", import.meta.url);

async function read(path: string): Promise<string> {
  return await Deno.readTextFile(new URL(path, ROOT));
}

/** Every instruction of the Containerfile, continuation lines joined. */
const INSTRUCTIONS = (await read("Containerfile"))
  .replaceAll("\\\n", "").split("\n")
  .filter((line) => line && !line.startsWith("#"))
  .map((line) => {
    const [name, ...rest] = line.split(/\s+/);
    return { name: name!, text: rest.join(" ") };
  });

function texts(name: string): string[] {
  return INSTRUCTIONS.filter((one) => one.name === name)
    .map(({ text }) => text);
}

Deno.test("the container runs what deno task start runs, offline, and gets its signals itself", async () => {
  const [run, ...rest] = await startArguments();
  assert.deepEqual(texts("CMD").map((text) => JSON.parse(text)), [
    ["deno", run, "--frozen", "--cached-only", ...rest.slice(1)],
  ]);
  assert.equal(rest[0], "--frozen");
  assert.deepEqual(texts("ENTRYPOINT"), []);
});

Deno.test("the container runs as a numbered user who owns nothing of it", () => {
  assert.deepEqual(texts("USER"), ["1993:1993"]);
  const copies = texts("COPY").join("\n");
  assert.doesNotMatch(copies, /--chown|--chmod/);
});

Deno.test("the container's Deno is the one that publishes and tests", async () => {
  const versions = texts("FROM").map((text) =>
    /^docker\.io\/denoland\/deno:(\d+\.\d+\.\d+)( AS build)?$/.exec(text)?.[1]
  );
  assert.equal(versions.length, 2);
  const publish = await read(".github/workflows/publish.yml");
  for (const version of versions) {
    assert.ok(version && publish.includes(`deno-version: ${version}`));
    assert.ok((await read(".ci/run")).includes(`deno@${version} task ok`));
  }
});

Deno.test("what the container copies is there and passes .dockerignore; weights to train on do not", async () => {
  const rules = (await read(".dockerignore")).split("\n")
    .filter((line) => line && !line.startsWith("#"));
  const passed = rules.filter((rule) => rule.startsWith("!"))
    .map((rule) => rule.slice(1));
  assert.equal(rules[0], "*");
  const copied = texts("COPY").filter((text) => !text.startsWith("--from"))
    .flatMap((text) => text.split(" ").slice(0, -1));
  assert.deepEqual(copied.sort(), passed.sort());
  for (const path of copied) await Deno.stat(new URL(path, ROOT));
  for (const rule of ["models/training", "models/*/*.safetensors"]) {
    assert.ok(rules.includes(rule));
  }
});

Deno.test("the container's health is the server's readiness, asked with two permissions", () => {
  const [health] = texts("HEALTHCHECK");
  const command: string[] = JSON.parse(health!.slice(health!.indexOf("[")));
  assert.deepEqual(command.filter((part) => part.startsWith("--allow")), [
    "--allow-net=127.0.0.1",
    "--allow-env=PORT",
  ]);
  assert.equal(command.at(-1), "deploy/healthcheck.ts");
});

Deno.test("deploy/healthcheck.ts ends with 0 when the server is ready, else with 1", async () => {
  let status = 503;
  await using server = Deno.serve(
    { port: 0, hostname: "127.0.0.1", onListen() {} },
    (request) => {
      const known = new URL(request.url).pathname === "/readyz";
      return new Response(null, { status: known ? status : 404 });
    },
  );
  async function check(port: number): Promise<number> {
    const { code } = await new Deno.Command(Deno.execPath(), {
      args: [
        "run",
        "--allow-net=127.0.0.1",
        "--allow-env=PORT",
        "deploy/healthcheck.ts",
      ],
      cwd: ROOT,
      env: { PORT: String(port) },
    }).output();
    return code;
  }
  assert.equal(await check(server.addr.port), 1);
  status = 200;
  assert.equal(await check(server.addr.port), 0);
  assert.equal(await check(1), 1);
});
