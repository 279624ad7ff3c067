/**
 * What tracing costs where nobody traces, beside an analysis in the same run:
 * `deno run --allow-all tests/bench/tracing.ts`
 *
 * @module
 */
import { createPipeline } from "../../src/pipeline/mod.ts";
import {
  addSizes,
  nameRequest,
  traced,
  tracedCall,
  tracedRequest,
  traceHeaders,
} from "../../src/pipeline/tracing.ts";
import { fixture } from "../testdata/pictures.ts";

const ROUNDS = 30, CALLS = 2000;
const request = new Request("http://mien.test/v1/analyze");
const response = new Response(null);

/** All that a request with an escalation does besides, without the work. */
function withSpans(): Promise<Response> {
  return tracedRequest(request, async () => {
    const attributes = { "mien.image.bytes": 1 };
    await traced("analyze", { attributes }, async (span) => {
      if (span.isRecording()) throw new Error("somebody traces");
      await tracedCall("remote", async () => {
        await Promise.resolve(traceHeaders());
        addSizes({ "mien.faces": 1 });
      });
      span.setAttributes({ "mien.faces": 1 });
    });
    nameRequest("POST", "/v1/analyze");
    return response;
  });
}

/** The same shape of promises, bare. */
function withoutSpans(): Promise<Response> {
  return (async () => {
    await (async () => {
      await (async () => {
        await Promise.resolve({});
      })();
    })();
    return response;
  })();
}

async function microseconds(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  for (let i = 0; i < CALLS; i++) await work();
  return (performance.now() - start) * 1000 / CALLS;
}

function median(values: number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1]!;
}

const photo = fixture("astronaut.jpg");
const pipeline = await createPipeline({ workers: 0 });
await pipeline.ready;
const spans: number[] = [], bare: number[] = [], analysis: number[] = [];
for (let round = -3; round < ROUNDS; round++) {
  const times = [
    await microseconds(withSpans),
    await microseconds(withoutSpans),
  ] as const;
  const start = performance.now();
  await pipeline.analyze(photo.slice());
  if (round < 0) continue; // warming up
  analysis.push((performance.now() - start) * 1000);
  spans.push(times[0]);
  bare.push(times[1]);
}
await pipeline.close();
const cost = median(spans) - median(bare), whole = median(analysis);
console.log(
  `spans ${cost.toFixed(2)} us a request, an analysis ${whole.toFixed(0)} us: ${
    (100 * cost / whole).toFixed(4)
  } % (medians of ${ROUNDS} rounds)`,
);
