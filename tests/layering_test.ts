import assert from "node:assert/strict";

const ROOT = new URL("../", import.meta.url);

interface Module {
  specifier: string;
  /** What it imports, statically or not, types or code. */
  imports: string[];
}

/** Every module of ours that the entries reach, by its path in the repository. */
async function graph(...entries: string[]): Promise<Module[]> {
  const modules = new Map<string, Module>();
  for (const entry of entries) {
    const { stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["info", "--json", entry],
      cwd: ROOT,
    }).output();
    assert.notEqual(stdout.length, 0, new TextDecoder().decode(stderr));
    const info = JSON.parse(new TextDecoder().decode(stdout));
    for (const { specifier, dependencies = [], error } of info.modules) {
      assert.equal(error, undefined);
      if (!specifier.startsWith(ROOT.href)) continue;
      const imports = dependencies.map((
        { specifier: name, code, type }: {
          specifier: string;
          code?: { specifier?: string };
          type?: { specifier?: string };
        },
      ) => local(code?.specifier ?? type?.specifier ?? name, name));
      modules.set(local(specifier), { specifier: local(specifier), imports });
    }
  }
  return [...modules.values()];
}

/** A path in the repository, or the name by which a package was imported. */
function local(specifier: string, name = specifier): string {
  return specifier.startsWith(ROOT.href) &&
      !specifier.includes("/node_modules/")
    ? specifier.slice(ROOT.href.length)
    : name;
}

async function sources(folder: string): Promise<string[]> {
  const paths = [];
  for await (
    const { name, isDirectory } of Deno.readDir(new URL(folder, ROOT))
  ) {
    if (isDirectory) paths.push(...await sources(`${folder}/${name}`));
    else if (name.endsWith(".ts")) paths.push(`${folder}/${name}`);
  }
  return paths;
}

const all = await graph(
  "mod.ts",
  "src/pipeline/mod.ts",
  "src/pipeline/worker.ts",
  "src/handlers/main.ts",
  "src/handlers/mod.ts",
  "src/cli/analyze.ts",
  "src/types.ts",
  "src/sdk/client.ts",
  "src/sdk/preprocess.ts",
  "src/sdk/local.ts",
);

/** Fails with each import that is not allowed. */
function check(
  of: (path: string) => boolean,
  allowed: (imported: string) => boolean,
): void {
  const checked = all.filter(({ specifier }) => of(specifier));
  assert.ok(checked.length > 0);
  const wrong = checked.flatMap(({ specifier, imports }) =>
    imports.filter((name) => !allowed(name)).map((name) =>
      `${specifier} -> ${name}`
    )
  );
  assert.deepEqual(wrong, []);
}

/** The files that import a package. */
function importers(name: RegExp): string[] {
  return all.filter(({ imports }) => imports.some((item) => name.test(item)))
    .map(({ specifier }) => specifier).sort();
}

Deno.test("the graph reaches the files it is to watch", async () => {
  const reached = new Set(all.map(({ specifier }) => specifier));
  const files = [
    ...await sources("src/pipeline"),
    ...await sources("src/handlers"),
    ...await sources("src/sdk"),
  ];
  assert.deepEqual(files.filter((file) => !reached.has(file)), []);
});

Deno.test("types.ts imports nothing", () => {
  check((path) => path === "src/types.ts", () => false);
});

Deno.test("pipeline imports types, itself and its own packages, never handlers", () => {
  check(
    (path) => path.startsWith("src/pipeline/"),
    (name) =>
      name === "src/types.ts" || name.startsWith("src/pipeline/") ||
      /^(onnxruntime-web|@jsquash\/webp|@opentelemetry\/api|node:)/.test(name),
  );
});

Deno.test("handlers import pipeline, types and themselves, never the command line", () => {
  check(
    (path) => path.startsWith("src/handlers/"),
    (name) =>
      !name.startsWith("src/") ||
      /^src\/(types|version)\.ts$|^src\/(pipeline|handlers)\//.test(name),
  );
});

