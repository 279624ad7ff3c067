/**
 * Our pipeline, in this thread or behind Workers. Started by main.ts.
 *
 *     deno run -A tests/bench/ours.ts <workers>
 *
 * @module
 */
import { createPipeline } from "../../src/pipeline/mod.ts";
import { serve } from "./serve.ts";

const [workers] = Deno.args as [string];
const pipeline = await createPipeline({ workers: Number(workers) });
await pipeline.ready;

await serve(async (bytes, options) => {
  const { faces, timing } = await pipeline.analyze(bytes, options);
  return {
    faces: faces.map(({ boundingBox, detectionScore, expression }) => ({
      box: boundingBox,
      score: detectionScore,
      label: expression!.label,
    })),
    timing: { ...timing },
  };
});
await pipeline.close();
