import {
  deepStrictEqual as deepEqual,
  match,
  strictEqual as equal,
  throws,
} from "node:assert/strict";
import type * as z from "zod";
import { CurvdError, type ErrorCode, type ErrorFacts } from "../../src/errors.ts";
import {
  decodeDocument,
  FactorsRequest,
  formOf,
  InverseRootsRequest,
  InversesRequest,
  KroneckerTermsRequest,
  PlanRequest,
  ScalingsRequest,
  UpdatesRequest,
  validate,
} from "../../src/wire/mod.ts";

const decoded = (request: unknown) =>
  decodeDocument(new TextEncoder().encode(JSON.stringify(request)), "json");

/** The request as its schema settles it. */
const accept = <S extends z.ZodType>(schema: S, request: unknown) =>
  validate(schema, decoded(request));

function refuse(
  schema: z.ZodType,
  request: unknown,
  message: RegExp,
  facts: ErrorFacts = {},
  code: ErrorCode = "invalid-request",
): void {
  throws(() => accept(schema, request), (error: CurvdError) => {
    equal(error.code, code);
    match(error.message, message);
    for (const [fact, value] of Object.entries(facts)) deepEqual(error.facts[fact], value, fact);
    return true;
  });
}

const eye = [[1, 0], [0, 1]];
const inversesOf = (more: object = {}) => ({ layers: { a: { A: eye, G: eye } }, ...more });
const updatesOf = (layer: object, more: object = { damping: 1 }) => ({
  layers: { a: { kind: "dense", bias: false, gradient: eye, ...layer } },
  ...more,
});

Deno.test("an unknown field is named, with the nearest name that is known", () => {
  refuse(InversesRequest, inversesOf({ dampng: 1 }), /Unknown field "dampng".*"damping"/, {
    pointer: "/dampng",
    suggestion: 'did you mean "damping"?',
  });
  refuse(InversesRequest, { layers: { a: { A: eye, g: 1 } } }, /"g".*\/layers\/a.*"G"/, {
    layer: "a",
    pointer: "/layers/a/g",
  });
  refuse(InversesRequest, { layers: { a: { A: eye, damping: 1 } } }, /not in this place/);
  refuse(InversesRequest, inversesOf({ zzzzzz: 1 }), /^Unknown field "zzzzzz"$/);
});

Deno.test("an unknown method is refused with those on offer", () => {
  refuse(
    UpdatesRequest,
    updatesOf({ A: eye, G: eye }, { method: "kfca", damping: 1 }),
    /"kfca" is not offered: expected "kfac" or "ekfac"/,
    { pointer: "/method", value: "kfca" },
  );
});

Deno.test("an unknown kind of layer is refused with those on offer", () => {
  refuse(FactorsRequest, { layers: { a: { kind: "conv3d", inputs: eye } } }, /"conv3d"/, {
    layer: "a",
    limit: ["dense", "conv2d", "embedding", "scale_and_shift"],
  });
  refuse(FactorsRequest, { layers: { a: { inputs: eye } } }, /kind is missing/, { layer: "a" });
});

Deno.test("damping is a finite number ≥ 0, or a list of them that is not empty", () => {
  for (const damping of [-1, [0.1, -1], [], "1", [[1]], null]) {
    refuse(InversesRequest, inversesOf({ damping }), /^damping.*finite number ≥ 0/);
  }
  refuse(InversesRequest, inversesOf({ damping: [1, -1] }), /./, { pointer: "/damping/1" });
  deepEqual(accept(InversesRequest, inversesOf({ damping: [0, 1] })).damping, [0, 1]);
  throws(() => validate(InversesRequest, { ...decoded(inversesOf()), damping: Infinity }));
});

Deno.test("a tensor of another rank is refused with the shapes expected and the one found", () => {
  const code = "invalid-tensor";
  refuse(
    FactorsRequest,
    { layers: { a: { kind: "dense", inputs: [1, 2] } } },
    /\[n, d_in\] or \[n, s, d_in\], got \[2\]/,
    { layer: "a", tensor: "inputs", value: [2], pointer: "/layers/a/inputs" },
    code,
  );
  refuse(
    FactorsRequest,
    { layers: { a: { kind: "dense", inputs: [[]] } } },
    /at least one value/,
    {},
    code,
  );
});

