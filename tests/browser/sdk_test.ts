import assert from "node:assert/strict";
import { assertConforms, type Findings } from "../conformance/expected.ts";
import { IN_BROWSER, launch } from "./chromium.ts";
import { Site } from "./site.ts";

/** Runs a function of `sdk.js` in a fresh page and gives what it returns. */
async function inPage(name: string): Promise<unknown> {
  await using site = await Site.open();
  const browser = await launch();
  try {
    const page = await browser.newPage();
    await page.goto(site.url("/repository/tests/browser/blank.html"));
    return await page.evaluate(async (name) => {
      const module = await import("/repository/tests/browser/sdk.js");
      return await module[name]();
    }, name);
  } finally {
    await browser.close();
  }
}

Deno.test({
  name: "Chromium conforms: tensors, outputs, answers",
  ...IN_BROWSER,
  fn: async () => {
    await assertConforms(await inPage("conform") as Findings);
  },
});

interface Brief {
  width: number;
  height: number;
  labels: string[];
}

Deno.test({
  name: "every kind of input is sent, shrunk and read in Chromium",
  ...IN_BROWSER,
  fn: async () => {
    const found = await inPage("everyInput") as Record<
      string,
      Record<"sent" | "shrunk" | "here", Brief>
    >;
    assert.equal(Object.keys(found).length, 13);
    for (const [name, { sent, shrunk, here }] of Object.entries(found)) {
      const whole = { width: 512, height: 512, labels: ["happiness"] };
      assert.deepEqual(sent, whole, `${name} sent`);
      assert.deepEqual(here, whole, `${name} here`);
      assert.deepEqual(
        shrunk,
        { ...whole, width: 300, height: 300 },
        `${name} shrunk`,
      );
    }
  },
});
