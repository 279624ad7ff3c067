/**
 * Loaded before the server's entry (`--preload`), so that the server itself has no back door: ends
 * one Worker at a time, whatever it is doing, and says so on standard output. A young one is
 * spared: on a busy machine the pool would do nothing but start Workers.
 *
 * @module
 */

/** Milliseconds between two deaths: at least, and at most. */
const PAUSE_MS = [1000, 3000] as const;

/** Answers a Worker gives before it may die. */
const YOUTH = 3;

const grown = new Set<MortalWorker>();

/** A Worker that may be killed from outside as a fault kills it: its thread ends, then `error` fires. */
class MortalWorker extends Worker {
  constructor(url: string | URL, options?: WorkerOptions) {
    super(url, options);
    let answers = 0;
    this.addEventListener("message", ({ data }) => {
      if (data.kind === "answer" && ++answers === YOUTH) grown.add(this);
    });
  }

  override terminate(): void {
    grown.delete(this);
    super.terminate();
  }

  die(): void {
    this.terminate();
    const message = "killed by the test";
    this.dispatchEvent(new ErrorEvent("error", { message, cancelable: true }));
  }
}

function killOne(): void {
  const victims = [...grown];
  if (victims.length > 0) {
    victims[Math.floor(Math.random() * victims.length)]!.die();
    console.log('{"killed":1}');
  }
  schedule();
}

function schedule(): void {
  const [least, most] = PAUSE_MS;
  const timer = setTimeout(killOne, least + Math.random() * (most - least));
  Deno.unrefTimer(timer);
}

globalThis.Worker = MortalWorker;
schedule();
