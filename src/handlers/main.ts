import { createPipeline, DEFAULT_MODEL } from "../pipeline/mod.ts";
import { readConfig, VARIABLES } from "./config.ts";
import { checkManifest } from "./manifest_schema.ts";
import { createHandler, openKvStore } from "./mod.ts";

/** Milliseconds accepted work may go on after SIGINT or SIGTERM; the platform kills at 5,000. */
const GRACE_MS = 4000;
/** Milliseconds more for answers to reach their clients. */
const LAST_WORDS_MS = 500;

/** Starts the server; the environment is read here and nowhere else. */
async function main(): Promise<void> {
  const environment = Object.fromEntries(
    VARIABLES.map((name) => [name, Deno.env.get(name)]),
  );
  const config = readConfig((name) => environment[name], {
    cores: navigator.hardwareConcurrency,
    memoryMib: Deno.systemMemoryInfo().total / 1024 / 1024,
  });
  const { apiKeys, gpuToken, ...settings } = config;
  const store = config.rateLimitStore === "kv" ? openKvStore() : undefined;
  const pipeline = await createPipeline({
    workers: config.workers,
    queue: config.queue,
    model: config.model ?? DEFAULT_MODEL,
    preload: config.models,
    deadlineMs: config.deadlineMs,
    limits: { maxPixels: config.maxPixels, maxSide: config.maxSide },
    ...(config.gpu
      ? { gpu: { ...config.gpu, ...(gpuToken ? { token: gpuToken } : {}) } }
      : {}),
  });
  checkManifest(pipeline.models.specs);
  const ending = new AbortController();
  const handler = createHandler({
    pipeline,
    apiKeys,
    corsOrigins: config.corsOrigins,
    maxBodyBytes: config.maxBodyBytes,
    deadlineMs: config.deadlineMs,
    settings: { ...settings, apiKeys: apiKeys.length },
    signal: ending.signal,
    log: (entry) => console.log(JSON.stringify(entry)),
    warn: (warning) => console.warn(JSON.stringify({ warning })),
    ...(store ? { rateLimitStore: store } : {}),
    ...(config.rateLimit ? { rateLimit: config.rateLimit } : {}),
  });
  const server = Deno.serve({
    port: config.port,
    hostname: config.host,
    onListen: ({ hostname, port }) => {
      console.log(
        JSON.stringify({
          listening: `http://${hostname}:${port}/`,
          ...settings,
        }),
      );
    },
  }, handler);
  if (
    apiKeys.length === 0 &&
    !["127.0.0.1", "localhost", "::1"].includes(config.host)
  ) {
    console.warn(
      "MIEN_API_KEYS is unset: anyone who reaches this address may use the server",
    );
  }

  let stopping = false;
  const stop = async () => {
    if (stopping) return;
    stopping = true;
    ending.abort();
    const late = new Promise((done) =>
      setTimeout(done, GRACE_MS + LAST_WORDS_MS)
    );
    const closed = Promise.all([server.shutdown(), pipeline.close(GRACE_MS)]);
    await Promise.race([closed, late]);
    Deno.exit(0);
  };
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    Deno.addSignalListener(signal, stop);
  }
  try {
    await pipeline.ready;
    console.log(JSON.stringify({ ready: true }));
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    Deno.exit(1);
  }
}

if (import.meta.main) {
  try {
    await main();
  } catch (error) {
    if (
      !(error instanceof RangeError || error instanceof Deno.errors.AddrInUse)
    ) throw error;
    console.error(error.message);
    Deno.exit(1);
  }
}
