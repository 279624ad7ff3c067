import type { Tensor } from "./postprocess.ts";

/**
 * The wire form of the Open Inference Protocol: JSON, or JSON followed by raw tensors (the binary
 * tensor extension). Client and server share it. Pure.
 *
 * @module
 */

/** The header that says how many bytes of a body are JSON. */
export const JSON_LENGTH = "inference-header-content-length";
/** The name of the binary tensor extension in a server's `extensions`. */
export const BINARY = "binary_tensor_data";
/** Axes a tensor may have, and so the depth of nested data. */
const MAX_AXES = 8;

/** A message that breaks the protocol; the sentence says where. */
export class ProtocolError extends Error {
  override readonly name = "ProtocolError";
}

/** Tensors as the protocol lists them, their values following as bytes or standing in the JSON. */
export function describeTensors(
  tensors: Record<string, Tensor>,
  binary: boolean,
): unknown[] {
  return Object.entries(tensors).map(([name, { data, dims }]) => ({
    name,
    shape: [...dims],
    datatype: "FP32",
    ...(binary
      ? { parameters: { binary_data_size: data.byteLength } }
      : { data: Array.from(data) }),
  }));
}

/** A body of JSON and raw tensors, and how many of its bytes are JSON. */
export function joinBody(
  message: unknown,
  tensors: readonly Tensor[],
): { body: Uint8Array<ArrayBuffer>; jsonLength: number } {
  const json = new TextEncoder().encode(JSON.stringify(message));
  const size = tensors.reduce((sum, { data }) => sum + data.byteLength, 0);
  const body = new Uint8Array(json.length + size);
  body.set(json);
  let at = json.length;
  for (const { data } of tensors) {
    body.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), at);
    at += data.byteLength;
  }
  return { body, jsonLength: json.length };
}

/**
 * A body's message and the raw tensors after it.
 *
 * @param jsonLength The header's text; null when there is none, and all is JSON.
 * @throws {ProtocolError} when the length lies outside the body or the JSON is none
 */
export function splitBody(
  body: Uint8Array,
  jsonLength: string | null,
): { message: Record<string, unknown>; raw: Uint8Array } {
  const length = jsonLength === null ? body.length : Number(jsonLength);
  const valid = jsonLength === null || /^\d{1,15}$/.test(jsonLength);
  if (!valid || length === 0 || length > body.length) {
    throw new ProtocolError(
      `inference header size should be in range (0, ${body.length}), got: ${
        jsonLength ?? 0
      }`,
    );
  }
  let message: unknown;
  try {
    message = JSON.parse(
      new TextDecoder("utf-8", { fatal: true }).decode(
        body.subarray(0, length),
      ),
    );
  } catch {
    throw new ProtocolError("failed to parse the request JSON buffer");
  }
  if (!isObject(message)) {
    throw new ProtocolError("the message is not a JSON object");
  }
  return { message, raw: body.subarray(length) };
}

/**
 * The tensors a message lists, each checked: FP32, sizes that add up exactly, finite values.
 *
 * @throws {ProtocolError} at the first that is not so
 */
export function readTensors(
  list: unknown,
  raw: Uint8Array,
): Record<string, Tensor> {
  if (!Array.isArray(list)) {
    throw new ProtocolError("the list of tensors is missing");
  }
  const found = new Map<string, Tensor>();
  let at = 0;
  for (const item of list) {
    const { name, shape, datatype, data, parameters } = isObject(item)
      ? item
      : {} as Record<string, unknown>;
    if (typeof name !== "string" || found.has(name)) {
      throw new ProtocolError("a tensor has no name, or another's");
    }
    if (!isShape(shape)) {
      throw new ProtocolError(`tensor '${name}' has no valid shape`);
    }
    if (datatype !== "FP32") {
      throw new ProtocolError(
        `tensor '${name}' has data-type '${datatype}', expected 'FP32'`,
      );
    }
    const count = shape.reduce((product, side) => product * side, 1);
    const size = isObject(parameters) ? parameters.binary_data_size : undefined;
    let values: Float32Array;
    if (size === undefined) {
      values = fromJson(name, data, count);
    } else {
      if (data !== undefined || size !== count * 4) {
        throw new ProtocolError(
          `tensor '${name}' announces ${size} bytes, expected ${count * 4}`,
        );
      }
      if (at + size > raw.length) {
        throw new ProtocolError(
          `unexpected size for tensor '${name}', expecting ${
            at + size - raw.length
          } additional bytes`,
        );
      }
      values = new Float32Array(raw.slice(at, at + size).buffer);
      at += size;
    }
    if (!values.every(Number.isFinite)) {
      throw new ProtocolError(`tensor '${name}' holds a value that is none`);
    }
    found.set(name, { data: values, dims: shape });
  }
  if (at !== raw.length) {
    throw new ProtocolError(
      `unexpected additional data after the last tensor: ${
        raw.length - at
      } bytes`,
    );
  }
  return Object.fromEntries(found);
}

/** Flat or nested numbers, row by row. */
function fromJson(name: string, data: unknown, count: number): Float32Array {
  const flat = Array.isArray(data) ? data.flat(MAX_AXES) : [];
  if (flat.length !== count) {
    throw new ProtocolError(
      `tensor '${name}' has ${flat.length} values, expected ${count}`,
    );
  }
  if (!flat.every((value) => typeof value === "number")) {
    throw new ProtocolError(`tensor '${name}' holds a value that is none`);
  }
  return Float32Array.from(flat as number[]);
}

/** Whether a value is a JSON object. */
export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Sides that are counts, whose product fits the memory of this process. */
function isShape(shape: unknown): shape is number[] {
  return Array.isArray(shape) && shape.length > 0 && shape.length <= MAX_AXES &&
    shape.every((side) => Number.isSafeInteger(side) && side > 0) &&
    shape.reduce((product, side) => product * side, 1) <= 2 ** 28;
}
