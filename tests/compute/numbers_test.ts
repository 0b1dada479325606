/** api.md, "Numbers": what indefinite, clipped and singular matrices become. */
import { ok, strictEqual as equal } from "node:assert/strict";
import { callLayer, numbers, refused, wire } from "../support/calls.ts";
import { cpuTest } from "../support/cpu.ts";
import { distance, norm, shifted, solve } from "../support/dense.ts";
import { gaussian, gramMatrix, withSpectrum } from "../support/matrices.ts";
import { expectClose } from "../curvature/dense_oracle.ts";

const d = 6;
/** τ of a float32 matrix of unit-sized eigenvalues. */
const tau = (M: ArrayLike<number>) => (2 * 2 ** -24 + d * 2 ** -23) * norm(M);

const INDEFINITE = withSpectrum([3, 2, 1, 0.5, 0.25, -0.02], 801);
const BLURRED = withSpectrum([3, 2, 1, 0.5, 0.25, -4e-7], 802);
const SINGULAR = gramMatrix(d, 803, 3);
const GOOD = gramMatrix(4, 804);

const matrix = (M: ArrayLike<number>) => wire([Math.sqrt(M.length), Math.sqrt(M.length)], M);
const asDense = (M: Float32Array) => Float64Array.from(M);
const gradient = {
  kind: "dense",
  bias: false,
  gradient: wire([4, d], gaussian([4, d], 805)),
};

interface Diagnosed {
  clipped?: number;
  negative?: number;
  damping?: number;
  engine: string;
  residual: number;
}
const diagnosticsOf = (layer: Record<string, unknown>) =>
  layer.diagnostics as Record<string, Diagnosed>;

cpuTest("eigenbases answers negative eigenvalues as they are, and counts them", async (engine) => {
  const layer = await callLayer(engine, "eigenbases", { A: matrix(INDEFINITE) });
  const [least] = numbers(layer.lambda_A);
  ok(Math.abs(least + 0.02) < 1e-6, `least eigenvalue ${least}`);
  equal(diagnosticsOf(layer).A.negative, 1);
});

for (
  const [name, layer, parameters, tensor] of [
    ["inverses", { A: matrix(INDEFINITE) }, {}, "A"],
    ["inverses", { A: matrix(GOOD), G: matrix(INDEFINITE) }, { pi: "spectral" }, "G"],
    ["inverse-roots", { M: matrix(INDEFINITE) }, { power: 4 }, "M"],
    ["updates", { ...gradient, A: matrix(INDEFINITE), G: matrix(GOOD) }, {}, "A"],
    ["updates", { ...gradient, A: matrix(INDEFINITE), G: matrix(GOOD) }, {
      damping_rule: "exact",
    }, "A"],
    ["updates", { ...gradient, A: matrix(INDEFINITE), G: matrix(GOOD) }, { power: -0.5 }, "A"],
  ] as const
) {
  cpuTest(
    `${name} ${
      JSON.stringify(parameters)
    } refuses an eigenvalue below −τ at any damping, with one that serves`,
    async (engine) => {
      const error = await refused(
        callLayer(engine, name, layer, { damping: 0.5, ...parameters }),
        "not-positive-definite",
        { layer: "l", tensor, size: d },
      );
      const { eigenvalue, limit, serving, suggestion } = error.facts;
      ok(Math.abs((eigenvalue as number) + 0.02) < 1e-5, `eigenvalue ${eigenvalue}`);
      const bound = -tau(INDEFINITE);
      ok(Math.abs((limit as number) - bound) <= 1e-3 * -bound, `limit ${limit}, τ ${-bound}`);
      ok(suggestion!.includes(String(serving)));
      // added to the diagonal beforehand, it does serve
      const mended = {
        ...layer,
        [tensor]: matrix(shifted(asDense(INDEFINITE), serving as number)),
      };
      await callLayer(engine, name, mended, { damping: 0.5, ...parameters });
    },
  );
}

cpuTest(
  "an eigenvalue in [−τ, 0) counts as zero, is reported, and damping does the rest",
  async (engine) => {
    const damping = 1e-3;
    const layer = await callLayer(engine, "inverses", { A: matrix(BLURRED) }, {
      damping,
      damping_rule: "plain",
    });
    const { A } = diagnosticsOf(layer);
    ok(A.residual <= 1e-3);
    expectClose("A_inv", numbers(layer.A_inv), inverseOf(BLURRED, damping), 1e-3);

    const smaller = await callLayer(engine, "inverses", { A: matrix(BLURRED) }, {
      damping: 1e-7, // less than what rounding made of a zero
      damping_rule: "plain",
    });
    equal(diagnosticsOf(smaller).A.clipped, 1);
    equal(diagnosticsOf(smaller).A.engine, "float64");
    const largest = Math.max(...numbers(smaller.A_inv).map(Math.abs));
    ok(largest <= 1.1e7, `a zero damped by 1e-7 has an inverse of 1e7, got ${largest}`);
  },
);

