/** A refresh beside the steps, and one that is asked for meanwhile. */
import { openEngine } from "@/engine/mod.ts";
import { deepEqual, values, withSessions } from "./support.ts";

const engine = await openEngine({ engine: "cpu", blas: "off" });

Deno.test("a refresh that is asked for takes the place of the one under way, which is of older averages; also after a crash", async () => {
  await withSessions(engine, async (client) => {
    await client.expect("POST", "", {
      id: "a",
      method: "kfac",
      damping: 0.1,
      refresh: { every: 3, mode: "async" },
      layers: { fc: { kind: "dense", bias: false } },
    });
    const fc = {
      inputs: values([3, 2], [1, 2, 3, 4, 5, 7]),
      output_gradients: values([3, 2], [1, 0, 2, 1, 0, 1]),
    };
    for (let step = 0; step < 4; step++) {
      await client.expect("POST", "/a/steps", { fisher: "empirical", layers: { fc } });
    }
    deepEqual((await client.expect("GET", "/a")).refreshing, true);
    await client.expect("POST", "/a/refresh", {});
    for (const _ of ["as it is", "after a crash"]) {
      await client.settle();
      const { version, age, refreshing } = await client.expect("GET", "/a");
      deepEqual([version, age, refreshing], [2, 0, false]);
      await client.restart();
    }
  });
});
