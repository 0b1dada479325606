// W = I + E, the eigenvectors of a nearly diagonal A to first order:
//
//   e_ij = a_ij / (a_jj - a_ii)   where the entry is small against the gap, else 0
//
// It does the work of the last sweep for one matrix product; V W is then polished. Joined with
// gap.wgsl.
//
// Source: Rayleigh-Schroedinger perturbation; the separation of close eigenvalues as in Ogita and
// Aishima 2019.

struct Params {
  side: u32,
  correctable: f32,  // part of the gap
}

@group(0) @binding(0) var<storage, read> a: array<f32>;        // [batch, side, side]
@group(0) @binding(1) var<storage, read_write> w: array<f32>;  // [batch, side, side]
@group(0) @binding(2) var<uniform> params: Params;

@compute @workgroup_size(16, 16)
fn first_order(@builtin(global_invocation_id) id: vec3u) {
  let side = params.side;
  if (id.x >= side || id.y >= side) { return; }
  let matrix = id.z * side * side;
  let value = a[matrix + id.y * side + id.x];
  let gap = a[matrix + id.x * (side + 1)] - a[matrix + id.y * (side + 1)];
  var e = select(0.0, 1.0, id.x == id.y);
  if (id.x != id.y && value != 0.0 && is_correctable(value, gap, params.correctable)) {
    e = small_angle(value, gap);
  }
  w[matrix + id.y * side + id.x] = e;
}
