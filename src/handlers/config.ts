import type { GpuOptions } from "../pipeline/mod.ts";

/** Names as the manifest has them. */
function isModelName(item: string): boolean {
  return /^[a-z][a-z0-9_]*$/.test(item);
}

/** The environment as plain values; every default is the contract's. */
export interface Config {
  port: number;
  host: string;
  workers: number;
  models: string[];
  model: string | undefined;
  apiKeys: string[];
  rateLimit: number | undefined;
  rateLimitStore: "memory" | "kv";
  corsOrigins: string[];
  maxBodyBytes: number;
  maxPixels: number;
  maxSide: number;
  deadlineMs: number;
  queue: number;
  /** Undefined: no GPU server is asked. */
  gpu: Omit<GpuOptions, "token"> | undefined;
  gpuToken: string | undefined;
}

/** Memory in MiB one Worker takes at most, on a picture at the default limits, and the process without any. */
const WORKER_MIB = 680;
const PROCESS_MIB = 128;

/** What the machine offers. */
export interface Machine {
  cores: number;
  memoryMib: number;
}

/** Variables whose values are never shown. */
const SECRET = ["MIEN_API_KEYS", "MIEN_GPU_TOKEN"];

/** Every variable that is read. */
export const VARIABLES: readonly string[] = [
  "PORT",
  "HOST",
  "MIEN_WORKERS",
  "MIEN_MODELS",
  "MIEN_MODEL",
  "MIEN_API_KEYS",
  "MIEN_RATE_LIMIT",
  "MIEN_RATE_LIMIT_STORE",
  "MIEN_CORS_ORIGINS",
  "MIEN_GPU_URL",
  "MIEN_GPU_TOKEN",
  "MIEN_GPU_MODELS",
  "MIEN_GPU_TIMEOUT_MS",
  "MIEN_ESCALATE_BELOW",
  "MIEN_GPU_MODEL",
  "MIEN_MAX_BODY_BYTES",
  "MIEN_MAX_PIXELS",
  "MIEN_MAX_SIDE",
  "MIEN_DEADLINE_MS",
  "MIEN_QUEUE",
];

/**
 * Reads the configuration from environment variables.
 *
 * @throws {RangeError} with a sentence that names the variable and what it should be
 */
