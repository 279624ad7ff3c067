import type { EngineAnswer } from "./engine.ts";
import { PipelineError } from "./error.ts";
import type { Plan } from "./options.ts";
import type { Tensor } from "./postprocess.ts";
import type { Reply, Request, Work } from "./worker.ts";

/** How a pool is set up. */
export interface PoolOptions {
  /** How many Workers. */
  size: number;
  /** Jobs that may wait, per Worker. */
  queue: number;
  /** Makes a Worker that speaks `worker.ts`'s messages. */
  spawn(): Worker;
  /** The first message to each Worker. */
  start: Extract<Request, { kind: "start" }>;
}

/** How one job is to be run. */
export interface JobOptions {
  /** Milliseconds from now after which the job is ended, waiting or running. */
  deadlineMs: number;
  /** Takes the job out of the queue; one already running has its Worker until the deadline at most. */
  signal?: AbortSignal;
  /** It finishes work that was accepted before: it goes first, and the queue is never full for it. */
  accepted?: boolean;
}

/** A pool's state at a glance. */
export interface PoolState {
  /** How many there should be. */
  workers: number;
  /** How many are warm. */
  ready: number;
  /** How many are at work. */
  busy: number;
  /** Jobs in the queue. */
  waiting: number;
  /** Jobs the queue can hold. */
  capacity: number;
  /** Workers that were ended or died, and were replaced. */
  replaced: number;
  /** Jobs turned away because the queue was full. */
  rejected: number;
}

interface Job {
  id: number;
  /** Kept until the answer, for another Worker to take over. */
  work: Work;
  arrived: number;
  /** Workers it was given to. */
  attempts: number;
  queueMs: number;
  timer: ReturnType<typeof setTimeout>;
  /** Its caller no longer listens. */
  abandoned(): boolean;
  settle(result: { reply: Result } | { error: unknown }): void;
}

/** What a Worker says of a piece of work that went well. */
type Result = Extract<Reply, { kind: "answer" | "outputs" }>;

interface Slot {
  worker: Worker;
  ready: boolean;
  job: Job | undefined;
}

/** Longest wait between two attempts to start a Worker that will not start. */
const MAX_RESTART_DELAY_MS = 5000;
/** Workers that may die over one picture before its caller is told. */
const MAX_ATTEMPTS = 3;

/**
 * Engines in Workers behind one queue.
 *
 * A job that overruns its deadline is ended with its Worker, which is replaced; jobs still
 * waiting are not affected, for they wait here. A job whose Worker dies goes to another.
 */
export class Pool {
  readonly #options: PoolOptions;
  readonly #slots: Slot[] = [];
  readonly #waiting: Job[] = [];
  readonly #whenReady = Promise.withResolvers<void>();
  readonly #idle: (() => void)[] = [];
  #nextId = 1;
  #replaced = 0;
  #rejected = 0;
  #failures = 0;
  #closed = false;

  /** Starts every Worker; `ready` tells when all have answered. */
  constructor(options: PoolOptions) {
    this.#options = options;
    this.#whenReady.promise.catch(() => {});
    for (let i = 0; i < options.size; i++) this.#start(i);
  }

  /** Resolves when every Worker is warm; rejects when the first start fails. */
  get ready(): Promise<void> {
    return this.#whenReady.promise;
  }

  /** Numbers for `/readyz` and metrics. */
  get state(): PoolState {
    const { size, queue } = this.#options;
    return {
      workers: size,
      ready: this.#slots.filter((slot) => slot.ready).length,
      busy: this.#slots.filter((slot) => slot.job).length,
      waiting: this.#waiting.length,
      capacity: size * queue,
      replaced: this.#replaced,
      rejected: this.#rejected,
    };
  }

