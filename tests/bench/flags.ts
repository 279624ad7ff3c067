/** What `bench` is told on its command line. */
export interface Flags {
  rounds: number;
  /** Names of the sections to run; all when empty. */
  only: string[];
  /** An earlier results/bench.json. */
  compare: string | undefined;
  /** Whether the report and its plots become docs/benchmarks.md. */
  docs: boolean;
}

const USAGE = "Usage: deno task bench [--rounds N] [--quick] " +
  "[--only name,name] [--compare old.json] [--docs]";

/** Reads the command line. @throws {RangeError} with a usage line */
export function parseFlags(
  args: readonly string[],
  sections: readonly string[],
): Flags {
  const flags: Flags = {
    rounds: 15,
    only: [],
    compare: undefined,
    docs: false,
  };
  for (let i = 0; i < args.length; i++) {
    const [name, inline] = args[i]!.split("=", 2) as [string, string?];
    const value = () => inline ?? args[++i] ?? fail(`${name} needs a value`);
    if (name === "--quick") flags.rounds = 3;
    else if (name === "--rounds") flags.rounds = Number(value());
    else if (name === "--only") flags.only = value().split(",");
    else if (name === "--compare") flags.compare = value();
    else if (name === "--docs") flags.docs = true;
    else fail(`${name} is not an option`);
  }
  if (!(Number.isInteger(flags.rounds) && flags.rounds > 0)) {
    fail("--rounds needs a whole number from 1");
  }
  for (const name of flags.only) {
    if (!sections.includes(name)) {
      fail(`--only ${name} is none of ${sections.join(", ")}`);
    }
  }
  return flags;
}

function fail(detail: string): never {
  throw new RangeError(`${detail}\n${USAGE}`);
}
