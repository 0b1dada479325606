// Eigenvalues of the leaves, as Rayleigh quotients, and their vectors in the rows of Z^T.

struct Params {
  side: u32,
}

@group(0) @binding(0) var<storage, read> leaves: array<f32>;  // [batch, leaves, 32, 32], tridiagonal
@group(0) @binding(1) var<storage, read> q: array<f32>;       // [batch, leaves, 32, 32]
@group(0) @binding(2) var<storage, read_write> z_transposed: array<f32>;  // [batch, side, side]
@group(0) @binding(3) var<storage, read_write> values: array<f32>;        // [batch, side]
@group(0) @binding(4) var<uniform> params: Params;

const LEAF = 32u;

// A lane does one vector.
@compute @workgroup_size(LEAF)
fn leaf_spectrum(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) j: u32,
) {
  let leaf = (group.z * groups.x + group.x) * LEAF * LEAF;
  let column = group.x * LEAF;
  let row = group.z * params.side + column + j;
  var value = 0.0;
  var before = 0.0;
  for (var i = 0u; i < LEAF; i++) {
    let entry = q[leaf + i * LEAF + j];
    value += entry * entry * leaves[leaf + i * (LEAF + 1)];
    if (i > 0) { value += 2 * entry * before * leaves[leaf + i * (LEAF + 1) - 1]; }
    z_transposed[row * params.side + column + i] = entry;
    before = entry;
  }
  values[row] = value;
}