Deno.test("ids are integers and everything else is not", () => {
  const request = (kind: object, inputs: unknown) => ({
    layers: { a: { ...kind, inputs } },
  });
  accept(FactorsRequest, request({ kind: "embedding", vocabulary: 5 }, [1, 2]));
  const dense = decoded(request({ kind: "dense" }, [[1, 2]]));
  dense.layers!.a.inputs = { dtype: "I64", shape: [1, 2], data: Int32Array.of(1, 2) };
  throws(() => validate(FactorsRequest, dense), { code: "invalid-tensor", message: /got I64/ });
});

Deno.test("a million wrong values are one fault", () => {
  const document = { layers: { a: { kind: "dense", inputs: new Array(1e6).fill("x") } } };
  throws(() => validate(FactorsRequest, document), (error: CurvdError) => {
    equal(error.facts.errors, undefined);
    return error.code === "invalid-tensor";
  });
});

Deno.test("at most 20 faults are listed, however many layers are wrong", () => {
  const layers = Object.fromEntries(
    Array.from({ length: 100 }, (_, i) => [`l${i}`, { A: eye, x: 1 }]),
  );
  throws(() => accept(InversesRequest, { layers }), (error: CurvdError) => {
    equal((error.facts.errors as unknown[]).length, 20);
    return true;
  });
});

Deno.test("a request needs layers, from 1 to 4096 of them, with names", () => {
  refuse(InversesRequest, {}, /layers is missing/);
  refuse(InversesRequest, { layers: {} }, /at least one layer/);
  refuse(InversesRequest, { layers: [] }, /layers/);
  refuse(InversesRequest, { layers: { "": { A: eye } } }, /name|key/i);
  const names = Array.from({ length: 4097 }, (_, i) => [`l${i}`, { A: eye }]);
  refuse(InversesRequest, { layers: Object.fromEntries(names) }, /at most 4096/);
});

Deno.test("inverses and eigenbases take either factor, and a layer's description along with it", () => {
  refuse(InversesRequest, { layers: { a: {} } }, /Expected A, G or both/, { layer: "a" });
  accept(InversesRequest, { layers: { a: { kind: "dense", bias: true, layout: "io", G: eye } } });
  refuse(InversesRequest, { layers: { a: { kind: "embedding", A: eye } } }, /A_diagonal/);
});

Deno.test("defaults are those of the contract", () => {
  const { layers, ...parameters } = accept(InversesRequest, inversesOf());
  deepEqual(Object.keys(layers), ["a"]);
  deepEqual(parameters, {
    damping: 0,
    pi: "trace",
    damping_rule: "factored",
    output: { dtype: "F32", symmetric: "full" },
    on_error: "fail",
    verify: "estimate",
  });
  const dense = accept(FactorsRequest, { layers: { a: { kind: "dense", inputs: eye } } }).layers.a;
  const { inputs: _, ...words } = dense;
  deepEqual(words, {
    kind: "dense",
    bias: true,
    layout: "oi",
    fisher: "empirical",
    gradient_scale: "example",
    sharing: "expand",
    activations: "full",
    tkfac_locations: "independent",
  });
});

Deno.test("a batch's words may be said of the request or of a layer, whose word wins", () => {
  const { layers } = accept(FactorsRequest, {
    layers: {
      a: { kind: "dense", inputs: eye },
      b: { kind: "dense", inputs: eye, gradient_scale: 3 },
    },
    gradient_scale: "mean",
    fisher: "exact",
    backprops: 4,
  });
  deepEqual([layers.a.gradient_scale, layers.a.fisher, layers.a.backprops], ["mean", "exact", 4]);
  equal(layers.b.gradient_scale, 3);
});

Deno.test("several backprops of an empirical batch are refused", () => {
  const layers = { a: { kind: "dense", inputs: eye } };
  refuse(FactorsRequest, { layers, backprops: 2 }, /sampled .* or exact/, { layer: "a" });
});

Deno.test("bias and bias_gradient come together where a gradient is given", () => {
  const factors = { A: eye, G: eye };
  refuse(UpdatesRequest, updatesOf({ ...factors, bias: true }), /bias_gradient is needed/, {
    layer: "a",
  });
  refuse(UpdatesRequest, updatesOf({ ...factors, bias_gradient: [1, 2] }), /bias is false/);
  accept(UpdatesRequest, updatesOf({ ...factors, bias: true, bias_gradient: [1, 2] }));
});

