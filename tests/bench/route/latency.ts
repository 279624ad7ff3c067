import { createPipeline } from "../../../src/pipeline/mod.ts";
import { ServerProcess } from "../../oip/process.ts";
import { median, show, table } from "../report.ts";
import type { Findings } from "../section.ts";
import { PATIENT } from "./load.ts";
import type { Pictures } from "./pictures.ts";

const MODELS = ["expression_mien", "expression_mini_xception"];
const ROUNDS = 30;

/** What the GPU route adds to an answer over loopback: the same photo with `route=edge` and `route=gpu`, in turn. */
export async function latency({ photos }: Pictures): Promise<Findings> {
  await using server = await ServerProcess.start({ args: MODELS });
  const data = [];
  for (const model of MODELS) {
    const pipeline = await createPipeline({
      model,
      deadlineMs: PATIENT.deadlineMs,
      gpu: { url: server.url, timeoutMs: PATIENT.timeoutMs },
    });
    try {
      await pipeline.ready;
      for (const { faces, bytes } of photos) {
        const once = async (route: "edge" | "gpu") => {
          const start = performance.now();
          const { timing } = await pipeline.analyze(bytes.slice(), { route });
          return {
            ms: performance.now() - start,
            readMs: route === "edge" ? timing.classifyMs : timing.remoteMs,
          };
        };
        await once("edge");
        await once("gpu");
        const pairs = [];
        for (let round = 0; round < ROUNDS; round++) {
          pairs.push({ edge: await once("edge"), gpu: await once("gpu") });
        }
        data.push({
          model,
          faces,
          edgeMs: median(pairs.map(({ edge }) => edge.ms)),
          gpuMs: median(pairs.map(({ gpu }) => gpu.ms)),
          addedMs: median(pairs.map(({ edge, gpu }) => gpu.ms - edge.ms)),
          edgeReadMs: median(pairs.map(({ edge }) => edge.readMs)),
          gpuReadMs: median(pairs.map(({ gpu }) => gpu.readMs)),
        });
      }
    } finally {
      await pipeline.close();
    }
  }
  return {
    title: "Added latency over loopback",
    ratios: data.map(({ model, faces, edgeMs, gpuMs }) => ({
      name: `whole answer, GPU route over edge, ${faces} ${
        faces === 1 ? "face" : "faces"
      }, ${model}`,
      value: show(gpuMs / edgeMs),
      target: "–",
    })),
    markdown:
      `The same photo with \`route=edge\` and \`route=gpu\` in turn, ${ROUNDS} times; the server runs the same ` +
      "model on the same kind of core, so that what is added is the way there and back. Medians in ms; " +
      "“added” is the median of the pairs' differences.\n\n" +
      table(
        [
          "model",
          "faces",
          "edge",
          "GPU route",
          "added",
          "reading at the edge",
          "exchange with the server",
        ],
        data.map((row) => [
          row.model,
          row.faces,
          show(row.edgeMs),
          show(row.gpuMs),
          show(row.addedMs),
          show(row.edgeReadMs),
          show(row.gpuReadMs),
        ]),
      ),
    figures: Object.fromEntries(
      data.map((
        { model, faces, addedMs },
      ) => [`ms added, ${faces} faces, ${model}`, addedMs]),
    ),
    data,
  };
}