export function readConfig(
  get: (name: string) => string | undefined,
  machine: Machine,
): Config {
  const value = (name: string) => get(name)?.trim() || undefined;

  function refuse(name: string, wanted: string): never {
    const shown = SECRET.includes(name) ? "" : `="${value(name)}"`;
    throw new RangeError(`Cannot use ${name}${shown}: it must be ${wanted}`);
  }

  function integer(
    name: string,
    fallback: number,
    min: number,
    max: number,
  ): number {
    const text = value(name);
    if (text === undefined) return fallback;
    const parsed = /^\d+$/.test(text) ? Number(text) : NaN;
    if (!(parsed >= min && parsed <= max)) {
      refuse(name, `a whole number from ${min} to ${max}`);
    }
    return parsed;
  }

  function list(
    name: string,
    accept: (item: string) => boolean,
    wanted: string,
  ): string[] {
    const items = (value(name) ?? "").split(",").map((item) => item.trim())
      .filter(Boolean);
    if (!items.every(accept)) refuse(name, `a comma list of ${wanted}`);
    return items;
  }

  function readGpu(): Config["gpu"] {
    const url = value("MIEN_GPU_URL");
    if (url !== undefined && !isServer(url)) {
      refuse(
        "MIEN_GPU_URL",
        "an address such as https://gpu.example.org, without a key in it; http only inside a private network",
      );
    }
    const model = value("MIEN_GPU_MODEL");
    if (model && !isModelName(model)) {
      refuse("MIEN_GPU_MODEL", "one model name");
    }
    const below = value("MIEN_ESCALATE_BELOW") ?? "0";
    if (!/^(0(\.\d+)?|1(\.0+)?)$/.test(below)) {
      refuse("MIEN_ESCALATE_BELOW", "a confidence from 0 to 1");
    }
    const models = list("MIEN_GPU_MODELS", isModelName, "model names");
    const gpu = {
      timeoutMs: integer("MIEN_GPU_TIMEOUT_MS", 500, 50, 60_000),
      escalateBelow: Number(below),
      ...(models.length > 0 ? { models } : {}),
      ...(model ? { model } : {}),
    };
    if (url) return { url, ...gpu };
    const alone = VARIABLES.find((name) =>
      /GPU|ESCALATE/.test(name) && value(name) !== undefined
    );
    if (!alone) return undefined;
    throw new RangeError(
      `Cannot use ${alone} without MIEN_GPU_URL: set that too, or unset it`,
    );
  }

  const gpuToken = value("MIEN_GPU_TOKEN");
  if (gpuToken && !/^[\x21-\x7e]+$/.test(gpuToken)) {
    refuse("MIEN_GPU_TOKEN", "printable ASCII without spaces");
  }
  const room = Math.max(
    1,
    Math.floor((machine.memoryMib - PROCESS_MIB) / WORKER_MIB),
  );
  const model = value("MIEN_MODEL");
  if (model && !isModelName(model)) refuse("MIEN_MODEL", "one model name");
  const rateLimitStore = value("MIEN_RATE_LIMIT_STORE") ?? "memory";
  if (rateLimitStore !== "memory" && rateLimitStore !== "kv") {
    refuse("MIEN_RATE_LIMIT_STORE", "memory or kv");
  }
  const rateLimit = integer("MIEN_RATE_LIMIT", 0, 0, 1_000_000);
  return {
    port: integer("PORT", 8000, 0, 65_535),
    host: value("HOST") ?? "127.0.0.1",
    workers: integer(
      "MIEN_WORKERS",
      Math.max(1, Math.min(machine.cores, room)),
      1,
      256,
    ),
    models: list("MIEN_MODELS", isModelName, "model names"),
    model,
    apiKeys: list(
      "MIEN_API_KEYS",
      (item) => /^[0-9a-f]{64}$/.test(item),
      "SHA-256 hashes of keys, 64 lower-case hexadecimal digits each",
    ),
    rateLimit: rateLimit || undefined,
    rateLimitStore,
    corsOrigins: list(
      "MIEN_CORS_ORIGINS",
      isOrigin,
      "origins such as https://example.org, or *",
    ),
    maxBodyBytes: integer(
      "MIEN_MAX_BODY_BYTES",
      8 * 1024 * 1024,
      1024,
      256 * 1024 * 1024,
    ),
    maxPixels: integer("MIEN_MAX_PIXELS", 24_000_000, 1024, 200_000_000),
    maxSide: integer("MIEN_MAX_SIDE", 12_000, 32, 65_535),
    deadlineMs: integer("MIEN_DEADLINE_MS", 10_000, 100, 600_000),
    queue: integer("MIEN_QUEUE", 4, 0, 1000),
    gpu: readGpu(),
    gpuToken,
  };
}

/** An address of a server: https, or http where no stranger listens. */
function isServer(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const { protocol, hostname, username, password, search, hash } = new URL(
    text,
  );
  const plain = !username && !password && !search && !hash;
  return plain &&
    (protocol === "https:" || (protocol === "http:" && isPrivate(hostname)));
}

/** Loopback, private addresses, and names that only a private network resolves. */
function isPrivate(hostname: string): boolean {
  return /^(127|10)(\.\d+){3}$|^192\.168(\.\d+){2}$|^172\.(1[6-9]|2\d|3[01])(\.\d+){2}$/
    .test(hostname) ||
    /^\[(::1|f[cd][0-9a-f:]*)\]$/.test(hostname) ||
    /^[a-z0-9-]*[a-z][a-z0-9-]*$/.test(hostname) ||
    /\.(local|internal|svc|localhost)$/.test(hostname);
}

function isOrigin(item: string): boolean {
  if (item === "*") return true;
  try {
    return new URL(item).origin === item && !item.includes("*");
  } catch {
    return false;
  }
}
