/** What a model file says of itself. */
export interface OnnxFacts {
  /** Version of the default operator set. */
  opset: number;
  inputs: { name: string; shape: (number | string)[] }[];
  outputs: { name: string; shape: (number | string)[] }[];
}

/** One protocol-buffer field: a number, or the bytes of a message or text. */
interface Field {
  number: number;
  value: number;
  bytes: Uint8Array;
}

/** Reads opset, inputs and outputs of an ONNX file (fields of onnx.proto3) without a runtime. */
export function readOnnx(file: Uint8Array): OnnxFacts {
  const model = fields(file);
  const graph = model.find((field) => field.number === 7);
  if (!graph) throw new Error("Cannot read the model: it has no graph");
  const parts = fields(graph.bytes);
  const values = (number: number) =>
    parts.filter((field) => field.number === number).map((field) =>
      readValue(field.bytes)
    );
  let opset = 0;
  for (const field of model.filter((field) => field.number === 8)) {
    const set = fields(field.bytes);
    const domain = text(set.find((part) => part.number === 1)?.bytes);
    if (domain === "") {
      opset = set.find((part) => part.number === 2)?.value ?? 0;
    }
  }
  return { opset, inputs: values(11), outputs: values(12) };
}

function readValue(
  bytes: Uint8Array,
): { name: string; shape: (number | string)[] } {
  const value = fields(bytes);
  const type = fields(value.find((field) => field.number === 2)?.bytes);
  const tensor = fields(type.find((field) => field.number === 1)?.bytes);
  const shape = fields(tensor.find((field) => field.number === 2)?.bytes);
  return {
    name: text(value.find((field) => field.number === 1)?.bytes),
    shape: shape.filter((field) => field.number === 1).map((field) => {
      const [side] = fields(field.bytes);
      return side?.number === 2 ? text(side.bytes) : side?.value ?? 0;
    }),
  };
}

function fields(bytes: Uint8Array = new Uint8Array()): Field[] {
  const found: Field[] = [];
  let at = 0;
  function varint(): number {
    let value = 0, factor = 1;
    while (true) {
      const byte = bytes[at++];
      if (byte === undefined) {
        throw new Error("Cannot read the model: it ends in mid-field");
      }
      value += (byte & 127) * factor;
      if (byte < 128) return value;
      factor *= 128;
    }
  }
  while (at < bytes.length) {
    const key = varint(), number = Math.floor(key / 8), wire = key % 8;
    let value = 0, length = 0;
    if (wire === 0) value = varint();
    else if (wire === 1) length = 8;
    else if (wire === 5) length = 4;
    else if (wire === 2) length = varint();
    else throw new Error(`Cannot read the model: unknown wire type ${wire}`);
    if (at + length > bytes.length) {
      throw new Error("Cannot read the model: it ends in mid-field");
    }
    found.push({ number, value, bytes: bytes.subarray(at, at + length) });
    at += length;
  }
  return found;
}

function text(bytes: Uint8Array = new Uint8Array()): string {
  return new TextDecoder().decode(bytes);
}
