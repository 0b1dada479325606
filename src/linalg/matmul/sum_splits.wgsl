// C = sum over s of part[s]: puts together a matrix product whose contracted axis was split.
//
// part is [z, splits, size], c is [batch, size]. Summed in the order of the splits: the same
// bits every time.

struct Params {
  size: u32,    // values of one matrix
  splits: u32,
  columns: u32, // workgroups along x times the workgroup's size
  first: u32,   // matrix of c that z = 0 is
}

@group(0) @binding(0) var<storage, read> part: array<f32>;
@group(0) @binding(1) var<storage, read_write> c: array<f32>;
@group(0) @binding(2) var<uniform> params: Params;

@compute @workgroup_size(256)
fn sum_splits(@builtin(global_invocation_id) id: vec3u) {
  let at = id.y * params.columns + id.x;
  if (at >= params.size) { return; }
  var sum = 0.0;
  for (var s = 0u; s < params.splits; s++) {
    sum += part[(id.z * params.splits + s) * params.size + at];
  }
  c[(params.first + id.z) * params.size + at] = sum;
}
