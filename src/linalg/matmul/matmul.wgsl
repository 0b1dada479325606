// C = alpha * op(A) op(B) + diagonal * I, batched, row-major; op is the identity or the transpose.
//
// A workgroup owns a tile of C, 8 * SIDE on a side, and streams slabs of DEPTH rows of op(A)^T and
// op(B) through workgroup memory; the next slab is fetched while this one is multiplied, where an
// invocation has few of its quads. An invocation owns 8 x 8 values of the tile in registers: rows and
// columns 4q .. 4q+3 for q = its index and its index + SIDE, so that neighbours read neighbouring
// quads.
//
// With SYMMETRIC (op(A) = op(B)^T, or A and B symmetric and commuting) only tiles on and below the
// diagonal are computed, and each value is written to both of its places: C is symmetric to the
// last bit. With LOWER the left operand is C = X^T X of a lower triangular X: what lies above X's
// diagonal is not read.

override SIDE: u32;  // invocations along a side of the workgroup
override TRANSPOSE_A: bool = false;
override TRANSPOSE_B: bool = false;
override SYMMETRIC: bool = false;
override LOWER: bool = false;

const DEPTH = 8u;
override QUADS = 2 * SIDE;  // quads along a side of the tile
override TILE = 8 * SIDE;
override SLAB = DEPTH * QUADS;
override SLABS = 2 * SLAB;
override LANES = SIDE * SIDE;
override QUADS_A_LANE = SLAB / LANES;  // 4, 2 or 1

struct Params {
  m: u32,         // rows of C
  n: u32,         // columns of C
  k: u32,         // contracted
  stride_a: u32,  // from one matrix of the batch to the next; 0 repeats the first
  stride_b: u32,
  splits: u32,    // parts of k, each to its own C: z runs over batch * splits
  depth: u32,     // length of a part, a multiple of DEPTH
  first: u32,     // matrix of the batch that z = 0 is
  first_c: u32,   // where its C stands, in matrices
  alpha: f32,
  diagonal: f32,
}

@group(0) @binding(0) var<storage, read> a: array<f32>;
@group(0) @binding(1) var<storage, read> b: array<f32>;
@group(0) @binding(2) var<storage, read_write> c: array<f32>;
@group(0) @binding(3) var<uniform> params: Params;

// Two slabs each, which take turns.
var<workgroup> a_slab: array<vec4f, SLABS>;  // op(A)[i, k], quads of i for each k
var<workgroup> b_slab: array<vec4f, SLABS>;  // op(B)[k, j], quads of j for each k

@compute @workgroup_size(SIDE, SIDE)
fn matmul(
  @builtin(workgroup_id) group: vec3u,
  @builtin(local_invocation_id) lane: vec3u,
  @builtin(local_invocation_index) index: u32,
) {
  var tile = group.yx;  // row, column
  if (SYMMETRIC) { tile = lower_tile(group.x); }
  let row0 = tile.x * TILE;
  let column0 = tile.y * TILE;
  let batch = params.first + group.z / params.splits;
  let offset_a = batch * params.stride_a;
  let offset_b = batch * params.stride_b;

  var k_begin = (group.z % params.splits) * params.depth;
  let k_end = min(params.k, k_begin + params.depth);
  if (LOWER) { k_begin = max(k_begin, row0); }

  // Row r of the block is (c[2r], c[2r + 1]). Indexed by constants alone, so it lives in registers.
  var c_block: array<vec4f, 16>;

  // This invocation's quads of the next slabs, where they are few.
  var a_first: vec4f;
  var b_first: vec4f;
  var a_second: vec4f;
  var b_second: vec4f;
  var origin = Origin(offset_a, offset_b, row0, column0, k_begin, k_end);
  var slab = 0u;
  for (var k0 = k_begin; k0 < k_end; k0 += DEPTH) {
    if (QUADS_A_LANE > 2 || k0 == k_begin) {
      for (var e = index; e < SLAB; e += LANES) {
        keep(slab, e, fetch_a(origin, e), fetch_b(origin, e));
      }
    } else {
      keep(slab, index, a_first, b_first);
      if (QUADS_A_LANE > 1) { keep(slab, index + LANES, a_second, b_second); }
    }
    workgroupBarrier();  // the other slab was read, too: nobody is a round behind
    origin.k0 = k0 + DEPTH;
    if (QUADS_A_LANE <= 2 && origin.k0 < k_end) {
      a_first = fetch_a(origin, index);
      b_first = fetch_b(origin, index);
      if (QUADS_A_LANE > 1) {
        a_second = fetch_a(origin, index + LANES);
        b_second = fetch_b(origin, index + LANES);
      }
    }
    for (var t = 0u; t < DEPTH; t++) {
      let a_low = a_slab[slab + t * QUADS + lane.y];
      let a_high = a_slab[slab + t * QUADS + lane.y + SIDE];
      let left = b_slab[slab + t * QUADS + lane.x];
      let right = b_slab[slab + t * QUADS + lane.x + SIDE];
      c_block[0] = fma(vec4f(a_low.x), left, c_block[0]);
      c_block[1] = fma(vec4f(a_low.x), right, c_block[1]);
      c_block[2] = fma(vec4f(a_low.y), left, c_block[2]);
      c_block[3] = fma(vec4f(a_low.y), right, c_block[3]);
      c_block[4] = fma(vec4f(a_low.z), left, c_block[4]);
      c_block[5] = fma(vec4f(a_low.z), right, c_block[5]);
      c_block[6] = fma(vec4f(a_low.w), left, c_block[6]);
      c_block[7] = fma(vec4f(a_low.w), right, c_block[7]);
      c_block[8] = fma(vec4f(a_high.x), left, c_block[8]);
      c_block[9] = fma(vec4f(a_high.x), right, c_block[9]);
      c_block[10] = fma(vec4f(a_high.y), left, c_block[10]);
      c_block[11] = fma(vec4f(a_high.y), right, c_block[11]);
      c_block[12] = fma(vec4f(a_high.z), left, c_block[12]);
      c_block[13] = fma(vec4f(a_high.z), right, c_block[13]);
      c_block[14] = fma(vec4f(a_high.w), left, c_block[14]);
      c_block[15] = fma(vec4f(a_high.w), right, c_block[15]);
    }
    slab = SLAB - slab;
  }

  let offset_c = (params.first_c + group.z) * params.m * params.n;
  let low = row0 + 4 * lane.y;
  let high = low + 4 * SIDE;
  let column = column0 + 4 * lane.x;
  store_row(offset_c, low, column, c_block[0], c_block[1]);
  store_row(offset_c, low + 1, column, c_block[2], c_block[3]);
  store_row(offset_c, low + 2, column, c_block[4], c_block[5]);
  store_row(offset_c, low + 3, column, c_block[6], c_block[7]);
  store_row(offset_c, high, column, c_block[8], c_block[9]);
  store_row(offset_c, high + 1, column, c_block[10], c_block[11]);
  store_row(offset_c, high + 2, column, c_block[12], c_block[13]);
  store_row(offset_c, high + 3, column, c_block[14], c_block[15]);
}

