import type { Server } from "../server.ts";
import { type Case, fixedCases, makeCase, PHOTO } from "./cases.ts";
import type { Reply } from "./wire.ts";

/** How an attack is led. */
export interface AttackOptions {
  /** Drawn cases, besides the fixed ones. */
  count: number;
  /** The first case's number. */
  seed: number;
  /** The server's `MIEN_DEADLINE_MS`. */
  deadlineMs: number;
  progress?(text: string): void;
}

/** What became of an attack. */
export interface Damage {
  cases: number;
  /** How often each status came back; "none" where the client went away. */
  statuses: Record<string, number>;
  /** Every case that was not answered as it should be. */
  failures: string[];
  /** Resident memory in MB over time, one value per tenth of the cases. */
  memoryMb: number[];
  /** Workers ended for a case. */
  replaced: number;
}

/** Requests under way at a time: fewer than the queue holds, so that none is refused for that. */
const TOGETHER = 4;
/** Milliseconds past the deadline within which every answer is in. */
const SLACK_MS = 5000;

/** Sends hostile requests to a server that is ready, and good ones between them. */
export async function attack(
  server: Server,
  { count, seed, deadlineMs, progress = () => {} }: AttackOptions,
): Promise<Damage> {
  const origin = server.url("/");
  const before = await good(origin);
  const statuses: Record<string, number> = {};
  const failures: string[] = [];
  const memoryMb: number[] = [];
  const fixed = await fixedCases(deadlineMs);
  const total = fixed.length + count, tenth = Math.ceil(total / 10);
  let begun = 0;

  async function next(): Promise<void> {
    while (begun < total) {
      const index = begun++, number = seed + index - fixed.length;
      const hostile = fixed[index] ?? await makeCase(number, deadlineMs);
      const label = index < fixed.length
        ? hostile.name
        : `#${number} ${hostile.name}`;
      const { reply, failure } = await play(hostile, origin, deadlineMs);
      const status = String(reply?.status ?? "none");
      statuses[status] = (statuses[status] ?? 0) + 1;
      if (failure) failures.push(`${label}: ${failure}`);
      if (index % tenth === tenth - 1) {
        memoryMb.push(residentMb(server.pid));
        const now = await good(origin);
        if (now !== before) {
          failures.push(
            `after ${label}: the good photo's answer changed to ${now}`,
          );
        }
      }
      progress(`${index + 1}/${total}, ${failures.length} failures`);
    }
  }
  await Promise.all(Array.from({ length: TOGETHER }, next));
  const { pool } = await (await fetch(new URL("/readyz", origin))).json();
  return {
    cases: total,
    statuses,
    failures,
    memoryMb,
    replaced: pool.replaced,
  };
}

/** Plays one case and says what was wrong with the answer. */
async function play(
  hostile: Case,
  origin: URL,
  deadlineMs: number,
): Promise<{ reply: Reply; failure?: string }> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, fail) => {
    timer = setTimeout(
      () => fail(new Error("no answer in time")),
      deadlineMs + SLACK_MS,
    );
  });
  try {
    const reply = await Promise.race([hostile.send(origin), late]);
    const failure = wrong(hostile, reply);
    return failure ? { reply, failure } : { reply };
  } catch (error) {
    return { reply: undefined, failure: String(error) };
  } finally {
    clearTimeout(timer);
  }
}

function wrong({ statuses }: Case, reply: Reply): string | undefined {
  if (!statuses.includes(reply?.status)) {
    return `${reply?.status}, wanted ${statuses.join(", ")}: ${
      reply?.body.slice(0, 200)
    }`;
  }
  if (reply && /\bfile:\/\/|\.ts:\d|node_modules/.test(reply.body)) {
    return `the answer shows the server's insides: ${reply.body.slice(0, 200)}`;
  }
}

/** The good photo's answer without what differs from one to the next. */
async function good(origin: URL): Promise<string> {
  const url = new URL("/v1/analyze?attributes=all&explain=evidence", origin);
  const response = await fetch(url, { method: "POST", body: PHOTO });
  const { requestId: _, timing: __, ...answer } = await response.json();
  return JSON.stringify({ status: response.status, ...answer });
}

/** Resident memory of a process now, in MB. */
export function residentMb(pid: number): number {
  const status = Deno.readTextFileSync(`/proc/${pid}/status`);
  return Number(/^VmRSS:\s*(\d+) kB$/m.exec(status)![1]) / 1024;
}
