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
  corsOrigins: string[];
  maxBodyBytes: number;
  maxPixels: number;
  maxSide: number;
  deadlineMs: number;
  queue: number;
}

/** Memory in MiB one Worker needs with the light set of models, and the process without any. */
const WORKER_MIB = 160;
const PROCESS_MIB = 128;

/** What the machine offers. */
export interface Machine {
  cores: number;
  memoryMib: number;
}

/** Every variable that is read. */
export const VARIABLES: readonly string[] = [
  "PORT",
  "HOST",
  "MIEN_WORKERS",
  "MIEN_MODELS",
  "MIEN_MODEL",
  "MIEN_API_KEYS",
  "MIEN_RATE_LIMIT",
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
    const shown = name === "MIEN_API_KEYS" ? "" : `="${value(name)}"`;
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

  for (const name of VARIABLES.filter((name) => /GPU|ESCALATE/.test(name))) {
    if (value(name) !== undefined) {
      throw new RangeError(
        `Cannot use ${name}: this version has no GPU route yet, unset it`,
      );
    }
  }
  const room = Math.max(
    1,
    Math.floor((machine.memoryMib - PROCESS_MIB) / WORKER_MIB),
  );
  const model = value("MIEN_MODEL");
  if (model && !isModelName(model)) refuse("MIEN_MODEL", "one model name");
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
  };
}

function isOrigin(item: string): boolean {
  if (item === "*") return true;
  try {
    return new URL(item).origin === item && !item.includes("*");
  } catch {
    return false;
  }
}
