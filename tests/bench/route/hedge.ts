import { DEFAULT_MODEL } from "../../../src/pipeline/mod.ts";
import {
  createRemoteBackend,
  RemoteError,
} from "../../../src/pipeline/remote.ts";
import { ServerProcess } from "../../oip/process.ts";
import { quantile } from "../../overload/overload.ts";
import { models } from "../../pipeline/support.ts";
import { percent, show, table } from "../report.ts";
import type { Findings } from "../section.ts";
import { paced, PATIENT } from "./load.ts";

const SERVER = new URL("slow_server.ts", import.meta.url);
const REQUESTS = 250, PER_SECOND = 30;
const SHARE = 0.03, SLOW_MS = 200;
const KINDS = { requests: "single requests", stalls: "the whole server" };

type Kind = keyof typeof KINDS;
type Arm = "none" | "hedge" | "timeout";
const ARMS: Record<Arm, string> = {
  none: "no hedge",
  hedge: "hedge: the request again after p95",
  timeout: "timeout at p95: the edge's own answer",
};

interface Row {
  kind: Kind;
  arm: Arm;
  p50: number;
  p95: number;
  p99: number;
  /** Requests sent for each that was asked. */
  sent: number;
  /** Share of the faces that the server answered. */
  answered: number;
}

/** What a hedge would win where the server has a slow tail. The client has none: this one stands here. */
export async function hedge(): Promise<Findings> {
  const data: Row[] = [];
  for (const kind of ["requests", "stalls"] as const) {
    await using server = await ServerProcess.start({
      script: SERVER,
      args: [kind, String(SHARE), String(SLOW_MS)],
    });
    let afterMs = 0;
    for (const arm of ["none", "hedge", "timeout"] as const) {
      const row = await measure(server.url, kind, arm, afterMs);
      if (arm === "none") afterMs = row.p95;
      data.push(row);
    }
  }
  const of = (kind: Kind, arm: Arm) =>
    data.find((row) => row.kind === kind && row.arm === arm)!;
  return {
    title: "Hedge",
    ratios: (Object.keys(KINDS) as Kind[]).map((kind) => ({
      name: `p99 with a hedge over without, where ${KINDS[kind]} are slow`
        .replace("server are", "server is"),
      value: show(of(kind, "hedge").p99 / of(kind, "none").p99),
      target: "–",
    })),
    markdown:
      `The exchange alone, one face, ${REQUESTS} requests at ${PER_SECOND} a second, to a server where ${
        percent(SHARE)
      } of single requests wait ${SLOW_MS} ms more, or that as a whole stands still for ${SLOW_MS} ms so that ${
        percent(SHARE)
      } of the time is lost (a batch or a collection of garbage does that). Milliseconds.\n\n` +
      table(
        [
          "slow",
          "",
          "p50",
          "p95",
          "p99",
          "requests sent",
          "read by the server",
        ],
        data.map((row) => [
          KINDS[row.kind],
          ARMS[row.arm],
          show(row.p50),
          show(row.p95),
          show(row.p99),
          show(row.sent),
          percent(row.answered),
        ]),
      ),
    figures: Object.fromEntries(
      data.map(({ kind, arm, p99 }) => [`hedge p99, ${kind}, ${arm}`, p99]),
    ),
    data,
  };
}

async function measure(
  url: string,
  kind: Kind,
  arm: Arm,
  afterMs: number,
): Promise<Row> {
  const remote = createRemoteBackend(models, {
    url,
    timeoutMs: PATIENT.timeoutMs,
  });
  const { name, shape } = models.get(DEFAULT_MODEL).inputs[0]!;
  const dims = [1, ...shape.slice(1).map(Number)];
  const feeds = {
    [name]: { data: new Float32Array(dims.reduce(product)), dims },
  };
  let sent = 0;
  const send = (signal?: AbortSignal, timeoutMs?: number) => {
    sent++;
    return remote.run(DEFAULT_MODEL, feeds, {
      outputs: ["logits"],
      ...(signal ? { signal } : {}),
      ...(timeoutMs ? { timeoutMs } : {}),
    });
  };
  const ask = {
    none: () => send(),
    hedge: () => hedged(send, afterMs),
    timeout: () => send(undefined, afterMs),
  }[arm];
  for (let i = 0; i < 20; i++) await send();
  sent = 0;
  const samples = await paced(PER_SECOND, (i) => i < REQUESTS, ask);
  const failed = samples.filter(({ answer }) => answer instanceof Error);
  const strange = failed.find(({ answer }) => !(answer instanceof RemoteError));
  if (strange) throw strange.answer;
  const ms = samples.map(({ ms }) => ms);
  return {
    kind,
    arm,
    p50: quantile(ms, 0.5),
    p95: quantile(ms, 0.95),
    p99: quantile(ms, 0.99),
    sent: sent / samples.length,
    answered: 1 - failed.length / samples.length,
  };
}

/** Sends again what has not been answered after a while; the first answer counts, the other is given up. */
async function hedged<T>(
  send: (signal: AbortSignal) => Promise<T>,
  afterMs: number,
): Promise<T> {
  const over = new AbortController();
  const first = send(over.signal);
  let timer;
  const second = new Promise<T>((resolve, reject) => {
    timer = setTimeout(() => send(over.signal).then(resolve, reject), afterMs);
  });
  try {
    return await Promise.any([first, second]);
  } catch (error) {
    throw (error as AggregateError).errors[0];
  } finally {
    clearTimeout(timer);
    over.abort();
  }
}

function product(a: number, b: number): number {
  return a * b;
}
