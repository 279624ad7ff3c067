/** Limits so wide that a busy machine gives slow figures rather than none. */
export const PATIENT = { deadlineMs: 120_000, timeoutMs: 60_000 };

/** One request of a load. */
export interface Sample<T> {
  /** When it was due, on `performance.now`'s clock. */
  due: number;
  /** Milliseconds from then to its answer. */
  ms: number;
  /** The answer, or what went wrong. */
  answer: T | Error;
}

/** Requests at a steady pace, whether or not those before are answered, until `more` says no. */
export async function paced<T>(
  perSecond: number,
  more: (index: number) => boolean,
  ask: (index: number) => Promise<T>,
): Promise<Sample<T>[]> {
  const start = performance.now(), under: Promise<Sample<T>>[] = [];
  for (let index = 0; more(index); index++) {
    const due = start + index * 1000 / perSecond;
    await delay(due - performance.now());
    under.push(
      ask(index).catch((error: Error) => error).then((answer) => ({
        due,
        ms: performance.now() - due,
        answer,
      })),
    );
  }
  return await Promise.all(under);
}

/** Requests per second of so many clients, each with one request at a time, for a while. */
export async function saturated(
  clients: number,
  ms: number,
  ask: (index: number) => Promise<unknown>,
): Promise<number> {
  const start = performance.now();
  let next = 0, done = 0;
  await Promise.all(Array.from({ length: clients }, async () => {
    while (performance.now() - start < ms) {
      await ask(next++);
      done++;
    }
  }));
  return done / (performance.now() - start) * 1000;
}

/** Waits; not at all for a time gone by. */
export function delay(ms: number): Promise<void> {
  return new Promise((done) => setTimeout(done, Math.max(0, ms)));
}
