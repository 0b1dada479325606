/** The demo as a user starts it. */
import { match, ok, strictEqual as equal } from "node:assert/strict";

Deno.test("the quick demo trains through a server of its own, and K-FAC needs less than two thirds of SGD's steps", async () => {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["task", "demo", "--", "--quick"],
    env: { NO_COLOR: "1", CURVD_ENGINE: "cpu" },
  }).output();
  const text = new TextDecoder().decode(stdout);
  equal(code, 0, new TextDecoder().decode(stderr));
  match(text, /^Server: http:\/\/127\.0\.0\.1:\d+, engine cpu\. /);
  match(text, /^\| 234 steps +(\| 0\.\d{4} · 9\d\.\d\d % +){3}\|$/m);
  const [, share] = /^K-FAC .* steps, (0\.\d\d) of its 234\.$/m.exec(text) ?? [];
  ok(Number(share) < 0.67, text);
});

Deno.test("an unknown option ends the demo before anything is started", async () => {
  const { code, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["task", "demo", "--fast"],
    env: { NO_COLOR: "1" },
  }).output();
  equal(code, 1);
  match(new TextDecoder().decode(stderr), /Cannot use option "--fast"; there are --quick/);
});
