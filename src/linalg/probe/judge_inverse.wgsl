// Residual and condition of an inverse X of M from what the sign vectors p became:
//
//   residual   |M X p - p| / sqrt(d), the root of its mean square over p
//   condition  |X^2 p| / |X p| * |M^2 p| / |M p|, the largest of each over p: two power steps
//
// Joined with a form of reduce/.

struct Params {
  side: u32,
}

@group(0) @binding(0) var<storage, read> missed: array<vec4f>;  // M X p - p  [batch, side]
@group(0) @binding(1) var<storage, read> x_once: array<vec4f>;  // X p
@group(0) @binding(2) var<storage, read> x_twice: array<vec4f>;
@group(0) @binding(3) var<storage, read> m_once: array<vec4f>;  // M p
@group(0) @binding(4) var<storage, read> m_twice: array<vec4f>;
@group(0) @binding(5) var<storage, read_write> states: array<MatrixState>;
@group(0) @binding(6) var<uniform> params: Params;

const LANES = 64u;
alias Value = vec4f;

@compute @workgroup_size(LANES)
fn judge_inverse(
  @builtin(workgroup_id) group: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  var squares: array<vec4f, 5>;
  for (var i = lane; i < params.side; i += LANES) {
    let at = group.z * params.side + i;
    squares[0] += missed[at] * missed[at];
    squares[1] += x_once[at] * x_once[at];
    squares[2] += x_twice[at] * x_twice[at];
    squares[3] += m_once[at] * m_once[at];
    squares[4] += m_twice[at] * m_twice[at];
  }
  for (var k = 0u; k < 5; k++) {
    workgroupBarrier();  // the sum before was read
    squares[k] = sum_of(squares[k], lane);
  }
  if (lane > 0) { return; }

  let inverse_norm = largest(sqrt(squares[2] / squares[1]));
  let norm = largest(sqrt(squares[4] / squares[3]));
  states[group.z].residual = sqrt(dot(squares[0], vec4f(0.25)) / states[group.z].size);
  states[group.z].condition = norm * inverse_norm;
  states[group.z].magnitude = sqrt(dot(squares[1], vec4f(0.25)));
}

fn largest(v: vec4f) -> f32 {
  return max(max(v.x, v.y), max(v.z, v.w));
}
