import assert from "node:assert/strict";
import { createHandler } from "../../src/handlers/mod.ts";
import { PAGE_PATHS } from "../../src/handlers/pages.ts";
import { fakePipeline } from "./fake.ts";
import { get, request } from "./requests.ts";

const handler = createHandler({ pipeline: fakePipeline() });
/** Not ours: a namespace is a name, no address, and Swagger UI's code is a package's. */
const NAMESPACE = "http://www.w3.org/";
const FOREIGN = ["/docs/swagger-ui.css", "/docs/swagger-ui-bundle.js"];

function typeOf(path: string): RegExp {
  if (path.endsWith(".css")) return /^text\/css/;
  return path.endsWith(".js") ? /^text\/javascript/ : /^text\/html/;
}

for (const path of PAGE_PATHS) {
  Deno.test(`GET ${path} serves its page with a policy of its own`, async () => {
    const response = await get(handler, path);
    assert.equal(response.status, 200);
    assert.ok((await response.text()).length > 50);
    const headers = Object.fromEntries(response.headers);
    assert.match(headers["content-type"]!, typeOf(path));
    assert.equal(headers["cache-control"], "no-cache");
    assert.equal(headers["x-content-type-options"], "nosniff");
    const policy = headers["content-security-policy"]!;
    assert.match(
      policy,
      /^default-src 'none'; script-src 'self'( 'wasm-unsafe-eval')?;/,
    );
    assert.match(policy, /frame-ancestors 'none'/);
    assert.doesNotMatch(policy, /https?:|\*|'unsafe-eval/);
    assert.equal(policy.includes("unsafe-inline"), path.startsWith("/docs"));
  });
}

for (const path of PAGE_PATHS.filter((path) => !FOREIGN.includes(path))) {
  Deno.test(`GET ${path} names no foreign origin`, async () => {
    const text = await (await get(handler, path)).text();
    const urls = text.match(/(?:https?:|wss?:)?\/\/[\w-]+\.[\w.-]+[^\s"')]*/g);
    const foreign = (urls ?? []).filter((url) => !url.startsWith(NAMESPACE));
    assert.deepEqual(foreign, []);
    assert.doesNotMatch(text, /<script(?![^>]*\bsrc=)[^>]*>|\son\w+="/);
  });
}

for (const path of ["/", "/docs"]) {
  Deno.test(`every asset that ${path} names is served`, async () => {
    const text = await (await get(handler, path)).text();
    const names = [
      ...text.matchAll(/<(?:script|link)[^>]*?(?:src|href)="([^"]+)"/g),
    ]
      .map((match) => match[1]!).filter((name) => !name.startsWith("data:"));
    assert.ok(names.length >= 2);
    for (const name of names) {
      const url = new URL(name, `http://mien.test${path}`);
      const response = await get(handler, url.pathname);
      await response.body?.cancel();
      assert.equal(response.status, 200, name);
    }
  });
}

Deno.test("every module that the demo imports is served", async () => {
  for (const path of PAGE_PATHS.filter((path) => /demo\/.*js$/.test(path))) {
    const text = await (await get(handler, path)).text();
    for (
      const [, name] of text.matchAll(/^(?:import|export) .*?from "([^"]+)"/gms)
    ) {
      const { pathname } = new URL(name!, `http://mien.test${path}`);
      assert.ok(PAGE_PATHS.includes(pathname), pathname);
    }
  }
});

Deno.test("the API reference reads our own document", async () => {
  const text = await (await get(handler, "/docs/start.js")).text();
  assert.match(text, /url: "\/openapi\.json"/);
});

Deno.test("HEAD of a page has its headers and no body", async () => {
  const response = await handler(request("/", { method: "HEAD" }));
  assert.equal(response.status, 200);
  assert.match(response.headers.get("content-type")!, /^text\/html/);
  assert.equal(await response.text(), "");
});

for (
  const path of [
    "/demo/index.html",
    "/demo/%2e%2e/mod.ts",
    "/demo/..%2fmod.ts",
    "/demo/",
    "/docs/package.json",
    "/docs/..%2f..%2fdeno.json",
    "/docs/",
    "/mod.ts",
    "/favicon.ico",
  ]
) {
  Deno.test(`GET ${path} finds nothing`, async () => {
    const response = await handler(new Request(`http://mien.test${path}`));
    assert.equal(response.status, 404);
    assert.equal((await response.json()).code, "not_found");
  });
}
