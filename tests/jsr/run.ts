import assert from "node:assert/strict";

/** Runs a command to its end; fails with what it printed unless it ends well. */
export async function run(
  command: string,
  args: string[],
  options: Deno.CommandOptions = {},
): Promise<string> {
  const { code, stdout, stderr } = await new Deno.Command(command, {
    ...options,
    args,
    env: { NO_COLOR: "1", ...options.env },
  }).output();
  const [out, errors] = [stdout, stderr].map((bytes) =>
    new TextDecoder().decode(bytes)
  );
  assert.equal(code, 0, `${command} ${args.join(" ")}\n${out}${errors}`);
  return out! + errors;
}

/** A folder of its own, gone at the end of the scope. */
export class Folder implements Disposable {
  readonly path: string = Deno.makeTempDirSync({ prefix: "mien-" });

  [Symbol.dispose](): void {
    Deno.removeSync(this.path, { recursive: true });
  }
}
