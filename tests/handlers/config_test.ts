import assert from "node:assert/strict";
import {
  type Config,
  readConfig,
  VARIABLES,
} from "../../src/handlers/config.ts";

const MACHINE = { cores: 4, memoryMib: 8192 };
const HASH = "a1".repeat(32);

function read(environment: Record<string, string>, machine = MACHINE): Config {
  return readConfig((name) => environment[name], machine);
}

const DEFAULTS: Config = {
  port: 8000,
  host: "127.0.0.1",
  workers: 4,
  models: [],
  model: undefined,
  apiKeys: [],
  rateLimit: undefined,
  rateLimitStore: "memory",
  corsOrigins: [],
  maxBodyBytes: 8_388_608,
  maxPixels: 24_000_000,
  maxSide: 12_000,
  deadlineMs: 10_000,
  queue: 4,
  gpu: undefined,
  gpuToken: undefined,
};

Deno.test("readConfig() of nothing gives the contract's defaults", () => {
  assert.deepEqual(read({}), DEFAULTS);
});

Deno.test("readConfig() takes empty and blank values for unset", () => {
  for (const blank of ["", "  "]) {
    const all = Object.fromEntries(VARIABLES.map((name) => [name, blank]));
    assert.deepEqual(read(all), DEFAULTS);
  }
});

const GOOD: [name: string, value: string, set: Partial<Config>][] = [
  ["PORT", "0", { port: 0 }],
  ["PORT", "65535", { port: 65535 }],
  ["PORT", " 8080 ", { port: 8080 }],
  ["HOST", "0.0.0.0", { host: "0.0.0.0" }],
  ["MIEN_WORKERS", "1", { workers: 1 }],
  ["MIEN_WORKERS", "256", { workers: 256 }],
  ["MIEN_MODELS", "a, b_2,", { models: ["a", "b_2"] }],
  ["MIEN_MODEL", "expression_mien", { model: "expression_mien" }],
  ["MIEN_API_KEYS", HASH, { apiKeys: [HASH] }],
  ["MIEN_API_KEYS", `${HASH}, ${HASH}`, { apiKeys: [HASH, HASH] }],
  ["MIEN_RATE_LIMIT", "60", { rateLimit: 60 }],
  ["MIEN_RATE_LIMIT", "0", { rateLimit: undefined }],
  ["MIEN_RATE_LIMIT_STORE", "memory", {}],
  ["MIEN_RATE_LIMIT_STORE", "kv", { rateLimitStore: "kv" }],
  ["MIEN_CORS_ORIGINS", "*", { corsOrigins: ["*"] }],
  [
    "MIEN_CORS_ORIGINS",
    "https://a.example,http://localhost:3000",
    { corsOrigins: ["https://a.example", "http://localhost:3000"] },
  ],
  ["MIEN_MAX_BODY_BYTES", "1024", { maxBodyBytes: 1024 }],
  ["MIEN_MAX_BODY_BYTES", "268435456", { maxBodyBytes: 268_435_456 }],
  ["MIEN_MAX_PIXELS", "1024", { maxPixels: 1024 }],
  ["MIEN_MAX_PIXELS", "200000000", { maxPixels: 200_000_000 }],
  ["MIEN_MAX_SIDE", "32", { maxSide: 32 }],
  ["MIEN_MAX_SIDE", "65535", { maxSide: 65_535 }],
  ["MIEN_DEADLINE_MS", "100", { deadlineMs: 100 }],
  ["MIEN_DEADLINE_MS", "600000", { deadlineMs: 600_000 }],
  ["MIEN_QUEUE", "0", { queue: 0 }],
  ["MIEN_QUEUE", "1000", { queue: 1000 }],
];

for (const [name, value, set] of GOOD) {
  Deno.test(`readConfig() reads ${name}="${value.slice(0, 30)}"`, () => {
    assert.deepEqual(read({ [name]: value }), { ...DEFAULTS, ...set });
  });
}

