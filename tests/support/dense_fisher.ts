/**
 * The Fisher block of a layer as what it is: a dense float64 matrix made from per-example gradients.
 *
 *   P_i = Σ_t g_it a_itᵀ,   F = w Σ_i vec(P_i) vec(P_i)ᵀ
 *
 * Everything is read off api.md, section 2, and written as loops over indices; nothing is shared with the product. An
 * embedding's "a" is the token's one-hot vector and its matrix the table's transpose; a scale_and_shift is one row.
 *
 * @module
 */
import { isTensor, type WireTensor } from "@/wire/mod.ts";
import type { RequestLayer } from "./calls.ts";
import type { Dense } from "./dense.ts";

/** One independent block: a group of a convolution, else the whole layer. */
export interface DenseBlock {
  readonly dIn: number;
  readonly dOut: number;
  /** `vec(P_i)`, row-major `[dOut, dIn]`, backprop by backprop. */
  readonly gradients: readonly Dense[];
  /** `a` and `g` of each gradient's places. */
  readonly places: readonly { readonly a: readonly Dense[]; readonly g: readonly Dense[] }[];
  /** w of one gradient. */
  readonly weight: number;
  /** K-FAC's factors at api.md's scale. */
  readonly A: Dense;
  readonly G: Dense;
}

/** The numbers of a layer's description that its rows depend on. */
interface Rows {
  readonly dIn: number;
  readonly dOut: number;
  /** `a` and `g` at every place of an example. */
  readonly a: (example: number) => Dense[];
  readonly g: (backprop: number, example: number) => Dense[];
  /** What A's and G's sums are divided by, beside the examples. */
  readonly placesOfA: number;
  readonly placesOfG: number;
}

/** The blocks of a layer with statistics. */
export function denseBlocks(layer: RequestLayer): DenseBlock[] {
  const grads = layer.output_gradients as WireTensor;
  const inputs = layer.inputs as WireTensor;
  const n = inputs.shape[0];
  const k = layer.backprops === undefined ? 1 : grads.shape[0];
  const scale = layer.gradient_scale === "mean" ? n : Number(layer.gradient_scale ?? 1);
  const perPair = 1 / (layer.fisher === "sampled" ? n * k : n);
  return rowsOf(layer).map(({ dIn, dOut, a, g, placesOfA, placesOfG }) => {
    const A = new Float64Array(dIn * dIn), G = new Float64Array(dOut * dOut);
    const gradients: Dense[] = [];
    const places: { a: Dense[]; g: Dense[] }[] = [];
    for (let b = 0; b < k; b++) {
      for (let i = 0; i < n; i++) {
        const as = a(i), gs = g(b, i).map((each) => each.map((value) => value * scale));
        const P = new Float64Array(dOut * dIn);
        as.forEach((at, t) => {
          addOuter(P, gs[t], at, 1);
          addOuter(G, gs[t], gs[t], perPair / placesOfG);
          if (b === 0) addOuter(A, at, at, 1 / placesOfA);
        });
        gradients.push(P);
        places.push({ a: as, g: gs });
      }
    }
    return { dIn, dOut, gradients, places, weight: perPair, A, G };
  });
}

/** `F [D, D]` of one block. */
export function fisherOf({ gradients, weight, dIn, dOut }: DenseBlock): Dense {
  const F = new Float64Array((dIn * dOut) ** 2);
  for (const P of gradients) addOuter(F, P, P, weight);
  return F;
}

/** A gradient or an update, in its layer's layout, as the matrices `[dOut, dIn]` of its blocks. */
export function matricesOf(
  layer: RequestLayer,
  weights: ArrayLike<number>,
  biases?: ArrayLike<number>,
): Dense[] {
  const bias = biases !== undefined;
  switch (layer.kind) {
    case "dense": {
      const dOut = bias ? biases.length : sides(layer).at(layer.layout === "io" ? 1 : 0)!;
      const d = weights.length / dOut;
      return [
        fill(
          dOut,
          d + Number(bias),
          (o, i) =>
            i === d
              ? biases![o]
              : layer.layout === "io"
              ? weights[i * dOut + o]
              : weights[o * d + i],
        ),
      ];
    }
    case "conv2d": {
      const hwio = layer.layout === "hwio";
      const groups = Number(layer.groups ?? 1);
      const filters = sides(layer).at(hwio ? 3 : 0)!;
      const dOut = filters / groups, features = weights.length / filters;
      return Array.from(
        { length: groups },
        (_, group) =>
          fill(dOut, features + Number(bias), (row, i) => {
            const o = group * dOut + row;
            if (i === features) return biases![o];
            return hwio ? weights[i * filters + o] : weights[o * features + i];
          }),
      );
    }
    case "embedding": { // the table is Wᵀ
      const [vocabulary, dOut] = sides(layer);
      return [fill(dOut, vocabulary, (o, v) => weights[v * dOut + o])];
    }
    case "scale_and_shift":
      return [Float64Array.from([...Array.from(weights), ...Array.from(biases!)])];
  }
  throw new TypeError(`no such kind: ${layer.kind}`);
}

