import type { ModelSpec } from "../../src/pipeline/manifest.ts";
import type { Tensor } from "../../src/pipeline/postprocess.ts";
import type { OipServer } from "./server.ts";

/** What runs the models. */
export type Run = (
  model: string,
  feeds: Record<string, Tensor>,
) => Promise<Record<string, Tensor>>;

/** The header that says how many bytes of a body are JSON. */
export const LENGTH = "inference-header-content-length";

/** An answer that is an error. */
export class Refusal extends Error {
  constructor(readonly status: number, message: string) {
    super(message);
  }
}

/** Answers one inference as Triton does, but for the fault that is asked for. */
export async function infer(
  spec: ModelSpec,
  request: Request,
  body: Uint8Array<ArrayBuffer>,
  run: Run,
  { binary, fault }: OipServer,
): Promise<Response> {
  const { message, raw } = open(request, body, binary);
  const feeds = read(spec, message, raw);
  const outputs = await run(spec.name, feeds);
  const asked = message.outputs as {
    name: string;
    parameters?: { binary_data?: boolean };
  }[] | undefined;
  const all = message.parameters?.binary_data_output === true;
  const wanted = asked ??
    Object.keys(outputs).map((name) => ({
      name,
      parameters: { binary_data: all },
    }));
  const chunks: Uint8Array[] = [];
  const list = wanted.map(({ name, parameters }) => {
    let tensor = outputs[name];
    if (!tensor) {
      throw new Refusal(
        400,
        `unexpected inference output '${name}' for model '${spec.name}'`,
      );
    }
    if (fault === "shape") {
      const [batch = 0, ...rest] = tensor.dims;
      const row = tensor.data.length / batch;
      const data = new Float32Array(tensor.data.length + row);
      data.set(tensor.data);
      tensor = { data, dims: [batch + 1, ...rest] };
    }
    if (fault === "nan") {
      tensor = {
        ...tensor,
        data: tensor.data.map((value, i) => i === 1 ? NaN : value),
      };
    }
    const entry = {
      name: fault === "noOutput" ? `${name}_2` : name,
      datatype: fault === "datatype" ? "FP64" : "FP32",
      shape: tensor.dims,
    };
    if (!(parameters?.binary_data ?? all)) {
      const data: unknown[] = Array.from(tensor.data);
      if (fault === "jsonNan") data[1] = "@NaN@";
      if (fault === "jsonNull") data[1] = null;
      return { ...entry, data };
    }
    let bytes = new Uint8Array(tensor.data.slice().buffer);
    if (fault === "short") bytes = bytes.slice(0, -4);
    if (fault === "long") bytes = new Uint8Array([...bytes, 0, 0, 0, 0]);
    chunks.push(bytes);
    return {
      ...entry,
      parameters: { binary_data_size: tensor.data.byteLength },
    };
  });
  const json = new TextEncoder().encode(
    JSON.stringify({
      ...(message.id === undefined ? {} : { id: message.id }),
      model_name: fault === "otherModel" ? "another" : spec.name,
      model_version: "1",
      outputs: list,
    }).replaceAll('"@NaN@"', "NaN"),
  );
  if (chunks.length === 0) {
    return new Response(json, {
      headers: { "content-type": "application/json" },
    });
  }
  const reply = new Uint8Array(
    await new Blob([json, ...chunks as BlobPart[]]).arrayBuffer(),
  );
  const length = fault === "headerTooLong"
    ? String(reply.length + 1)
    : fault === "headerNoNumber"
    ? "abc"
    : String(json.length);
  return new Response(reply, {
    headers: { "content-type": "application/octet-stream", [LENGTH]: length },
  });
}

interface Message {
  id?: string;
  parameters?: { binary_data_output?: boolean };
  inputs?: {
    name: string;
    shape: number[];
    datatype: string;
    data?: unknown[];
    parameters?: { binary_data_size?: number };
  }[];
  outputs?: unknown;
}

/** The JSON and the bytes behind it. */
function open(
  request: Request,
  body: Uint8Array,
  binary: boolean,
): { message: Message; raw: Uint8Array } {
  const header = request.headers.get(LENGTH);
  if (header !== null && !binary) {
    throw new Refusal(422, '{"detail":[{"type":"json_invalid"}]}');
  }
  const length = header === null ? body.length : Number.parseInt(header);
  if (!(length > 0 && length <= body.length)) {
    throw new Refusal(
      400,
      `inference header size should be in range (0, ${body.length}), got: ${header}`,
    );
  }
  try {
    const message = JSON.parse(
      new TextDecoder().decode(body.subarray(0, length)),
    );
    return { message, raw: body.subarray(length) };
  } catch {
    throw new Refusal(
      500,
      "failed to parse the request JSON buffer: Invalid value. at 0",
    );
  }
}

/** The inputs, each exactly as the model wants it. */
function read(spec: ModelSpec, message: Message, raw: Uint8Array) {
  if (!Array.isArray(message.inputs)) {
    throw new Refusal(500, "Unable to find JSON array 'inputs'");
  }
  const id = `[request id: ${message.id ?? "<id_unknown>"}] `;
  const feeds: Record<string, Tensor> = {};
  let at = 0;
  for (const { name, shape, datatype, data, parameters } of message.inputs) {
    const input = spec.inputs.find((input) => input.name === name);
    if (!input) {
      throw new Refusal(
        400,
        `${id}unexpected inference input '${name}' for model '${spec.name}'`,
      );
    }
    if (datatype !== "FP32") {
      throw new Refusal(
        400,
        `${id}inference input '${name}' data-type is '${datatype}', but model '${spec.name}' expects 'FP32'`,
      );
    }
    const expected = input.shape.map((side) =>
      typeof side === "number" ? side : -1
    );
    const fits = shape.length === expected.length &&
      shape.every((side, axis) =>
        side > 0 && (expected[axis] === -1 || expected[axis] === side)
      );
    if (!fits) {
      throw new Refusal(
        400,
        `${id}unexpected shape for input '${name}' for model '${spec.name}'. Expected [${expected}], got [${shape}]. `,
      );
    }
    const count = shape.reduce((product, side) => product * side, 1);
    const size = parameters?.binary_data_size;
    if (size === undefined) {
      const flat = (data ?? []).flat(8) as number[];
      if (flat.length !== count) {
        throw new Refusal(
          500,
          `Unable to parse 'data': Shape does not match true shape of 'data' field`,
        );
      }
      feeds[name] = { data: Float32Array.from(flat), dims: shape };
      continue;
    }
    if (size !== count * 4 || at + size > raw.length) {
      throw new Refusal(
        400,
        `unexpected size for input '${name}', expecting ${
          count * 4 - Math.min(size, raw.length - at)
        } additional bytes for model '${spec.name}'`,
      );
    }
    feeds[name] = {
      data: new Float32Array(raw.slice(at, at + size).buffer),
      dims: shape,
    };
    at += size;
  }
  if (at !== raw.length) {
    throw new Refusal(
      400,
      `unexpected additional input data for model '${spec.name}'`,
    );
  }
  return feeds;
}
