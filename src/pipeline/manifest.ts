import type { ExplanationMethod, ExpressionLabel } from "../types.ts";
import type { InputSpec } from "./preprocess.ts";

/** One output of a model. */
export interface OutputSpec {
  /** The tensor's name. */
  name: string;
  /** Its axes; named ones vary. */
  shape?: (number | string)[];
  /** Class names in the output's order. */
  labels?: string[];
  /** Score from which each label counts as found, where that is not one for all. */
  thresholds?: number[];
  /** By expression, the labels that nearly all such faces of the training set show. */
  signatures?: Record<string, string[]>;
  /** The heatmap method that shows it, where the output is not called like the method. */
  explains?: ExplanationMethod;
  /** `benchmark` marks a head that only serves comparisons. */
  role?: string;
}

/** An output served as a percentile of the validation split. */
export interface Percentiles {
  /** The output's name. */
  output: string;
  /** Its values there at equal steps of the share below them, from the least to the largest. */
  quantiles: number[];
}

/** How logits become the scores that are served, fitted on one half of the validation split. */
export interface Calibration {
  /** Divides the logits before the softmax. */
  temperature: number;
  /** Largest `1 - score` of a label set's classes, by the coverage that it gives. */
  conformal?: { method: "lac"; thresholds: Record<string, number> };
  /** The output that tells how little the model doubts a face; larger is surer. */
  certainty?: Percentiles;
  /** The output with the face's distance to every label's centre. */
  typicality?: Percentiles;
  /** What the other half of the split says of temperature and label sets. */
  measured?: unknown;
}

/** One measured figure; `command` reproduces it. */
export interface Metric {
  /** Data set, split and protocol. */
  data: string;
  /** How many images. */
  n: number;
  /** What to type to measure it again. */
  command: string;
  /** The figures themselves, by name. */
  [figure: string]: unknown;
}

/** A further file of a model: another precision, or a graph that explains. */
export interface ModelFile {
  /** Relative to `models/`. */
  file: string;
  /** SHA-256 of the file, hexadecimal. */
  sha256: string;
  /** Size of the file. */
  bytes?: number;
  /** What a graph that explains takes: `target`, the model's own input, outputs of the model. */
  inputs?: string[];
  /** What it gives. */
  outputs?: string[];
  /** Facts that only tools read. */
  [fact: string]: unknown;
}

/** One entry of `models/manifest.json`, the only place that knows a model's numbers. */
export interface ModelSpec {
  /** The name the API knows it by. */
  name: string;
  /** Semantic version of the weights. */
  version: string;
  /** What it is for. */
  task:
    | "faceDetection"
    | "faceLandmarks"
    | "expression"
    | "gender"
    | "actionUnits";
  /** The published system it implements. */
  system: string;
  /** Relative to `models/`; null for a model that only a GPU server has. */
  file: string | null;
  /** SHA-256 of the file, hexadecimal. */
  sha256: string;
  /** Size of the file. */
  bytes: number;
  /** Version of the ONNX operator set. */
  opset: number;
  /** Precision of the weights: fp32, fp16 or int8. */
  precision: string;
  /** Weights, running statistics included. */
  parameters: number;
  /** Multiplications with addition for one input. */
  multiplyAdds?: number;
  /** What it wants to see. */
  inputs: InputSpec[];
  /** What it gives. */
  outputs: OutputSpec[];
  /** How logits become the scores that are served. */
  calibration?: Calibration;
  /** Heatmaps it can make. */
  explanations?: ExplanationMethod[];
  /** Further graphs, by explanation. */
  graphs?: Record<string, ModelFile>;
  /** The same weights in other precisions. */
  variants?: ModelFile[];
  /** Measured figures. */
  metrics?: Metric[];
  /**
   * Landmark nets: side of the square crop as a multiple of the box's longer side; once there are
   * points, of the larger of inter-ocular and eye-to-mouth distance, moved `up` by a multiple of it.
   */
  crop?: { scale: number; follow: { scale: number; up: number } };
  /** Licence of the weights. */
  license: string;
  /** Terms of the data it was trained on. */
  dataLicense?: string;
  /** Where the weights come from. */
  source: string;
  /** Facts that only tools read. */
  [more: string]: unknown;
}

/** Reads a file of `models/` by its relative name; where the hash is known, a cache may go by it. */
export type ReadModelFile = (
  file: string,
  sha256?: string,
) => Promise<Uint8Array<ArrayBuffer>>;

/** The models at hand and their verified bytes. */
export class ModelStore {
  /** Every entry of the manifest. */
  readonly specs: readonly ModelSpec[];
  readonly #read: ReadModelFile;

  private constructor(specs: readonly ModelSpec[], read: ReadModelFile) {
    this.specs = specs;
    this.#read = read;
  }

  /** Reads the manifest through the given reader. */
  static async open(read: ReadModelFile): Promise<ModelStore> {
    const text = new TextDecoder().decode(await read("manifest.json"));
    return new ModelStore(JSON.parse(text) as ModelSpec[], read);
  }

  /** The entry of that name, if there is one. */
  find(name: string): ModelSpec | undefined {
    return this.specs.find((spec) => spec.name === name);
  }

  /** The entry of that name. @throws {RangeError} when there is none */
  get(name: string): ModelSpec {
    const spec = this.find(name);
    if (!spec) {
      throw new RangeError(`Cannot find the model "${name}" in the manifest`);
    }
    return spec;
  }

  /** The only model of a task that every analysis needs. @throws {RangeError} when there is none */
  forTask(task: ModelSpec["task"]): ModelSpec {
    const spec = this.specs.find((spec) => spec.task === task);
    if (!spec) {
      throw new RangeError(`Cannot find a model for ${task} in the manifest`);
    }
    return spec;
  }

  /**
   * A model's weights, or with `name#graph` those of one of its further graphs, checked.
   *
   * @throws {Error} when the file is not the one the manifest names
   */
  bytes(model: string): Promise<Uint8Array<ArrayBuffer>> {
    const [name, graph] = model.split("#") as [string, string | undefined];
    const spec = this.get(name), further = graph && spec.graphs?.[graph];
    if (further) return this.file(further.file, further.sha256);
    if (graph) {
      throw new RangeError(`Cannot load ${model}: there is no such graph`);
    }
    if (spec.file === null) {
      throw new RangeError(`Cannot load ${name}: only a GPU server has it`);
    }
    return this.file(spec.file, spec.sha256);
  }

  /** Any file of the manifest, checked. @throws {Error} when its hash is another */
  async file(file: string, hash: string): Promise<Uint8Array<ArrayBuffer>> {
    const bytes = await this.#read(file, hash);
    const found = await sha256(bytes);
    if (found !== hash) {
      throw new Error(`Cannot load ${file}: sha256 is ${found}, not ${hash}`);
    }
    return bytes;
  }

  /** A text beside the models, such as a card. */
  async text(file: string): Promise<string> {
    return new TextDecoder().decode(await this.#read(file));
  }
}

/** SHA-256 in lower-case hexadecimal. */
export async function sha256(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join(
    "",
  );
}

/** Names of what one of a model's further graphs takes and gives. */
export function graphIo(
  spec: ModelSpec,
  graph: string,
): { inputs: readonly string[]; outputs: readonly string[] } {
  const { inputs = ["image", "target"], outputs = ["saliency"] } =
    spec.graphs?.[graph] ?? {};
  return { inputs, outputs };
}

/** The labels of a model's served head (its output `logits`). */
export function servedLabels(spec: ModelSpec): ExpressionLabel[] {
  return (spec.outputs.find((output) => output.name === "logits")?.labels ??
    []) as ExpressionLabel[];
}
