/** The demo's command line. */
import { deepStrictEqual as deepEqual, strictEqual as equal, throws } from "node:assert/strict";
import { readOptions } from "../../src/demo/options.ts";

Deno.test("readOptions() takes what the help names, with or without deno's --", () => {
  deepEqual(readOptions(["--", "--quick"]), {
    isQuick: true,
    server: undefined,
    wantsHelp: false,
  });
  equal(readOptions(["--server", "http://127.0.0.1:5322"]).server, "http://127.0.0.1:5322");
  throws(() => readOptions(["--fast"]), /Cannot use option "--fast"/);
  throws(() => readOptions(["--server"]), /Cannot use option "--server"/);
});
