import type { ModelSpec, ModelStore, Pipeline } from "../pipeline/mod.ts";
import {
  BINARY,
  describeTensors,
  isObject,
  joinBody,
  JSON_LENGTH,
  ProtocolError,
  readTensors,
  splitBody,
} from "../pipeline/oip.ts";
import type { Tensor } from "../pipeline/postprocess.ts";
import { VERSION } from "../version.ts";
import { type BodySettings, readBody } from "./body.ts";
import { inflate } from "./inflate.ts";
import { RequestError } from "./problem.ts";

/** The only version of each model, as the protocol counts them. */
const ONLY_VERSION = "1";
/** Rows one request may have: as many as an image may have faces. */
const MAX_BATCH = 100;

/** What an inference needs of the server's settings. */
export interface InferSettings extends BodySettings {
  pipeline: Pipeline;
}

/** `GET /v2`: who answers, and that raw tensors are taken. */
export function serverMetadata(): Response {
  return Response.json({
    name: "mien",
    version: VERSION,
    extensions: [BINARY],
  });
}

/** `GET /v2/models/{model}`: names, types and shapes of a model's tensors. @throws {RequestError} `unknown_model` */
export function modelMetadata(
  models: ModelStore,
  name: string,
  version?: string,
): Response {
  const spec = findModel(models, name, version);
  const list = (
    tensors: readonly { name: string; shape?: readonly (number | string)[] }[],
  ) =>
    tensors.map(({ name, shape = [] }) => ({
      name,
      datatype: "FP32",
      shape: shape.map((side) => typeof side === "number" ? side : -1),
    }));
  return Response.json({
    name: spec.name,
    versions: [ONLY_VERSION],
    platform: "onnxruntime_onnx",
    inputs: list(spec.inputs),
    outputs: list(spec.outputs),
  });
}

/** `GET /v2/models/{model}/ready`: 200 for a model that can run here. @throws {RequestError} `unknown_model` */
export function modelReady(
  models: ModelStore,
  name: string,
  version?: string,
): Response {
  findModel(models, name, version);
  return new Response(null);
}

/**
 * `POST /v2/models/{model}/infer`: tensors in, tensors out, as JSON or raw, plain or compressed.
 *
 * @throws {RequestError} `unknown_model`, `invalid_request`, or what reading the body and running
 * the model throw
 */
export async function infer(
  request: Request,
  { name, version }: { name: string; version?: string },
  settings: InferSettings,
): Promise<Response> {
  const arrived = performance.now();
  const { pipeline, maxBodyBytes, deadlineMs } = settings;
  const spec = findModel(pipeline.models, name, version);
  const packed = await readBody(request, settings);
  const body = await inflate(
    packed,
    request.headers.get("content-encoding"),
    maxBodyBytes,
  );
  const { message, raw } = trust(() =>
    splitBody(body, request.headers.get(JSON_LENGTH))
  );
  const feeds = trust(() => readTensors(message.inputs, raw));
  checkInputs(spec, feeds);
  const wanted = wantedOutputs(spec, message);
  const outputs = await pipeline.run(spec.name, feeds, {
    outputs: wanted.map(({ name }) => name),
    signal: request.signal,
    deadlineMs: Math.max(1, deadlineMs - (performance.now() - arrived)),
  });
  return reply(spec, message.id, wanted, outputs);
}

/** The answer to a failure under `/v2`, where clients read `error`. */
export function toOipError(problem: Response, detail: string): Response {
  const headers = new Headers(problem.headers);
  headers.set("content-type", "application/json");
  return new Response(JSON.stringify({ error: detail }), {
    status: problem.status,
    headers,
  });
}

interface WantedOutput {
  name: string;
  binary: boolean;
}

function findModel(
  models: ModelStore,
  name: string,
  version?: string,
): ModelSpec {
  const spec = models.specs.find((spec) => spec.name === name);
  const there = spec && spec.file !== null &&
    (version === undefined || version === ONLY_VERSION);
  if (there) return spec;
  const which = version === undefined ? "" : ` version ${version}`;
  throw new RequestError(
    "unknown_model",
    `Request for unknown model: '${name}'${which} is not found`,
  );
}

/** Exactly the model's inputs, each in the model's shape with a batch of one size. */
function checkInputs(spec: ModelSpec, feeds: Record<string, Tensor>): void {
  const names = spec.inputs.map(({ name }) => name);
  const strange = Object.keys(feeds).find((name) => !names.includes(name));
  if (strange !== undefined) {
    throw refused(
      `unexpected inference input '${strange}' for model '${spec.name}'`,
    );
  }
  let batch: number | undefined;
  for (const { name, shape } of spec.inputs) {
    const dims = feeds[name]?.dims;
    if (!dims) {
      throw refused(
        `expected input '${name}' for model '${spec.name}', got none`,
      );
    }
    const expected = shape.map((side) => typeof side === "number" ? side : -1);
    const fits = dims.length === expected.length &&
      dims.every((side, axis) =>
        expected[axis] === -1 || expected[axis] === side
      );
    if (!fits) {
      throw refused(
        `unexpected shape for input '${name}' for model '${spec.name}'. Expected [${expected}], got [${dims}]`,
      );
    }
    batch ??= dims[0]!;
    if (dims[0] !== batch || batch > MAX_BATCH) {
      throw refused(
        `the batch of input '${name}' must be the same for all inputs and at most ${MAX_BATCH}, got ${
          dims[0]
        }`,
      );
    }
  }
}

function wantedOutputs(
  spec: ModelSpec,
  message: Record<string, unknown>,
): WantedOutput[] {
  const { outputs, parameters } = message;
  const all = isObject(parameters) && parameters.binary_data_output === true;
  const names = spec.outputs.map(({ name }) => name);
  if (outputs === undefined) {
    return names.map((name) => ({ name, binary: all }));
  }
  if (!Array.isArray(outputs) || outputs.length === 0) {
    throw refused("outputs must be a list of objects with a name");
  }
  const seen = new Set<string>();
  return outputs.map((item) => {
    const { name, parameters } = isObject(item) ? item : {} as never;
    if (typeof name !== "string" || !names.includes(name) || seen.has(name)) {
      throw refused(
        `unexpected inference output '${name}' for model '${spec.name}'`,
      );
    }
    seen.add(name);
    const flag = isObject(parameters) ? parameters.binary_data : undefined;
    return { name, binary: typeof flag === "boolean" ? flag : all };
  });
}

/** JSON alone, or JSON and the raw tensors that were asked for, in the order asked. */
function reply(
  spec: ModelSpec,
  id: unknown,
  wanted: readonly WantedOutput[],
  outputs: Record<string, Tensor>,
): Response {
  const message = {
    ...(typeof id === "string" ? { id } : {}),
    model_name: spec.name,
    model_version: ONLY_VERSION,
    outputs: wanted.flatMap(({ name, binary }) =>
      describeTensors({ [name]: outputs[name]! }, binary)
    ),
  };
  const raw = wanted.filter(({ binary }) => binary);
  if (raw.length === 0) return Response.json(message);
  const { body, jsonLength } = joinBody(
    message,
    raw.map(({ name }) => outputs[name]!),
  );
  return new Response(body, {
    headers: {
      "content-type": "application/octet-stream",
      [JSON_LENGTH]: String(jsonLength),
    },
  });
}

/** A caller's breach of the protocol, as a request that was malformed. */
function trust<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (error instanceof ProtocolError) throw refused(error.message);
    throw error;
  }
}

function refused(detail: string): RequestError {
  return new RequestError("invalid_request", detail);
}