  /**
   * Runs one analysis on the next free Worker. A copy of the bytes goes to it.
   *
   * @throws {PipelineError} `overloaded` when the queue is full, `deadline_exceeded`, or what the engine threw
   */
  run(
    bytes: Uint8Array<ArrayBuffer>,
    plan: Plan,
    options: JobOptions,
  ): Promise<EngineAnswer> {
    return this.#submit({ kind: "job", bytes, plan }, options).then(
      ({ reply, queueMs }) =>
        withQueue((reply as { answer: EngineAnswer }).answer, queueMs),
    );
  }

  /**
   * Runs a model on tensors on the next free Worker.
   *
   * @throws {PipelineError} as `run`
   */
  runModel(
    model: string,
    feeds: Record<string, Tensor>,
    options: JobOptions & { outputs?: readonly string[] },
  ): Promise<Record<string, Tensor>> {
    const { outputs } = options;
    const work: Work = { kind: "run", model, feeds };
    return this.#submit(outputs ? { ...work, outputs } : work, options).then(
      ({ reply }) => (reply as { outputs: Record<string, Tensor> }).outputs,
    );
  }

  #submit(
    work: Work,
    options: JobOptions,
  ): Promise<{ reply: Result; queueMs: number }> {
    if (this.#closed) {
      throw new PipelineError(
        "overloaded",
        "The server is shutting down: retry",
      );
    }
    options.signal?.throwIfAborted();
    const { size, queue } = this.#options;
    const free = this.#slots.some((slot) => slot.ready && !slot.job);
    const full = !free && this.#waiting.length >= size * queue;
    if (full && !options.accepted) {
      this.#rejected++;
      throw new PipelineError(
        "overloaded",
        "Every worker is busy and the queue is full: retry",
      );
    }
    const { promise, resolve, reject } = Promise.withResolvers<
      { reply: Result; queueMs: number }
    >();
    const abort = () => {
      const index = this.#waiting.indexOf(job);
      if (index < 0) return reject(options.signal!.reason);
      this.#waiting.splice(index, 1);
      job.settle({ error: options.signal!.reason });
    };
    const job: Job = {
      id: this.#nextId++,
      work,
      arrived: performance.now(),
      attempts: 0,
      queueMs: 0,
      abandoned: () => options.signal?.aborted ?? false,
      timer: setTimeout(() => this.#expire(job), options.deadlineMs),
      settle: (result) => {
        clearTimeout(job.timer);
        options.signal?.removeEventListener("abort", abort);
        if ("error" in result) reject(result.error);
        else resolve({ reply: result.reply, queueMs: job.queueMs });
      },
    };
    options.signal?.addEventListener("abort", abort, { once: true });
    if (options.accepted) this.#waiting.unshift(job);
    else this.#waiting.push(job);
    this.#dispatch();
    return promise;
  }

  /** Takes no more work, lets accepted work finish for `graceMs`, then ends every Worker. */
  async close(graceMs = 0): Promise<void> {
    this.#closed = true;
    if (this.#busy && graceMs > 0) {
      const timer = Promise.withResolvers<void>();
      const handle = setTimeout(timer.resolve, graceMs);
      await Promise.race([
        timer.promise,
        new Promise<void>((done) => this.#idle.push(done)),
      ]);
      clearTimeout(handle);
    }
    const error = new PipelineError(
      "overloaded",
      "The server is shutting down: retry",
    );
    for (const job of this.#waiting.splice(0)) job.settle({ error });
    for (const slot of this.#slots) {
      slot.job?.settle({ error });
      slot.job = undefined;
      slot.worker.terminate();
    }
  }

  get #busy(): boolean {
    return this.#waiting.length > 0 || this.#slots.some((slot) => slot.job);
  }

  #start(index: number): void {
    const slot: Slot = {
      worker: this.#options.spawn(),
      ready: false,
      job: undefined,
    };
    this.#slots[index] = slot;
    slot.worker.onmessage = (event: MessageEvent<Reply>) =>
      this.#receive(slot, event.data);
    slot.worker.onerror = (event) => {
      event.preventDefault();
      const { job } = slot;
      if (job && job.attempts < MAX_ATTEMPTS && !job.abandoned()) {
        slot.job = undefined;
        this.#waiting.unshift(job);
      }
      this.#replace(slot, new PipelineError("internal", "The worker died"));
    };
    slot.worker.postMessage(this.#options.start);
  }

  #receive(slot: Slot, reply: Reply): void {
    if (!this.#slots.includes(slot)) return;
    if (reply.kind === "failed") {
      this.#whenReady.reject(
        new Error(`Cannot start a worker: ${reply.detail}`),
      );
      return this.#replace(
        slot,
        new PipelineError("not_ready", "The worker did not start"),
      );
    }
    if (reply.kind === "ready") {
      slot.ready = true;
      this.#failures = 0;
      if (this.#slots.every((other) => other.ready)) this.#whenReady.resolve();
    } else {
      const job = slot.job;
      if (!job || job.id !== reply.id) return;
      slot.job = undefined;
      job.settle(
        reply.kind === "error"
          ? { error: new PipelineError(reply.code, reply.detail) }
          : { reply },
      );
    }
    this.#dispatch();
  }

  #dispatch(): void {
    for (const slot of this.#slots) {
      if (!slot.ready || slot.job) continue;
      const job = this.#waiting.shift();
      if (!job) break;
      slot.job = job;
      job.attempts++;
      job.queueMs = performance.now() - job.arrived;
      slot.worker.postMessage({ ...job.work, id: job.id });
    }
    if (!this.#busy) this.#idle.splice(0).forEach((done) => done());
  }

  #expire(job: Job): void {
    const error = new PipelineError(
      "deadline_exceeded",
      "The analysis took longer than the server allows: send a smaller image or retry",
    );
    const index = this.#waiting.indexOf(job);
    if (index >= 0) this.#waiting.splice(index, 1);
    const slot = this.#slots.find((slot) => slot.job === job);
    if (slot) return this.#replace(slot, error);
    job.settle({ error });
  }

  #replace(slot: Slot, error: PipelineError): void {
    const index = this.#slots.indexOf(slot);
    if (index < 0) return;
    slot.worker.terminate();
    slot.ready = false;
    slot.job?.settle({ error });
    slot.job = undefined;
    this.#replaced++;
    const delay = Math.min(MAX_RESTART_DELAY_MS, this.#failures++ * 250);
    const restart = () => {
      if (!this.#closed || this.#busy) this.#start(index);
    };
    if (delay === 0) restart();
    else setTimeout(restart, delay);
    this.#dispatch();
  }
}

function withQueue(answer: EngineAnswer, queueMs: number): EngineAnswer {
  const { timing } = answer;
  return {
    ...answer,
    timing: { ...timing, queueMs, totalMs: timing.totalMs + queueMs },
  };
}
