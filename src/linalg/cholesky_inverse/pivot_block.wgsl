// Step 1 of a block step: B_kk becomes D = L_kk^-1, the inverse of its Cholesky factor.
//
// Gauss-Jordan on a symmetric block: eliminating column k of the block and carrying the identity
// along needs no second array, since a column of the inverse begins where a column of the block
// ends. With d = 1 / sqrt(pivot), l = d b_k and y = d times (the inverse's row k | d | column k of
// the block):
//
//   row i > k:  b_i <- b_i - l_i y      row k:  b_k <- y up to the diagonal, 0 after it
//
// A pivot that is not positive counts as 1 and is noted.
//
// An invocation holds 4 x 4 of the 64 x 64 block in registers, rows lane.y + 16 a and columns
// lane.x + 16 b: all of them work until the last column. One barrier a column: the published column
// alternates between two places.

const BLOCK = 64u;

struct Params {
  side: u32,
  step: u32,  // k, in blocks
}

@group(0) @binding(0) var<storage, read_write> b: array<f32>;  // [batch, side, side]
@group(0) @binding(1) var<storage, read_write> d_transposed: array<f32>;  // [batch, 64, 64]
@group(0) @binding(2) var<storage, read_write> states: array<MatrixState>;
@group(0) @binding(3) var<uniform> params: Params;

var<workgroup> column: array<f32, 2 * BLOCK>;  // b[i, k]
var<workgroup> row: array<f32, 2 * BLOCK>;     // b[k, j]

@compute @workgroup_size(16, 16)
fn pivot_block(
  @builtin(workgroup_id) group: vec3u,
  @builtin(local_invocation_id) lane: vec3u,
) {
  let origin = group.z * params.side * params.side + params.step * BLOCK * (params.side + 1);
  let rows = vec4u(lane.y, lane.y + 16, lane.y + 32, lane.y + 48);
  let columns = vec4u(lane.x, lane.x + 16, lane.x + 32, lane.x + 48);
  var r0 = load_row(origin, rows.x, lane.x);
  var r1 = load_row(origin, rows.y, lane.x);
  var r2 = load_row(origin, rows.z, lane.x);
  var r3 = load_row(origin, rows.w, lane.x);

  var failed = 0.0;
  for (var k = 0u; k < BLOCK; k++) {
    let place = (k & 1) * BLOCK;
    let quarter = k / 16;
    if (lane.x == k % 16) {
      column[place + rows.x] = r0[quarter];
      column[place + rows.y] = r1[quarter];
      column[place + rows.z] = r2[quarter];
      column[place + rows.w] = r3[quarter];
    }
    if (lane.y == k % 16) {
      let mine = select(select(r0, r1, quarter == 1), select(r2, r3, quarter == 3), quarter >= 2);
      row[place + columns.x] = mine.x;
      row[place + columns.y] = mine.y;
      row[place + columns.z] = mine.z;
      row[place + columns.w] = mine.w;
    }
    workgroupBarrier();

    var pivot = column[place + k];
    if (!(pivot > 0.0)) {
      pivot = 1.0;
      failed += 1.0;
    }
    let d = 1.0 / sqrt(pivot);
    let below = vec4f(column[place + columns.x], column[place + columns.y],
                      column[place + columns.z], column[place + columns.w]);
    let carried = vec4f(row[place + columns.x], row[place + columns.y],
                        row[place + columns.z], row[place + columns.w]);
    let is_pivot = columns == vec4u(k);
    let is_after = columns > vec4u(k);
    let y = d * select(select(carried, below, is_after), vec4f(1.0), is_pivot);
    let pivot_row = select(y, vec4f(0.0), is_after);
    let l = d * vec4f(column[place + rows.x], column[place + rows.y],
                      column[place + rows.z], column[place + rows.w]);
    r0 = eliminated(r0, rows.x, k, l.x * y, is_pivot, pivot_row);
    r1 = eliminated(r1, rows.y, k, l.y * y, is_pivot, pivot_row);
    r2 = eliminated(r2, rows.z, k, l.z * y, is_pivot, pivot_row);
    r3 = eliminated(r3, rows.w, k, l.w * y, is_pivot, pivot_row);
  }

  store_row(origin, group.z, rows.x, lane.x, r0);
  store_row(origin, group.z, rows.y, lane.x, r1);
  store_row(origin, group.z, rows.z, lane.x, r2);
  store_row(origin, group.z, rows.w, lane.x, r3);
  if (lane.x == 0 && lane.y == 0) { states[group.z].failed += failed; }
}

// Row i after column k was eliminated; rows above the pivot are finished.
fn eliminated(
  r: vec4f, i: u32, k: u32, l_y: vec4f, is_pivot: vec4<bool>, pivot_row: vec4f,
) -> vec4f {
  let below = select(r, vec4f(0.0), is_pivot) - l_y;
  return select(select(r, pivot_row, i == k), below, i > k);
}

fn load_row(origin: u32, i: u32, j: u32) -> vec4f {
  let at = origin + i * params.side + j;
  return vec4f(b[at], b[at + 16], b[at + 32], b[at + 48]);
}

fn store_row(origin: u32, matrix: u32, i: u32, j: u32, r: vec4f) {
  store(origin, matrix, i, j, r.x);
  store(origin, matrix, i, j + 16, r.y);
  store(origin, matrix, i, j + 32, r.z);
  store(origin, matrix, i, j + 48, r.w);
}

fn store(origin: u32, matrix: u32, i: u32, j: u32, value: f32) {
  b[origin + i * params.side + j] = value;
  d_transposed[(matrix * BLOCK + j) * BLOCK + i] = value;
}
