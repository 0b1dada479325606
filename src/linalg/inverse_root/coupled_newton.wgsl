// The elementwise parts of coupled Newton for X = A^(-1/p):
//
//   X = r I,  M = r^p A,  r^p <= (1 + p) / (2 |A|_F)
//   repeat  T = ((p + 1) I - M) / p,  X <- X T,  M <- T^p M   until M = I
//
// The products are matmul.wgsl's, the reductions a form of reduce/. A matrix that is settled gets T = I, which changes no bit of it,
// so that each matrix stops for itself; when all are, the products' workgroup counts become zero.
//
// Source: Guo and Higham 2006, A Schur-Newton method for the matrix p-th root and its inverse,
// section 4.

struct Params {
  side: u32,
  root: u32,      // p
  products: u32,  // workgroups along x of a product
  count: u32,     // matrices
  tolerance: f32, // of the largest |M - I|
}

// [batch, side, side]; A to begin with.
@group(0) @binding(0) var<storage, read_write> m: array<f32>;
@group(0) @binding(1) var<storage, read_write> x: array<f32>;             // [batch, side, side]
@group(0) @binding(2) var<storage, read_write> t: array<f32>;             // [batch, side, side]
@group(0) @binding(3) var<storage, read_write> row_values: array<f32>;    // [batch, side]
@group(0) @binding(4) var<storage, read_write> states: array<MatrixState>;
@group(0) @binding(5) var<storage, read_write> counts: array<atomic<u32>>; // x, y, z of a product
@group(0) @binding(6) var<uniform> params: Params;

const LANES = 64u;
alias Value = f32;

// |A|_F^2 of each row. One workgroup a row.
@compute @workgroup_size(LANES)
fn root_norm_rows(
  @builtin(workgroup_id) group: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let size = u32(states[group.z].size);
  let row = group.z * params.side + group.x;
  var mine = 0.0;
  for (var j = lane; j < size; j += LANES) {
    let value = m[row * params.side + j];
    mine += value * value;
  }
  let sum = sum_of(mine, lane);
  if (lane == 0) { row_values[row] = select(sum, 0.0, group.x >= size); }
}

// One workgroup a matrix.
@compute @workgroup_size(LANES)
fn root_norm(
  @builtin(workgroup_id) group: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  var mine = 0.0;
  for (var i = lane; i < params.side; i += LANES) {
    mine += row_values[group.z * params.side + i];
  }
  let sum = sum_of(mine, lane);
  if (lane > 0) { return; }
  states[group.z].norm = sqrt(sum);
  states[group.z].unsettled = 1.0;
  states[group.z].previous = 3e38;
}

// X = r I, M = r^p A; the padding is solved already.
@compute @workgroup_size(16, 16)
fn root_start(@builtin(global_invocation_id) id: vec3u) {
  if (id.x >= params.side || id.y >= params.side) { return; }
  let state = states[id.z];
  let p = f32(params.root);
  let r = pow((1.0 + p) / (2.0 * state.norm), 1.0 / p);
  var z = 1.0;  // r^p as it is, not as pow() took it to be: its rounding must not end up in X
  for (var i = 0u; i < params.root; i++) { z *= r; }

  let at = (id.z * params.side + id.y) * params.side + id.x;
  let is_diagonal = id.x == id.y;
  if (id.y >= u32(state.size)) {
    x[at] = select(0.0, 1.0, is_diagonal);
    return;  // M is the identity there
  }
  x[at] = select(0.0, r, is_diagonal);
  m[at] *= z;
}

// The largest |M - I| of each row.
@compute @workgroup_size(LANES)
fn root_error_rows(
  @builtin(workgroup_id) group: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let row = group.z * params.side + group.x;
  var mine = 0.0;
  for (var j = lane; j < params.side; j += LANES) {
    mine = max(mine, abs(m[row * params.side + j] - select(0.0, 1.0, j == group.x)));
  }
  let largest = largest_of(mine, lane);
  if (lane > 0) { return; }
  row_values[row] = largest;
  if (group.x == 0 && group.z == 0) {
    atomicStore(&counts[0], 0u);
    atomicStore(&counts[1], 1u);
    atomicStore(&counts[2], params.count);
  }
}

// Settled: at the tolerance, or where float32 no longer improves M. Near the end the error squares
// at each step, so one that does not even halve is rounding.
@compute @workgroup_size(LANES)
fn root_convergence(
  @builtin(workgroup_id) group: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  var mine = 0.0;
  for (var i = lane; i < params.side; i += LANES) {
    mine = max(mine, row_values[group.z * params.side + i]);
  }
  let error = largest_of(mine, lane);
  if (lane > 0) { return; }

  var state = states[group.z];
  let is_stuck = state.previous < 0.1 && error > 0.5 * state.previous;
  // Written so that NaN counts as settled: the residual will tell.
  let goes_on = state.unsettled == 1.0 && error > params.tolerance && error < 1e6 && !is_stuck;
  state.previous = error;
  state.unsettled = select(0.0, 1.0, goes_on);
  if (goes_on) {
    state.sweeps += 1.0;
    atomicMax(&counts[0], params.products);
  }
  states[group.z] = state;
}

// T = ((p + 1) I - M) / p, or I.
@compute @workgroup_size(16, 16)
fn root_step(@builtin(global_invocation_id) id: vec3u) {
  if (id.x >= params.side || id.y >= params.side) { return; }
  let at = (id.z * params.side + id.y) * params.side + id.x;
  let identity = select(0.0, 1.0, id.x == id.y);
  let p = f32(params.root);
  t[at] = select(identity, ((p + 1.0) * identity - m[at]) / p, states[id.z].unsettled == 1.0);
}
