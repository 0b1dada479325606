// Finds the power of two that brings a matrix to size 1, so that neither 1e30 nor 1e-30 overflows
// when squared.
//
// The exponent is a multiple of `granule`: the inverse, the square root or the p-th root of the
// scale is then a power of two as well, and scaling back is exact. Joined with a form of reduce/.

struct Params {
  side: u32,
  granule: f32,
}

@group(0) @binding(0) var<storage, read> m: array<f32>;              // [batch, side, side]
@group(0) @binding(1) var<storage, read_write> row_largest: array<f32>;  // [batch, side]
@group(0) @binding(2) var<storage, read_write> states: array<MatrixState>;
@group(0) @binding(3) var<uniform> params: Params;

const LANES = 64u;
alias Value = f32;

// One workgroup a row.
@compute @workgroup_size(LANES)
fn survey_rows(
  @builtin(workgroup_id) group: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let row = group.z * params.side + group.x;
  var mine = 0.0;
  for (var j = lane; j < params.side; j += LANES) {
    mine = max(mine, abs(m[row * params.side + j]));
  }
  let found = largest_of(mine, lane);
  if (lane == 0) { row_largest[row] = found; }
}

// One workgroup a matrix.
@compute @workgroup_size(LANES)
fn survey(
  @builtin(workgroup_id) group: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  var mine = abs(states[group.z].shift);
  for (var i = lane; i < params.side; i += LANES) {
    mine = max(mine, row_largest[group.z * params.side + i]);
  }
  let found = largest_of(mine, lane);
  if (lane == 0 && found > 0.0) {
    let exponent = f32(i32(bitcast<u32>(found) >> 23u) - 127);
    let most = floor(126.0 / params.granule);  // power_of_two has it exactly, and that of its negative
    states[group.z].exponent = -params.granule * clamp(round(exponent / params.granule), -most, most);
  }
}
