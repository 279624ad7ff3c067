/** How many real milliseconds count as one. */
const FACTOR = 20;

/**
 * Slows `performance.now` for the rest of a test file, so that frames of a busy machine come as close
 * together as those of an idle one and no track is lost for their sake.
 */
export function slowClock(): void {
  const now = performance.now.bind(performance), start = now();
  performance.now = () => start + (now() - start) / FACTOR;
}
