import { DEFAULT_MODEL } from "../../src/pipeline/mod.ts";
import { Contender } from "./contender.ts";
import type { ContenderName } from "./section.ts";

const at = (file: string) => new URL(file, import.meta.url).pathname;
const peer = (file: string, ...args: string[]) => [
  "--config",
  at("peers/deno.json"),
  "--frozen",
  at(`peers/${file}`),
  ...args,
];

const COMMANDS: Record<ContenderName, string[]> = {
  "Mien": ["--frozen", at("ours.ts"), "0"],
  "Mien, 1 Worker": ["--frozen", at("ours.ts"), "1"],
  "Mien, 2 Workers": ["--frozen", at("ours.ts"), "2"],
  "face-api": peer("face_api.ts"),
  "Human": peer("human.ts"),
  "native": peer("native.ts", DEFAULT_MODEL),
};

/** Installs what only the benchmark needs, beside it, and checks that shared packages agree. */
export async function installPeers(): Promise<void> {
  const imports = async (file: string): Promise<Record<string, string>> =>
    JSON.parse(await Deno.readTextFile(at(file))).imports;
  const ours = await imports("../../deno.json");
  for (const [name, pin] of Object.entries(await imports("peers/deno.json"))) {
    if (ours[name] && ours[name] !== pin) {
      const wanted = `deno.json has ${ours[name]}, peers/deno.json ${pin}`;
      throw new Error(`Cannot compare: of ${name}, ${wanted}`);
    }
  }
  const { success } = await new Deno.Command(Deno.execPath(), {
    args: ["install", "--frozen", "--quiet", "--config", at("peers/deno.json")],
    stdout: "null",
    stderr: "inherit",
  }).output();
  if (!success) throw new Error("Cannot install tests/bench/peers");
}

/** Contenders, started when first asked for. */
export class Contenders {
  readonly #running = new Map<ContenderName, Promise<Contender>>();

  /** The contender of that name. */
  get(name: ContenderName): Promise<Contender> {
    const running = this.#running.get(name) ??
      Contender.start(name, COMMANDS[name]);
    this.#running.set(name, running);
    return running;
  }

  /** Ends all of them. */
  async stop(): Promise<void> {
    const all = await Promise.allSettled(this.#running.values());
    for (const result of all) {
      if (result.status === "fulfilled") await result.value.stop();
    }
    this.#running.clear();
  }
}
