import { createPipeline, DEFAULT_MODEL } from "../../../src/pipeline/mod.ts";
import { createRemoteBackend } from "../../../src/pipeline/remote.ts";
import { ServerProcess } from "../../oip/process.ts";
import { models } from "../../pipeline/support.ts";
import { median, percent, show, table } from "../report.ts";
import type { Findings } from "../section.ts";
import { PATIENT, saturated } from "./load.ts";
import type { Pictures } from "./pictures.ts";
import { quantile } from "../../overload/overload.ts";

const CLIENTS = 4;
const ROUNDS = 3;
const ROUND_MS = 1800;
const SHARES = [0.1, 0.3, 0.5];

interface Arm {
  name: string;
  /** Faces of one request. */
  faces: number;
  ask(index: number): Promise<unknown>;
  /** Faces read and faces escalated so far. */
  count?(): { faces: number; escalated: number };
  close(): Promise<void>;
}

/** Faces per second: the edge alone, the server alone, and a cascade of the two. */
export async function throughput({ crops }: Pictures): Promise<Findings> {
  await using server = await ServerProcess.start();
  const edge = await edgeArm("edge alone", crops, undefined);
  const scores = [];
  for (const index of crops.keys()) scores.push(await edge.score(index));
  const arms: Arm[] = [
    edge,
    remoteArm(server.url, 1),
    remoteArm(server.url, 8),
  ];
  for (const share of SHARES) {
    const escalateBelow = quantile(scores, share);
    const { timeoutMs } = PATIENT;
    const gpu = { url: server.url, timeoutMs, escalateBelow };
    arms.push(await edgeArm(`cascade, ${share * 100} %`, crops, gpu));
  }
  const rates = arms.map((): number[] => []);
  try {
    for (let round = -1; round < ROUNDS; round++) {
      for (const [index, arm] of arms.entries()) {
        const ms = round < 0 ? ROUND_MS / 4 : ROUND_MS;
        const rate = await saturated(CLIENTS, ms, (index) => arm.ask(index));
        if (round >= 0) rates[index]!.push(rate * arm.faces);
      }
    }
  } finally {
    for (const arm of arms) await arm.close();
  }
  const data = arms.map(({ name, count }, index) => {
    const { faces = NaN, escalated = NaN } = count?.() ?? {};
    return {
      name,
      perSecond: median(rates[index]!),
      best: Math.max(...rates[index]!),
      escalated: escalated / faces,
    };
  });
  const alone = data[0]!.perSecond;
  return {
    title: "Throughput",
    ratios: data.slice(1).map(({ name, perSecond }) => ({
      name: `faces per second, ${name} over edge alone`,
      value: show(perSecond / alone),
      target: "–",
    })),
    markdown:
      `**This machine has no GPU**: the “GPU server” is the in-repository server in a process of its own, with ` +
      `${DEFAULT_MODEL} in WASM on one core. Its own rate says nothing of a GPU; what a cascade leaves of the edge's ` +
      `rate says what escalation costs the edge. One Worker, ${CLIENTS} clients that each wait for their answer, crops ` +
      `of 64 pixels; ${ROUNDS} rounds in turn, medians; the threshold is the quantile of the crops' own scores.\n\n` +
      table(
        ["", "faces per second", "best", "over edge alone", "escalated"],
        data.map(({ name, perSecond, best, escalated }) => [
          name,
          show(perSecond),
          show(best),
          show(perSecond / alone),
          percent(escalated),
        ]),
      ),
    figures: Object.fromEntries(
      data.map((
        { name, perSecond },
      ) => [`faces per second, ${name}`, perSecond]),
    ),
    data,
  };
}

async function edgeArm(
  name: string,
  crops: Pictures["crops"],
  gpu: { url: string; timeoutMs: number; escalateBelow: number } | undefined,
): Promise<Arm & { score(index: number): Promise<number> }> {
  // A queue so long that its load never sends work away.
  const pipeline = await createPipeline({
    queue: 100,
    deadlineMs: PATIENT.deadlineMs,
    ...(gpu ? { gpu } : {}),
  });
  await pipeline.ready;
  let faces = 0;
  const analyze = async (index: number) => {
    const bytes = crops[index % crops.length]!.slice();
    faces++;
    return await pipeline.analyze(bytes, { input: "crop" });
  };
  return {
    name,
    faces: 1,
    ask: analyze,
    score: async (index) => (await analyze(index)).faces[0]!.expression!.score,
    count: () => ({ faces, escalated: pipeline.gpu?.escalated ?? 0 }),
    close: () => pipeline.close(),
  };
}

function remoteArm(url: string, faces: number): Arm {
  const remote = createRemoteBackend(models, {
    url,
    timeoutMs: PATIENT.timeoutMs,
  });
  const { name, shape } = models.get(DEFAULT_MODEL).inputs[0]!;
  const dims = [faces, ...shape.slice(1).map(Number)];
  const data = new Float32Array(dims.reduce((a, b) => a * b));
  return {
    name: `server alone, ${faces} ${faces === 1 ? "face" : "faces"} a request`,
    faces,
    ask: () =>
      remote.run(DEFAULT_MODEL, { [name]: { data, dims } }, {
        outputs: ["logits"],
      }),
    close: () => remote.close(),
  };
}
