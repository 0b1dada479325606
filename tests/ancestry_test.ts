import { strictEqual as equal } from "node:assert/strict";
import { openAncestry, parentIn } from "../src/ancestry.ts";

Deno.test("parentIn() reads past a command that holds blanks and parentheses", () => {
  equal(parentIn("11138 (deno) S 11134 11054 0"), 11134);
  equal(parentIn("7 (a) b (c 9) R 3 1 1"), 3);
  equal(parentIn(""), undefined);
});

Deno.test({
  name: "openAncestry() knows this process's parent, and no parent of one that is not",
  ignore: Deno.build.os !== "linux",
  fn() {
    const ancestry = openAncestry();
    equal(ancestry.parentOf(Deno.pid), Deno.ppid);
    equal(ancestry.parentOf(2 ** 30), undefined);
    ancestry.close();
  },
});
