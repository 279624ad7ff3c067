import type { Face, Fallback, Timing } from "../types.ts";
import type { Backend } from "./backend.ts";
import { Circuit, type CircuitState } from "./circuit.ts";
import { Clock } from "./clock.ts";
import type { EngineAnswer } from "./engine.ts";
import { PipelineError } from "./error.ts";
import { describeExpression, describeModel } from "./face.ts";
import type { ModelSpec, ModelStore } from "./manifest.ts";
import type { Plan } from "./options.ts";
import { decide, type Decision, type KnownFace } from "./policy.ts";
import { type Crop, neededOutputs, readFaces } from "./reading.ts";
import {
  createRemoteBackend,
  type RemoteBackend,
  RemoteError,
  type RemoteOptions,
} from "./remote.ts";
import { addConsistency } from "./units_reading.ts";

/** A GPU server of the Open Inference Protocol, and what to use it for. */
export interface GpuOptions extends RemoteOptions {
  /** The models it has. @default every model of the manifest */
  models?: readonly string[];
  /** Who answers for doubtful faces. @default {the model that was asked} */
  model?: string;
  /** Faces whose calibrated score is lower are doubtful, 0 to 1. @default {0} */
  escalateBelow?: number;
}

/** How the GPU route is doing, counted since the start. */
export interface GpuState {
  /** Per model that was asked: its circuit breaker, and how many times that has opened. */
  circuits: Record<string, { state: CircuitState; opened: number }>;
  /** Requests sent. */
  requests: number;
  /** How they ended; the caller's leaving counts as none of these. */
  outcomes: Record<
    "answered" | Exclude<Fallback["reason"], "circuit_open">,
    number
  >;
  /** Faces a GPU server answered. */
  faces: number;
  /** Faces for which it was asked because the edge was in doubt. */
  escalated: number;
  /** Faces it should have answered and did not, by reason. */
  fallbacks: Partial<Record<Fallback["reason"], number>>;
}

/** One analysis under way. */
export interface RoutedCall {
  /** Share of the local queue in use when it arrived, 0 to 1. */
  load: number;
  /** When its answer is due, on `performance.now`'s clock. */
  deadline: number;
  signal?: AbortSignal;
}

/** What the route is composed of. */
export interface RouteParts {
  models: ModelStore;
  gpu: GpuOptions;
  /** The edge's model, which stands in for one that only the GPU server has. */
  standIn: string;
  /** Reads faces here; the work was accepted before. */
  edge(call: RoutedCall): Pick<Backend, "run">;
}

/** Share of the time left that a GPU server may use; the rest is for the edge to answer after all. */
const BUDGET = 0.8;
const TIMEOUT_MS = 500;

