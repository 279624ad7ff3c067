/**
 * Memory of the server by its number of Workers: ready, in use, and at most.
 *
 *     deno run -A tests/bench/memory.ts
 *
 * @module
 */
import { bomb, BOMBS } from "../hostile/bombs.ts";
import { residentMb } from "../hostile/attack.ts";
import { Server } from "../server.ts";
import { fixture } from "../testdata/pictures.ts";
import { describe, machine, progress, save, show, table } from "./report.ts";

const WORKERS = [1, 2, 3, 4];
/** Photos for each Worker. */
const PHOTOS = 30;
const PHOTO = fixture("astronaut.jpg");

/** Resident MB of one server. */
interface Memory {
  workers: number;
  ready: number;
  /** After `PHOTOS` photos for each Worker. */
  used: number;
  /** The most it ever had, once every bomb was sent to all Workers at once. */
  most: number;
}

async function measure(workers: number): Promise<Memory> {
  await using server = await Server.start({
    MIEN_WORKERS: String(workers),
    MIEN_QUEUE: "1000",
    MIEN_DEADLINE_MS: "600000",
  });
  await server.printed('"ready":true');
  const url = server.url("/v1/analyze");
  const send = async (body: Uint8Array<ArrayBuffer>, times: number) => {
    const answers = Array.from({ length: times }, async () => {
      const response = await fetch(url, { method: "POST", body });
      await response.bytes();
    });
    await Promise.all(answers);
  };
  const ready = residentMb(server.pid);
  await send(PHOTO, PHOTOS * workers);
  const used = residentMb(server.pid);
  for (const name of BOMBS) {
    progress(`${workers} Workers, ${name}`);
    await send((await bomb(name)).bytes, workers);
  }
  return { workers, ready, used, most: mostMb(server.pid) };
}

/** The most resident memory a process has had, in MB. */
function mostMb(pid: number): number {
  const status = Deno.readTextFileSync(`/proc/${pid}/status`);
  return Number(/^VmHWM:\s*(\d+) kB$/m.exec(status)![1]) / 1024;
}

const started = machine();
const measured: Memory[] = [];
for (const workers of WORKERS) measured.push(await measure(workers));
progress("", true);
const text = `${describe(started)}\n\n` + table(
  [
    "Workers",
    "ready",
    `after ${PHOTOS} photos each`,
    "at most, every Worker on the largest pictures",
  ],
  measured.map((
    { workers, ready, used, most },
  ) => [workers, show(ready), show(used), show(most)]),
);
console.log(text);
await save("memory", { machine: started, measured }, text);