/** The layer's own gradient as matrices. */
export function gradientOf(layer: RequestLayer): Dense[] {
  const { gradient, bias_gradient: bias } = layer;
  return matricesOf(layer, (gradient as WireTensor).data, isTensor(bias) ? bias.data : undefined);
}

function sides(layer: RequestLayer): readonly number[] {
  return (layer.gradient as WireTensor).shape;
}

function rowsOf(layer: RequestLayer): Rows[] {
  switch (layer.kind) {
    case "dense":
      return [sharedRows(layer, denseFeatures(layer))];
    case "embedding":
      return [sharedRows(layer, oneHot(layer))];
    case "conv2d":
      return convRows(layer);
    case "scale_and_shift":
      return [tangents(layer)];
  }
  throw new TypeError(`no such kind: ${layer.kind}`);
}

type Features = { d: number; at: (place: number) => Dense };

function denseFeatures({ inputs, bias }: RequestLayer): Features {
  const { shape, data } = inputs as WireTensor;
  const width = shape.at(-1)!, d = width + Number(bias);
  return {
    d,
    at: (place) =>
      Float64Array.from({ length: d }, (_, i) => i < width ? data[place * width + i] : 1),
  };
}

function oneHot({ inputs, vocabulary }: RequestLayer): Features {
  const { data } = inputs as WireTensor;
  const d = Number(vocabulary);
  return {
    d,
    at: (place) => Float64Array.from({ length: d }, (_, v) => Number(v === data[place])),
  };
}

/** Dense layers and embeddings, with or without a shared axis: expand and reduce, masked. */
function sharedRows(layer: RequestLayer, features: Features): Rows {
  const inputs = layer.inputs as WireTensor, grads = layer.output_gradients as WireTensor;
  const isPlain = inputs.shape.length === (layer.kind === "embedding" ? 1 : 2);
  const [n, s] = isPlain ? [inputs.shape[0], 1] : inputs.shape;
  const mask = isTensor(layer.mask) ? layer.mask.data : undefined;
  const dOut = grads.shape.at(-1)!, dIn = features.d;
  const real = (i: number) =>
    Array.from({ length: s }, (_, t) => i * s + t).filter((place) => mask?.[place] !== 0);
  const gradient = (b: number, place: number) =>
    Float64Array.from({ length: dOut }, (_, o) => grads.data[(b * n * s + place) * dOut + o]);
  const sum = (rows: Dense[], factor = 1) =>
    rows.reduce(
      (total, row) => total.map((value, i) => value + factor * row[i]),
      new Float64Array(rows[0].length),
    );
  const a = (i: number) => real(i).map((place) => features.at(place));
  const g = (b: number, i: number) => real(i).map((place) => gradient(b, place));
  if (layer.sharing === "reduce" && !isPlain) {
    return {
      dIn,
      dOut,
      a: (i) => [sum(a(i), 1 / real(i).length)],
      g: (b, i) => [sum(g(b, i))],
      placesOfA: n,
      placesOfG: 1,
    };
  }
  const places = Array.from({ length: n }, (_, i) => real(i).length).reduce((x, y) => x + y);
  return { dIn, dOut, a, g, placesOfA: places, placesOfG: 1 };
}

