import { assertConforms, checkHere } from "./expected.ts";

Deno.test("Deno conforms: tensors, outputs, answers", async () => {
  await assertConforms(await checkHere());
});