const BAD: [name: string, ...values: string[]][] = [
  ["PORT", "65536", "-1", "http", "80.5", "0x50", "8e3"],
  ["MIEN_WORKERS", "0", "257", "two"],
  ["MIEN_MODELS", "a b", "../secret", "A"],
  ["MIEN_MODEL", "no/way", "a,b"],
  ["MIEN_RATE_LIMIT", "-1", "1000001", "60/min"],
  ["MIEN_RATE_LIMIT_STORE", "redis", "KV", "kv,memory"],
  ["MIEN_CORS_ORIGINS", "example.org", "https://a.example/", "https://*.a.b"],
  ["MIEN_MAX_BODY_BYTES", "1023", "268435457", "8MB"],
  ["MIEN_MAX_PIXELS", "1023", "200000001"],
  ["MIEN_MAX_SIDE", "31", "65536"],
  ["MIEN_DEADLINE_MS", "99", "600001", "10s"],
  ["MIEN_QUEUE", "-1", "1001"],
  [
    "MIEN_GPU_URL",
    "gpu.example:8000",
    "http://gpu.example:8000",
    "http://8.8.8.8",
    "http://172.32.0.1",
    "http://10.0.0.1.example.org",
    "https://user:secret@gpu.example",
    "https://gpu.example?key=1",
    "file:///v2",
  ],
  ["MIEN_GPU_MODELS", "expression_mien", "a b"],
  ["MIEN_GPU_TIMEOUT_MS", "500", "49", "60001", "1s"],
  ["MIEN_GPU_MODEL", "expression_mien", "a,b"],
  ["MIEN_ESCALATE_BELOW", "0.5", "-0.1", "1.1", "50%", ".5"],
];

for (const [name, ...values] of BAD) {
  Deno.test(`readConfig() refuses a bad ${name} with a sentence that names it`, () => {
    for (const value of values) {
      assert.throws(() => read({ [name]: value }), (error) => {
        assert.ok(error instanceof RangeError, value);
        assert.ok(
          error.message.startsWith(`Cannot use ${name}`),
          error.message,
        );
        assert.match(error.message, /it must be|or unset it/);
        return true;
      }, `${name}=${value}`);
    }
  });
}

const GPU = { url: "https://gpu.example", timeoutMs: 500, escalateBelow: 0 };
const WITH_GPU: [environment: Record<string, string>, set: Partial<Config>][] =
  [
    [{}, { gpu: GPU }],
    [{ MIEN_GPU_TOKEN: "a.b-c" }, { gpu: GPU, gpuToken: "a.b-c" }],
    [
      { MIEN_GPU_MODELS: "a,b", MIEN_GPU_MODEL: "b" },
      { gpu: { ...GPU, models: ["a", "b"], model: "b" } },
    ],
    [{ MIEN_GPU_TIMEOUT_MS: "50" }, { gpu: { ...GPU, timeoutMs: 50 } }],
    [{ MIEN_ESCALATE_BELOW: "0.5" }, { gpu: { ...GPU, escalateBelow: 0.5 } }],
    [{ MIEN_ESCALATE_BELOW: "1" }, { gpu: { ...GPU, escalateBelow: 1 } }],
    ...[
      "http://127.0.0.1:8000",
      "http://localhost:8000",
      "http://[::1]:8000",
      "http://10.1.2.3/path",
      "http://172.16.0.1",
      "http://192.168.1.1",
      "http://triton:8000",
      "http://triton.mien.svc.cluster.local",
    ].map((url): [Record<string, string>, Partial<Config>] => [
      { MIEN_GPU_URL: url },
      { gpu: { ...GPU, url } },
    ]),
  ];

for (const [environment, set] of WITH_GPU) {
  Deno.test(`readConfig() reads a GPU server and ${JSON.stringify(environment)}`, () => {
    assert.deepEqual(
      read({ MIEN_GPU_URL: "https://gpu.example", ...environment }),
      { ...DEFAULTS, ...set },
    );
  });
}

const SECRETS: [name: string, value: string][] = [
  ["MIEN_API_KEYS", "hunter2"],
  ["MIEN_API_KEYS", `${HASH},hunter2`],
  ["MIEN_API_KEYS", `hunter2${HASH}`],
  ["MIEN_API_KEYS", HASH.toUpperCase() + ",hunter2"],
  ["MIEN_GPU_TOKEN", "hunter2"],
];

for (const [name, value] of SECRETS) {
  Deno.test(`readConfig() refuses ${name} of ${value.length} letters without repeating it`, () => {
    assert.throws(() => read({ [name]: value }), (error) => {
      assert.ok(error instanceof RangeError);
      assert.ok(error.message.startsWith(`Cannot use ${name}`));
      assert.doesNotMatch(error.message, /hunter2|a1a1/i);
      return true;
    });
  });
}

const MACHINES: [cores: number, memoryMib: number, workers: number][] = [
  [1, 8192, 1],
  [8, 8192, 8],
  [8, 4096, 5],
  [8, 2048, 2],
  [8, 1024, 1],
  [8, 64, 1],
];

for (const [cores, memoryMib, workers] of MACHINES) {
  Deno.test(`readConfig() starts ${workers} of ${cores} Workers in ${memoryMib} MiB`, () => {
    assert.equal(read({}, { cores, memoryMib }).workers, workers);
  });
}

Deno.test("readConfig() reads every variable it lists and no other", () => {
  const asked = new Set<string>();
  readConfig((name) => {
    asked.add(name);
    return undefined;
  }, MACHINE);
  assert.deepEqual([...asked].sort(), [...VARIABLES].sort());
});
