import {
  createPipeline,
  DEFAULT_MODEL,
  type Pipeline,
} from "../../../src/pipeline/mod.ts";
import type { Face } from "../../../src/types.ts";
import { freePort, ServerProcess } from "../../oip/process.ts";
import { quantile } from "../../overload/overload.ts";
import { show, table } from "../report.ts";
import type { Findings } from "../section.ts";
import { delay, paced, type Sample } from "./load.ts";
import type { Pictures } from "./pictures.ts";

/** Requests of one outage; more where the breaker is still open by then. */
const REQUESTS = 500;
const PER_SECOND = 40;
/** Requests of the edge alone, half of them before an outage and half after it. */
const ALONE = 240;
const BEFORE_MS = 3000, AWAY_MS = 3000, LONGEST_RETURN_MS = 15_000;

type Provenance = Face["provenance"];

/** What one outage showed. */
interface Outage {
  name: string;
  requests: number;
  /** Requests without an answer. */
  failed: number;
  /** Failed exchanges that had come to an end when the breaker opened. */
  failuresToOpen: number;
  /** Faces the server was asked for in vain, those under way when the breaker opened included. */
  inVain: number;
  /** Milliseconds from the server's return until the breaker closed. */
  closedAfterMs: number;
  edgeP95: number;
  duringP95: number;
  duringMost: number;
  /** Requests that came while the server was away. */
  during: number;
}

/** A server that dies, and one that freezes, in the middle of a load where every face is escalated. */
export async function outage({ crops }: Pictures): Promise<Findings> {
  const killed = await run("killed (SIGKILL) and started again", crops, true);
  const frozen = await run("frozen (SIGSTOP) and woken", crops, false);
  const data = [killed, frozen];
  return {
    title: "Outage",
    ratios: [
      {
        name: "p95 while the server is dead over p95 of the edge alone",
        value: show(killed.duringP95 / killed.edgeP95),
        target: "≤ 1.5",
      },
      {
        name: "requests without an answer",
        value: `${killed.failed + frozen.failed} of ${
          killed.requests + frozen.requests
        }`,
        target: "0",
      },
      {
        name: "failures until the breaker opens, killed",
        value: String(killed.failuresToOpen),
        target: "≤ 5",
      },
      {
        name:
          "seconds from the server's return until the breaker closes, killed",
        value: show(killed.closedAfterMs / 1000),
        target: "≤ 10",
      },
    ],
    markdown:
      `Crops at ${PER_SECOND} a second, one Worker, every face escalated (\`MIEN_ESCALATE_BELOW=1\`, the worst case), the ` +
      `timeout at its default of 500 ms. The edge alone is the same load with \`route=edge\`, half before and half after. ` +
      "A dead server refuses at once; a frozen one lets every request that is on its way wait for the timeout before the " +
      "breaker opens, which is what that timeout costs. The outage is counted until the server is started again: its start " +
      "keeps both of this machine's cores busy, which a server elsewhere would not.\n\n" +
      table(
        [
          "server",
          "requests",
          "without an answer",
          "failures to open",
          "faces asked for in vain",
          "s to close",
          "edge alone p95, ms",
          "outage p95, ms",
          "most, ms",
          "requests in the outage",
        ],
        data.map((row) => [
          row.name,
          row.requests,
          row.failed,
          row.failuresToOpen,
          row.inVain,
          show(row.closedAfterMs / 1000),
          show(row.edgeP95),
          show(row.duringP95),
          show(row.duringMost),
          row.during,
        ]),
      ),
    figures: { "outage p95 over edge p95": killed.duringP95 / killed.edgeP95 },
    data,
  };
}

async function run(
  name: string,
  crops: Pictures["crops"],
  kills: boolean,
): Promise<Outage> {
  const port = freePort();
  let server = await ServerProcess.start({ port });
  const pipeline = await createPipeline({
    queue: 100,
    gpu: { url: server.url, escalateBelow: 1 },
  });
  try {
    await pipeline.ready;
    const ask = async (index: number, route: "edge" | "auto") => {
      const bytes = crops[index % crops.length]!.slice();
      const { faces } = await pipeline.analyze(bytes, { input: "crop", route });
      return faces[0]!.provenance;
    };
    await paced(PER_SECOND, (i) => i < 20, (i) => ask(i, "auto"));
    const edge = () =>
      paced(PER_SECOND, (i) => i < ALONE / 2, (i) => ask(i, "edge"));
    const before = await edge();

    const seen = watch(pipeline);
    let closedAt = Infinity;
    const started = performance.now();
    const load = paced(
      PER_SECOND,
      (i) =>
        i < REQUESTS ||
        closedAt === Infinity &&
          performance.now() - started <
            BEFORE_MS + AWAY_MS + LONGEST_RETURN_MS,
      async (i) => seen.note(await ask(i, "auto")),
    );
    await delay(BEFORE_MS);
    const away = performance.now();
    if (kills) await server[Symbol.asyncDispose]();
    else server.signal("SIGSTOP");
    await delay(AWAY_MS);
    const restart = performance.now();
    if (kills) server = await ServerProcess.start({ port });
    else server.signal("SIGCONT");
    const back = performance.now();
    while (
      seen.open() && performance.now() - back < LONGEST_RETURN_MS
    ) await delay(10);
    if (!seen.open()) closedAt = performance.now();
    const samples = await load;
    const alone = times([...before, ...await edge()]);
    const during = times(
      samples.filter(({ due }) => due >= away && due < restart),
    );
    return {
      name,
      requests: samples.length,
      failed: samples.filter(({ answer }) => answer instanceof Error).length,
      ...seen.found(),
      closedAfterMs: closedAt - back,
      edgeP95: quantile(alone, 0.95),
      duringP95: quantile(during, 0.95),
      duringMost: Math.max(...during),
      during: during.length,
    };
  } finally {
    await pipeline.close();
    await server[Symbol.asyncDispose]();
  }
}

/** Counts failures by what the answers say, until the breaker is first seen open. */
function watch(pipeline: Pipeline) {
  let failuresToOpen = 0, inVain = 0, opened = false;
  const open = () => pipeline.gpu!.circuits[DEFAULT_MODEL]!.state !== "closed";
  return {
    open,
    note(provenance: Provenance): Provenance {
      const { fallback } = provenance;
      if (fallback && fallback.reason !== "circuit_open") {
        inVain++;
        if (!opened) failuresToOpen++;
      }
      opened ||= open();
      return provenance;
    },
    found: () => ({ failuresToOpen, inVain }),
  };
}

function times(samples: readonly Sample<unknown>[]): number[] {
  return samples.map(({ ms }) => ms);
}
