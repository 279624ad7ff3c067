import { seeded } from "../testdata/pictures.ts";

/** Choices that are the same on every run with the same seed. */
export class Random {
  readonly #next: () => number;

  /** A stream of its own for each seed. */
  constructor(seed: number) {
    this.#next = seeded(Math.imul(seed + 1, 0x9e3779b1));
  }

  /** A whole number from `low` to `high`, both included. */
  int(low: number, high: number): number {
    return low + Math.floor(this.#next() * (high - low + 1));
  }

  /** Whether something with this probability happens. */
  chance(share: number): boolean {
    return this.#next() < share;
  }

  /** One of several. */
  pick<T>(items: readonly T[]): T {
    return items[this.int(0, items.length - 1)]!;
  }

  /** Random bytes. */
  bytes(length: number): Uint8Array<ArrayBuffer> {
    return Uint8Array.from({ length }, () => this.int(0, 255));
  }

  /** Random text of up to `most` characters, control characters and surrogates included. */
  text(most: number): string {
    return Array.from(
      { length: this.int(0, most) },
      () =>
        String.fromCharCode(
          this.chance(0.7) ? this.int(32, 126) : this.int(0, 0xffff),
        ),
    ).join("");
  }
}
