// Eigenvalues of orthonormal columns V as Rayleigh quotients, w_j = v_j^T (M v_j), and their
// residuals |M v_j - w_j v_j|^2, from T = M V.
//
// A column of the padding is a unit vector among the padded rows; its eigenvalue is set beyond all
// others, so that it is sorted to the end.

struct Params {
  side: u32,
}

@group(0) @binding(0) var<storage, read> v: array<f32>;                // [batch, side, side]
@group(0) @binding(1) var<storage, read> t: array<f32>;                // [batch, side, side]
@group(0) @binding(2) var<storage, read> states: array<MatrixState>;
// [batch, side]: w_j and its residual squared.
@group(0) @binding(3) var<storage, read_write> values: array<vec2f>;
@group(0) @binding(4) var<uniform> params: Params;

const COLUMNS = 16u;
const ROWS = 16u;
const BEYOND = 3e38;
var<workgroup> sums: array<vec2f, COLUMNS * ROWS>;

// A workgroup does 16 columns, 16 rows at a time.
@compute @workgroup_size(COLUMNS, ROWS)
fn rayleigh(
  @builtin(workgroup_id) group: vec3u,
  @builtin(local_invocation_id) lane: vec3u,
) {
  let side = params.side;
  let j = group.x * COLUMNS + lane.x;
  let column = group.z * side * side + j;
  let size = u32(states[group.z].size);

  var mine = vec2f(0.0);  // v^T t, weight in the padding
  for (var i = lane.y; i < side; i += ROWS) {
    let entry = v[column + i * side];
    if (i < size) { mine.x += entry * t[column + i * side]; } else { mine.y += entry * entry; }
  }
  let quotient = sum_of(mine, lane.xy);

  var missed = vec2f(0.0);
  for (var i = lane.y; i < size; i += ROWS) {
    let miss = t[column + i * side] - quotient.x * v[column + i * side];
    missed.x += miss * miss;
  }
  let residual = sum_of(missed, lane.xy).x;
  if (lane.y > 0) { return; }
  let is_padding = quotient.y > 0.5;
  values[group.z * side + j] = select(vec2f(quotient.x, residual), vec2f(BEYOND, 0.0), is_padding);
}

// Over the rows of a column's lanes.
fn sum_of(mine: vec2f, lane: vec2u) -> vec2f {
  workgroupBarrier();  // the sums of the call before were read
  sums[lane.y * COLUMNS + lane.x] = mine;
  workgroupBarrier();
  for (var half = ROWS / 2; half > 0; half /= 2) {
    if (lane.y < half) {
      sums[lane.y * COLUMNS + lane.x] += sums[(lane.y + half) * COLUMNS + lane.x];
    }
    workgroupBarrier();
  }
  return sums[lane.x];
}
