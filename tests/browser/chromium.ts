import { type Browser, chromium } from "playwright-core";

const PATHS = [
  "/usr/bin/chromium",
  "/usr/bin/chromium-browser",
  "/usr/bin/google-chrome",
];

const executablePath = Deno.env.get("CHROMIUM") ??
  PATHS.find((path) => exists(path));

/** How a test in a browser is set up: playwright has a process and pipes of its own. */
export const IN_BROWSER = {
  sanitizeOps: false,
  sanitizeResources: false,
  /** A developer may have no Chromium; CI must. */
  ignore: !executablePath && !Deno.env.get("CI"),
};

/** The machine's own Chromium, without a window and without a word to anybody outside. */
export async function launch(args: readonly string[] = []): Promise<Browser> {
  if (!executablePath) {
    throw new Error(
      "Cannot find Chromium: install Debian's chromium, or name one in CHROMIUM",
    );
  }
  return await chromium.launch({
    executablePath,
    args: [
      "--no-sandbox",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
      "--no-first-run",
      ...args,
    ],
  });
}

function exists(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false;
  }
}