// Where a workgroup's slabs come from.
struct Origin {
  offset_a: u32,
  offset_b: u32,
  row0: u32,
  column0: u32,
  k0: u32,
  k_end: u32,
}

// Quad e of a slab: neighbours read along the contiguous axis of each operand.
fn place_a(e: u32) -> vec2u {
  return select(vec2u(e % DEPTH, e / DEPTH), vec2u(e / QUADS, e % QUADS), TRANSPOSE_A);
}

fn place_b(e: u32) -> vec2u {
  return select(vec2u(e / QUADS, e % QUADS), vec2u(e % DEPTH, e / DEPTH), TRANSPOSE_B);
}

fn fetch_a(origin: Origin, e: u32) -> vec4f {
  let at = place_a(e);
  return a_quad(origin.offset_a, origin.row0 + 4 * at.y, origin.k0 + at.x, origin.k_end);
}

fn fetch_b(origin: Origin, e: u32) -> vec4f {
  let at = place_b(e);
  return b_quad(origin.offset_b, origin.k0 + at.x, origin.column0 + 4 * at.y, origin.k_end);
}

fn keep(slab: u32, e: u32, a_values: vec4f, b_values: vec4f) {
  let at_a = place_a(e);
  let at_b = place_b(e);
  a_slab[slab + at_a.x * QUADS + at_a.y] = a_values;
  b_slab[slab + at_b.x * QUADS + at_b.y] = b_values;
}

// Tile t of the lower triangle, counted row by row: (0,0) (1,0) (1,1) (2,0) ...
fn lower_tile(t: u32) -> vec2u {
  var row = u32((sqrt(8.0 * f32(t) + 1.0) - 1.0) / 2.0);
  if (row * (row + 1) / 2 > t) { row--; }  // the root may be rounded either way
  if ((row + 1) * (row + 2) / 2 <= t) { row++; }
  return vec2u(row, t - row * (row + 1) / 2);
}

// op(A)[i .. i+3, k], zero past the edges so that no tile needs a special case.
fn a_quad(offset: u32, i: u32, k: u32, k_end: u32) -> vec4f {
  return vec4f(
    a_at(offset, i, k, k_end),
    a_at(offset, i + 1, k, k_end),
    a_at(offset, i + 2, k, k_end),
    a_at(offset, i + 3, k, k_end),
  );
}

// Without branches, of which a slab would have dozens.
fn a_at(offset: u32, i: u32, k: u32, k_end: u32) -> f32 {
  let is_in = (i < params.m) & (k < k_end) & (!LOWER | (k >= i));
  let at = offset + select(i * params.k + k, k * params.m + i, TRANSPOSE_A);
  return select(0.0, a[select(0, at, is_in)], is_in);
}

// op(B)[k, j .. j+3]
fn b_quad(offset: u32, k: u32, j: u32, k_end: u32) -> vec4f {
  return vec4f(
    b_at(offset, k, j, k_end),
    b_at(offset, k, j + 1, k_end),
    b_at(offset, k, j + 2, k_end),
    b_at(offset, k, j + 3, k_end),
  );
}

fn b_at(offset: u32, k: u32, j: u32, k_end: u32) -> f32 {
  let is_in = (j < params.n) & (k < k_end) & (!LOWER | (k >= j));
  let at = offset + select(k * params.n + j, j * params.k + k, TRANSPOSE_B);
  return select(0.0, b[select(0, at, is_in)], is_in);
}

fn store_row(offset: u32, i: u32, j: u32, left: vec4f, right: vec4f) {
  if (i >= params.m) { return; }
  store_quad(offset, i, j, left);
  store_quad(offset, i, j + 4 * SIDE, right);
}

fn store_quad(offset: u32, i: u32, j: u32, quad: vec4f) {
  store(offset, i, j, quad.x);
  store(offset, i, j + 1, quad.y);
  store(offset, i, j + 2, quad.z);
  store(offset, i, j + 3, quad.w);
}

fn store(offset: u32, i: u32, j: u32, product: f32) {
  if (j >= params.n || (SYMMETRIC && j > i)) { return; }
  let value = params.alpha * product + select(0.0, params.diagonal, i == j);
  c[offset + i * params.n + j] = value;
  if (SYMMETRIC) { c[offset + j * params.n + i] = value; }
}