/** Sends faces to a GPU server where that is wanted, and takes them back where it fails. */
export class GpuRoute {
  /** The models the GPU server has. */
  readonly models: readonly string[];
  readonly #parts: RouteParts;
  readonly #remote: RemoteBackend;
  readonly #circuits = new Map<string, Circuit>();
  readonly #closing = new AbortController();
  readonly #count: Omit<GpuState, "circuits"> = {
    requests: 0,
    outcomes: {
      answered: 0,
      refused: 0,
      timeout: 0,
      error: 0,
      invalid_response: 0,
      overloaded: 0,
    },
    faces: 0,
    escalated: 0,
    fallbacks: {},
  };

  /** @throws {RangeError} when a model is named that the manifest does not have */
  constructor(parts: RouteParts) {
    const { models, gpu } = parts;
    this.#parts = parts;
    this.#remote = createRemoteBackend(models, gpu);
    this.models = gpu.models ?? models.specs.map(({ name }) => name);
    for (const name of this.models) models.get(name);
    if (gpu.model !== undefined && !this.models.includes(gpu.model)) {
      throw new RangeError(
        `Cannot escalate to ${gpu.model}: it is not among the GPU server's models`,
      );
    }
  }

  /** Circuits and counts. */
  get state(): GpuState {
    const circuits = [...this.#circuits].map(([name, { state, opened }]) => [
      name,
      { state, opened },
    ]);
    return {
      circuits: Object.fromEntries(circuits),
      ...this.#count,
      outcomes: { ...this.#count.outcomes },
      fallbacks: { ...this.#count.fallbacks },
    };
  }

  /** Ends every exchange under way. */
  close(): void {
    this.#closing.abort(
      new PipelineError("overloaded", "The server is shutting down: retry"),
    );
  }

  /**
   * Has an image analysed, and its faces read where the policy says.
   *
   * @throws {PipelineError} `gpu_unavailable` for `route=gpu` only; what `work` throws
   */
  async analyze(
    plan: Plan,
    call: RoutedCall,
    work: (plan: Plan) => Promise<EngineAnswer>,
  ): Promise<EngineAnswer> {
    const first = this.#decide({}, plan.model, plan, call);
    if (plan.route === "gpu" && first.fallback) {
      throw unavailable(first.fallback);
    }
    const onEdge = this.#spec(plan.model).file !== null;
    const unread = first.backend === "gpu" || !onEdge;
    const further = this.#parts.gpu.model ?? plan.model;
    const handOver = unread
      ? {
        below: Infinity,
        models: [...new Set([plan.model, this.#standIn(plan)])],
      }
      : {
        below: this.#parts.gpu.escalateBelow ?? 0,
        models: [further],
      };
    const hands = unread ||
      (plan.route === "auto" && handOver.below > 0 && this.#has(further, plan));
    const { crops = [], ...answer } = await work(
      hands ? { ...plan, handOver } : plan,
    );
    if (first.fallback) this.#fallBack(answer.faces, first.fallback);
    if (crops.length === 0) return answer;
    const clock = new Clock();
    await (unread
      ? this.#readAll(answer.faces, crops, plan, call, clock)
      : this.#readDoubtful(answer.faces, crops, further, plan, call, clock));
    return { ...answer, timing: sum(answer.timing, clock.read()) };
  }

  /** Reads faces nobody has read yet: there if that works, else here. */
  async #readAll(
    faces: Face[],
    crops: Crop[],
    plan: Plan,
    call: RoutedCall,
    clock: Clock,
  ): Promise<void> {
    const { backend, fallback } = this.#decide({}, plan.model, plan, call);
    const reason = backend === "gpu"
      ? await this.#ask(faces, crops, plan.model, plan, call, clock)
      : fallback;
    if (backend === "gpu" && !reason) return;
    if (plan.route === "gpu") throw unavailable(reason!);
    const spec = this.#spec(this.#standIn(plan));
    const samples = crops.map((crop) => crop.samples[spec.name]!);
    const context = { backend: this.#parts.edge(call) };
    const outputs = await clock.time(
      "classifyMs",
      () => readFaces({ spec, samples }, neededOutputs(plan, spec), context),
    );
    await this.#merge(faces, crops, spec, outputs, plan, clock, "wasm");
    if (reason) this.#fallBack(crops.map(({ face }) => faces[face]!), reason);
  }

  /** Has faces read again that the edge is in doubt of; its own reading stays where that fails. */
  async #readDoubtful(
    faces: Face[],
    crops: Crop[],
    model: string,
    plan: Plan,
    call: RoutedCall,
    clock: Clock,
  ): Promise<void> {
    const chosen: Crop[] = [];
    for (const crop of crops) {
      const { backend, fallback } = this.#decide(
        crop.score === undefined ? {} : { score: crop.score },
        model,
        plan,
        call,
      );
      if (backend === "gpu") chosen.push(crop);
      else if (fallback) this.#fallBack([faces[crop.face]!], fallback);
    }
    if (chosen.length === 0) return;
    this.#count.escalated += chosen.length;
    const asked = chosen.map(({ face }) => faces[face]!);
    for (const { provenance } of asked) provenance.escalated = true;
    const reason = await this.#ask(faces, chosen, model, plan, call, clock);
    if (reason) this.#fallBack(asked, reason);
  }

  /** Asks the GPU server for faces; gives the reason when it did not answer. */
  async #ask(
    faces: Face[],
    crops: Crop[],
    model: string,
    plan: Plan,
    call: RoutedCall,
    clock: Clock,
  ): Promise<Fallback["reason"] | null> {
    const spec = this.#spec(model);
    const samples = crops.map((crop) => crop.samples[model]!);
    const allowedMs = this.#timeoutMs, timeoutMs = this.#budget(call);
    const signal = call.signal
      ? AbortSignal.any([call.signal, this.#closing.signal])
      : this.#closing.signal;
    const backend: Pick<Backend, "run"> = {
      run: (name, feeds, options) =>
        this.#remote.run(name, feeds, { ...options, timeoutMs }),
    };
    this.#count.requests++;
    let outputs;
    try {
      outputs = await clock.time("remoteMs", () =>
        this.#circuit(model).call(
          () =>
            readFaces({ spec, samples }, neededOutputs(plan, spec), {
              backend,
              signal,
            }),
          (error) =>
            error instanceof RemoteError &&
            // A server is not to blame for a caller in a hurry.
            (error.reason !== "timeout" || timeoutMs >= allowedMs / 2),
        ));
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      const reason = error instanceof RemoteError ? error.reason : "error";
      this.#count.outcomes[reason]++;
      return reason;
    }
    this.#count.outcomes.answered++;
    this.#count.faces += crops.length;
    await this.#merge(faces, crops, spec, outputs, plan, clock, "gpu");
    return null;
  }

  /** Puts a model's readings into their faces. */
  async #merge(
    faces: Face[],
    crops: readonly Crop[],
    spec: ModelSpec,
    outputs: Awaited<ReturnType<Backend["run"]>>,
    plan: Plan,
    clock: Clock,
    backend: "wasm" | "gpu",
  ): Promise<void> {
    const [gender, units] = (["gender", "actionUnits"] as const).map((task) =>
      plan.attributes.includes(task)
        ? this.#parts.models.forTask(task)
        : undefined
    );
    const others = [gender, units].filter((spec) => spec !== undefined);
    for (const [index, crop] of crops.entries()) {
      const face = faces[crop.face]!, samples = crop.samples[spec.name]!;
      const facts = { spec, outputs, index, samples, plan, clock };
      Object.assign(face, await describeExpression(facts));
      if (units) addConsistency(face, units.outputs[0]!);
      Object.assign(face.provenance, describeModel(spec, others), { backend });
    }
  }

  #fallBack(faces: readonly Face[], reason: Fallback["reason"]): void {
    const { fallbacks } = this.#count;
    fallbacks[reason] = (fallbacks[reason] ?? 0) + faces.length;
    for (const { provenance } of faces) {
      provenance.fallback = { from: "gpu", reason };
    }
  }

  #decide(
    face: KnownFace,
    model: string,
    plan: Plan,
    call: RoutedCall,
  ): Decision {
    return decide(face, {
      route: plan.route,
      onEdge: this.#spec(plan.model).file !== null,
      onGpu: this.#has(model, plan),
      escalateBelow: this.#parts.gpu.escalateBelow ?? 0,
      budgetMs: this.#budget(call),
    }, { circuit: this.#circuit(model).check(), load: call.load });
  }

  /** Whether the GPU server has the model and it can give all that the plan asks. */
  #has(name: string, { explain, coverage }: Plan): boolean {
    const { graphs, explanations, calibration } = this.#spec(name);
    return this.models.includes(name) &&
      (explain === "none" || explain === "difference" ||
        (!graphs?.[explain] && (explanations ?? []).includes(explain))) &&
      (coverage === undefined || calibration?.conformal !== undefined);
  }

  #budget({ deadline }: RoutedCall): number {
    return Math.min(
      this.#timeoutMs,
      (deadline - performance.now()) * BUDGET,
    );
  }

  get #timeoutMs(): number {
    return this.#parts.gpu.timeoutMs ?? TIMEOUT_MS;
  }

  /** Who reads here what was to be read there. */
  #standIn({ model }: Plan): string {
    return this.#spec(model).file === null ? this.#parts.standIn : model;
  }

  #spec(name: string): ModelSpec {
    return this.#parts.models.get(name);
  }

  #circuit(model: string): Circuit {
    const known = this.#circuits.get(model);
    if (known) return known;
    const circuit = new Circuit({ probe: () => this.#remote.ready(model) });
    this.#circuits.set(model, circuit);
    return circuit;
  }
}

const WORDS: Record<Fallback["reason"], string> = {
  refused: "cannot be reached",
  timeout: "takes too long",
  error: "answers with an error",
  invalid_response: "answers wrongly",
  circuit_open: "has failed too often and rests",
  overloaded: "is busy",
};

function unavailable(reason: Fallback["reason"]): PipelineError {
  return new PipelineError(
    "gpu_unavailable",
    `The GPU server ${WORDS[reason]}: retry, or use route=auto or edge`,
  );
}

function sum(a: Timing, b: Timing): Timing {
  const names = Object.keys(a) as (keyof Timing)[];
  return Object.fromEntries(
    names.map((name) => [name, a[name] + b[name]]),
  ) as unknown as Timing;
}