Deno.test("src never imports tests, nor anything outside src", () => {
  check(
    (path) => path.startsWith("src/"),
    (name) => !/^(tests|models|docs|deploy)\//.test(name),
  );
});

Deno.test("no file imports from jsr: or a URL", () => {
  check(() => true, (name) => !/^(jsr|https?):/.test(name));
});

for (const entry of ["src/sdk/client.ts", "src/sdk/preprocess.ts"]) {
  Deno.test(`${entry} brings no package and nothing of the server`, async () => {
    const allowed =
      /^src\/(types|sdk\/\w+|pipeline\/(image|preprocess|png|manifest))\.ts$/;
    for (const { specifier, imports } of await graph(entry)) {
      for (const name of [specifier, ...imports]) {
        assert.match(name, allowed, `${specifier} -> ${name}`);
      }
    }
  });
}

Deno.test("src/sdk/local.ts brings the engine and the codecs, never a server, a pool or ONNX Runtime", async () => {
  for (const { specifier, imports } of await graph("src/sdk/local.ts")) {
    for (const name of imports) {
      const allowed = /^src\/(types\.ts|sdk\/|pipeline\/)|^@jsquash\/webp/;
      assert.match(name, allowed, `${specifier} -> ${name}`);
      assert.doesNotMatch(
        name,
        /pipeline\/(mod|pool|worker|wasm|route|remote|tracing)\.ts$/,
        `${specifier} -> ${name}`,
      );
    }
  }
});

const SOLE: [name: RegExp, folder: RegExp][] = [
  [/^onnxruntime-web/, /^src\/pipeline\/wasm\.ts$/],
  [/^@jsquash/, /^src\/pipeline\/codecs\.ts$/],
  [/^(hono|@hono|zod)(\/|$)/, /^src\/handlers\//],
  [/^@opentelemetry/, /^src\/pipeline\/tracing\.ts$/],
  [/^swagger-ui-dist/, /^src\/handlers\/pages\.ts$/],
];

for (const [name, where] of SOLE) {
  Deno.test(`${name.source} is imported in ${where.source} only`, () => {
    const found = importers(name);
    assert.ok(found.length > 0);
    assert.deepEqual(found.filter((path) => !where.test(path)), []);
  });
}

const PURE = [
  "image",
  "preprocess",
  "postprocess",
  "track",
  "blend",
  "smooth",
].map((name) => `src/pipeline/${name}.ts`);

for (const path of PURE) {
  Deno.test(`${path} is pure: types and its like are all it imports`, () => {
    check(
      (candidate) => candidate === path,
      (name) => name === "src/types.ts" || PURE.includes(name),
    );
  });
}

Deno.test("mod.ts gives away the client, types and pure files only: no package comes with it", async () => {
  const allowed =
    /^(mod|src\/(types|version|sdk\/\w+|pipeline\/(png|manifest)))\.ts$/;
  for (const { specifier, imports } of await graph("mod.ts")) {
    for (const name of [specifier, ...imports]) {
      const pure = PURE.includes(name);
      assert.ok(pure || allowed.test(name), `${specifier} -> ${name}`);
    }
  }
});

Deno.test("engine.ts is composed: it imports neither a codec nor a backend", () => {
  check(
    (path) => path === "src/pipeline/engine.ts",
    (name) => !/\/(decode|wasm|pool|worker)\.ts$/.test(name),
  );
});

Deno.test("importing an entry starts nothing and prints nothing", async () => {
  for (const entry of ["src/handlers/main.ts", "src/handlers/mod.ts"]) {
    const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["eval", `await import("${new URL(entry, ROOT)}")`],
      cwd: ROOT,
    }).output();
    const printed = new TextDecoder().decode(stdout) +
      new TextDecoder().decode(stderr);
    assert.equal(code, 0, printed);
    assert.equal(printed, "");
  }
});
