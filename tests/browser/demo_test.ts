import assert from "node:assert/strict";
import type { Page } from "playwright-core";
import { fixture } from "../testdata/pictures.ts";
import { IN_BROWSER, launch } from "./chromium.ts";
import { film } from "./film.ts";
import { Site } from "./site.ts";

const PHOTO = new URL("../testdata/images/astronaut.jpg", import.meta.url);

/** Opens the demo in a browser whose camera shows the astronaut; fails with whatever the page reports. */
async function withDemo(
  body: (page: Page, site: Site) => Promise<void>,
): Promise<void> {
  const tape = await Deno.makeTempFile({ suffix: ".y4m" });
  await Deno.writeFile(tape, await film(fixture("astronaut.jpg")));
  await using site = await Site.open();
  const browser = await launch([
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
    `--use-file-for-fake-video-capture=${tape}`,
  ]);
  try {
    const page = await browser.newPage();
    const complaints: string[] = [];
    page.on("pageerror", (error) => complaints.push(String(error)));
    page.on("console", (message) => {
      if (message.type() === "error") complaints.push(message.text());
    });
    await page.goto(site.url("/"));
    await body(page, site);
    assert.deepEqual(complaints, []);
  } finally {
    await browser.close();
    await Deno.remove(tape);
  }
}

/** The first card, once it tells of a happy face. */
async function happyCard(page: Page) {
  const card = page.locator("#faces .card:not(.skeleton)").first();
  await card.getByRole("heading", { name: "Happiness" }).waitFor();
  assert.equal(await page.locator("#status").textContent(), "1 face found");
  return card;
}

function analyses(site: Site): number {
  return site.asked.filter((path) => path === "/v1/analyze").length;
}

Deno.test({
  name: "demo: a photo is sent, and its face shown with scores and a heatmap",
  ...IN_BROWSER,
  fn: () =>
    withDemo(async (page, site) => {
      await page.locator("#file").setInputFiles(PHOTO.pathname);
      const card = await happyCard(page);
      assert.equal(await card.locator(".bars li").count(), 8);
      await card.locator(".evidence img").waitFor();
      assert.equal(analyses(site), 1);
      assert.match(await page.locator("#facts").innerText(), /on the server/);
    }),
});

Deno.test({
  name: "demo: action units are read against the face that was kept as neutral",
  ...IN_BROWSER,
  fn: () =>
    withDemo(async (page, site) => {
      await page.locator("#file").setInputFiles(PHOTO.pathname);
      await happyCard(page);
      await page.locator("#units").check();
      const units = page.locator("#faces .units").first();
      await units.getByText("without a neutral face").waitFor();
      await page.locator("#neutral").click();
      await units.getByText("against your neutral face").waitFor();
      assert.equal(analyses(site), 3);
    }),
});

Deno.test({
  name: "demo: the webcam is followed over the stream, and stops when told",
  ...IN_BROWSER,
  fn: () =>
    withDemo(async (page, site) => {
      const button = page.locator("#webcam");
      await button.click();
      await happyCard(page);
      assert.ok(site.asked.includes("/v1/stream"));
      assert.equal(analyses(site), 0);
      await button.click();
      assert.equal(await button.getAttribute("aria-pressed"), "false");
      const playing = () =>
        page.locator("#video").evaluate((video) =>
          (video as unknown as { srcObject: unknown }).srcObject !== null
        );
      assert.equal(await playing(), false);
    }),
});

Deno.test({
  name: "demo: offline, photo and webcam are read with the network cut",
  ...IN_BROWSER,
  fn: () =>
    withDemo(async (page, site) => {
      await page.locator("#offline").check();
      await page.locator("#offline-hint", { hasText: "Ready" }).waitFor();
      assert.match(
        await page.locator("#privacy").innerText(),
        /Nothing leaves it/,
      );
      await page.context().setOffline(true);
      const before = site.asked.length;
      await page.locator("#file").setInputFiles(PHOTO.pathname);
      const card = await happyCard(page);
      await card.locator(".evidence img").waitFor();
      assert.match(await page.locator("#facts").innerText(), /in this page/);
      await page.locator("#webcam").click();
      await page.locator("#canvas[aria-label^='Your webcam, 1 face']")
        .waitFor();
      await happyCard(page);
      assert.equal(site.asked.length, before);
    }),
});
