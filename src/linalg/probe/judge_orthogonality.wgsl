// orthogonality = |Q^T Q p - p| / sqrt(d), the root of its mean square over the sign vectors p.
// Joined with a form of reduce/.

struct Params {
  side: u32,
}

@group(0) @binding(0) var<storage, read> missed: array<vec4f>;  // Q^T Q p - p  [batch, side]
@group(0) @binding(1) var<storage, read_write> states: array<MatrixState>;
@group(0) @binding(2) var<uniform> params: Params;

const LANES = 64u;
alias Value = vec4f;

@compute @workgroup_size(LANES)
fn judge_orthogonality(
  @builtin(workgroup_id) group: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  var mine = vec4f(0.0);
  for (var i = lane; i < params.side; i += LANES) {
    let miss = missed[group.z * params.side + i];
    mine += miss * miss;
  }
  let sum = sum_of(mine, lane);
  if (lane == 0) {
    states[group.z].orthogonality = sqrt(dot(sum, vec4f(0.25)) / states[group.z].size);
  }
}
