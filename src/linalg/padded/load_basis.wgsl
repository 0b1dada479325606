// Copies bases of one size into a padded batch, identity outside; or writes the identity
// throughout.
//
// Eigenvectors come by ascending eigenvalue and are put by descending, as jacobi.wgsl sorts.

override IS_IDENTITY: bool = false;
override TRANSPOSED: bool = false;

struct Params {
  size: u32,
  side: u32,
  source: u32,  // element at which the first source matrix starts
  first: u32,   // place of the first matrix in the batch
}

@group(0) @binding(0) var<storage, read> source: array<f32>;   // [.., size, size]
@group(0) @binding(1) var<storage, read_write> q: array<f32>;  // [batch, side, side]
@group(0) @binding(2) var<uniform> params: Params;

@compute @workgroup_size(16, 16)
fn load_basis(@builtin(global_invocation_id) id: vec3u) {
  let i = id.y;
  let j = id.x;
  if (i >= params.side || j >= params.side) { return; }
  var value = select(0.0, 1.0, i == j);
  if (!IS_IDENTITY && i < params.size && j < params.size) {
    let along = select(j, i, TRANSPOSED);
    let component = select(i, j, TRANSPOSED);
    let at = component * params.size + params.size - 1 - along;
    value = source[params.source + id.z * params.size * params.size + at];
  }
  q[((params.first + id.z) * params.side + i) * params.side + j] = value;
}