for (
  const [name, layer, parameters, tensor] of [
    ["inverses", { A: matrix(SINGULAR) }, {}, "A"],
    ["inverses", { A: matrix(GOOD), G: matrix(SINGULAR) }, {}, "G"],
    ["inverse-roots", { M: matrix(SINGULAR) }, { power: 2 }, "M"],
    ["updates", { ...gradient, A: matrix(SINGULAR), G: matrix(GOOD) }, {}, "A"],
    ["updates", { ...gradient, A: matrix(SINGULAR) }, { method: "foof" }, "A"],
  ] as const
) {
  cpuTest(
    `${name} of a singular ${tensor} ${
      JSON.stringify(parameters)
    } is refused without damping and served with the one suggested`,
    async (engine) => {
      const error = await refused(
        callLayer(engine, name, layer, { damping: 0, ...parameters }),
        "not-positive-definite",
        { layer: "l", tensor, size: d, damping: 0 },
      );
      const { pivot, limit, serving } = error.facts;
      ok((pivot as number) <= (limit as number), `pivot ${pivot}, limit ${limit}`);
      equal(error.facts.suggestion, `damping ${serving} would serve`);
      const served = await callLayer(engine, name, layer, { damping: serving, ...parameters });
      ok(Object.values(diagnosticsOf(served)).every(({ residual }) => residual < 0.1));
    },
  );
}

cpuTest(
  "an exactly damped update of singular factors without damping is refused with one that serves",
  async (engine) => {
    const layer = { ...gradient, A: matrix(SINGULAR), G: matrix(GOOD) };
    const error = await refused(
      callLayer(engine, "updates", layer, { damping: 0, damping_rule: "exact" }),
      "not-positive-definite",
      { layer: "l", tensor: "update" },
    );
    const [, damping] = /^damping (\S+) would serve$/.exec(error.facts.suggestion!) ?? [];
    ok(Number(damping) > 0, error.facts.suggestion);
    await callLayer(engine, "updates", layer, { damping: Number(damping), damping_rule: "exact" });
  },
);

cpuTest("damping is never raised: what is reported is what was asked for", async (engine) => {
  const parameters = { damping: 1e-3, damping_rule: "plain" };
  const layer = await callLayer(engine, "inverses", { A: matrix(SINGULAR) }, parameters);
  const { damping } = diagnosticsOf(layer).A;
  ok(Math.abs(damping! - 1e-3) <= 1e-9, `damping ${damping}`);
  expectClose("A_inv", numbers(layer.A_inv), inverseOf(SINGULAR, 1e-3), 1e-3);
});

cpuTest("a negative S or eigenvalue beyond rounding is refused by name", async (engine) => {
  const identity = (side: number) =>
    wire(
      [side, side],
      Array.from({ length: side * side }, (_, at) => Number(at % (side + 1) === 0)),
    );
  const basis = { ...gradient, Q_A: identity(d), Q_G: identity(4) };
  const S = Array.from({ length: 4 * d }, (_, at) => at === 9 ? -0.01 : 1);
  const facts = { layer: "l", tensor: "S", index: 9 };
  const send = (layer: Record<string, unknown>) =>
    callLayer(engine, "updates", layer, { damping: 0.1 });
  await refused(send({ ...basis, S: wire([4, d], S) }), "not-positive-definite", facts);
  await send({ ...basis, S: wire([4, d], S.map((value) => value < 0 ? -1e-7 : value)) });

  const lambda = Array.from({ length: d }, (_, i) => i === 0 ? -0.1 : i);
  const spectrum = { lambda_A: wire([d], lambda), lambda_G: wire([4], [1, 1, 1, 1]) };
  await refused(send({ ...basis, ...spectrum }), "not-positive-definite", {
    layer: "l",
    tensor: "lambda_A",
    index: 0,
  });
});

cpuTest("packed factors give the full ones' answer to the bit", async (engine) => {
  const packed = INDEFINITE.map((value, at) => at % (d + 1) === 0 ? value + 1 : value);
  const triangle = Array.from(packed).filter((_, at) => at % d >= Math.floor(at / d));
  const full = await callLayer(engine, "inverses", { A: matrix(packed) }, { damping: 0.1 });
  const half = await callLayer(engine, "inverses", { A: wire([triangle.length], triangle) }, {
    damping: 0.1,
  });
  equal(distance(numbers(half.A_inv), numbers(full.A_inv)), 0);
});

function inverseOf(M: Float32Array, damping: number): Float64Array {
  const identity = shifted(new Float64Array(M.length), 1);
  return solve(shifted(asDense(M), damping), identity);
}
