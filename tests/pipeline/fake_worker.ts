/// <reference no-default-lib="true" />
/// <reference lib="deno.worker" />
import type { Reply, Request } from "../../src/pipeline/worker.ts";

/** What a job's first byte asks this stand-in to do. */
export const Deed = {
  answer: 0,
  hang: 1,
  die: 2,
  fail: 3,
  slow: 4,
  leave: 5,
  /** To die where the Worker is one of the pool's first. */
  dieFirst: 6,
} as const;

self.onmessage = async ({ data }: MessageEvent<Request>) => {
  const reply = (message: Reply) => self.postMessage(message);
  if (data.kind === "start") {
    return reply(
      data.models === "fail"
        ? { kind: "failed", detail: "no models" }
        : { kind: "ready" },
    );
  }
  const { id } = data;
  if (data.kind === "run") {
    const [bytes] = Object.values(data.feeds);
    return reply({ kind: "outputs", id, outputs: { echo: bytes! } });
  }
  const { bytes } = data;
  switch (bytes[0]) {
    case Deed.hang:
      return hang();
    case Deed.dieFirst:
      if (self.name !== "first") break;
      return die();
    case Deed.die:
      return die();
    case Deed.fail:
      return reply({
        kind: "error",
        id,
        code: "corrupt_image",
        detail: "not decodable",
      });
    case Deed.leave:
      return self.close();
    case Deed.slow:
      await new Promise((done) => setTimeout(done, 150));
  }
  reply({
    kind: "answer",
    id,
    answer: {
      image: {
        width: bytes[1] ?? 0,
        height: 1,
        orientation: 1,
        type: "image/png",
      },
      faces: [],
      timing: {
        decodeMs: 1,
        detectMs: 1,
        alignMs: 1,
        classifyMs: 1,
        explainMs: 0,
        remoteMs: 0,
        queueMs: 0,
        totalMs: 4,
      },
    },
  });
};

function die(): void {
  setTimeout(() => {
    throw new Error("the worker dies");
  });
}

function hang(): never {
  while (true);
}
