import { residentMb } from "../hostile/attack.ts";
import { Server, startArguments } from "../server.ts";
import { type Outcome, post } from "./request.ts";

/** What an overload is to be. */
export interface Overload {
  /** Clients, each with one request at a time. */
  clients: number;
  /** Seconds from the first request to SIGTERM. */
  seconds: number;
  /** The server's `MIEN_DEADLINE_MS`. */
  deadlineMs: number;
  /** Milliseconds after SIGTERM at which the server is killed. @default {5000}, as the platform does */
  killMs?: number;
  progress?(text: string): void;
}

/** What became of it. */
export interface Toll {
  /** Milliseconds of each request that was answered 200 before SIGTERM. */
  acceptedMs: number[];
  /** Requests answered 503 with `Retry-After` before SIGTERM. */
  refused: number;
  /** Whole answers, 200 and 503, to requests under way at SIGTERM. */
  drained: { answered: number; refused: number };
  /** Every request that came to anything else. */
  failures: string[];
  workersKilled: number;
  /** Workers the pool replaced, as `/readyz` says just before SIGTERM. */
  workersReplaced: number;
  memoryMb: { before: number; after: number };
  /** How the process ended; milliseconds from SIGTERM. */
  exit: { code: number; ms: number };
}

const WORKERS = 2;

/** Starts a server with a pool of two, overloads it while its Workers are killed, and ends it. */
export async function overload(
  { clients, seconds, deadlineMs, killMs = 5000, progress = () => {} }:
    Overload,
): Promise<Toll> {
  const preload = new URL("kill_workers.ts", import.meta.url).pathname;
  const [run, ...rest] = await startArguments();
  await using server = await Server.start({
    MIEN_WORKERS: String(WORKERS),
    MIEN_DEADLINE_MS: String(deadlineMs),
  }, [run!, `--preload=${preload}`, ...rest]);
  await server.printed('"ready":true');
  const url = server.url("/v1/analyze");
  const reference = content((await post(url)).body);
  const toll: Toll = {
    acceptedMs: [],
    refused: 0,
    drained: { answered: 0, refused: 0 },
    failures: [],
    workersKilled: 0,
    workersReplaced: 0,
    memoryMb: { before: residentMb(server.pid), after: 0 },
    exit: { code: NaN, ms: NaN },
  };
  let terminated = false;

  /** Counts one outcome; false when the server is no longer there. */
  function count(outcome: Outcome): boolean {
    const { accepted, status, headers, body, ms } = outcome;
    if (terminated && !accepted) return false;
    const good = status === 200 && content(body) === reference;
    const refused = status === 503 && headers.has("retry-after") &&
      /"code":"overloaded"/.test(body);
    if (terminated) {
      if (good) toll.drained.answered++;
      else if (refused) toll.drained.refused++;
    } else if (good) toll.acceptedMs.push(ms);
    else if (refused) toll.refused++;
    if (!good && !refused) toll.failures.push(describe(outcome));
    return true;
  }

  async function client(): Promise<void> {
    while (true) {
      const outcome = await post(url);
      if (!count(outcome)) return;
      await delay(1000 * Number(outcome.headers.get("retry-after") ?? 0));
      progress(`${toll.acceptedMs.length} answered, ${toll.refused} refused`);
    }
  }
  const load = Array.from({ length: clients }, client);
  await delay(seconds * 1000);
  toll.memoryMb.after = residentMb(server.pid);
  const { pool } = await (await fetch(new URL("/readyz", url))).json();
  toll.workersReplaced = pool.replaced;
  toll.workersKilled = server.output.split('"killed":1').length - 1;
  terminated = true;
  const start = performance.now();
  server.kill("SIGTERM");
  const killer = setTimeout(() => server.kill("SIGKILL"), killMs);
  const { code } = await server.status();
  clearTimeout(killer);
  toll.exit = { code, ms: performance.now() - start };
  await Promise.all(load);
  return toll;
}

/** The value under which a share of the values lies; NaN of none. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[
    Math.min(sorted.length - 1, Math.floor(share * sorted.length))
  ] ??
    NaN;
}

/** An answer without what differs from one to the next. */
function content(body: string): string {
  const { requestId: _, timing: __, ...answer } = JSON.parse(body);
  return JSON.stringify(answer);
}

function describe({ accepted, refused, status, body }: Outcome): string {
  if (refused) return "the connection was refused";
  if (!accepted) {
    return "the connection ended before the server took the request";
  }
  return `${status ?? "no whole answer"}: ${body.slice(0, 200)}`;
}

function delay(ms: number): Promise<void> {
  return new Promise((done) => setTimeout(done, ms));
}
