import type { Page } from "playwright-core";
import assert from "node:assert/strict";
import { IN_BROWSER, launch } from "../browser/chromium.ts";
import { film } from "../browser/film.ts";
import { Site } from "../browser/site.ts";
import { install } from "../jsr/install.ts";
import { Folder, run } from "../jsr/run.ts";

const ROOT = new URL("../../", import.meta.url);
const PHOTO = new URL("tests/testdata/images/astronaut.jpg", ROOT);
/** The server's address as the examples have it. */
const WRITTEN = "http://127.0.0.1:8000";
const TYPES: Record<string, string> = {
  html: "text/html",
  js: "text/javascript",
  wasm: "application/wasm",
};

/** A user's own web site: files of a folder, the server's address put in where it is written. */
function host(folder: URL, server: string) {
  const site = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen() {} },
    async (request) => {
      const path = new URL(request.url).pathname.slice(1) || "index.html";
      const kind = path.split(".").at(-1)!;
      const bytes = await Deno.readFile(new URL(path, folder))
        .catch(() => undefined);
      if (!bytes) return new Response(null, { status: 404 });
      const body = /html|js/.test(kind)
        ? new TextDecoder().decode(bytes).replaceAll(WRITTEN, server)
        : bytes;
      const type = TYPES[kind] ?? "application/octet-stream";
      return new Response(body, { headers: { "content-type": type } });
    },
  );
  return {
    url: (path: string) => `http://localhost:${site.addr.port}/${path}`,
    [Symbol.asyncDispose]: () => site.shutdown(),
  };
}

async function shows(page: Page, id: string, text: RegExp): Promise<void> {
  await page.locator(id).filter({ hasText: text }).waitFor();
}

async function chooses(page: Page): Promise<void> {
  await shows(page, "#faces", /Choose a photo/);
  await page.locator("#file").setInputFiles(PHOTO.pathname);
  await shows(page, "#faces", /^happiness$/);
}

Deno.test({
  name: "page.html sends the chosen photo, from another origin",
  ...IN_BROWSER,
  async fn() {
    await using site = await Site.open();
    await using pages = host(new URL("examples/", ROOT), site.url(""));
    const browser = await launch();
    try {
      const page = await browser.newPage();
      await page.goto(pages.url("page.html"));
      await chooses(page);
      assert.ok(site.asked.includes("/v1/analyze"));
    } finally {
      await browser.close();
    }
  },
});

Deno.test({
  name:
    "webcam.html reads the camera, goes on with the network cut, and sends nothing",
  ...IN_BROWSER,
  async fn() {
    await using site = await Site.open();
    await using pages = host(new URL("examples/", ROOT), site.url(""));
    using folder = new Folder();
    const camera = `${folder.path}/face.y4m`;
    await Deno.writeFile(camera, await film(await Deno.readFile(PHOTO)));
    const browser = await launch([
      "--use-fake-ui-for-media-stream",
      "--use-fake-device-for-media-stream",
      `--use-file-for-fake-video-capture=${camera}`,
    ]);
    try {
      const page = await browser.newPage();
      await page.goto(pages.url("webcam.html"));
      await shows(page, "#face", /^happiness$/);
      await page.context().setOffline(true);
      const asked = site.asked.length;
      await page.evaluate('document.querySelector("#face").textContent = ""');
      await shows(page, "#face", /^happiness$/);
      assert.equal(site.asked.length, asked);
      assert.ok(!site.asked.includes("/v1/analyze"));
    } finally {
      await browser.close();
    }
  },
});

Deno.test({
  name: "the Vite and React examples build and work",
  ...IN_BROWSER,
  async fn() {
    await using site = await Site.open();
    using folder = new Folder();
    await install(folder.path);
    const user = `${folder.path}/user`;
    const packages = await Promise.all(["vite", "react"].map(async (name) => {
      await run("cp", ["-R", new URL(`examples/${name}`, ROOT).pathname, user]);
      const file = `${user}/${name}/package.json`;
      return JSON.parse(await Deno.readTextFile(file));
    }));
    const wanted = packages.flatMap(({ dependencies, devDependencies }) =>
      Object.entries({ ...dependencies, ...devDependencies })
    ).filter(([name]) => !/^(@mien|onnxruntime)/.test(name));
    await Deno.mkdir(`${folder.path}/tools`);
    await run("npm", [
      "install",
      "--no-audit",
      "--no-fund",
      "--prefer-offline",
      ...new Set(wanted.map(([name, version]) => `${name}@${version}`)),
    ], { cwd: `${folder.path}/tools` });
    const tools = `${folder.path}/tools/node_modules`;
    for await (const { name } of Deno.readDir(tools)) {
      if (name.startsWith(".")) continue;
      const link = `${user}/node_modules/${name}`;
      await Deno.symlink(`${tools}/${name}`, link).catch(() => {});
    }
    const browser = await launch();
    try {
      for (const name of ["vite", "react"]) {
        const cwd = `${user}/${name}`;
        await Deno.symlink("../node_modules", `${cwd}/node_modules`);
        const { scripts } = packages[name === "vite" ? 0 : 1];
        if (scripts.models) await run("npm", ["run", "models"], { cwd });
        await run("node", [`${tools}/vite/bin/vite.js`, "build"], { cwd });
        const built = new URL(`file://${cwd}/dist/`);
        await using pages = host(built, site.url(""));
        const page = await browser.newPage();
        await page.goto(pages.url(""));
        const before = site.asked.length;
        await chooses(page);
        const sent = site.asked.slice(before).filter((path) =>
          path.startsWith("/v1")
        );
        assert.deepEqual(
          sent,
          name === "vite" ? [] : ["/v1/analyze", "/v1/analyze"],
        );
      }
    } finally {
      await browser.close();
    }
  },
});
