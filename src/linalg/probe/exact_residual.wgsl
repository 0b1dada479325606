// Frobenius norms of a batch: residual = |R|_F / sqrt(d), where the host asked for the exact one.
// Joined with a form of reduce/.

override OF_ORTHOGONALITY: bool = false;  // the norm is |Q^T Q - I|_F / sqrt(d)

struct Params {
  side: u32,
}

@group(0) @binding(0) var<storage, read> r: array<f32>;                  // [batch, side, side]
@group(0) @binding(1) var<storage, read_write> row_squares: array<f32>;  // [batch, side]
@group(0) @binding(2) var<storage, read_write> states: array<MatrixState>;
@group(0) @binding(3) var<uniform> params: Params;

const LANES = 64u;
alias Value = f32;

// One workgroup a row.
@compute @workgroup_size(LANES)
fn square_rows(
  @builtin(workgroup_id) group: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let row = group.z * params.side + group.x;
  var mine = 0.0;
  for (var j = lane; j < params.side; j += LANES) {
    let value = r[row * params.side + j];
    mine += value * value;
  }
  let sum = sum_of(mine, lane);
  if (lane == 0) { row_squares[row] = sum; }
}

// One workgroup a matrix.
@compute @workgroup_size(LANES)
fn exact_residual(
  @builtin(workgroup_id) group: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  var mine = 0.0;
  for (var i = lane; i < params.side; i += LANES) {
    mine += row_squares[group.z * params.side + i];
  }
  let sum = sum_of(mine, lane);
  if (lane > 0) { return; }
  let norm = sqrt(sum / states[group.z].size);
  if (OF_ORTHOGONALITY) {
    states[group.z].orthogonality = norm;
  } else {
    states[group.z].residual = norm;
  }
}