/** Convolutions: what each tap sees at each output location, group by group. */
function convRows(layer: RequestLayer): Rows[] {
  const x = layer.inputs as WireTensor, y = layer.output_gradients as WireTensor;
  const [kh, kw] = layer.kernel_size as number[];
  const [strideY, strideX] = layer.strides as number[];
  const [dilationY, dilationX] = layer.dilations as number[];
  const groups = Number(layer.groups), bias = Number(layer.bias);
  const nhwc = layer.data_format === "nhwc";
  const [n, h, w, c] = nhwc ? x.shape : [x.shape[0], x.shape[2], x.shape[3], x.shape[1]];
  const [rows, columns, filters] = nhwc
    ? y.shape.slice(-3)
    : [y.shape.at(-2)!, y.shape.at(-1)!, y.shape.at(-3)!];
  const [top, left] = layer.padding === "valid"
    ? [0, 0]
    : layer.padding === "same"
    ? [sameBefore(h, kh, strideY, dilationY), sameBefore(w, kw, strideX, dilationX)]
    : (layer.padding as number[][]).map(([before]) => before);
  const pixel = (i: number, channel: number, row: number, column: number) =>
    row < 0 || column < 0 || row >= h || column >= w ? 0 : x.data[
      nhwc ? ((i * h + row) * w + column) * c + channel : ((i * c + channel) * h + row) * w + column
    ];
  const outputGradient = (b: number, i: number, filter: number, row: number, column: number) => {
    const example = b * n + i;
    return y
      .data[
        nhwc
          ? ((example * rows + row) * columns + column) * filters + filter
          : ((example * filters + filter) * rows + row) * columns + column
      ];
  };
  const perGroup = c / groups, dOut = filters / groups, dIn = perGroup * kh * kw + bias;
  const locations = Array.from(
    { length: rows * columns },
    (_, t) => [Math.floor(t / columns), t % columns] as const,
  );
  return Array.from({ length: groups }, (_, group): Rows => {
    const patch = (i: number, row: number, column: number) => {
      const a = new Float64Array(dIn).fill(1); // the last stays the homogeneous 1
      for (let channel = 0; channel < perGroup; channel++) {
        for (let u = 0; u < kh; u++) {
          for (let v = 0; v < kw; v++) {
            const at = layer.layout === "hwio"
              ? (u * kw + v) * perGroup + channel
              : (channel * kh + u) * kw + v;
            a[at] = pixel(
              i,
              group * perGroup + channel,
              row * strideY + u * dilationY - top,
              column * strideX + v * dilationX - left,
            );
          }
        }
      }
      return a;
    };
    const a = (i: number) => locations.map(([row, column]) => patch(i, row, column));
    const g = (b: number, i: number) =>
      locations.map(([row, column]) =>
        Float64Array.from(
          { length: dOut },
          (_, o) => outputGradient(b, i, group * dOut + o, row, column),
        )
      );
    const total = (all: Dense[]) =>
      all.reduce((sum, each) => sum.map((value, i) => value + each[i]));
    if (layer.sharing === "reduce") {
      return {
        dIn,
        dOut,
        a: (i) => [total(a(i)).map((value) => value / locations.length)],
        g: (b, i) => [total(g(b, i))],
        placesOfA: n,
        placesOfG: 1,
      };
    }
    return { dIn, dOut, a, g, placesOfA: n, placesOfG: locations.length };
  });
}

/** TensorFlow's `same`: the odd zero is behind. */
function sameBefore(side: number, kernel: number, stride: number, dilation: number): number {
  const outputs = Math.ceil(side / stride);
  const needed = (outputs - 1) * stride + (kernel - 1) * dilation + 1;
  return Math.floor(Math.max(0, needed - side) / 2);
}

/** `t_i = [Σ x̂·g ; Σ g]`, as a gradient of one output. */
function tangents(layer: RequestLayer): Rows {
  const { shape, data } = layer.inputs as WireTensor;
  const grads = (layer.output_gradients as WireTensor).data;
  const f = Number(layer.features), n = shape[0], places = data.length / (n * f);
  const tangent = (b: number, i: number) => {
    const t = new Float64Array(2 * f);
    for (let s = 0; s < places; s++) {
      for (let j = 0; j < f; j++) {
        const g = grads[((b * n + i) * places + s) * f + j];
        t[j] += data[(i * places + s) * f + j] * g;
        t[f + j] += g;
      }
    }
    return t;
  };
  // the roles are swapped to fit the form: g is the tangent, a the number 1
  return {
    dIn: 1,
    dOut: 2 * f,
    a: () => [Float64Array.of(1)],
    g: (b, i) => [tangent(b, i)],
    placesOfA: n,
    placesOfG: 1,
  };
}

/** `M += factor · u vᵀ`. */
function addOuter(M: Dense, u: Dense, v: Dense, factor: number): void {
  for (let i = 0; i < u.length; i++) {
    for (let j = 0; j < v.length; j++) M[i * v.length + j] += factor * u[i] * v[j];
  }
}

function fill(
  rows: number,
  columns: number,
  value: (row: number, column: number) => number,
): Dense {
  return Float64Array.from(
    { length: rows * columns },
    (_, at) => value(Math.floor(at / columns), at % columns),
  );
}