Deno.test("an update takes exactly one form of the curvature", () => {
  const A_inv = eye, G_inv = eye, A = eye, G = eye;
  refuse(UpdatesRequest, updatesOf({ A, G, A_inv, G_inv }), /More than one form/, { layer: "a" });
  refuse(UpdatesRequest, updatesOf({}), /Expected one form/);
  refuse(UpdatesRequest, updatesOf({ A }), /G missing beside A/, { layer: "a" });
  refuse(UpdatesRequest, updatesOf({ Q_A: eye, Q_G: eye }), /missing beside Q_A, Q_G/);
  refuse(
    UpdatesRequest,
    updatesOf({ Q_A: eye, Q_G: eye, S: eye, lambda_A: [1, 1], lambda_G: [1, 1] }),
    /More than one form/,
  );
});

Deno.test("formOf() tells each form, and foof's by its input side alone", () => {
  const given = (...fields: string[]) => Object.fromEntries(fields.map((field) => [field, 1]));
  equal(formOf(given("inputs", "output_gradients"), undefined), "statistics");
  equal(formOf(given("A", "G"), "kfac"), "factors");
  equal(formOf(given("A_diagonal", "G"), "kfac"), "factors");
  equal(formOf(given("A_inv", "G_inv"), undefined), "inverses");
  equal(formOf(given("Q_A", "Q_G", "lambda_A", "lambda_G"), undefined), "eigenbasis");
  equal(formOf(given("Q_A", "Q_G", "S"), undefined), "scalings");
  equal(formOf(given("A_terms", "G_terms"), undefined), "terms");
  equal(formOf(given("inputs"), "foof"), "statistics");
  equal(formOf(given("A"), "foof"), "factors");
});

Deno.test("inverses take no damping and every other form needs one", () => {
  const inverses = { A_inv: eye, G_inv: eye };
  refuse(UpdatesRequest, updatesOf(inverses), /damped already/);
  accept(UpdatesRequest, updatesOf(inverses, {}));
  refuse(UpdatesRequest, updatesOf({ A: eye, G: eye }, {}), /damping is needed/);
});

Deno.test("a method that does not start from a form is refused with those that do", () => {
  refuse(
    UpdatesRequest,
    updatesOf({ Q_A: eye, Q_G: eye, S: eye }, { method: "kfac", damping: 1 }),
    /offered are ekfac, tekfac/,
  );
});

Deno.test("kl_clip needs a learning rate, and step_size a single damping", () => {
  const factors = { A: eye, G: eye };
  const refused = (more: object, message: RegExp) =>
    refuse(UpdatesRequest, updatesOf(factors, { damping: 1, ...more }), message);
  refused({ kl_clip: 0.01 }, /learning_rate/);
  refused({ step_size: "quadratic_model", damping: [1, 2] }, /one damping/);
  refused({ l2: 1 }, /step_size/);
  accept(UpdatesRequest, updatesOf(factors, { damping: 1, kl_clip: 0.01, learning_rate: 1 }));
});

Deno.test("scalings, terms, roots and plans refuse what they cannot start from", () => {
  const batch = { kind: "dense", inputs: eye, output_gradients: eye };
  const bases = { Q_A: eye, Q_G: eye };
  accept(ScalingsRequest, { layers: { a: { ...batch, ...bases } } });
  refuse(ScalingsRequest, { layers: { a: { ...batch, ...bases, S: eye } } }, /decay/);
  refuse(ScalingsRequest, { layers: { a: batch } }, /Q_A/, { layer: "a" });
  refuse(KroneckerTermsRequest, { layers: { a: batch }, method: "kfac" }, /"kpsvd"/);
  refuse(KroneckerTermsRequest, { layers: { a: { kind: "dense" } }, method: "kpsvd" }, /inputs/);
  refuse(InverseRootsRequest, { layers: { a: { M: eye } }, power: 0.5 }, /power/, { limit: 1 });
  refuse(PlanRequest, { layers: { a: { kind: "dense", d_in: 3 } }, n: 1 }, /d_out/);
});
