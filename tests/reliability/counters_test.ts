import { deepStrictEqual as deepEqual, match, strictEqual as equal } from "node:assert/strict";
import { counterComplaints, samplesOf } from "../../bench/reliability/counters.ts";
import { Tally } from "../../bench/reliability/tally.ts";

const request = (method: string, route: string, status: number, count: number) =>
  `curvd_requests_total{method="${method}",route="${route}",status="${status}",reason=""} ${count}`;

function complaintsOf(...lines: string[]): string[] {
  const tally = new Tally();
  tally.answered("POST", "/v1/updates", 200);
  tally.answered("POST", "/v1/updates", 200);
  tally.answered("POST", "/v1/sessions/a/steps", 503);
  tally.answered("POST", "/v1/eigenbases", 200);
  tally.fault("client gives up while it waits");
  return counterComplaints(
    ["# HELP curvd_requests_total Requests", "curvd_compute_restarts_total 0", ...lines].join("\n"),
    tally,
  );
}

const RIGHT = [
  request("POST", "/v1/updates", 200, 2),
  request("POST", "/v1/sessions/:id/steps", 503, 1),
  request("POST", "/v1/eigenbases", 200, 1),
  request("POST", "/v1/eigenbases", 499, 1),
  request("GET", "/health/live", 200, 40),
  'curvd_queue_requests{state="inside"} 0',
];

Deno.test("samplesOf() reads labels and values, of this metric alone", () => {
  const text = 'a{x="1",y="b\\"c"} 2.5\na 3\nab{x="1"} 4\n# a{x="9"} 9';
  deepEqual(samplesOf(text, "a"), [
    { labels: { x: "1", y: 'b\\"c' }, value: 2.5 },
    { labels: {}, value: 3 },
  ]);
});

Deno.test("counters that agree with what clients received raise no complaint", () => {
  deepEqual(complaintsOf(...RIGHT), []);
});

Deno.test("a request counted twice, not at all, or under another status is told", () => {
  const wrong: [string, number][] = [
    [request("POST", "/v1/updates", 200, 3), 0],
    [request("POST", "/v1/updates", 200, 1), 0],
    [request("POST", "/v1/sessions/:id/steps", 500, 1), 1],
    [request("POST", "/v1/eigenbases", 499, 2), 3],
    ['curvd_queue_requests{state="inside"} 1', 5],
  ];
  for (const [line, at] of wrong) {
    const complaints = complaintsOf(...RIGHT.with(at, line));
    equal(complaints.length >= 1, true, line);
    match(complaints[0], /counted|in flight/);
  }
});
