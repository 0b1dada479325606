// The poles of a merge, ascending, with their weights:
//
//   T = diag(T_1, T_2) + |beta| u u^T,  u = (0 .. 1, sign(beta) .. 0);  z = Z^T u / sqrt(2)
//
// so that rho = 2 |beta|. Each pole has a place of its own, whatever its value: NaN must not send its
// matrix's work into another's. Joined with merge.wgsl.

@group(0) @binding(0) var<storage, read> z_transposed: array<f32>;      // [batch, side, side], blocks
@group(0) @binding(1) var<storage, read> values: array<f32>;            // [batch, side]
@group(0) @binding(2) var<storage, read> tridiagonal: array<vec4f>;     // [batch, side]: d, e
@group(0) @binding(3) var<storage, read_write> sorted: array<Pole>;     // [batch, side]
@group(0) @binding(4) var<uniform> params: Params;

const LANES = 64u;
var<workgroup> keys: array<u32, LANES>;

@compute @workgroup_size(LANES)
fn couple(
  @builtin(workgroup_id) group: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let merge = merge_at(group.y);
  let batch = group.z * params.side;
  let vector = merge.start + group.x * LANES + lane;
  var mine = 0u;
  if (vector < merge.end) { mine = key_of(values[batch + vector]); }
  var rank = 0u;
  for (var k0 = merge.start; k0 < merge.end; k0 += LANES) {
    workgroupBarrier();
    if (k0 + lane < merge.end) { keys[lane] = key_of(values[batch + k0 + lane]); }
    workgroupBarrier();
    for (var k = 0u; k < min(LANES, merge.end - k0); k++) {
      if (keys[k] < mine || (keys[k] == mine && k0 + k < vector)) { rank++; }
    }
  }
  if (vector >= merge.end) { return; }

  var weight = 0.0;
  if (merge.middle < merge.end) {
    let row = (batch + vector) * params.side;
    let beta = tridiagonal[batch + merge.middle - 1].y;
    if (vector < merge.middle) { weight = z_transposed[row + merge.middle - 1]; }
    else { weight = select(1.0, -1.0, beta < 0.0) * z_transposed[row + merge.middle]; }
  }
  sorted[batch + merge.start + rank] = Pole(values[batch + vector], 0.70710678 * weight, vector, 0);
}

// In the order of the numbers, with a place for NaN too.
fn key_of(value: f32) -> u32 {
  let bits = bitcast<u32>(value);
  return select(bits | 0x80000000u, ~bits, bits >> 31u == 1u);
}
